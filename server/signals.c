/* SPDX-License-Identifier: Apache-2.0 */
#include "server/signals.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/base.h"

struct mkv_signals {
    void (*taken)(void *context, int number);
    void *context;
    int signal_fd;
    int end_fd;
    pthread_t thread;
};

static void *wait_for_signals(void *context) {
    struct mkv_signals *signals = context;
    (void)pthread_setname_np(pthread_self(), "memkv-signals");
    struct pollfd fds[] = {
        {.fd = signals->signal_fd, .events = POLLIN},
        {.fd = signals->end_fd, .events = POLLIN},
    };
    for (;;) {
        int ready = poll(fds, sizeof fds / sizeof fds[0], -1);
        MKV_ASSERT(ready > 0 || errno == EINTR);
        if (ready > 0 && fds[1].revents != 0) {
            return NULL;
        }
        struct signalfd_siginfo info;
        if (ready > 0 && read(signals->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
            signals->taken(signals->context, (int)info.ssi_signo);
        }
    }
}

static void release(struct mkv_signals *signals) {
    if (signals->signal_fd >= 0) {
        close(signals->signal_fd);
    }
    if (signals->end_fd >= 0) {
        close(signals->end_fd);
    }
    free(signals);
}

bool mkv_signals_begin(void (*taken)(void *context, int number), void *context,
                       struct mkv_signals **signals_out, struct mkv_backend_error *error) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    /* Threads let it through for a profiler (admin/profile.h), and without one it would end us. */
    (void)signal(SIGPROF, SIG_IGN);

    struct mkv_signals *signals = calloc(1, sizeof *signals);
    if (signals == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a node. Free memory on this machine");
    }
    signals->taken = taken;
    signals->context = context;
    signals->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    signals->end_fd = eventfd(0, EFD_CLOEXEC);
    int result = signals->signal_fd < 0 || signals->end_fd < 0 ? errno : 0;
    if (result == 0) {
        result = pthread_create(&signals->thread, NULL, wait_for_signals, signals);
    }
    if (result != 0) {
        release(signals);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no thread for signals: %s. Raise the limits of processes and "
                                  "open files (ulimit -u and -n, TasksMax, LimitNOFILE)",
                                  strerror(result));
    }
    *signals_out = signals;
    return true;
}

void mkv_signals_end(struct mkv_signals *signals) {
    if (signals == NULL) {
        return;
    }
    const uint64_t one = 1;
    ssize_t written = write(signals->end_fd, &one, sizeof one);
    MKV_ASSERT(written == (ssize_t)sizeof one);
    int result = pthread_join(signals->thread, NULL);
    MKV_ASSERT(result == 0);
    release(signals);
}
