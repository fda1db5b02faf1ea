/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 (RFC 4648, section 4), in which etcd's JSON has keys and values.
 *
 * Not responsible for: bytes that are no text, which no key or value of ours has.
 */
#ifndef MKV_CLIENT_ETCD_TEXT_H
#define MKV_CLIENT_ETCD_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Room for so many bytes in base64, with a closing NUL. */
#define MKV_ETCD_BASE64_BYTES(bytes) (((bytes) + 2u) / 3u * 4u + 1u)

/* `out` has room for MKV_ETCD_BASE64_BYTES(byte_count). */
void mkv_etcd_base64(const char *bytes, size_t byte_count, char *out);
/* The text, with its NUL. False: it is no base64, has a zero in it, or needs more room. */
bool mkv_etcd_base64_text(const char *encoded, char *out, size_t out_bytes);

#endif
