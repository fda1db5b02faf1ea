/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate and the key of the admin listener, as the library that serves it wants them: the
 * text of both files, and which versions and ciphers are spoken.
 *
 * Not responsible for: whether they are any good (backends/tls.h looks at the same files before).
 */
#ifndef MKV_ADMIN_HTTP_FILES_H
#define MKV_ADMIN_HTTP_FILES_H

#include "core/base.h"

/* A file that is longer is none of these. */
#define MKV_HTTP_FILE_BYTES_MAX (1024u * 1024u)

struct mkv_http_tls {
    const char *certificate; /* paths of PEM files; the certificate first, then its chain */
    const char *key;
    bool is_1_3_only;
};

struct mkv_http_files {
    char *certificate; /* texts; NULL: none */
    char *key;
};

/* Reads both; false with errno, and *path the file that it is about. */
__attribute__((warn_unused_result)) bool mkv_http_files_read(const struct mkv_http_tls *tls,
                                                             struct mkv_http_files *files,
                                                             const char **path);
/* The key is wiped out. Of zeroes is allowed. */
void mkv_http_files_free(struct mkv_http_files *files);
/* What is spoken, as GnuTLS names it: TLS 1.2 with forward secrecy and authenticated encryption,
 * and TLS 1.3; no session is resumed. */
const char *mkv_http_priorities(bool is_1_3_only);

#endif
