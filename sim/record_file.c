/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/record_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/bytes.h"

/* Of a hash that is 64 characters long, these tell builds apart. */
#define CORE_SHOWN 12

bool mkv_record_file_is(const char *path) {
    uint8_t magic[MKV_RECORD_MAGIC_BYTES];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const bool is = read(fd, magic, sizeof magic) == (ssize_t)sizeof magic &&
                    memcmp(magic, MKV_RECORD_MAGIC, sizeof magic) == 0;
    (void)close(fd);
    return is;
}

__attribute__((format(printf, 2, 3))) static bool refuse(char error[MKV_RECORD_ERROR_BYTES],
                                                         const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error, MKV_RECORD_ERROR_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

static bool map(struct mkv_record_file *file, const char *path,
                char error[MKV_RECORD_ERROR_BYTES]) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        const int error_number = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return refuse(error, "%s: %s", path, strerror(error_number));
    }
    file->count = (size_t)status.st_size;
    void *bytes = file->count == 0
                      ? MAP_FAILED
                      : mmap(NULL, file->count, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    const int error_number = errno;
    (void)close(fd);
    if (bytes == MAP_FAILED) {
        return refuse(error, "%s: %s", path,
                      file->count == 0 ? "it is empty, so it is no record"
                                       : strerror(error_number));
    }
    file->bytes = bytes;
    return true;
}

static bool check_header(struct mkv_record_file *file, const char *path, const char *core,
                         char error[MKV_RECORD_ERROR_BYTES]) {
    uint32_t version = 0;
    const enum mkv_record_header_fault fault =
        file->count < MKV_RECORD_HEADER_BYTES
            ? MKV_RECORD_HEADER_DAMAGED
            : mkv_record_header_decode(file->bytes, &file->header, &version);
    switch (fault) {
    case MKV_RECORD_HEADER_GOOD:
        break;
    case MKV_RECORD_HEADER_OTHER:
        return refuse(error, "%s is no record of memkv start --record", path);
    case MKV_RECORD_HEADER_VERSION:
        return refuse(error,
                      "%s is a record of format version %u, and this memkv-sim knows version %u. "
                      "Use the memkv-sim that came with the memkv that recorded it",
                      path, version, MKV_RECORD_VERSION);
    case MKV_RECORD_HEADER_DAMAGED:
        return refuse(error, "%s: the header of the record is damaged or cut off", path);
    }
    if (core != NULL && strcmp(file->header.core, core) != 0) {
        return refuse(
            error,
            "%s was recorded by %s with another build of the core (%.*s...) than this "
            "memkv-sim has (%.*s...). Use the memkv-sim of that build, or --any-build to look "
            "how far this one goes along",
            path, file->header.program, CORE_SHOWN, file->header.core, CORE_SHOWN, core);
    }
    return true;
}

bool mkv_record_file_open(struct mkv_record_file *file, const char *path, const char *core,
                          char error[MKV_RECORD_ERROR_BYTES]) {
    *file = (struct mkv_record_file){0};
    if (!map(file, path, error)) {
        return false;
    }
    if (!check_header(file, path, core, error)) {
        mkv_record_file_close(file);
        return false;
    }
    mkv_record_file_rewind(file);
    return true;
}

void mkv_record_file_close(struct mkv_record_file *file) {
    if (file->bytes != NULL) {
        (void)munmap((void *)(uintptr_t)file->bytes, file->count);
    }
    free(file->entry);
    *file = (struct mkv_record_file){0};
}

void mkv_record_file_rewind(struct mkv_record_file *file) {
    file->at = MKV_RECORD_HEADER_BYTES;
    file->chunk_number = 0;
    file->body_bytes = 0;
    file->cut = false;
    file->damaged = false;
}

/* Copies the next bytes of the stream; false when they are not all there. */
static bool take(struct mkv_record_file *file, uint8_t *target, size_t count) {
    while (count > 0) {
        if (file->body_bytes == 0) {
            const size_t left = file->count - file->at;
            const uint32_t body_bytes = mkv_record_chunk_open(file->bytes + file->at, left,
                                                              file->chunk_number, &file->damaged);
            file->cut = body_bytes == 0 && !file->damaged && left > 0;
            if (body_bytes == 0) {
                return false;
            }
            file->body = file->bytes + file->at + MKV_RECORD_CHUNK_HEADER_BYTES;
            file->body_bytes = body_bytes;
            file->at += MKV_RECORD_CHUNK_HEADER_BYTES + body_bytes;
            file->chunk_number++;
        }
        const size_t part = mkv_min_u64(count, file->body_bytes);
        memcpy(target, file->body, part);
        file->body += part;
        file->body_bytes -= part;
        target += part;
        count -= part;
    }
    return true;
}

bool mkv_record_file_next(struct mkv_record_file *file, const uint8_t **entry, size_t *bytes) {
    uint8_t length[MKV_RECORD_LENGTH_BYTES];
    if (!take(file, length, sizeof length)) {
        return false;
    }
    *bytes = mkv_load_u32(length);
    if (*bytes < 1 || *bytes > MKV_RECORD_ENTRY_BYTES_MAX) {
        file->damaged = true;
        return false;
    }
    if (*bytes > file->entry_max) {
        uint8_t *larger = realloc(file->entry, *bytes);
        if (larger == NULL) {
            file->damaged = true;
            return false;
        }
        file->entry = larger;
        file->entry_max = *bytes;
    }
    *entry = file->entry;
    return take(file, file->entry, *bytes);
}
