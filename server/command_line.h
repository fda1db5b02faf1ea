/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of those commands of `memkv admin` that are no views: flags with and without a
 * value, operands, whom to ask, and --help.
 *
 * Invariants
 *  I1  What is not in the description is refused, with the command's --help named.
 *
 * Not responsible for: what values mean.
 */
#ifndef MKV_SERVER_COMMAND_LINE_H
#define MKV_SERVER_COMMAND_LINE_H

#include "server/command_admin_internal.h"

#define MKV_COMMAND_FLAGS_MAX 8u
#define MKV_COMMAND_OPERANDS_MAX 2u

struct mkv_command_flag {
    const char *name;  /* "--output"; NULL: there are no more */
    const char *value; /* "FILE", or NULL: it takes none */
    const char **text; /* where its value goes */
    bool *set;         /* where it goes that it is there, unless it takes a value */
};

struct mkv_command_line {
    const char *name;        /* "audit export" */
    const char *help;        /* all of --help, but the lines about whom to ask */
    const char *help_behind; /* what follows those */
    struct mkv_command_flag flags[MKV_COMMAND_FLAGS_MAX];
    uint32_t operands_min;
    uint32_t operands_max;
    const char *operand;       /* what it is called in messages */
    const char **offline_when; /* nobody is asked where this value is set; NULL: always */
    /* What was found. */
    uint32_t operand_count;
    const char *operands[MKV_COMMAND_OPERANDS_MAX];
    struct mkv_command_servers servers;
};

/* False: *exit_code is what to exit with. */
__attribute__((warn_unused_result)) bool mkv_command_line_parse(struct mkv_command_line *line,
                                                                int argc, char **argv,
                                                                int *exit_code);

#endif
