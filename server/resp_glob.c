/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_glob.h"

static uint8_t folded(uint8_t byte, bool ignore_case) {
    return ignore_case && byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte - 'A' + 'a') : byte;
}

/* A class that begins behind its '['. One without an end goes to the end of the pattern. Returns
 * where the pattern goes on. */
static uint32_t match_class(struct mkv_resp_bytes pattern, uint32_t at, uint8_t byte,
                            bool ignore_case, bool *matches) {
    const bool inverted = at < pattern.count && pattern.bytes[at] == '^';
    at += inverted;
    bool found = false;
    while (at < pattern.count && pattern.bytes[at] != ']') {
        uint8_t low = pattern.bytes[at];
        if (low == '\\' && at + 1 < pattern.count) {
            at++;
            low = pattern.bytes[at];
            found = found || folded(low, ignore_case) == byte;
        } else if (at + 2 < pattern.count && pattern.bytes[at + 1] == '-') {
            uint8_t high = pattern.bytes[at + 2];
            at += 2;
            if (low > high) {
                const uint8_t swapped = low;
                low = high;
                high = swapped;
            }
            found =
                found || (byte >= folded(low, ignore_case) && byte <= folded(high, ignore_case));
        } else {
            found = found || folded(low, ignore_case) == byte;
        }
        at++;
    }
    *matches = found != inverted;
    return at < pattern.count ? at + 1 : at;
}

/* One byte of text against what stands at `at`, which is no star. Returns where the pattern goes
 * on. */
static uint32_t match_one(struct mkv_resp_bytes pattern, uint32_t at, uint8_t byte,
                          bool ignore_case, bool *matches) {
    const uint8_t head = pattern.bytes[at];
    if (head == '?') {
        *matches = true;
        return at + 1;
    }
    if (head == '[') {
        return match_class(pattern, at + 1, byte, ignore_case, matches);
    }
    if (head == '\\' && at + 1 < pattern.count) {
        at++;
    }
    *matches = folded(pattern.bytes[at], ignore_case) == byte;
    return at + 1;
}

bool mkv_resp_glob_matches(struct mkv_resp_bytes pattern, struct mkv_resp_bytes text,
                           bool ignore_case) {
    uint32_t at = 0;
    uint32_t in_text = 0;
    uint32_t star = MKV_NONE_U32; /* behind the last star … */
    uint32_t star_text = 0;       /* … and where what it stands for ends so far */
    while (in_text < text.count) {
        bool matches = false;
        uint32_t next = at;
        if (at < pattern.count && pattern.bytes[at] == '*') {
            star = ++at;
            star_text = in_text;
            continue;
        }
        if (at < pattern.count) {
            next = match_one(pattern, at, folded(text.bytes[in_text], ignore_case), ignore_case,
                             &matches);
        }
        if (matches) {
            at = next;
            in_text++;
        } else if (star != MKV_NONE_U32) {
            at = star;
            in_text = ++star_text;
        } else {
            return false;
        }
    }
    while (at < pattern.count && pattern.bytes[at] == '*') {
        at++;
    }
    return at == pattern.count;
}

uint32_t mkv_resp_glob_prefix(struct mkv_resp_bytes pattern, uint8_t *prefix) {
    uint32_t count = 0;
    for (uint32_t at = 0; at < pattern.count; at++) {
        uint8_t byte = pattern.bytes[at];
        if (byte == '*' || byte == '?' || byte == '[') {
            break;
        }
        if (byte == '\\' && at + 1 < pattern.count) {
            byte = pattern.bytes[++at];
        }
        prefix[count++] = byte;
    }
    return count;
}
