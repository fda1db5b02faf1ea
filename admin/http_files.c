/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUITES                                                                                     \
    ":-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:+AES-256-GCM:+AES-128-GCM:+CHACHA20-POLY1305"    \
    ":-MAC-ALL:+AEAD:%SERVER_PRECEDENCE:%NO_TICKETS"

/* NULL with errno. */
static char *read_text(const char *path) {
    char *text = malloc(MKV_HTTP_FILE_BYTES_MAX + 1u);
    const int fd = text == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    size_t used = 0;
    ssize_t step = fd < 0 ? -1 : 1;
    while (step > 0 && used < MKV_HTTP_FILE_BYTES_MAX) {
        step = read(fd, text + used, MKV_HTTP_FILE_BYTES_MAX - used);
        used += step > 0 ? (size_t)step : 0;
    }
    const int number = step < 0 ? errno : EFBIG;
    if (fd >= 0) {
        close(fd);
    }
    if (step != 0) {
        free(text);
        errno = number;
        return NULL;
    }
    text[used] = '\0';
    return text;
}

bool mkv_http_files_read(const struct mkv_http_tls *tls, struct mkv_http_files *files,
                         const char **path) {
    *path = tls->certificate;
    files->certificate = read_text(tls->certificate);
    files->key = NULL;
    if (files->certificate != NULL) {
        *path = tls->key;
        files->key = read_text(tls->key);
    }
    if (files->key == NULL) {
        const int number = errno;
        mkv_http_files_free(files);
        errno = number;
        return false;
    }
    return true;
}

void mkv_http_files_free(struct mkv_http_files *files) {
    if (files->key != NULL) {
        explicit_bzero(files->key, strlen(files->key));
    }
    free(files->certificate);
    free(files->key);
    *files = (struct mkv_http_files){NULL, NULL};
}

const char *mkv_http_priorities(bool is_1_3_only) {
    return is_1_3_only ? "NORMAL:-VERS-ALL:+VERS-TLS1.3" SUITES
                       : "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" SUITES;
}
