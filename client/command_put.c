/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv put KEY FILE`. A value's length goes ahead of its bytes, so what has none (standard input,
 * a pipe) is first spooled to a temporary file without a name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/command_common.h"
#include "client/commands.h"

#define COPY_BYTES (256u * 1024u)

static const struct command_shape shape = {
    .name = "put",
    .help =
        "usage: memkv put [OPTIONS] KEY FILE\n"
        "\n"
        "Stores a file under a key, durably. FILE is - for standard input.\n"
        "\n"
        "  --replace           replace other content that the key holds; without it that is\n"
        "                      refused, and the same content is done at once\n"
        "  --relaxed           done as soon as the server has it in memory: until it is durable\n"
        "                      a crash of the server loses it\n"
        "  --expire SECONDS    the key is gone so much later, 1 to 2147483647; else it stays.\n"
        "                      Content that is there already gets the later of both times,\n"
        "                      and this one with --replace\n"
        "  --tier TIER         think_complete, unhinted (if not given), think_active or\n"
        "                      output_critical: a key of a lower one leaves first when there\n"
        "                      is no room\n"
        "  --session NUMBER    the session that stores it\n" //
    COMMAND_HELP_OPTIONS,
    .operand_count_min = 2,
    .operand_count_max = 2,
    .has_put_flags = true,
};

/* Where the value comes from. */
struct source {
    const char *path; /* for messages */
    int descriptor;
    uint64_t length;
    char problem[512]; /* why reading failed */
};

static int source_read(void *context, uint64_t offset, void *buffer, size_t byte_count) {
    struct source *source = context;
    size_t done = 0;
    while (done < byte_count) {
        const ssize_t count = pread(source->descriptor, (char *)buffer + done, byte_count - done,
                                    (off_t)(offset + done));
        if (count > 0) {
            done += (size_t)count;
        } else if (count == 0) {
            snprintf(source->problem, sizeof source->problem,
                     "%s became shorter while it was read; put it when nobody writes to it",
                     source->path);
            return EIO;
        } else if (errno != EINTR) {
            const int failure = errno;
            snprintf(source->problem, sizeof source->problem, "%s cannot be read: %s", source->path,
                     strerror(failure));
            return failure;
        }
    }
    return 0;
}

/* A temporary file that nobody can name, in TMPDIR or /tmp. Returns -1 and errno. */
static int spool_open(const char *directory) {
    const int unnamed = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (unnamed >= 0) {
        return unnamed;
    }
    char path[4096];
    if (snprintf(path, sizeof path, "%s/memkv-put-XXXXXX", directory) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    const int named = mkostemp(path, O_CLOEXEC);
    if (named >= 0) {
        unlink(path);
    }
    return named;
}

static bool write_all(int descriptor, const char *bytes, size_t byte_count) {
    size_t done = 0;
    while (done < byte_count) {
        const ssize_t count = write(descriptor, bytes + done, byte_count - done);
        if (count >= 0) {
            done += (size_t)count;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* Copies what `input` gives to `spool`, up to `length_max` bytes. True: source->length is set. */
static bool spool_copy(int input, int spool, const char *directory, uint64_t length_max,
                       struct source *source) {
    static const char too_long[] =
        "%s gives more than %llu bytes, the most that the server takes; put it in parts";
    char *buffer = malloc(COPY_BYTES);
    if (buffer == NULL) {
        command_complain(&shape, "no memory for a buffer of %u bytes", COPY_BYTES);
        return false;
    }
    bool is_done = false;
    for (;;) {
        const ssize_t count = read(input, buffer, COPY_BYTES);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            command_complain(&shape, "%s cannot be read: %s", source->path, strerror(errno));
        } else if (count == 0) {
            is_done = true;
        } else if ((uint64_t)count > length_max - source->length) {
            command_complain(&shape, too_long, source->path, (unsigned long long)length_max);
        } else if (!write_all(spool, buffer, (size_t)count)) {
            command_complain(&shape,
                             "the temporary file in %s cannot be written: %s; name a directory "
                             "with room for the value in TMPDIR",
                             directory, strerror(errno));
        } else {
            source->length += (uint64_t)count;
            continue;
        }
        break;
    }
    free(buffer);
    return is_done;
}

/* Replaces source->descriptor, which has no length, by a file of what it gives. */
static bool source_spool(struct source *source, uint64_t length_max) {
    const char *directory = getenv("TMPDIR");
    directory = directory != NULL && directory[0] != '\0' ? directory : "/tmp";
    const int spool = spool_open(directory);
    if (spool < 0) {
        command_complain(&shape,
                         "a temporary file cannot be made in %s: %s; name another directory in "
                         "TMPDIR",
                         directory, strerror(errno));
        return false;
    }
    const int input = source->descriptor;
    source->descriptor = spool;
    const bool is_done = spool_copy(input, spool, directory, length_max, source);
    if (input != STDIN_FILENO) {
        close(input);
    }
    return is_done;
}

/* Opens what the user named. False: the reason has been printed. */
static bool source_open(struct source *source, const char *path, bool *has_length) {
    const bool is_stdin = strcmp(path, "-") == 0;
    source->path = is_stdin ? "standard input" : path;
    source->descriptor = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (source->descriptor < 0 || fstat(source->descriptor, &status) != 0) {
        command_complain(&shape, "%s cannot be opened: %s", source->path, strerror(errno));
        return false;
    }
    if (S_ISDIR(status.st_mode)) {
        command_complain(&shape, "%s is a directory; put its files one by one", source->path);
        return false;
    }
    /* Standard input may be a file that is read from somewhere in its middle. */
    *has_length = S_ISREG(status.st_mode) && !is_stdin;
    source->length = *has_length ? (uint64_t)status.st_size : 0;
    return true;
}

int memkv_command_put(int argc, char **argv) {
    struct command_line line;
    int exit_code = COMMAND_EXIT_USAGE;
    if (!command_parse(&shape, argc, argv, &line, &exit_code)) {
        return exit_code;
    }
    const char *key = line.operands[0];
    struct source source = {.descriptor = -1};
    struct memkv_client *client = NULL;
    struct memkv_error error;
    bool has_length = false;
    if (source_open(&source, line.operands[1], &has_length)) {
        client = command_connect(&line, &exit_code);
    }
    if (client != NULL) {
        struct memkv_server server;
        memkv_server_limits(client, &server);
        if (has_length || source_spool(&source, server.value_bytes_max)) {
            const enum memkv_status status = memkv_put_stream(
                client, key, strlen(key), source.length, &line.put, source_read, &source, &error);
            exit_code = command_exit_of(status);
            if (status == MEMKV_CONFLICT) {
                command_complain(&shape,
                                 "key '%s' holds other content; to replace it, say --replace", key);
            } else if (status != MEMKV_OK) {
                command_complain(&shape, "%s",
                                 status == MEMKV_CALLBACK ? source.problem : error.text);
            }
        }
    }
    memkv_close(client);
    if (source.descriptor > STDIN_FILENO) {
        close(source.descriptor);
    }
    return exit_code;
}
