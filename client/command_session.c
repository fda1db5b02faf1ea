/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv session NUMBER ACTION`: what an inference server tells by libmemkv, by hand.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/command_common.h"
#include "client/commands.h"

static const struct command_shape shape = {
    .name = "session",
    .help =
        "usage: memkv session [OPTIONS] NUMBER ACTION\n"
        "\n"
        "Tells a session, 1 to 18446744073709551615, what becomes of the keys that it stored\n"
        "(memkv put --session). ACTION is one of\n"
        "\n"
        "  begin               it is known from now on; a put that names it does that, too\n"
        "  exit-think TOKENS REASON\n"
        "                      it has left its reasoning phase, which had so many tokens: keys\n"
        "                      of tier think_active go to think_complete. REASON is converged,\n"
        "                      overthinking or hard_cap\n"
        "  end                 it is over: all its keys go to think_complete\n"
        "  free                it is over, and its keys leave\n"
        "\n" //
    COMMAND_HELP_OPTIONS,
    .operand_count_min = 2,
    .operand_count_max = 4,
};

static bool parse_number(const char *text, uint64_t *number) {
    char *end = NULL;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

static bool parse_reason(const char *text, enum memkv_think_exit *reason) {
    static const char *const names[] = {"converged", "overthinking", "hard_cap"};
    for (uint32_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        if (strcmp(text, names[index]) == 0) {
            *reason = (enum memkv_think_exit)(index + 1);
            return true;
        }
    }
    return false;
}

/* Reads the operands. False: what is wrong with them has been printed. */
static bool parse(const struct command_line *line, struct memkv_item *item) {
    const char *action = line->operands[1];
    item->op = MEMKV_OP_SESSION;
    if (!parse_number(line->operands[0], &item->session) || item->session == 0) {
        command_complain(&shape, "a session is a number from 1 to 18446744073709551615, not %s",
                         line->operands[0]);
        return false;
    }
    if (strcmp(action, "exit-think") == 0) {
        item->action = MEMKV_SESSION_EXIT_THINK;
        if (line->operand_count == 4 && parse_number(line->operands[2], &item->tokens) &&
            parse_reason(line->operands[3], &item->reason)) {
            return true;
        }
        command_complain(&shape, "exit-think takes a number of tokens, and converged, "
                                 "overthinking or hard_cap");
        return false;
    }
    if (strcmp(action, "begin") == 0) {
        item->action = MEMKV_SESSION_BEGIN;
    } else if (strcmp(action, "end") == 0) {
        item->action = MEMKV_SESSION_END;
    } else if (strcmp(action, "free") == 0) {
        item->action = MEMKV_SESSION_END_FREE;
    } else {
        command_complain(&shape, "an action is begin, exit-think, end or free, not %s", action);
        return false;
    }
    if (line->operand_count > 2) {
        command_complain(&shape, "one argument too many: %s", line->operands[2]);
        return false;
    }
    return true;
}

int memkv_command_session(int argc, char **argv) {
    struct command_line line;
    struct memkv_item item = {0};
    int exit_code = COMMAND_EXIT_USAGE;
    if (!command_parse(&shape, argc, argv, &line, &exit_code)) {
        return exit_code;
    }
    if (!parse(&line, &item)) {
        return COMMAND_EXIT_USAGE;
    }
    struct memkv_client *client = command_connect(&line, &exit_code);
    if (client != NULL) {
        struct memkv_error error;
        const enum memkv_status status = memkv_batch(client, &item, 1, &error);
        exit_code = command_exit_of(status);
        if (status != MEMKV_OK) {
            command_complain(&shape, "%s", error.text);
        }
    }
    memkv_close(client);
    return exit_code;
}
