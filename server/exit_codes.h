/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a memkv process says with its exit code. Scripts, systemd units and Kubernetes read these
 * numbers, so a value never changes its meaning.
 *
 * Invariants
 *  I1  The daemon's codes are those of sysexits.h with the same meaning, client commands stay
 *      below 10, so that the two families differ in all but 0.
 *
 * Not responsible for: choosing the code. Whoever reports an error names it there.
 */
#ifndef MKV_SERVER_EXIT_CODES_H
#define MKV_SERVER_EXIT_CODES_H

/* `memkv start` and whatever else speaks for the daemon. */
enum mkv_exit_daemon {
    MKV_EXIT_DAEMON_DONE = 0,
    MKV_EXIT_DAEMON_USAGE = 64,         /* the command line is wrong */
    MKV_EXIT_DAEMON_UNAVAILABLE = 69,   /* a port, io_uring, memory or a drive cannot be had */
    MKV_EXIT_DAEMON_IO = 74,            /* reading or writing a file or drive failed */
    MKV_EXIT_DAEMON_PERMISSION = 77,    /* the user of this process may not */
    MKV_EXIT_DAEMON_CONFIGURATION = 78, /* the configuration file or a variable is wrong */
};

/* `memkv put`, `get`, `exists`, `delete` and `admin`. */
enum mkv_exit_client {
    MKV_EXIT_CLIENT_DONE = 0,
    MKV_EXIT_CLIENT_NOT_FOUND = 1, /* a key was not found, or the server refused */
    MKV_EXIT_CLIENT_USAGE = 2,
    MKV_EXIT_CLIENT_NO_CONNECTION = 3,
    MKV_EXIT_CLIENT_SERVER_ERROR = 4,
};

/* `memkv admin … --check`, as monitoring plug-ins expect it. */
enum mkv_exit_check {
    MKV_EXIT_CHECK_HEALTHY = 0,
    MKV_EXIT_CHECK_DEGRADED = 1,
    MKV_EXIT_CHECK_UNHEALTHY = 2,
    MKV_EXIT_CHECK_UNREACHABLE = 3,
};

#endif
