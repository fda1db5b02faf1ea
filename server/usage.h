/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the program as a whole says about itself: its commands in one screen, and the guess at which
 * command a misspelt one was meant to be.
 *
 * Not responsible for: the help of a command, which it prints itself for --help.
 */
#ifndef MKV_SERVER_USAGE_H
#define MKV_SERVER_USAGE_H

#include <stdio.h>

struct mkv_usage_command {
    const char *name;
    const char *arguments; /* "KEY FILE" */
    const char *meaning;   /* in a few words */
};

/* Lists the commands; the last has the name NULL. */
void mkv_usage_print(const struct mkv_usage_command *commands, FILE *out);
/* The command that `name` is a slip of, or NULL. */
const char *mkv_usage_guess(const struct mkv_usage_command *commands, const char *name);

#endif
