/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/why.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/words.h"

#define HEX_MARK "hex:"
#define TIME_BYTES 32u

/* What a reason means, and what to do about it. */
struct reason {
    const char *explanation;
    const char *action;
};

static const struct reason reasons[MKV_MISS_COUNT] = {
    [MKV_MISS_UNKNOWN] = {"nobody stored it under this tenant, a client deleted it, or it left so "
                          "long ago that the drive does not remember",
                          "compare what clients ask for with what is stored: memkv admin clients, "
                          "memkv admin prefixes; unequal beginnings are most often an unset "
                          "PYTHONHASHSEED, another model name or another tenant. memkv admin audit "
                          "export tells who deleted keys"},
    [MKV_MISS_EVICTED] = {"it was evicted: a put needed the room, and it was worth least",
                          "add drives, give other tenants quotas, or pin what must stay"},
    [MKV_MISS_EXPIRED] = {"its time was over", "store it with a later expiry, or none"},
    [MKV_MISS_DELETED] = {"its tenant was dropped", "see memkv admin audit export for who did it"},
    [MKV_MISS_DEADLINE] = {"the drive did not answer in time", "see memkv admin slow"},
    [MKV_MISS_IO_ERROR] = {"the drive failed to read it", "see dmesg and the drive's health"},
    [MKV_MISS_CHECKSUM] = {"its content was damaged, and it was dropped",
                           "see memkv admin logs and the drive's health"},
    [MKV_MISS_DRIVE_OFFLINE] = {"the drive where it belongs does not serve",
                                "see memkv admin warnings"},
    [MKV_MISS_OVERLOADED] = {"the node had no room for the request",
                             "see memkv admin slow and memkv admin status"},
};

static const char *explain(const struct mkv_admin_why *why, const char **action) {
    *action = NULL;
    if (why->in_memory && why->unpersisted) {
        return "it is in memory, and being written to its drive";
    }
    if (why->on_drive && why->leaving) {
        *action = "nothing keeps it: store it again, or pin it while it is there";
        return "it is there, and about to be evicted";
    }
    if (why->on_drive) {
        return why->in_memory ? "it is on its drive, and in memory" : "it is on its drive";
    }
    if (why->in_memory) {
        return "it is in memory";
    }
    if (why->drive[0] == '\0') {
        *action = "see memkv admin status";
        return "no drive takes keys";
    }
    if (!why->tenant_known) {
        *action = "see memkv admin tenants for the names there are; --tenant names one";
        return "nobody has stored anything under this tenant";
    }
    *action = reasons[why->miss].action;
    return reasons[why->miss].explanation;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static unsigned digit_of(char character) {
    if (character >= '0' && character <= '9') {
        return (unsigned)(character - '0');
    }
    const char lower = (char)(character | 0x20);
    return lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a') + 10 : 16;
}

bool mkv_why_key_parse(const char *text, uint8_t key[MKV_KEY_BYTES_MAX], uint32_t *key_bytes) {
    const size_t bytes = strlen(text);
    const size_t mark = sizeof HEX_MARK - 1;
    if (strncmp(text, HEX_MARK, mark) != 0) {
        if (bytes == 0 || bytes > MKV_KEY_BYTES_MAX) {
            return false;
        }
        memcpy(key, text, bytes);
        *key_bytes = (uint32_t)bytes;
        return true;
    }
    const size_t count = (bytes - mark) / 2;
    if (count == 0 || count > MKV_KEY_BYTES_MAX || (bytes - mark) % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const unsigned high = digit_of(text[mark + 2 * i]);
        const unsigned low = digit_of(text[mark + 2 * i + 1]);
        if (high > 15 || low > 15) {
            return false;
        }
        key[i] = (uint8_t)(high << 4 | low);
    }
    *key_bytes = (uint32_t)count;
    return true;
}

/* ---- the endpoint ---------------------------------------------------------------------------- */

static json_t *time_of(uint32_t unix_s) {
    const time_t seconds = (time_t)unix_s;
    struct tm parts;
    char text[TIME_BYTES];
    if (unix_s == 0 || gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        return json_null();
    }
    return json_string(text);
}

static json_t *drive_json(const struct mkv_admin_why *why) {
    if (why->drive[0] == '\0') {
        return json_null();
    }
    return json_pack("{s:s, s:b}", "name", why->drive, "serves", why->drive_serves);
}

static json_t *block_json(const struct mkv_admin_why *why) {
    if (!why->on_drive) {
        return json_null();
    }
    return json_pack("{s:I, s:b, s:s, s:s, s:o, s:b, s:b}", "length_bytes_max",
                     (json_int_t)(why->length_units == 0
                                      ? MKV_INLINE_BYTES_MAX
                                      : (uint64_t)why->length_units * MKV_UNIT_BYTES),
                     "segmented", why->segmented, "tier", mkv_admin_tiers[why->tier], "tier_put",
                     mkv_admin_tiers[why->tier_put], "expires", time_of(why->expiry_s), "leased",
                     why->leased, "leaving", why->leaving);
}

static json_t *memory_json(const struct mkv_admin_why *why) {
    if (!why->in_memory) {
        return json_null();
    }
    return json_pack("{s:I, s:b, s:b}", "length_bytes", (json_int_t)why->memory_length,
                     "used_again", why->used_again, "unpersisted", why->unpersisted);
}

struct mkv_admin_reply mkv_endpoint_why(const struct mkv_admin_request *request) {
    const struct mkv_admin_provider *provider = request->provider;
    const char *key_text = mkv_admin_request_parameter(request, "key");
    const char *tenant = mkv_admin_request_parameter(request, "tenant");
    uint8_t key[MKV_KEY_BYTES_MAX];
    uint32_t key_bytes;
    tenant = tenant == NULL ? MKV_TENANT_DEFAULT_NAME : tenant;
    if (key_text == NULL || !mkv_why_key_parse(key_text, key, &key_bytes)) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST,
                                "key is 1 to %u bytes of text, or hex: and the digits of them",
                                MKV_KEY_BYTES_MAX);
    }
    if (!mkv_tenant_name_is_valid(tenant, strlen(tenant))) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST,
                                "tenant: a name has 1 to 79 characters of A-Z a-z 0-9 . _ -");
    }
    struct mkv_admin_why why = {0};
    if (provider->why == NULL ||
        provider->why(provider->context, tenant, key, key_bytes, &why) != MKV_STATUS_OK) {
        return mkv_admin_refuse(MHD_HTTP_SERVICE_UNAVAILABLE,
                                "the node does not serve now, or its shard did not answer in time; "
                                "see memkv admin status");
    }
    const bool found = why.on_drive || why.in_memory;
    const char *action;
    const char *explanation = explain(&why, &action);
    char shown[2 * MKV_KEY_BYTES_MAX + sizeof HEX_MARK];
    mkv_text_clean(key_text, shown, sizeof shown);
    const bool has_reason = !found && why.tenant_known && why.miss != MKV_MISS_NONE;
    return mkv_admin_reply_json(
        MHD_HTTP_OK,
        json_pack("{s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:s, s:o}", "key", shown, "tenant",
                  tenant, "tenant_known", why.tenant_known, "found", found, "drive",
                  drive_json(&why), "memory", memory_json(&why), "block", block_json(&why), "miss",
                  has_reason ? json_string(mkv_admin_misses[why.miss - MKV_MISS_UNKNOWN])
                             : json_null(),
                  "explanation", explanation, "action",
                  action == NULL ? json_null() : json_string(action)));
}

