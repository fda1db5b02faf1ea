/* SPDX-License-Identifier: Apache-2.0 */
#include "server/command_drive_admin.h"

#include <stdio.h>
#include <string.h>

#include "server/command_admin_internal.h"
#include "server/command_drive_view.h"
#include "server/exit_codes.h"

struct drive_command {
    const char *name;
    const char *operands;
    const char *meaning;
    int (*run)(int argc, char **argv);
};

static const struct drive_command commands[] = {
    {"list", "", "all drives: state, what is wrong, fill, latencies", mkv_command_admin_drive_list},
    {"show", "NAME", "all that is known of one, and what to do", mkv_command_admin_drive_show},
    {"offline", "NAME", "takes it out: its keys go to the others", mkv_command_drive_offline},
    {"online", "NAME", "brings it back, empty", mkv_command_drive_online},
    {"drain", "NAME", "gives it no new puts", mkv_command_drive_drain},
    {"replace", "NAME PATH", "takes it out, and the drive at PATH in its place",
     mkv_command_drive_replace},
    {"erase", "NAME", "discards what it holds; it is offline", mkv_command_drive_erase},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_help(FILE *out) {
    fputs("usage: memkv admin drive COMMAND [OPTIONS]\n\n"
          "Drives of a node while it serves, by the names that storage.drives gives them.\n\n",
          out);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        fprintf(out, "  %s %-*s%s\n", commands[i].name, 26 - (int)strlen(commands[i].name),
                commands[i].operands, commands[i].meaning);
    }
    fputs("  -h, --help                 this text; `memkv admin drive COMMAND --help` has the "
          "options\n                             of a command\n\n"
          "Exit status: 0 done, 1 refused, there is no such drive, or it is still under way,\n"
          "2 usage, 3 the node is not to be reached, 4 server error.\n",
          out);
}

int mkv_command_drive_admin(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return MKV_EXIT_CLIENT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return MKV_EXIT_CLIENT_DONE;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    mkv_command_admin_complain("drive: there is no '%s'; see memkv admin drive --help", argv[1]);
    return MKV_EXIT_CLIENT_USAGE;
}
