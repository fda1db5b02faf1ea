/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a failed assertion does on a real machine: one line on standard error, then abort, so that
 * a core dump shows the state that broke its rule. It is an archive of its own, linked last into
 * every program and into libmemkv; a program that defines mkv_assert_failed itself (the simulator
 * may, to report its seed) is never given this one.
 *
 * It writes by itself, past the log and its threads, and waits a second at most for whoever reads
 * standard error: a process that has broken a rule of its own must end.
 */
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base.h"

#define WAIT_MS_MAX 1000

void mkv_assert_failed(const char *expression, const char *file, int line) {
    /* A pipe that is writable takes PIPE_BUF bytes at once. */
    char words[PIPE_BUF];
    const int length =
        snprintf(words, sizeof words,
                 "%s:%d: assertion failed: %s. This is a bug in memkv; please report it.\n", file,
                 line, expression);
    struct pollfd poll_fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (length > 0 && poll(&poll_fd, 1, WAIT_MS_MAX) > 0) {
        const size_t count = mkv_min_u64((uint64_t)length, sizeof words - 1);
        const ssize_t written = write(STDERR_FILENO, words, count);
        MKV_MAYBE(written < 0);
    }
    abort();
}
