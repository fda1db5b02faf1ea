/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration as it is in force, with where each value came from: for GET /v1/config and for
 * `memkv config show`.
 *
 * Invariants
 *  I1  No secret is shown: no key holds one. Tokens stand in files of their own, of which the name
 *      is shown.
 *  I2  A value that is shown can be written into a configuration as it is.
 *
 * Not responsible for: reading it (config.h).
 */
#ifndef MKV_SERVER_CONFIG_SHOW_H
#define MKV_SERVER_CONFIG_SHOW_H

#include <jansson.h>

#include "admin/text.h"
#include "server/config_schema.h"

/* Room for any value but a list. */
#define MKV_CONFIG_VALUE_BYTES (MKV_CONFIG_PATH_BYTES + 64u)

/* The value of a key as a text that can be written; "" where there is none, and for a list. `base`
 * is as for mkv_config_key_store. */
void mkv_config_key_show(const struct mkv_config_key *key, const void *base,
                         char out[MKV_CONFIG_VALUE_BYTES]);

/* {"file", "keys": [{"key", "value", "origin"}], "drives": [{"name", "media", "size_bytes"}],
 *  "tokens": [{"role", "file"}], "lists": {"auth.keys": [{…}], …}}; secrets are "redacted", and the
 * origin of a value is "default", "--dev", "FILE:LINE", a variable or a flag. NULL when there is no
 * memory. */
json_t *mkv_config_json(const struct mkv_config *config);

/* YAML that memkv start --config takes; with origins as comments. */
void mkv_config_yaml(const struct mkv_config *config, bool origins, struct mkv_text *out);

/* One value, in double quotes unless it can stand as it is. */
void mkv_config_yaml_value(const char *value, struct mkv_text *out);

/* `memkv config show|check`; argv[0] is "config". */
int mkv_command_config(int argc, char **argv);

#endif
