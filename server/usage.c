/* SPDX-License-Identifier: Apache-2.0 */
#include "server/usage.h"

#include <string.h>

#include "server/config_text.h"

/* Where the meaning of a command begins. */
#define COLUMN 26

void mkv_usage_print(const struct mkv_usage_command *commands, FILE *out) {
    fputs("usage: memkv COMMAND [ARGUMENTS]\n\n", out);
    for (const struct mkv_usage_command *command = commands; command->name != NULL; command++) {
        int width = COLUMN - 3 - (int)strlen(command->name);
        fprintf(out, "  %s %-*s%s\n", command->name, width, command->arguments, command->meaning);
    }
    fputs("\nmemkv help COMMAND, or memkv COMMAND --help, says more of one.\n", out);
}

const char *mkv_usage_guess(const struct mkv_usage_command *commands, const char *name) {
    for (const struct mkv_usage_command *command = commands; command->name != NULL; command++) {
        if (mkv_config_is_slip(name, command->name)) {
            return command->name;
        }
    }
    return NULL;
}
