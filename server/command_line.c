/* SPDX-License-Identifier: Apache-2.0 */
#include "server/command_line.h"

#include <stdio.h>
#include <string.h>

#include "server/exit_codes.h"

static const struct mkv_command_flag *flag_of(const struct mkv_command_line *line,
                                              const char *argument) {
    for (uint32_t i = 0; i < MKV_COMMAND_FLAGS_MAX && line->flags[i].name != NULL; i++) {
        const size_t bytes = strlen(line->flags[i].name);
        const bool begins = strncmp(argument, line->flags[i].name, bytes) == 0;
        if (begins &&
            (argument[bytes] == '\0' || (argument[bytes] == '=' && line->flags[i].value != NULL))) {
            return &line->flags[i];
        }
    }
    return NULL;
}

static bool take_flag(const struct mkv_command_line *line, const struct mkv_command_flag *flag,
                      int argc, char **argv, int *index) {
    if (flag->value == NULL) {
        *flag->set = true;
        return true;
    }
    const char *value = strchr(argv[*index], '=');
    if (value != NULL) {
        value++;
    } else if (*index + 1 < argc) {
        *index += 1;
        value = argv[*index];
    }
    if (value == NULL || value[0] == '\0') {
        mkv_command_admin_complain("%s: %s needs %s behind it", line->name, flag->name,
                                   flag->value);
        return false;
    }
    *flag->text = value;
    return true;
}

static bool take(struct mkv_command_line *line, int argc, char **argv, int *index,
                 bool *only_operands) {
    const char *argument = argv[*index];
    if (!*only_operands) {
        const enum mkv_command_option taken =
            mkv_command_servers_option(&line->servers, argc, argv, index);
        if (taken != MKV_COMMAND_OPTION_OTHER) {
            return taken == MKV_COMMAND_OPTION_TAKEN;
        }
        const struct mkv_command_flag *flag = flag_of(line, argument);
        if (flag != NULL) {
            return take_flag(line, flag, argc, argv, index);
        }
        if (strcmp(argument, "--") == 0) {
            *only_operands = true;
            return true;
        }
    }
    if ((argument[0] == '-' && !*only_operands) || line->operand_count == line->operands_max) {
        mkv_command_admin_complain("%s takes no '%s'; see memkv admin %s --help", line->name,
                                   argument, line->name);
        return false;
    }
    line->operands[line->operand_count] = argument;
    line->operand_count++;
    return true;
}

bool mkv_command_line_parse(struct mkv_command_line *line, int argc, char **argv, int *exit_code) {
    bool only_operands = false;
    *exit_code = MKV_EXIT_CLIENT_USAGE;
    for (int index = 1; index < argc; index++) {
        if (!only_operands &&
            (strcmp(argv[index], "--help") == 0 || strcmp(argv[index], "-h") == 0)) {
            fputs(line->help, stdout);
            fputs(mkv_command_servers_help, stdout);
            fputs("  -h, --help          this text\n", stdout);
            fputs(line->help_behind, stdout);
            *exit_code = MKV_EXIT_CLIENT_DONE;
            return false;
        }
        if (!take(line, argc, argv, &index, &only_operands)) {
            return false;
        }
    }
    if (line->operand_count < line->operands_min) {
        mkv_command_admin_complain("%s needs %s; see memkv admin %s --help", line->name,
                                   line->operand, line->name);
        return false;
    }
    const bool offline = line->offline_when != NULL && *line->offline_when != NULL;
    return offline || mkv_command_servers_finish(&line->servers);
}
