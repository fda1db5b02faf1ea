/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv drive …`: drives that no daemon has, seen, checked, mended, emptied, and their blocks
 * carried from one store to another. What they hold is told on standard output, progress on
 * standard error.
 *
 *   0  done
 *   1  faults were found, or blocks were left behind
 *   2  the command line is wrong, or it was not agreed to
 *   4  a drive or a file cannot be had, read or written
 *
 * Not responsible for: drives of a node that runs (`memkv admin drive`).
 */
#ifndef MKV_SERVER_COMMAND_DRIVE_H
#define MKV_SERVER_COMMAND_DRIVE_H

/* A main of its own: argv[0] is "drive". */
int mkv_command_drive(int argc, char **argv);

#endif
