/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/engine.h"

enum memkv_status mkv_client_fail(struct memkv_error *error, enum memkv_status status,
                                  const char *format, ...) {
    if (error != NULL) {
        error->status = status;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
    }
    return status;
}

enum memkv_status mkv_client_succeed(struct memkv_error *error) {
    if (error != NULL) {
        error->status = MEMKV_OK;
        error->text[0] = '\0';
    }
    return MEMKV_OK;
}

const char *mkv_client_status_text(enum memkv_status status) {
    switch (status) {
    case MEMKV_OK:
        return "done";
    case MEMKV_NOT_FOUND:
        return "not found";
    case MEMKV_NO_SPACE:
        return "the server has no space left for it; delete something, or add a drive";
    case MEMKV_DEADLINE:
        return "the deadline came before it was done; try again, or raise the timeout";
    case MEMKV_IO_ERROR:
        return "a drive of the server failed; see memkv admin status";
    case MEMKV_INVALID:
        return "the server refused it as invalid";
    case MEMKV_FORBIDDEN:
        return "the server does not allow it";
    case MEMKV_BUSY:
        return "the server has too much in flight; try again, or send less at a time";
    case MEMKV_UNKNOWN:
        return "it may or may not have been done; repeat it, or look";
    case MEMKV_UNAVAILABLE:
        return "the drive of this key is not online, or the server is stopping; see memkv admin "
               "status";
    case MEMKV_QUOTA:
        return "the quota of the tenant is used up; delete some of its keys, or raise it";
    case MEMKV_CONFLICT:
        return "the key holds other content; ask for replacing to overwrite it";
    case MEMKV_CORRUPT:
        return "the bytes that came are not those that were put; they were discarded";
    case MEMKV_TOO_SMALL:
        return "the value is larger than the buffer";
    case MEMKV_CALLBACK:
        return "the caller's function failed";
    case MEMKV_NO_MEMORY:
        return "there is no memory left in this process";
    case MEMKV_CANCELLED:
        return "it was cancelled";
    }
    return "the server answered with a status that this client does not know";
}

const char *memkv_status_name(enum memkv_status status) {
    switch (status) {
    case MEMKV_OK:
    case MEMKV_NOT_FOUND:
    case MEMKV_NO_SPACE:
    case MEMKV_DEADLINE:
    case MEMKV_IO_ERROR:
    case MEMKV_INVALID:
    case MEMKV_FORBIDDEN:
    case MEMKV_BUSY:
    case MEMKV_UNKNOWN:
    case MEMKV_UNAVAILABLE:
    case MEMKV_CONFLICT:
    case MEMKV_QUOTA:
        return mkv_status_name((enum mkv_status)status);
    case MEMKV_CORRUPT:
        return "corrupt";
    case MEMKV_TOO_SMALL:
        return "too_small";
    case MEMKV_CALLBACK:
        return "callback";
    case MEMKV_NO_MEMORY:
        return "no_memory";
    case MEMKV_CANCELLED:
        return "cancelled";
    }
    return "unknown status";
}

const char *memkv_miss_name(enum memkv_miss miss) {
    if (miss == MEMKV_MISS_SERVER_DOWN) {
        return "server_down";
    }
    return mkv_miss_name((enum mkv_miss)miss);
}

_Static_assert((int)MEMKV_QUOTA == (int)MKV_STATUS_QUOTA, "statuses are those of the wire");
_Static_assert((int)MEMKV_MISS_OVERLOADED == (int)MKV_MISS_OVERLOADED,
               "miss reasons are those of the wire");

void mkv_client_text_copy(const uint8_t *bytes, size_t byte_count, char *text, size_t text_bytes) {
    MKV_ASSERT(text_bytes >= 1);
    const size_t length = byte_count < text_bytes ? byte_count : text_bytes - 1;
    for (size_t index = 0; index < length; index++) {
        const bool is_control = bytes[index] < 0x20 || bytes[index] == 0x7f;
        text[index] = is_control ? '?' : (char)bytes[index];
    }
    text[length] = '\0';
}

void mkv_client_key_text(const void *key, size_t key_bytes, char *text, size_t text_bytes) {
    static const char ellipsis[] = "\xe2\x80\xa6";
    MKV_ASSERT(text_bytes > sizeof ellipsis);
    if (key_bytes < text_bytes) {
        mkv_client_text_copy(key, key_bytes, text, text_bytes);
        return;
    }
    const size_t shown_bytes = text_bytes - sizeof ellipsis;
    mkv_client_text_copy(key, shown_bytes, text, shown_bytes + 1);
    memcpy(text + shown_bytes, ellipsis, sizeof ellipsis);
}
