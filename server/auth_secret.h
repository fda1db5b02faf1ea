/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets: where they are read from, and what is done with them.
 *
 *   64 hexadecimal digits   the secret itself (network.auth_key alone)
 *   credential:NAME         the file NAME in $CREDENTIALS_DIRECTORY, which systemd guards
 *   anything else           a file, regular, that nobody but its owner may read or write
 *
 * A file holds one line.
 *
 * Invariants
 *  I1  Nothing here shows a secret: messages name the key of the configuration and the file.
 *  I2  Whoever gets a secret wipes it (explicit_bzero); what was read on the way is wiped here.
 *
 * Not responsible for: what a secret is for.
 */
#ifndef MKV_SERVER_AUTH_SECRET_H
#define MKV_SERVER_AUTH_SECRET_H

#include "backends/error.h"
#include "wire/native_auth.h"

#define MKV_AUTH_SECRET_BYTES_MAX 256u

/* The text of a secret, filled up with zeros. `label` is what messages call it. */
__attribute__((warn_unused_result)) bool mkv_auth_secret_read(
    const char *label, const char *source, char text[MKV_AUTH_SECRET_BYTES_MAX + 1],
    struct mkv_backend_error *error);

/* The key that 64 hexadecimal digits are; false for any other text. */
__attribute__((warn_unused_result)) bool mkv_auth_secret_key(const char *text,
                                                             uint8_t key[MKV_NATIVE_KEY_BYTES]);

void mkv_auth_secret_hmac(const uint8_t key[MKV_NATIVE_KEY_BYTES], const uint8_t *text,
                          size_t text_bytes, uint8_t proof[MKV_NATIVE_PROOF_BYTES]);

/* Looks at all bytes, whatever it finds. */
bool mkv_auth_secret_equal(const void *a, const void *b, size_t bytes);

#endif
