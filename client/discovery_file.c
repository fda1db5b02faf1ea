/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list that stays as it is, and a file of servers, one a line:
 *
 *     # what stands behind a # is for people
 *     kv-0.example:9900
 *     kv-1.example:9900*2
 *
 * A file is looked at for changes of its identity, size and times, and read when there are any. One
 * without an end to its last line may be half written, and is not taken; whoever renames a whole
 * file into its place is never met half way.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/discovery_source.h"
#include "client/engine.h"

/* More than so many servers with the longest names, and remarks on them. */
#define FILE_BYTES_MAX (64u * 1024u)

/* ---- static --------------------------------------------------------------------------------- */

static void *static_open(const char *rest, struct memkv_error *error) {
    struct mkv_server_list *list = calloc(1, sizeof *list);
    if (list == NULL) {
        mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a list of servers");
    } else if (mkv_client_servers_parse("static", rest, list->servers, &list->count, error) !=
               MEMKV_OK) {
        free(list);
        list = NULL;
    }
    return list;
}

static enum mkv_reading static_read(void *context, int stop, uint32_t timeout_ms,
                                    struct mkv_server_list *list, struct memkv_error *error) {
    (void)stop;
    (void)timeout_ms;
    (void)error;
    *list = *(const struct mkv_server_list *)context;
    return MKV_READING_LIST;
}

const struct mkv_discovery_source mkv_discovery_static = {
    .scheme = "static:", .open = static_open, .read = static_read, .close = free};

/* ---- a file --------------------------------------------------------------------------------- */

struct file {
    char path[MKV_DISCOVERY_TEXT_BYTES];
    bool is_known; /* `seen` is what the list was read from */
    struct stat seen;
    char bytes[FILE_BYTES_MAX + 1u];
};

static void *file_open(const char *rest, struct memkv_error *error) {
    if (rest[0] == '\0') {
        mkv_client_fail(error, MEMKV_INVALID, "file: names no file; write file:PATH");
        return NULL;
    }
    struct file *file = calloc(1, sizeof *file);
    if (file == NULL) {
        mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a list of servers");
        return NULL;
    }
    const size_t path_bytes = strlen(rest);
    MKV_ASSERT(path_bytes < sizeof file->path);
    memcpy(file->path, rest, path_bytes + 1);
    return file;
}

static bool is_same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_unchanged(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           is_same_time(a->st_mtim, b->st_mtim) && is_same_time(a->st_ctim, b->st_ctim);
}

static enum mkv_reading fail(const struct file *file, struct memkv_error *error,
                             const char *problem) {
    mkv_client_fail(error, MEMKV_UNAVAILABLE, "file %.150s: %s", file->path, problem);
    return MKV_READING_FAILED;
}

/* Reads the whole file into `bytes`. False: *problem says why not. */
static bool slurp(struct file *file, int descriptor, const char **problem) {
    size_t byte_count = 0;
    ssize_t count = 1;
    while (count > 0 && byte_count < sizeof file->bytes) {
        count = read(descriptor, file->bytes + byte_count, sizeof file->bytes - byte_count);
        byte_count += count > 0 ? (size_t)count : 0;
    }
    if (count < 0) {
        *problem = strerror(errno);
    } else if (byte_count == sizeof file->bytes) {
        *problem = "it has more than 64 KiB, which no list of servers has";
    } else if (memchr(file->bytes, '\0', byte_count) != NULL) {
        *problem = "it has a zero in it; it is a text with a server a line";
    } else if (byte_count > 0 && file->bytes[byte_count - 1] != '\n') {
        *problem = "its last line has no end; is it still being written?";
    } else {
        file->bytes[byte_count] = '\0';
        return true;
    }
    return false;
}

/* The line without what surrounds its server. */
static char *trim(char *line) {
    char *remark = strchr(line, '#');
    if (remark != NULL) {
        *remark = '\0';
    }
    line += strspn(line, " \t\r");
    size_t byte_count = strlen(line);
    while (byte_count > 0 && strchr(" \t\r", line[byte_count - 1]) != NULL) {
        line[--byte_count] = '\0';
    }
    return line;
}

static enum mkv_reading parse(struct file *file, struct mkv_server_list *list,
                              struct memkv_error *error) {
    uint32_t line_number = 0;
    char *rest = file->bytes;
    while (*rest != '\0') {
        char *end = strchr(rest, '\n');
        MKV_ASSERT(end != NULL);
        *end = '\0';
        char *server = trim(rest);
        rest = end + 1;
        line_number++;
        if (server[0] == '\0') {
            continue;
        }
        struct mkv_client_address one[MKV_CLIENT_SERVERS_MAX];
        uint32_t count = 0;
        struct memkv_error inner;
        if (mkv_client_servers_parse("server", server, one, &count, &inner) != MEMKV_OK) {
            mkv_client_fail(error, MEMKV_UNAVAILABLE, "file %.100s:%u: %s", file->path, line_number,
                            inner.text);
            return MKV_READING_FAILED;
        }
        if (list->count + count > MKV_CLIENT_SERVERS_MAX) {
            return fail(file, error, "it has more than the 64 servers that a client may have");
        }
        memcpy(&list->servers[list->count], one, count * sizeof one[0]);
        list->count += count;
    }
    return list->count > 0 ? MKV_READING_LIST : fail(file, error, "there is no server in it");
}

static enum mkv_reading file_read(void *context, int stop, uint32_t timeout_ms,
                                  struct mkv_server_list *list, struct memkv_error *error) {
    (void)stop;
    (void)timeout_ms;
    struct file *file = context;
    struct stat before;
    struct stat after;
    const char *problem = NULL;
    /* Not to wait, where it is a pipe. */
    const int descriptor = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0 || fstat(descriptor, &before) != 0) {
        problem = strerror(errno);
    } else if (!S_ISREG(before.st_mode)) {
        problem = "it is no regular file";
    }
    enum mkv_reading reading = MKV_READING_FAILED;
    if (problem == NULL && file->is_known && is_unchanged(&before, &file->seen)) {
        reading = MKV_READING_SAME;
    } else if (problem == NULL && slurp(file, descriptor, &problem)) {
        reading = parse(file, list, error);
        /* What changed meanwhile is read again the next time. */
        file->is_known = reading == MKV_READING_LIST && fstat(descriptor, &after) == 0 &&
                         is_unchanged(&before, &after);
        file->seen = before;
    }
    if (descriptor >= 0) {
        close(descriptor);
    }
    return problem == NULL ? reading : fail(file, error, problem);
}

const struct mkv_discovery_source mkv_discovery_file = {.scheme = "file:",
                                                        .refresh_ms = MKV_DISCOVERY_FILE_MS,
                                                        .open = file_open,
                                                        .read = file_read,
                                                        .close = free};