/* ---- for people ------------------------------------------------------------------------------ */

static void append_line(struct mkv_text *out, const char *name, const char *value) {
    char clean[1024];
    mkv_text_clean(value == NULL ? "-" : value, clean, sizeof clean);
    mkv_text_format(out, "%-9s %s\n", name, clean);
}

static const char *text_of(const json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name));
}

static bool is_true(const json_t *object, const char *name) {
    return json_is_true(json_object_get(object, name));
}

static void append_block(struct mkv_text *out, const json_t *block) {
    const char *expires = text_of(block, "expires");
    const char *tier = text_of(block, "tier");
    const char *tier_put = text_of(block, "tier_put");
    char line[256];
    snprintf(line, sizeof line, "up to %" PRId64 " bytes%s, tier %s",
             (int64_t)json_integer_value(json_object_get(block, "length_bytes_max")),
             is_true(block, "segmented") ? ", the manifest of a value in segments" : "",
             tier == NULL ? "-" : tier);
    append_line(out, "block", line);
    if (tier != NULL && tier_put != NULL && strcmp(tier, tier_put) != 0) {
        append_line(out, "stored in", tier_put);
    }
    append_line(out, "expires", expires == NULL ? "never" : expires);
    append_line(out, "leased",
                is_true(block, "leased") ? "yes, or pinned: it is not evicted now" : "no");
}

void mkv_why_text(const json_t *answer, struct mkv_text *out) {
    const json_t *drive = json_object_get(answer, "drive");
    const json_t *memory = json_object_get(answer, "memory");
    const json_t *block = json_object_get(answer, "block");
    const char *miss = text_of(answer, "miss");
    const char *action = text_of(answer, "action");
    char line[256];
    append_line(out, "key", text_of(answer, "key"));
    append_line(out, "tenant", text_of(answer, "tenant"));
    snprintf(line, sizeof line, "%.100s%s",
             text_of(drive, "name") == NULL ? "none" : text_of(drive, "name"),
             json_is_object(drive) && !is_true(drive, "serves") ? ", which does not serve" : "");
    append_line(out, "drive", line);
    append_line(out, "found",
                is_true(answer, "found") ? (json_is_object(block) ? "on the drive" : "in memory")
                                         : "no");
    if (json_is_object(memory)) {
        snprintf(line, sizeof line, "yes, %" PRId64 " bytes%s",
                 (int64_t)json_integer_value(json_object_get(memory, "length_bytes")),
                 is_true(memory, "unpersisted") ? ", not on its drive yet" : "");
    } else {
        snprintf(line, sizeof line, "no");
    }
    append_line(out, "memory", line);
    if (json_is_object(block)) {
        append_block(out, block);
    }
    if (miss != NULL) {
        append_line(out, "reason", miss);
    }
    append_line(out, "that is", text_of(answer, "explanation"));
    if (action != NULL) {
        append_line(out, "to do", action);
    }
}
