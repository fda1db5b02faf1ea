/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE 0600
/* What is read of the end of a file: it holds the last whole line, and a piece behind it. */
#define TAIL_BYTES (4u * MKV_AUDIT_LINE_BYTES_MAX)

struct mkv_audit_file {
    char path[MKV_AUDIT_PATH_BYTES];
    uint64_t bytes_max;
    uint32_t files_max;
    int fd;
    uint64_t bytes;         /* of the file, with what was not synced */
    uint64_t bytes_durable; /* without */
    struct mkv_audit_head head;
    struct mkv_audit_head head_durable;
    bool was_broken;
    uint32_t number_last; /* of the rotated files; 0: there is none */
    char line[MKV_AUDIT_LINE_BYTES_MAX + 1];
};

__attribute__((format(printf, 2, 3))) static bool fail(char error[MKV_AUDIT_ERROR_BYTES],
                                                       const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, MKV_AUDIT_ERROR_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static bool sync_directory(const char *path) {
    char directory[MKV_AUDIT_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    snprintf(directory, sizeof directory, "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
             slash == NULL ? "." : path);
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const bool synced = fsync(fd) == 0;
    close(fd);
    return synced;
}

static bool write_all(int fd, const char *bytes, size_t count) {
    while (count > 0) {
        const ssize_t written = write(fd, bytes, count);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            bytes += written;
            count -= (size_t)written;
        }
    }
    return true;
}

static bool open_locked(struct mkv_audit_file *file, char error[MKV_AUDIT_ERROR_BYTES]) {
    file->fd = open(file->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (file->fd < 0) {
        return fail(error,
                    "audit.file %.300s cannot be opened: %s. Make its directory and let the "
                    "daemon's user write there, or set another audit.file",
                    file->path, strerror(errno));
    }
    struct stat status;
    if (fstat(file->fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return fail(error, "audit.file %.300s is no regular file; set another audit.file",
                    file->path);
    }
    if (flock(file->fd, LOCK_EX | LOCK_NB) != 0) {
        return fail(error,
                    "audit.file %.300s is another process's; give each node an audit.file of its "
                    "own",
                    file->path);
    }
    file->bytes = (uint64_t)status.st_size;
    file->bytes_durable = file->bytes;
    return true;
}

/* ---- records --------------------------------------------------------------------------------- */

/* Appends a line without looking at the size of the file. */
static bool append_line(struct mkv_audit_file *file, const struct mkv_audit_entry *entry,
                        uint64_t time_ms, char error[MKV_AUDIT_ERROR_BYTES]) {
    struct mkv_audit_head head = file->head;
    const uint32_t bytes = mkv_audit_line(entry, time_ms, &head, file->line);
    if (bytes == 0) {
        return fail(error, "no memory for a record of the audit");
    }
    if (!write_all(file->fd, file->line, bytes)) {
        const int write_errno = errno;
        /* A piece of it may stand there. Should this fail too, the next opening cuts it off. */
        (void)!ftruncate(file->fd, (off_t)file->bytes);
        return fail(error, "audit.file %.300s cannot be written: %s", file->path,
                    strerror(write_errno));
    }
    file->bytes += bytes;
    file->head = head;
    return true;
}

bool mkv_audit_file_sync(struct mkv_audit_file *file, char error[MKV_AUDIT_ERROR_BYTES]) {
    if (file->bytes == file->bytes_durable) {
        return true;
    }
    if (fdatasync(file->fd) == 0) {
        file->bytes_durable = file->bytes;
        file->head_durable = file->head;
        return true;
    }
    const int sync_errno = errno;
    /* What the kernel says of these pages next time is worth nothing: they are written anew. */
    (void)!ftruncate(file->fd, (off_t)file->bytes_durable);
    file->bytes = file->bytes_durable;
    file->head = file->head_durable;
    return fail(error, "audit.file %.300s cannot be made durable: %s", file->path,
                strerror(sync_errno));
}

/* ---- rotation -------------------------------------------------------------------------------- */

/* The first and the last record of a rotated file. */
static bool read_ends(const struct mkv_audit_file *file, uint32_t number,
                      struct mkv_audit_record *first, struct mkv_audit_record *last) {
    struct mkv_audit_walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL) {
        return false;
    }
    char ignored[MKV_AUDIT_ERROR_BYTES];
    snprintf(walk->path, sizeof walk->path, "%s", file->path);
    walk->files.count = 1;
    walk->files.numbers[0] = number;
    bool fits = true;
    uint64_t lines = 0;
    while (fits && walk->file_index == 0 &&
           mkv_audit_walk_next(walk, ignored) == MKV_AUDIT_STEP_LINE && walk->file_index == 0) {
        fits = mkv_audit_line_read(walk->line, walk->bytes, last, NULL) == MKV_AUDIT_FITS;
        if (lines == 0) {
            *first = *last;
        }
        lines++;
    }
    mkv_audit_walk_end(walk);
    free(walk);
    return fits && lines > 0;
}

/* Says that the oldest file goes, durably, then removes it. One that cannot be read stays: it is
 * for whoever looks into that. */
static void remove_oldest(struct mkv_audit_file *file, uint32_t number, uint64_t time_ms) {
    struct mkv_audit_record first;
    struct mkv_audit_record last;
    struct mkv_audit_entry entry = {.operation = MKV_AUDIT_REMOVE, .outcome = "ok"};
    char name[MKV_AUDIT_PATH_BYTES];
    char hash[MKV_AUDIT_HASH_TEXT_BYTES];
    char ignored[MKV_AUDIT_ERROR_BYTES];
    if (!read_ends(file, number, &first, &last) || last.sequence < first.sequence) {
        return;
    }
    mkv_audit_file_name(file->path, number, name);
    mkv_audit_hash_text(last.hash, hash);
    snprintf(entry.entity, sizeof entry.entity, "%.*s", (int)sizeof entry.entity - 1, name);
    entry.count = last.sequence - first.sequence + 1;
    snprintf(entry.reason, sizeof entry.reason,
             "audit.files_max is %u: records %" PRIu64 " to %" PRIu64 " go, the last with hash %s",
             file->files_max, first.sequence, last.sequence, hash);
    if (append_line(file, &entry, time_ms, ignored) && mkv_audit_file_sync(file, ignored)) {
        (void)unlink(name);
    }
}

static void remove_old(struct mkv_audit_file *file, uint64_t time_ms) {
    struct mkv_audit_files *files = calloc(1, sizeof *files);
    char ignored[MKV_AUDIT_ERROR_BYTES];
    if (files != NULL && mkv_audit_files_list(file->path, files, ignored)) {
        for (uint32_t index = 0; files->count - index > file->files_max - 1; index++) {
            remove_oldest(file, files->numbers[index], time_ms);
        }
    }
    free(files);
}

static bool begin_behind(struct mkv_audit_file *file, uint64_t time_ms,
                         char error[MKV_AUDIT_ERROR_BYTES]) {
    struct mkv_audit_entry entry = {.operation = MKV_AUDIT_ROTATE, .outcome = "ok", .count = 1};
    char name[MKV_AUDIT_PATH_BYTES];
    mkv_audit_file_name(file->path, file->number_last, name);
    snprintf(entry.entity, sizeof entry.entity, "%.*s", (int)sizeof entry.entity - 1, name);
    snprintf(entry.reason, sizeof entry.reason, "goes on from the last record of that file");
    if (!append_line(file, &entry, time_ms, error) || !mkv_audit_file_sync(file, error) ||
        !sync_directory(file->path)) {
        return false;
    }
    remove_old(file, time_ms);
    return true;
}

/* When a step of this fails the file goes on being written, and the next record tries again. */
static void rotate(struct mkv_audit_file *file, uint64_t time_ms) {
    char ignored[MKV_AUDIT_ERROR_BYTES];
    char name[MKV_AUDIT_PATH_BYTES];
    const int old_fd = file->fd;
    if (file->number_last == MKV_AUDIT_FILE_NUMBER_MAX || !mkv_audit_file_sync(file, ignored)) {
        return;
    }
    mkv_audit_file_name(file->path, file->number_last + 1, name);
    if (rename(file->path, name) != 0) {
        return;
    }
    const uint64_t bytes = file->bytes;
    if (!open_locked(file, ignored) || file->bytes != 0) {
        if (file->fd >= 0) {
            close(file->fd);
        }
        (void)!rename(name, file->path);
        file->fd = old_fd;
        file->bytes = bytes;
        file->bytes_durable = bytes;
        return;
    }
    close(old_fd);
    file->number_last++;
    (void)begin_behind(file, time_ms, ignored);
}

bool mkv_audit_file_append(struct mkv_audit_file *file, const struct mkv_audit_entry *entry,
                           uint64_t time_ms, char error[MKV_AUDIT_ERROR_BYTES]) {
    if (file->bytes + MKV_AUDIT_LINE_BYTES_MAX > file->bytes_max) {
        rotate(file, time_ms);
    }
    return append_line(file, entry, time_ms, error);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* The end of a file, read into memory. */
struct tail {
    uint64_t offset; /* of its first byte in the file */
    size_t bytes;
    char text[TAIL_BYTES + 1];
};

static bool read_tail(const struct mkv_audit_file *file, uint64_t end, struct tail *tail) {
    const uint64_t wanted = mkv_min_u64(end, TAIL_BYTES);
    tail->offset = end - wanted;
    tail->bytes = 0;
    while (tail->bytes < wanted) {
        const ssize_t count = pread(file->fd, tail->text + tail->bytes, wanted - tail->bytes,
                                    (off_t)(tail->offset + tail->bytes));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return false;
        }
        tail->bytes += (size_t)count;
    }
    return true;
}

/* Where the line begins that ends before `end`, both in the tail. */
static size_t line_start(const struct tail *tail, size_t end) {
    size_t start = end > 0 ? end - 1 : 0;
    while (start > 0 && tail->text[start - 1] != '\n') {
        start--;
    }
    return start;
}

/* How many bytes at the end of the file are a record that a crash cut short: a line without an end,
 * or one with pages that were never written. */
static uint64_t torn_bytes(const struct tail *tail) {
    size_t end = tail->bytes;
    while (end > 0 && tail->text[end - 1] != '\n') {
        end--;
    }
    const size_t start = line_start(tail, end);
    if (end > start && memchr(tail->text + start, '\0', end - start) != NULL) {
        end = start;
    }
    return tail->bytes - end;
}

/* Takes the head from the last line that reads as a record. False: there is none. */
static bool learn_head(struct mkv_audit_file *file, const struct tail *tail) {
    size_t end = tail->bytes;
    struct mkv_audit_record record;
    while (end > 0) {
        const size_t start = line_start(tail, end);
        if (mkv_audit_line_read(tail->text + start, end - start, &record, NULL) == MKV_AUDIT_FITS) {
            file->head.next_sequence = record.sequence + 1;
            memcpy(file->head.hash, record.hash, sizeof file->head.hash);
            file->was_broken = file->was_broken || end != tail->bytes;
            return true;
        }
        end = start;
    }
    file->was_broken = true;
    return false;
}

/* The head of the newest rotated file, for a file that is new or was all torn. */
static void learn_from_rotated(struct mkv_audit_file *file) {
    struct mkv_audit_record first;
    struct mkv_audit_record last;
    if (file->number_last == 0) {
        return;
    }
    if (!read_ends(file, file->number_last, &first, &last)) {
        file->was_broken = true;
        return;
    }
    file->head.next_sequence = last.sequence + 1;
    memcpy(file->head.hash, last.hash, sizeof file->head.hash);
}

static bool note_repair(struct mkv_audit_file *file, uint64_t torn, uint64_t time_ms,
                        char error[MKV_AUDIT_ERROR_BYTES]) {
    struct mkv_audit_entry entry = {.outcome = "ok", .count = 1};
    snprintf(entry.entity, sizeof entry.entity, "%.*s", (int)sizeof entry.entity - 1, file->path);
    if (torn > 0) {
        entry.operation = MKV_AUDIT_REPAIR;
        snprintf(entry.reason, sizeof entry.reason,
                 "%" PRIu64 " bytes of a record that a crash had cut short were taken away", torn);
        if (!append_line(file, &entry, time_ms, error)) {
            return false;
        }
    }
    if (file->was_broken) {
        entry.operation = MKV_AUDIT_BROKEN;
        snprintf(entry.reason, sizeof entry.reason,
                 "the last record that stood here does not fit; see memkv admin audit verify");
        return append_line(file, &entry, time_ms, error);
    }
    return true;
}

/* The first record of a file: of the whole chain, or behind what was rotated away. */
static bool begin_file(struct mkv_audit_file *file, const char *node, uint64_t time_ms,
                       char error[MKV_AUDIT_ERROR_BYTES]) {
    if (file->number_last != 0) {
        return begin_behind(file, time_ms, error);
    }
    struct mkv_audit_entry entry = {.operation = MKV_AUDIT_GENESIS, .outcome = "ok", .count = 1};
    snprintf(entry.entity, sizeof entry.entity, "%.200s", node);
    snprintf(entry.reason, sizeof entry.reason, "format 1, SHA-256");
    return append_line(file, &entry, time_ms, error) && mkv_audit_file_sync(file, error) &&
           sync_directory(file->path);
}

static bool recover(struct mkv_audit_file *file, const char *node, uint64_t time_ms,
                    char error[MKV_AUDIT_ERROR_BYTES]) {
    struct tail *tail = calloc(1, sizeof *tail);
    if (tail == NULL || !read_tail(file, file->bytes, tail)) {
        free(tail);
        return fail(error, "audit.file %.300s cannot be read: %s", file->path, strerror(errno));
    }
    const uint64_t torn = torn_bytes(tail);
    bool done = true;
    if (torn > 0) {
        file->bytes -= torn;
        tail->bytes -= (size_t)torn;
        done = ftruncate(file->fd, (off_t)file->bytes) == 0 && fsync(file->fd) == 0;
        file->bytes_durable = file->bytes;
    }
    if (!done) {
        free(tail);
        return fail(error, "audit.file %.300s cannot be repaired: %s", file->path, strerror(errno));
    }
    const bool is_empty = file->bytes == 0;
    if (is_empty) {
        learn_from_rotated(file);
    } else {
        (void)learn_head(file, tail);
    }
    free(tail);
    file->head_durable = file->head;
    return (!is_empty || begin_file(file, node, time_ms, error)) &&
           note_repair(file, torn, time_ms, error) && mkv_audit_file_sync(file, error);
}

bool mkv_audit_file_open(const struct mkv_audit_file_options *options, uint64_t time_ms,
                         struct mkv_audit_file **file, char error[MKV_AUDIT_ERROR_BYTES]) {
    MKV_ASSERT(options->bytes_max >= MKV_AUDIT_LINE_BYTES_MAX);
    MKV_ASSERT(options->files_max >= MKV_AUDIT_FILES_MIN);
    struct mkv_audit_file *made = calloc(1, sizeof *made);
    struct mkv_audit_files *files = calloc(1, sizeof *files);
    error[0] = '\0';
    bool done = made != NULL && files != NULL;
    if (done) {
        made->fd = -1;
        made->bytes_max = options->bytes_max;
        made->files_max = options->files_max;
        const int bytes = snprintf(made->path, sizeof made->path, "%s", options->path);
        MKV_ASSERT(bytes > 0 && (size_t)bytes < sizeof made->path - 16);
        done = open_locked(made, error) && mkv_audit_files_list(made->path, files, error);
        made->number_last = done && files->count > 0 ? files->numbers[files->count - 1] : 0;
    }
    free(files);
    done = done && recover(made, options->node, time_ms, error);
    if (!done) {
        if (error[0] == '\0') {
            fail(error, "audit.file %.300s cannot be opened: %s", options->path, strerror(errno));
        }
        mkv_audit_file_close(made);
        return false;
    }
    *file = made;
    return true;
}

void mkv_audit_file_close(struct mkv_audit_file *file) {
    if (file == NULL) {
        return;
    }
    if (file->fd >= 0) {
        close(file->fd);
    }
    free(file);
}

struct mkv_audit_head mkv_audit_file_head(const struct mkv_audit_file *file) {
    return file->head_durable;
}

bool mkv_audit_file_was_broken(const struct mkv_audit_file *file) {
    return file->was_broken;
}
