/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the backends refuse: one line that says what is wrong, where, and what to do, and the class
 * of the failure, from which the daemon takes its exit code.
 *
 * Invariants
 *  I1  The text is one line of printable ASCII without a newline at its end; it is never empty
 *      when a call has failed.
 *
 * Not responsible for: errors of single operations on a drive (enum mkv_io_result), or for where
 * the text goes.
 */
#ifndef MKV_BACKENDS_ERROR_H
#define MKV_BACKENDS_ERROR_H

#include <stdbool.h>

#define MKV_BACKEND_ERROR_TEXT_BYTES 768u

enum mkv_backend_failure {
    MKV_BACKEND_OK = 0,
    MKV_BACKEND_UNAVAILABLE,   /* in use, or not to be had on this machine: exit code 69 */
    MKV_BACKEND_IO,            /* reading, writing or creating failed: exit code 74 */
    MKV_BACKEND_PERMISSION,    /* the user of this process may not: exit code 77 */
    MKV_BACKEND_CONFIGURATION, /* what the configuration asks for cannot be: exit code 78 */
};

struct mkv_backend_error {
    enum mkv_backend_failure failure;
    char text[MKV_BACKEND_ERROR_TEXT_BYTES];
};

/* Fills in an error and returns false, so that a caller can `return mkv_backend_refuse(…)`. */
__attribute__((format(printf, 3, 4))) bool mkv_backend_refuse(struct mkv_backend_error *error,
                                                              enum mkv_backend_failure failure,
                                                              const char *format, ...);

#endif
