/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit_walk.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void mkv_audit_file_name(const char *path, uint32_t number, char name[MKV_AUDIT_PATH_BYTES]) {
    const int bytes = snprintf(name, MKV_AUDIT_PATH_BYTES, "%s.%06" PRIu32, path, number);
    MKV_ASSERT(bytes > 0 && (size_t)bytes < MKV_AUDIT_PATH_BYTES);
}

/* The number of a rotated file, or 0: rotation counts from 1. */
static uint32_t number_of(const char *name, const char *base) {
    const size_t base_bytes = strlen(base);
    if (strncmp(name, base, base_bytes) != 0 || name[base_bytes] != '.') {
        return 0;
    }
    const char *digits = name + base_bytes + 1;
    const size_t count = strspn(digits, "0123456789");
    if (count < 6 || count > 9 || digits[count] != '\0') {
        return 0;
    }
    return (uint32_t)strtoul(digits, NULL, 10);
}

static int compare(const void *a, const void *b) {
    const uint32_t left = *(const uint32_t *)a;
    const uint32_t right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

bool mkv_audit_files_list(const char *path, struct mkv_audit_files *files,
                          char error[MKV_AUDIT_ERROR_BYTES]) {
    char directory[MKV_AUDIT_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    const int directory_bytes = slash == NULL ? 1 : (int)(slash - path) + 1;
    snprintf(directory, sizeof directory, "%.*s", directory_bytes, slash == NULL ? "." : path);
    files->count = 0;
    DIR *entries = opendir(directory);
    if (entries == NULL) {
        snprintf(error, MKV_AUDIT_ERROR_BYTES, "the directory %.300s cannot be read: %s", directory,
                 strerror(errno));
        return false;
    }
    const struct dirent *entry;
    bool fits = true;
    while (fits && (entry = readdir(entries)) != NULL) {
        const uint32_t number = number_of(entry->d_name, base);
        fits = number == 0 || files->count < MKV_AUDIT_FILES_MAX;
        if (fits && number != 0) {
            files->numbers[files->count] = number;
            files->count++;
        }
    }
    closedir(entries);
    if (!fits) {
        snprintf(error, MKV_AUDIT_ERROR_BYTES,
                 "%.300s has more than %u files; move the oldest ones away", path,
                 MKV_AUDIT_FILES_MAX);
        return false;
    }
    qsort(files->numbers, files->count, sizeof files->numbers[0], compare);
    return true;
}

bool mkv_audit_walk_begin(const char *path, struct mkv_audit_walk *walk,
                          char error[MKV_AUDIT_ERROR_BYTES]) {
    struct stat status;
    memset(walk, 0, sizeof *walk);
    if ((size_t)snprintf(walk->path, sizeof walk->path, "%s", path) >= sizeof walk->path - 16) {
        snprintf(error, MKV_AUDIT_ERROR_BYTES, "the path is too long; use at most %u bytes",
                 MKV_AUDIT_PATH_BYTES - 17);
        return false;
    }
    if (!mkv_audit_files_list(path, &walk->files, error)) {
        return false;
    }
    if (stat(path, &status) != 0 && (errno != ENOENT || walk->files.count == 0)) {
        snprintf(error, MKV_AUDIT_ERROR_BYTES,
                 "%.300s cannot be read: %s; is it the file of an "
                 "audit (audit.file)?",
                 path, strerror(errno));
        return false;
    }
    return true;
}

void mkv_audit_walk_end(struct mkv_audit_walk *walk) {
    if (walk->file != NULL) {
        fclose(walk->file);
    }
    walk->file = NULL;
}

/* Opens the file whose turn it is. The last one may not be there: a crash can leave a moment
 * between a rotation and what follows it. */
static enum mkv_audit_step open_next(struct mkv_audit_walk *walk,
                                     char error[MKV_AUDIT_ERROR_BYTES]) {
    const bool is_last = walk->file_index == walk->files.count;
    if (is_last) {
        memcpy(walk->name, walk->path, sizeof walk->name);
    } else {
        mkv_audit_file_name(walk->path, walk->files.numbers[walk->file_index], walk->name);
    }
    walk->line_number = 0;
    walk->file = fopen(walk->name, "re");
    if (walk->file != NULL) {
        return MKV_AUDIT_STEP_LINE;
    }
    if (is_last && errno == ENOENT) {
        return MKV_AUDIT_STEP_END;
    }
    snprintf(error, MKV_AUDIT_ERROR_BYTES, "%.300s cannot be read: %s", walk->name,
             strerror(errno));
    return MKV_AUDIT_STEP_FAILED;
}

/* Reads a line into walk->line; 0 bytes at the end of the file. */
static void read_line(struct mkv_audit_walk *walk) {
    walk->bytes = 0;
    int character;
    while ((character = getc_unlocked(walk->file)) != EOF) {
        if (walk->bytes < sizeof walk->line - 1) {
            walk->line[walk->bytes] = (char)character;
            walk->bytes++;
        }
        if (character == '\n') {
            break;
        }
    }
    walk->line[walk->bytes] = '\0';
}

enum mkv_audit_step mkv_audit_walk_next(struct mkv_audit_walk *walk,
                                        char error[MKV_AUDIT_ERROR_BYTES]) {
    while (walk->file_index <= walk->files.count) {
        if (walk->file == NULL) {
            const enum mkv_audit_step step = open_next(walk, error);
            if (step != MKV_AUDIT_STEP_LINE) {
                return step;
            }
        }
        read_line(walk);
        if (ferror(walk->file) != 0) {
            snprintf(error, MKV_AUDIT_ERROR_BYTES, "%.300s cannot be read: %s", walk->name,
                     strerror(errno));
            return MKV_AUDIT_STEP_FAILED;
        }
        if (walk->bytes > 0) {
            walk->line_number++;
            return MKV_AUDIT_STEP_LINE;
        }
        mkv_audit_walk_end(walk);
        walk->file_index++;
    }
    return MKV_AUDIT_STEP_END;
}

void mkv_audit_walk_skip(struct mkv_audit_walk *walk, uint64_t sequence) {
    MKV_ASSERT(walk->file == NULL);
    char ignored[MKV_AUDIT_ERROR_BYTES];
    uint32_t first = 0;
    /* A file may be passed over if the next one begins at or before what is asked for. */
    for (uint32_t index = 1; index <= walk->files.count; index++) {
        struct mkv_audit_record record;
        walk->file_index = index;
        const bool begins = open_next(walk, ignored) == MKV_AUDIT_STEP_LINE;
        if (begins) {
            read_line(walk);
        }
        mkv_audit_walk_end(walk);
        if (!begins ||
            mkv_audit_line_read(walk->line, walk->bytes, &record, NULL) != MKV_AUDIT_FITS ||
            record.sequence > sequence) {
            break;
        }
        first = index;
    }
    walk->file_index = first;
    walk->line_number = 0;
}
