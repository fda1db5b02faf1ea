/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether texts of the configuration mean something to those who read them later: the `check` of
 * keys in config_keys.c.
 *
 * Invariants
 *  I1  `problem` is written where the text is refused: the end of a sentence that begins with
 *      the key.
 *
 * Not responsible for: what the texts come to.
 */
#ifndef MKV_SERVER_CONFIG_CHECKS_H
#define MKV_SERVER_CONFIG_CHECKS_H

#include "server/config_schema.h"

/* Of keys that are true or false; closed by NULL. */
extern const char *const mkv_config_truth_words[];

bool mkv_config_check_processors(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]);
bool mkv_config_check_otlp_endpoint(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]);
bool mkv_config_check_log_level(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]);

#endif
