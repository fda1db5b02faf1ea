/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_auth.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "server/config_text.h"

#define SEPARATORS ", "
#define DAY_S 86400

/* The next word of *text, which goes on behind it; its bytes, 0 at the end. */
static size_t next_word(const char **text, const char **word) {
    *text += strspn(*text, SEPARATORS);
    *word = *text;
    const size_t bytes = strcspn(*text, SEPARATORS);
    *text += bytes;
    return bytes;
}

/* The word as messages show it. */
static void quote(const char *word, size_t bytes, char out[MKV_CONFIG_QUOTE_BYTES]) {
    char text[MKV_CONFIG_WORDS_BYTES];
    const size_t count = bytes < sizeof text - 1 ? bytes : sizeof text - 1;
    memcpy(text, word, count);
    text[count] = '\0';
    mkv_config_quote(text, out);
}

bool mkv_config_auth_tenants(const char *text, struct mkv_fabric_grant *grant,
                             char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    const char *word;
    size_t bytes;
    const bool is_named = text[0] != '\0';
    grant->tenant_count = 0;
    while ((bytes = next_word(&text, &word)) > 0) {
        if (!mkv_tenant_name_is_valid(word, bytes)) {
            char quoted[MKV_CONFIG_QUOTE_BYTES];
            quote(word, bytes, quoted);
            snprintf(problem, MKV_CONFIG_PROBLEM_BYTES,
                     "'%s' is no tenant's name; it has 1 to 79 characters of A-Z a-z 0-9 . _ -",
                     quoted);
            return false;
        }
        if (grant->tenant_count == MKV_FABRIC_GRANT_TENANTS_MAX) {
            snprintf(problem, MKV_CONFIG_PROBLEM_BYTES,
                     "more than %u tenants; leave the list out for all of them",
                     MKV_FABRIC_GRANT_TENANTS_MAX);
            return false;
        }
        char *target = grant->tenants[grant->tenant_count];
        memset(target, 0, sizeof grant->tenants[0]);
        memcpy(target, word, bytes);
        grant->tenant_count++;
    }
    if (is_named && grant->tenant_count == 0) {
        snprintf(problem, MKV_CONFIG_PROBLEM_BYTES,
                 "it names no tenant; leave it out for all of them");
        return false;
    }
    return true;
}

bool mkv_config_auth_rights(const char *text, uint32_t *rights,
                            char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    static const struct {
        const char *name;
        uint32_t right;
    } words[] = {
        {"get", MKV_FABRIC_RIGHT_GET},
        {"put", MKV_FABRIC_RIGHT_PUT},
        {"delete", MKV_FABRIC_RIGHT_DELETE},
        {"admin", MKV_FABRIC_RIGHT_ADMIN},
    };
    const char *word;
    size_t bytes;
    *rights = text[0] == '\0' ? MKV_FABRIC_RIGHTS_DATA : 0;
    while ((bytes = next_word(&text, &word)) > 0) {
        uint32_t right = 0;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
            if (strlen(words[i].name) == bytes && memcmp(words[i].name, word, bytes) == 0) {
                right = words[i].right;
            }
        }
        if (right == 0) {
            char quoted[MKV_CONFIG_QUOTE_BYTES];
            quote(word, bytes, quoted);
            snprintf(problem, MKV_CONFIG_PROBLEM_BYTES,
                     "'%s' is no right; use get, put, delete, admin", quoted);
            return false;
        }
        *rights |= right;
    }
    if (*rights == 0) {
        snprintf(problem, MKV_CONFIG_PROBLEM_BYTES,
                 "it names no right; use get, put, delete, admin");
        return false;
    }
    return true;
}

/* Exactly `digits` digits, or -1. */
static int number(const char *text, size_t digits) {
    int value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

/* The parts of "2026-12-31" or "2026-12-31T23:59:59Z"; false when it is neither. */
static bool read_time(const char *text, struct tm *time) {
    const size_t bytes = strlen(text);
    *time = (struct tm){0};
    if ((bytes != 10 && bytes != 20) || text[4] != '-' || text[7] != '-') {
        return false;
    }
    const int year = number(text, 4);
    const int month = number(text + 5, 2);
    const int day = number(text + 8, 2);
    int hour = 0;
    int minute = 0;
    int second = 0;
    if (bytes == 20) {
        if (text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != 'Z') {
            return false;
        }
        hour = number(text + 11, 2);
        minute = number(text + 14, 2);
        second = number(text + 17, 2);
    }
    *time = (struct tm){.tm_year = year - 1900,
                        .tm_mon = month - 1,
                        .tm_mday = day,
                        .tm_hour = hour,
                        .tm_min = minute,
                        .tm_sec = second};
    return year >= 1970 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour >= 0 &&
           hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 && second <= 59;
}

bool mkv_config_auth_time(const char *text, uint64_t *over_ms,
                          char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    struct tm time;
    *over_ms = UINT64_MAX;
    if (text[0] == '\0') {
        return true;
    }
    bool is_time = read_time(text, &time);
    if (is_time) {
        const int day = time.tm_mday;
        const time_t seconds = timegm(&time); /* mends days that there are not: 02-30 */
        is_time = time.tm_mday == day && seconds >= 0;
        *over_ms = ((uint64_t)seconds + (strlen(text) == 10 ? DAY_S : 1)) * 1000;
    }
    if (!is_time) {
        char quoted[MKV_CONFIG_QUOTE_BYTES];
        mkv_config_quote(text, quoted);
        snprintf(problem, MKV_CONFIG_PROBLEM_BYTES,
                 "'%s' is no time; use 2026-12-31 or 2026-12-31T23:59:59Z", quoted);
    }
    return is_time;
}
