/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_quotas.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "server/config_text.h"
#include "server/size.h"

/* One entry of the list, whatever stands in it. */
#define ENTRY_BYTES 160u

__attribute__((format(printf, 2, 3))) static bool fail(char *problem, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, MKV_CONFIG_QUOTAS_PROBLEM_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

static const char *skip_spaces(const char *text) {
    return text + strspn(text, " ");
}

/* `entry` is "NAME=SIZE"; the sign is taken out of it. */
static bool parse_entry(char *entry, uint64_t bytes_min, uint64_t bytes_max,
                        struct mkv_tenant_quota *quota, char *problem) {
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    mkv_config_quote(entry, quoted);
    char *size = strchr(entry, '=');
    if (size == NULL) {
        return fail(problem, "'%s' is no NAME=SIZE; write batch=100GiB", quoted);
    }
    *size++ = '\0';
    if (!mkv_tenant_name_is_valid(entry, strlen(entry))) {
        return fail(problem,
                    "'%s' does not begin with the name of a tenant, 1 to 79 characters of A-Z a-z "
                    "0-9 . _ -",
                    quoted);
    }
    const enum mkv_size_problem wrong = mkv_size_parse(size, &quota->bytes);
    if (wrong != MKV_SIZE_OK) {
        char explanation[MKV_SIZE_EXPLANATION_BYTES];
        mkv_size_explain(wrong, size, explanation);
        return fail(problem, "'%s': the size %s", quoted, explanation);
    }
    if (quota->bytes < bytes_min || quota->bytes > bytes_max) {
        char low[MKV_SIZE_TEXT_BYTES];
        char high[MKV_SIZE_TEXT_BYTES];
        mkv_size_format(bytes_min, low);
        mkv_size_format(bytes_max, high);
        return fail(problem, "'%s' is out of range; use %s to %s", quoted, low, high);
    }
    memcpy(quota->name, entry, strlen(entry) + 1);
    return true;
}

bool mkv_config_quotas_parse(const char *text, uint64_t bytes_min, uint64_t bytes_max,
                             struct mkv_tenant_quota quotas[MKV_TENANT_QUOTAS_MAX], uint32_t *count,
                             char problem[MKV_CONFIG_QUOTAS_PROBLEM_BYTES]) {
    *count = 0;
    for (const char *rest = skip_spaces(text); *rest != '\0';) {
        size_t bytes = strcspn(rest, ",");
        const char *next = rest + bytes + (rest[bytes] == ',' ? 1 : 0);
        while (bytes > 0 && rest[bytes - 1] == ' ') {
            bytes--;
        }
        char entry[ENTRY_BYTES] = "";
        if (bytes >= sizeof entry) {
            return fail(problem, "an entry is longer than any NAME=SIZE; write batch=100GiB");
        }
        memcpy(entry, rest, bytes);
        if (*count == MKV_TENANT_QUOTAS_MAX) {
            return fail(problem, "there are more than %u quotas", MKV_TENANT_QUOTAS_MAX);
        }
        struct mkv_tenant_quota *quota = &quotas[*count];
        if (!parse_entry(entry, bytes_min, bytes_max, quota, problem)) {
            return false;
        }
        for (uint32_t other = 0; other < *count; other++) {
            if (strcmp(quotas[other].name, quota->name) == 0) {
                return fail(problem, "the tenant '%s' has two quotas; leave one", quota->name);
            }
        }
        (*count)++;
        rest = skip_spaces(next);
    }
    return true;
}
