/* SPDX-License-Identifier: Apache-2.0 */
#include "server/auth_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/config_schema.h"

#define CREDENTIALS_VARIABLE "CREDENTIALS_DIRECTORY"

static bool refuse(struct mkv_backend_error *error, const char *label, const char *path,
                   const char *what) {
    return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION, "%s: %s %s", label, path, what);
}

/* Where the file is; false when there is no such place. */
static bool path_of(const char *label, const char *source, char path[MKV_CONFIG_PATH_BYTES + 256],
                    bool *is_credential, struct mkv_backend_error *error) {
    const size_t prefix_bytes = sizeof MKV_CONFIG_CREDENTIAL - 1;
    *is_credential = strncmp(source, MKV_CONFIG_CREDENTIAL, prefix_bytes) == 0;
    if (!*is_credential) {
        snprintf(path, MKV_CONFIG_PATH_BYTES + 256, "%s", source);
        return true;
    }
    const char *directory = getenv(CREDENTIALS_VARIABLE);
    if (directory == NULL || directory[0] != '/' || strlen(directory) >= MKV_CONFIG_PATH_BYTES) {
        return refuse(
            error, label, source,
            "needs $CREDENTIALS_DIRECTORY, which systemd sets. Add LoadCredential= to the "
            "unit, or name a file");
    }
    snprintf(path, MKV_CONFIG_PATH_BYTES + 256, "%s/%s", directory, source + prefix_bytes);
    return true;
}

/* The one line of an open file; false when it is longer, has several, or cannot be read. */
static bool read_line(int fd, char text[MKV_AUTH_SECRET_BYTES_MAX + 1]) {
    char bytes[MKV_AUTH_SECRET_BYTES_MAX + 3]; /* the longest with "\r\n", and one more */
    const ssize_t count = read(fd, bytes, sizeof bytes);
    size_t length = count > 0 ? (size_t)count : 0;
    while (length > 0 && (bytes[length - 1] == '\n' || bytes[length - 1] == '\r')) {
        length--;
    }
    bool is_line = count >= 0 && length > 0 && length <= MKV_AUTH_SECRET_BYTES_MAX;
    for (size_t i = 0; i < length && is_line; i++) {
        is_line = (unsigned char)bytes[i] >= ' ' && bytes[i] != 0x7f;
    }
    memset(text, 0, MKV_AUTH_SECRET_BYTES_MAX + 1);
    if (is_line) {
        memcpy(text, bytes, length);
    }
    explicit_bzero(bytes, sizeof bytes);
    return is_line;
}

bool mkv_auth_secret_read(const char *label, const char *source,
                          char text[MKV_AUTH_SECRET_BYTES_MAX + 1],
                          struct mkv_backend_error *error) {
    char path[MKV_CONFIG_PATH_BYTES + 256];
    bool is_credential;
    struct stat file;
    if (mkv_config_secret_is_inline(source)) {
        memset(text, 0, MKV_AUTH_SECRET_BYTES_MAX + 1);
        memcpy(text, source, strlen(source));
        return true;
    }
    if (!path_of(label, source, path, &is_credential, error)) {
        return false;
    }
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &file) != 0) {
        const int number = errno;
        if (fd >= 0) {
            close(fd);
        }
        return mkv_backend_refuse(
            error, number == EACCES ? MKV_BACKEND_PERMISSION : MKV_BACKEND_CONFIGURATION,
            "%s: %s cannot be read: %s. Make it, for example with: memkv auth keygen --output FILE",
            label, path, strerror(number));
    }
    const bool is_regular = S_ISREG(file.st_mode);
    const bool is_open = !is_credential && (file.st_mode & 077u) != 0;
    const bool is_line = is_regular && !is_open && read_line(fd, text);
    close(fd);
    if (!is_regular) {
        return refuse(error, label, path, "is no file. Name the file of a secret");
    }
    if (is_open) {
        return refuse(error, label, path,
                      "may be read or written by others than its owner. Run: chmod 600 on it");
    }
    return is_line ||
           refuse(error, label, path, "holds no secret. Write one line of up to 256 characters");
}

static int digit_of(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

bool mkv_auth_secret_key(const char *text, uint8_t key[MKV_NATIVE_KEY_BYTES]) {
    if (strlen(text) != 2u * MKV_NATIVE_KEY_BYTES) {
        return false;
    }
    for (size_t i = 0; i < MKV_NATIVE_KEY_BYTES; i++) {
        const int high = digit_of(text[2 * i]);
        const int low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            explicit_bzero(key, MKV_NATIVE_KEY_BYTES);
            return false;
        }
        key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void mkv_auth_secret_hmac(const uint8_t key[MKV_NATIVE_KEY_BYTES], const uint8_t *text,
                          size_t text_bytes, uint8_t proof[MKV_NATIVE_PROOF_BYTES]) {
    unsigned proof_bytes = 0;
    const unsigned char *made =
        HMAC(EVP_sha256(), key, (int)MKV_NATIVE_KEY_BYTES, text, text_bytes, proof, &proof_bytes);
    MKV_ASSERT(made != NULL);
    MKV_ASSERT(proof_bytes == MKV_NATIVE_PROOF_BYTES);
}

bool mkv_auth_secret_equal(const void *a, const void *b, size_t bytes) {
    return CRYPTO_memcmp(a, b, bytes) == 0;
}
