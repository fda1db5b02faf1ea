/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_shm.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USER_BYTES 64u
#define ENTRY_BYTES 4096u
#define SEPARATORS ", "

static bool find_user(const char *name, uid_t *user) {
    const size_t digits = strspn(name, "0123456789");
    if (name[digits] == '\0' && digits <= 9) {
        *user = (uid_t)strtoul(name, NULL, 10);
        return true;
    }
    char strings[ENTRY_BYTES];
    struct passwd entry;
    struct passwd *found = NULL;
    if (getpwnam_r(name, &entry, strings, sizeof strings, &found) != 0 || found == NULL) {
        return false;
    }
    *user = entry.pw_uid;
    return true;
}

bool mkv_config_shm_users(const char *text, uid_t *users, uint32_t *count,
                          char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    *count = 0;
    for (const char *at = text + strspn(text, SEPARATORS); *at != '\0';) {
        const size_t bytes = strcspn(at, SEPARATORS);
        char name[USER_BYTES];
        if (*count == MKV_CONFIG_SHM_USERS_MAX) {
            snprintf(problem, MKV_CONFIG_PROBLEM_BYTES, "there are more than %u users",
                     MKV_CONFIG_SHM_USERS_MAX);
            return false;
        }
        snprintf(name, sizeof name, "%.*s", (int)mkv_min_u64(bytes, sizeof name - 1), at);
        if (bytes >= sizeof name || !find_user(name, &users[*count])) {
            snprintf(problem, MKV_CONFIG_PROBLEM_BYTES,
                     "there is no user '%s' on this machine; write names or numbers", name);
            return false;
        }
        ++*count;
        at += bytes;
        at += strspn(at, SEPARATORS);
    }
    return true;
}

bool mkv_config_shm_users_check(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    uid_t users[MKV_CONFIG_SHM_USERS_MAX];
    uint32_t count;
    return mkv_config_shm_users(text, users, &count, problem);
}
