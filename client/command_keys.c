/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv exists KEY...` and `memkv delete KEY...`: one batch, one line for each key in the order of
 * the command line.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/command_common.h"
#include "client/commands.h"

static const struct command_shape shape_exists = {
    .name = "exists",
    .help = "usage: memkv exists [OPTIONS] KEY...\n"
            "\n"
            "Prints 'found KEY' or 'missing KEY' for each key; done when all are found.\n"
            "\n" //
    COMMAND_HELP_OPTIONS,
    .operand_count_min = 1,
    .operand_count_max = INT_MAX,
};

static const struct command_shape shape_delete = {
    .name = "delete",
    .help = "usage: memkv delete [OPTIONS] KEY...\n"
            "\n"
            "Deletes keys, durably, and prints 'deleted KEY' or 'missing KEY' for each; done when\n"
            "all were there.\n"
            "\n" //
    COMMAND_HELP_OPTIONS,
    .operand_count_min = 1,
    .operand_count_max = INT_MAX,
};

/* The highest exit code is the one that says most: 0 done < 1 missing < 3 and 4 no answer. */
static int report(const struct command_shape *shape, const struct memkv_item *items, int item_count,
                  const char *word_done) {
    int exit_code = COMMAND_EXIT_DONE;
    int failed_count = 0;
    for (int index = 0; index < item_count; index++) {
        const char *key = items[index].key;
        const int item_code = command_exit_of(items[index].status);
        exit_code = item_code > exit_code ? item_code : exit_code;
        if (items[index].status == MEMKV_OK) {
            printf("%s %s\n", word_done, key);
        } else if (items[index].status == MEMKV_NOT_FOUND) {
            printf("missing %s\n", key);
        } else {
            printf("failed %s\n", key);
            failed_count++;
        }
    }
    if (fflush(stdout) != 0) {
        command_complain(shape, "standard output cannot be written");
        return COMMAND_EXIT_USAGE;
    }
    if (failed_count > 1) {
        command_complain(shape, "%d of %d keys have no answer", failed_count, item_count);
    }
    return exit_code;
}

/* Why the first key that has no answer has none. The error is of the first key that is not done,
 * which may be one that is only missing. */
static void complain_of_failed(const struct command_shape *shape, const struct memkv_item *items,
                               int item_count, const struct memkv_error *error) {
    for (int index = 0; index < item_count; index++) {
        const enum memkv_status status = items[index].status;
        if (status == error->status && status != MEMKV_OK && status != MEMKV_NOT_FOUND) {
            command_complain(shape, "%s", error->text);
            return;
        }
        if (status != MEMKV_OK && status != MEMKV_NOT_FOUND) {
            command_complain(shape, "key '%s': %s", (const char *)items[index].key,
                             memkv_status_name(status));
            return;
        }
    }
}

static int run(const struct command_shape *shape, enum memkv_op op, const char *word_done, int argc,
               char **argv) {
    struct command_line line;
    int exit_code = COMMAND_EXIT_USAGE;
    if (!command_parse(shape, argc, argv, &line, &exit_code)) {
        return exit_code;
    }
    struct memkv_client *client = command_connect(&line, &exit_code);
    if (client == NULL) {
        return exit_code;
    }
    struct memkv_item *items = calloc((size_t)line.operand_count, sizeof *items);
    if (items == NULL) {
        command_complain(shape, "no memory for %d keys", line.operand_count);
        memkv_close(client);
        return COMMAND_EXIT_SERVER_ERROR;
    }
    for (int index = 0; index < line.operand_count; index++) {
        items[index].op = op;
        items[index].key = line.operands[index];
        items[index].key_bytes = strlen(line.operands[index]);
    }
    struct memkv_error error;
    memkv_batch(client, items, (size_t)line.operand_count, &error);
    complain_of_failed(shape, items, line.operand_count, &error);
    exit_code = report(shape, items, line.operand_count, word_done);
    free(items);
    memkv_close(client);
    return exit_code;
}

int memkv_command_exists(int argc, char **argv) {
    return run(&shape_exists, MEMKV_OP_EXISTS, "found", argc, argv);
}

int memkv_command_delete(int argc, char **argv) {
    return run(&shape_delete, MEMKV_OP_DELETE, "deleted", argc, argv);
}
