/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv get KEY [FILE]`. A file appears under its name when the value is complete and verified:
 * until then it is a temporary file beside it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/command_common.h"
#include "client/commands.h"

static const struct command_shape shape = {
    .name = "get",
    .help = "usage: memkv get [OPTIONS] KEY [FILE]\n"
            "\n"
            "Writes the value of a key to a file, or to standard output without FILE or with -.\n"
            "The file is replaced when the value is complete and verified, else left as it was.\n"
            "\n" //
    COMMAND_HELP_OPTIONS,
    .operand_count_min = 1,
    .operand_count_max = 2,
};

/* Where the value goes. */
struct target {
    const char *name; /* for messages */
    int descriptor;
    char path[PATH_MAX];           /* of the file; empty: there is nothing to rename */
    char path_temporary[PATH_MAX]; /* beside it */
    char problem[PATH_MAX + 256];  /* why writing failed */
};

static int target_write(void *context, uint64_t offset, uint64_t value_bytes, const void *data,
                        size_t byte_count) {
    struct target *target = context;
    (void)offset; /* pieces come in order */
    (void)value_bytes;
    size_t done = 0;
    while (done < byte_count) {
        const ssize_t count =
            write(target->descriptor, (const char *)data + done, byte_count - done);
        if (count >= 0) {
            done += (size_t)count;
        } else if (errno != EINTR) {
            const int failure = errno;
            snprintf(target->problem, sizeof target->problem, "%s cannot be written: %s",
                     target->name, strerror(failure));
            return failure;
        }
    }
    return 0;
}

/* A temporary file beside target->path. Returns false and errno. */
static bool target_make_temporary(struct target *target) {
    const char *slash = strrchr(target->path, '/');
    const int directory_bytes = slash != NULL ? (int)(slash - target->path) + 1 : 0;
    const int bytes = snprintf(target->path_temporary, sizeof target->path_temporary,
                               "%.*s.memkv-get-XXXXXX", directory_bytes, target->path);
    if (bytes >= (int)sizeof target->path_temporary) {
        errno = ENAMETOOLONG;
        return false;
    }
    target->descriptor = mkostemp(target->path_temporary, O_CLOEXEC);
    if (target->descriptor < 0) {
        target->path_temporary[0] = '\0';
    }
    return target->descriptor >= 0;
}

/* The rights that a new file of this user has, or those of the file that is replaced. */
static mode_t target_mode(const struct target *target) {
    struct stat status;
    if (stat(target->path, &status) == 0) {
        return status.st_mode & 07777;
    }
    const mode_t mask = umask(0);
    umask(mask);
    return (mode_t)(0666 & ~mask);
}

/* Opens what the user named. False: the reason has been printed. */
static bool target_open(struct target *target, const char *name) {
    target->name = name;
    if (name == NULL || strcmp(name, "-") == 0) {
        target->name = "standard output";
        target->descriptor = STDOUT_FILENO;
        return true;
    }
    struct stat status;
    const bool is_there = stat(name, &status) == 0;
    if (is_there && S_ISDIR(status.st_mode)) {
        command_complain(&shape, "%s is a directory; name a file in it", name);
        return false;
    }
    if (is_there && !S_ISREG(status.st_mode)) {
        target->descriptor = open(name, O_WRONLY | O_CLOEXEC); /* a device or pipe stays itself */
    } else if (is_there ? realpath(name, target->path) != NULL
                        : strlen(name) < sizeof target->path) {
        /* What a symbolic link names is replaced, not the link. */
        if (!is_there) {
            memcpy(target->path, name, strlen(name) + 1);
        }
        target_make_temporary(target);
    }
    if (target->descriptor < 0) {
        command_complain(&shape, "%s cannot be written: %s", name, strerror(errno));
        return false;
    }
    return true;
}

/* Gives the file its name. False: the reason has been printed. */
static bool target_commit(struct target *target) {
    if (target->path[0] == '\0') {
        return true;
    }
    const int descriptor = target->descriptor;
    target->descriptor = -1;
    const bool is_closed = fchmod(descriptor, target_mode(target)) == 0 && close(descriptor) == 0;
    if (!is_closed || rename(target->path_temporary, target->path) != 0) {
        command_complain(&shape, "%s cannot be written: %s", target->name, strerror(errno));
        return false;
    }
    target->path_temporary[0] = '\0';
    return true;
}

static void target_close(struct target *target) {
    if (target->descriptor > STDOUT_FILENO) {
        close(target->descriptor);
    }
    if (target->path_temporary[0] != '\0') {
        unlink(target->path_temporary);
    }
}

int memkv_command_get(int argc, char **argv) {
    struct command_line line;
    int exit_code = COMMAND_EXIT_USAGE;
    if (!command_parse(&shape, argc, argv, &line, &exit_code)) {
        return exit_code;
    }
    const char *key = line.operands[0];
    struct target target = {.descriptor = -1};
    struct memkv_client *client = NULL;
    struct memkv_error error;
    if (target_open(&target, line.operand_count > 1 ? line.operands[1] : NULL)) {
        client = command_connect(&line, &exit_code);
    }
    if (client != NULL) {
        const enum memkv_status status =
            memkv_get_stream(client, key, strlen(key), target_write, &target, &error);
        exit_code = command_exit_of(status);
        if (status != MEMKV_OK) {
            command_complain(&shape, "%s", status == MEMKV_CALLBACK ? target.problem : error.text);
        } else if (!target_commit(&target)) {
            exit_code = COMMAND_EXIT_USAGE;
        }
    }
    memkv_close(client);
    target_close(&target);
    return exit_code;
}
