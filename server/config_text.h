/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of the configuration's error messages: the message itself, quoting of what the user
 * wrote, and the guess at what the user meant.
 *
 * Invariants
 *  I1  A finished message is printable ASCII on one line, whatever bytes the user wrote: it goes to
 *      terminals and logs as it is.
 *  I2  Quoted texts are shortened, so that the end of a message, which says what to do, fits.
 *
 * Not responsible for: deciding what is an error.
 */
#ifndef MKV_SERVER_CONFIG_TEXT_H
#define MKV_SERVER_CONFIG_TEXT_H

#include "server/config.h"

/* Room for a quoted value: 60 bytes of it, "..." and the closing NUL. */
#define MKV_CONFIG_QUOTE_BYTES 64u
/* Room for where an error is: 160 bytes of path, ':' and a line. */
#define MKV_CONFIG_WHERE_BYTES 192u

/*
 * Writes "WHERE: message" and the exit code. Returns false, so that a parser can end with it.
 */
__attribute__((format(printf, 4, 5))) bool mkv_config_fail(struct mkv_config_error *error,
                                                           enum mkv_exit_daemon exit_code,
                                                           const char *where, const char *format,
                                                           ...);

/* Copies text for a message: what is not printable ASCII becomes '?', a long text ends in "...". */
void mkv_config_quote(const char *text, char out[MKV_CONFIG_QUOTE_BYTES]);

/* Writes "PATH:LINE", or "PATH" for line 0. Of a long path the end is kept: it has the name. */
void mkv_config_where(const char *path, uint32_t line, char out[MKV_CONFIG_WHERE_BYTES]);

/*
 * True when `text` is so close to `candidate` that it is taken for a slip: an edit distance of at
 * most 2, and of at most half the candidate's length.
 */
bool mkv_config_is_slip(const char *text, const char *candidate);

#endif
