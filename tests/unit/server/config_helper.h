/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the configuration share: a file in memory, and golden messages. */
#ifndef MKV_TESTS_CONFIG_HELPER_H
#define MKV_TESTS_CONFIG_HELPER_H

#include "server/config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

#define CONFIG_DRIVES "storage: {drives: [{media: /dev/a}]}\n"

/* Loads `text` as memkv.yaml over the defaults. */
static inline bool config_load(struct mkv_config *config, const char *text,
                               struct mkv_config_error *error) {
    memset(error, 0, sizeof *error);
    mkv_config_defaults(config, false);
    return mkv_config_load_text(config, "memkv.yaml", text, strlen(text), error);
}

/* Loads `text`, which must be free of errors. */
static inline void config_load_good(struct mkv_config *config, const char *text) {
    struct mkv_config_error error;
    bool loaded = config_load(config, text, &error);
    assert_string_equal(error.message, "");
    assert_true(loaded);
}

#endif
