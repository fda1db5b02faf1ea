/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with an item of a call, whatever the server.
 */
#include "client/engine.h"

static bool session_is_sound(struct mkv_call *call, uint32_t index) {
    const struct memkv_item *item = &call->items[index];
    const bool exits = item->action == MEMKV_SESSION_EXIT_THINK;
    if (item->session == 0 || item->key != NULL || item->key_bytes != 0) {
        mkv_call_note(call, index, "a session is any number but 0, and has no key");
    } else if (item->action < MEMKV_SESSION_BEGIN || item->action > MEMKV_SESSION_END_FREE) {
        mkv_call_note(call, index, "action %d of a session is unknown", (int)item->action);
    } else if (exits &&
               (item->reason < MEMKV_THINK_CONVERGED || item->reason > MEMKV_THINK_HARD_CAP)) {
        mkv_call_note(call, index, "reason %d to leave thinking is unknown", (int)item->reason);
    } else if (item->tokens > MKV_NATIVE_VALUE_BYTES_MAX) {
        mkv_call_note(call, index, "%llu tokens are more than 2^40",
                      (unsigned long long)item->tokens);
    } else {
        return true;
    }
    return false;
}

static bool tier_is_sound(struct mkv_call *call, uint32_t index) {
    const struct memkv_item *item = &call->items[index];
    if (item->tier < MEMKV_TIER_DEFAULT || item->tier > MEMKV_TIER_OUTPUT_CRITICAL) {
        mkv_call_note(call, index, "tier %d is unknown", (int)item->tier);
        return false;
    }
    return true;
}

static bool data_is_sound(struct mkv_call *call, uint32_t index) {
    const struct memkv_item *item = &call->items[index];
    if (item->data == NULL && item->data_bytes > 0 && call->source == NULL) {
        mkv_call_note(call, index, "data is NULL, data_bytes is not 0");
        return false;
    }
    return true;
}

static bool commit_is_sound(struct mkv_call *call, uint32_t index) {
    const struct memkv_item *item = &call->items[index];
    if ((item->flags & ~MEMKV_ABANDON) != 0) {
        mkv_call_note(call, index, "flags 0x%x: not what the op takes", item->flags);
        return false;
    }
    const uint64_t name = item->reservation & MKV_RESERVATION_NAME_MASK;
    if (name == 0 || name > MKV_NATIVE_RESERVATION_MAX) {
        mkv_call_note(call, index, "reservation %llu is none that an ALLOCATE has set",
                      (unsigned long long)item->reservation);
        return false;
    }
    return (item->flags & MEMKV_ABANDON) != 0 || data_is_sound(call, index);
}

static bool put_is_sound(struct mkv_call *call, uint32_t index) {
    const struct memkv_item *item = &call->items[index];
    if ((item->flags & ~(MEMKV_REPLACE | MEMKV_RELAXED)) != 0) {
        mkv_call_note(call, index,
                      "flags 0x%x: only MEMKV_REPLACE (0x1) and MEMKV_RELAXED (0x2) are known",
                      item->flags);
        return false;
    }
    return tier_is_sound(call, index) && data_is_sound(call, index);
}

static bool get_is_sound(struct mkv_call *call, uint32_t index) {
    const struct memkv_item *item = &call->items[index];
    if (item->offset > MKV_NATIVE_VALUE_BYTES_MAX) {
        mkv_call_note(call, index, "offset %llu is behind the end of any value",
                      (unsigned long long)item->offset);
        return false;
    }
    if (item->buffer == NULL && item->capacity > 0) {
        mkv_call_note(call, index, "buffer is NULL, capacity is not 0");
        return false;
    }
    return true;
}

bool mkv_item_is_sound(struct mkv_call *call, uint32_t index) {
    const struct memkv_item *item = &call->items[index];
    if (item->op == MEMKV_OP_SESSION) {
        return session_is_sound(call, index);
    }
    if (item->op == MEMKV_OP_COMMIT) {
        return commit_is_sound(call, index);
    }
    if (item->key == NULL || item->key_bytes < 1 || item->key_bytes > MEMKV_KEY_BYTES_MAX) {
        mkv_call_note(call, index, "the key has %zu bytes; a key has 1 to %d",
                      item->key == NULL ? 0 : item->key_bytes, MEMKV_KEY_BYTES_MAX);
        return false;
    }
    switch (item->op) {
    case MEMKV_OP_PUT:
    case MEMKV_OP_ALLOCATE:
        return put_is_sound(call, index);
    case MEMKV_OP_GET:
        return get_is_sound(call, index);
    case MEMKV_OP_PIN:
        if (item->expire_s == 0) {
            mkv_call_note(call, index, "a pin has 1 second or more");
            return false;
        }
        return true;
    case MEMKV_OP_EXISTS:
    case MEMKV_OP_DELETE:
    case MEMKV_OP_UNPIN:
    case MEMKV_OP_SESSION:
    case MEMKV_OP_COMMIT:
        return true;
    }
    mkv_call_note(call, index, "op %d is unknown", (int)item->op);
    return false;
}
