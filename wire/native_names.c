/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of the native protocol: what logs, error texts and metrics call its numbers.
 */
#include "wire/native.h"

const char *mkv_native_error_text(enum mkv_native_error error) {
    switch (error) {
    case MKV_NATIVE_OK:
        return "the frame is well formed";
    case MKV_NATIVE_BAD_MAGIC:
        return "the frame does not begin with MKV1: this port speaks the memkv native protocol";
    case MKV_NATIVE_BAD_VERSION:
        return "the protocol version is not supported: this side speaks version 1";
    case MKV_NATIVE_BAD_CHECKSUM:
        return "the checksum of the header is wrong: the bytes were damaged on their way";
    case MKV_NATIVE_BAD_OP:
        return "the op of the header is unknown: version 1 has ops 1 to 19";
    case MKV_NATIVE_BAD_FLAGS:
        return "the flags of the header are not what the op takes";
    case MKV_NATIVE_BAD_ITEM_COUNT:
        return "the item count or an item index is not what the op takes: 256 items at most";
    case MKV_NATIVE_BAD_BODY_BYTES:
        return "the body length is not what the op and the item count need";
    case MKV_NATIVE_BAD_PAYLOAD_BYTES:
        return "the payload length is above the limit, or not what the op and its items need";
    case MKV_NATIVE_BAD_KEY_BYTES:
        return "a key has 0 or more than 1024 bytes, or the keys do not fill the body";
    case MKV_NATIVE_BAD_LENGTH:
        return "the length or range of a value is above the limit or outside of the value";
    case MKV_NATIVE_BAD_ITEM_FLAGS:
        return "the flags of an item are not what the op takes";
    case MKV_NATIVE_BAD_STATUS:
        return "a status or miss reason is unknown, or stands where none may be";
    case MKV_NATIVE_BAD_LIMIT:
        return "a limit in the HELLO answer, or a shard, is 0 or above what version 1 has";
    case MKV_NATIVE_NOT_ZERO:
        return "reserved bytes, or fields that the op has no use for, are not 0";
    case MKV_NATIVE_BAD_TENANT:
        return "a tenant's name has 1 to 79 characters of A-Z a-z 0-9 . _ -";
    case MKV_NATIVE_BAD_SESSION:
        return "a session is not 0, and has a tier, an action or a reason that there is";
    case MKV_NATIVE_BAD_TRACE:
        return "the trace id or the span id of a trace context is 0";
    case MKV_NATIVE_BAD_KEY_ID:
        return "a key id has 1 to 32 characters of A-Z a-z 0-9 . _ -";
    case MKV_NATIVE_BAD_LANE:
        return "a queue pair, its MTU, messages, receives or READs of a CONNECT are none that can "
               "be";
    case MKV_NATIVE_BAD_SECONDS:
        return "a PIN says 0 seconds: it ends by itself, after 1 or more";
    }
    return "unknown error";
}

const char *mkv_native_op_name(enum mkv_native_op op) {
    switch (op) {
    case MKV_NATIVE_HELLO:
        return "hello";
    case MKV_NATIVE_PUT:
        return "put";
    case MKV_NATIVE_READY:
        return "ready";
    case MKV_NATIVE_DATA:
        return "data";
    case MKV_NATIVE_GET:
        return "get";
    case MKV_NATIVE_LOOKUP:
        return "lookup";
    case MKV_NATIVE_EXISTS:
        return "exists";
    case MKV_NATIVE_DELETE:
        return "delete";
    case MKV_NATIVE_PIN:
        return "pin";
    case MKV_NATIVE_UNPIN:
        return "unpin";
    case MKV_NATIVE_ALLOCATE:
        return "allocate";
    case MKV_NATIVE_COMMIT:
        return "commit";
    case MKV_NATIVE_SESSION:
        return "session";
    case MKV_NATIVE_AUTH:
        return "auth";
    case MKV_NATIVE_WINDOW:
        return "window";
    case MKV_NATIVE_CONNECT:
        return "connect";
    case MKV_NATIVE_TAKEN:
        return "taken";
    case MKV_NATIVE_STATS:
        return "stats";
    case MKV_NATIVE_PING:
        return "ping";
    case MKV_NATIVE_SHARDS:
        return "shards";
    }
    return "unknown op";
}

const char *mkv_native_refusal_name(enum mkv_native_refusal refusal) {
    switch (refusal) {
    case MKV_NATIVE_REFUSAL_NO_DEVICE:
        return "no_device";
    case MKV_NATIVE_REFUSAL_FULL:
        return "full";
    case MKV_NATIVE_REFUSAL_OFF:
        return "off";
    case MKV_NATIVE_REFUSAL_PARAMETERS:
        return "parameters";
    }
    return "unknown refusal";
}

const char *mkv_status_name(enum mkv_status status) {
    switch (status) {
    case MKV_STATUS_OK:
        return "ok";
    case MKV_STATUS_NOT_FOUND:
        return "not_found";
    case MKV_STATUS_NO_SPACE:
        return "no_space";
    case MKV_STATUS_DEADLINE:
        return "deadline";
    case MKV_STATUS_IO_ERROR:
        return "io_error";
    case MKV_STATUS_INVALID:
        return "invalid";
    case MKV_STATUS_FORBIDDEN:
        return "forbidden";
    case MKV_STATUS_BUSY:
        return "busy";
    case MKV_STATUS_UNKNOWN:
        return "unknown";
    case MKV_STATUS_UNAVAILABLE:
        return "unavailable";
    case MKV_STATUS_QUOTA:
        return "quota";
    case MKV_STATUS_CONFLICT:
        return "conflict";
    }
    return "unknown status";
}

const char *mkv_miss_name(enum mkv_miss miss) {
    switch (miss) {
    case MKV_MISS_NONE:
        return "none";
    case MKV_MISS_UNKNOWN:
        return "unknown";
    case MKV_MISS_EVICTED:
        return "evicted";
    case MKV_MISS_EXPIRED:
        return "expired";
    case MKV_MISS_DELETED:
        return "deleted";
    case MKV_MISS_DEADLINE:
        return "deadline";
    case MKV_MISS_IO_ERROR:
        return "io_error";
    case MKV_MISS_CHECKSUM:
        return "checksum";
    case MKV_MISS_DRIVE_OFFLINE:
        return "drive_offline";
    case MKV_MISS_OVERLOADED:
        return "overloaded";
    }
    return "unknown reason";
}
