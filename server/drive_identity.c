/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_identity.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define PATH_BYTES 128u

void mkv_drive_identity_line(const char *path, char out[MKV_DRIVE_IDENTITY_BYTES]) {
    out[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    char line[4 * MKV_DRIVE_IDENTITY_BYTES];
    const char *read = fgets(line, sizeof line, file);
    fclose(file);
    if (read == NULL) {
        return;
    }
    const char *start = line;
    while (isspace((unsigned char)*start)) {
        start++;
    }
    size_t count = mkv_min_u64(strcspn(start, "\n"), MKV_DRIVE_IDENTITY_BYTES - 1);
    while (count > 0 && isspace((unsigned char)start[count - 1])) {
        count--;
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = start[i];
        if (out[i] < ' ' || out[i] > '~') {
            out[i] = '?';
        }
    }
    out[count] = '\0';
}

/* The first of several attributes that is there: kinds of drives have different ones. */
static void read_first(dev_t device, const char *const *attributes, char *out) {
    static const char *const places[] = {"device", "../device", "../device/device"};
    out[0] = '\0';
    for (; *attributes != NULL && out[0] == '\0'; attributes++) {
        for (size_t i = 0; i < sizeof places / sizeof places[0] && out[0] == '\0'; i++) {
            char path[PATH_BYTES];
            snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s/%s", major(device), minor(device),
                     places[i], *attributes);
            mkv_drive_identity_line(path, out);
        }
    }
}

void mkv_drive_identity_read(int fd, struct mkv_drive_identity *identity) {
    static const char *const model[] = {"model", "name", NULL};
    static const char *const serial[] = {"serial", NULL};
    static const char *const firmware[] = {"firmware_rev", "rev", NULL};
    memset(identity, 0, sizeof *identity);
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISBLK(status.st_mode)) {
        return;
    }
    read_first(status.st_rdev, model, identity->model);
    read_first(status.st_rdev, serial, identity->serial);
    read_first(status.st_rdev, firmware, identity->firmware);
}
