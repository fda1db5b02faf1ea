/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of memkv-sim.
 *
 *   exit status  0  passed
 *                1  an oracle fired, or a planted bug was missed, or the machine refused something
 *                2  the command line is wrong
 *
 * Not responsible for: running (run.h, canaries.h).
 */
#ifndef MKV_SIM_COMMAND_H
#define MKV_SIM_COMMAND_H

int mkv_command_main(int argc, char **argv);

#endif
