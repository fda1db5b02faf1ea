/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command `exhaustive`: what is read off its command line, and what it prints.
 *
 * Not responsible for: what is run (exhaustive.h).
 */
#ifndef MKV_SIM_EXHAUSTIVE_COMMAND_H
#define MKV_SIM_EXHAUSTIVE_COMMAND_H

/* The whole command line; returns the exit status. */
int mkv_exhaustive_command(int argc, char **argv);

#endif
