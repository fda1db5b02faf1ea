/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about keys: listing, counting and deleting all of them, and what is known of one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/why.h"
#include "backends/clock.h"
#include "core/bytes.h"
#include "server/resp_commands_internal.h"
#include "server/resp_glob.h"

/* Keys that one SCAN looks at, whatever COUNT says; and without COUNT, as in Redis. */
#define SCAN_KEYS_MAX 1000
#define SCAN_KEYS_DEFAULT 10
/* A SCAN ends its page when its keys take so many bytes. */
#define SCAN_BYTES_MAX (192u * 1024u)
/* Keys of a page of FLUSHDB. */
#define FLUSH_KEYS_MAX 64u
#define MS_PER_S 1000u
/* How often a volume that is BUSY is asked again. */
#define BUSY_TRIES 200u

struct scan {
    struct mkv_resp_cursor at;
    struct mkv_resp_bytes pattern; /* no bytes: all keys */
    uint8_t prefix[MKV_KEY_BYTES_MAX];
    uint32_t prefix_bytes;
    bool none; /* a TYPE that no key has */
    uint32_t count;
    /* The page: sizes u16 and keys. */
    uint8_t *page;
    uint32_t page_bytes;
    uint32_t page_count;
};

/* ---- asking volumes -------------------------------------------------------------------------- */

/* UNAVAILABLE of ask is a drive that is offline, which has no keys to tell; that of the answer is a
 * directory that is being made anew. */
enum asked {
    ASKED_OK,
    ASKED_OFFLINE,
    ASKED_FAILED
};

static enum asked ask(const struct mkv_resp_run *run, const struct mkv_message *question,
                      const uint8_t *data, struct mkv_shard_answer *answer) {
    const struct mkv_resp_node *node = &run->commands->node;
    for (uint32_t i = 0; i < BUSY_TRIES; i++) {
        const enum mkv_status status = node->ask(node->context, question, data, answer);
        if (status == MKV_STATUS_UNAVAILABLE) {
            return ASKED_OFFLINE;
        }
        if (status == MKV_STATUS_OK && answer->message.status == MKV_STATUS_OK) {
            return ASKED_OK;
        }
        if (status != MKV_STATUS_OK || answer->message.status != MKV_STATUS_BUSY) {
            break;
        }
    }
    return ASKED_FAILED;
}

static void write_not_now(const struct mkv_resp_run *run, uint32_t volume) {
    mkv_resp_run_error(run,
                       "TRYAGAIN drive %u cannot list its keys now: its directory is being made, "
                       "or it is busy. Ask again",
                       volume);
}

/* ---- SCAN ------------------------------------------------------------------------------------ */

static bool parse_options(const struct mkv_resp_run *run, struct scan *scan) {
    scan->count = SCAN_KEYS_DEFAULT;
    for (uint32_t i = 2; i < run->word_count; i += 2) {
        const struct mkv_resp_word value =
            i + 1 < run->word_count ? run->words[i + 1] : (struct mkv_resp_word){0};
        int64_t count;
        if (i + 1 == run->word_count) {
            mkv_resp_run_syntax_error(run);
            return false;
        }
        if (mkv_resp_word_is(run->words[i], "match")) {
            scan->pattern = (struct mkv_resp_bytes){value.bytes, value.count};
        } else if (mkv_resp_word_is(run->words[i], "type")) {
            scan->none = !mkv_resp_word_is(value, "string");
        } else if (mkv_resp_word_is(run->words[i], "count")) {
            if (!mkv_resp_run_integer(run, i + 1, &count)) {
                return false;
            }
            if (count < 1) {
                mkv_resp_run_syntax_error(run);
                return false;
            }
            scan->count = count > SCAN_KEYS_MAX ? SCAN_KEYS_MAX : (uint32_t)count;
        } else {
            mkv_resp_run_syntax_error(run);
            return false;
        }
    }
    return true;
}

static bool parse_cursor(const struct mkv_resp_run *run, struct scan *scan) {
    const struct mkv_resp_word word = run->words[1];
    uint64_t number = 0;
    bool valid = word.count > 0;
    for (uint32_t i = 0; i < word.count && valid; i++) {
        const uint64_t digit = (uint64_t)word.bytes[i] - '0';
        valid = digit <= 9 && number <= (UINT64_MAX - digit) / 10;
        number = number * 10 + digit;
    }
    if (!valid) {
        mkv_resp_run_error(run, "ERR invalid cursor");
        return false;
    }
    scan->at.tenant = run->who->tenant;
    if (number != 0 &&
        !mkv_resp_cursors_find(run->commands->cursors, number, run->who->tenant, &scan->at)) {
        mkv_resp_run_error(run, "ERR invalid cursor: it is too old, or not of this server. Begin "
                                "again with SCAN 0");
        return false;
    }
    return true;
}

/* The literal beginning of the pattern; a longer one than any key matches none. */
static void find_prefix(struct scan *scan) {
    if (scan->pattern.count > 2 * MKV_KEY_BYTES_MAX) {
        scan->none = true;
        return;
    }
    uint8_t prefix[2 * MKV_KEY_BYTES_MAX];
    scan->prefix_bytes = mkv_resp_glob_prefix(scan->pattern, prefix);
    if (scan->prefix_bytes > MKV_KEY_BYTES_MAX) {
        scan->none = true;
        return;
    }
    memcpy(scan->prefix, prefix, scan->prefix_bytes);
}

static void add_key(struct scan *scan, const uint8_t *key, uint32_t key_bytes) {
    const struct mkv_resp_bytes text = {key, key_bytes};
    if (scan->pattern.count > 0 && !mkv_resp_glob_matches(scan->pattern, text, false)) {
        return;
    }
    MKV_ASSERT(scan->page_bytes + 2 + key_bytes <= SCAN_BYTES_MAX + MKV_SHARD_ANSWER_BYTES_MAX);
    mkv_store_u16(scan->page + scan->page_bytes, (uint16_t)key_bytes);
    memcpy(scan->page + scan->page_bytes + 2, key, key_bytes);
    scan->page_bytes += 2 + key_bytes;
    scan->page_count++;
}

/* Takes the keys of an answer, and goes on behind the last. */
static void take_keys(struct scan *scan, const struct mkv_shard_answer *answer) {
    const uint8_t *entry = answer->data;
    for (uint64_t i = 0; i < answer->message.count; i++) {
        const uint32_t key_bytes = mkv_load_u16(entry + 12);
        const uint8_t *key = entry + MKV_SCAN_ENTRY_BYTES;
        MKV_ASSERT(key + key_bytes <= answer->data + answer->message.data_bytes);
        add_key(scan, key, key_bytes);
        memcpy(scan->at.key, key, key_bytes);
        scan->at.key_bytes = key_bytes;
        entry = key + key_bytes;
    }
}

/* Fills a page; false when a volume cannot answer. At the end `at` is behind the last volume. */
static bool fill_page(const struct mkv_resp_run *run, struct scan *scan,
                      struct mkv_shard_answer *answer) {
    uint32_t left = scan->count;
    while (scan->at.volume < run->commands->node.volume_count && left > 0 &&
           scan->page_bytes < SCAN_BYTES_MAX) {
        uint8_t data[2 * MKV_KEY_BYTES_MAX];
        memcpy(data, scan->prefix, scan->prefix_bytes);
        memcpy(data + scan->prefix_bytes, scan->at.key, scan->at.key_bytes);
        const struct mkv_message question = {
            .kind = MKV_MESSAGE_SCAN,
            .volume = scan->at.volume,
            .tenant = scan->at.tenant,
            .length = scan->prefix_bytes,
            .data_bytes = scan->prefix_bytes + scan->at.key_bytes,
            .count = left,
        };
        const enum asked asked = ask(run, &question, data, answer);
        if (asked == ASKED_FAILED) {
            return false;
        }
        bool more = false;
        if (asked == ASKED_OK) {
            take_keys(scan, answer);
            left -= (uint32_t)mkv_min_u64(left, answer->message.count);
            more = (answer->message.flags & MKV_SCAN_MORE) != 0 && answer->message.count > 0;
        }
        if (!more) {
            scan->at.volume++;
            scan->at.key_bytes = 0;
        }
    }
    return true;
}

static void write_page(const struct mkv_resp_run *run, const struct scan *scan) {
    char number[24] = "0";
    if (scan->at.volume < run->commands->node.volume_count) {
        snprintf(number, sizeof number, "%llu",
                 (unsigned long long)mkv_resp_cursors_keep(run->commands->cursors, &scan->at));
    }
    mkv_resp_write_array(run->writer, 2);
    mkv_resp_write_text(run->writer, number);
    mkv_resp_write_array(run->writer, scan->page_count);
    const uint8_t *entry = scan->page;
    for (uint32_t i = 0; i < scan->page_count; i++) {
        const uint32_t key_bytes = mkv_load_u16(entry);
        mkv_resp_write_bulk(run->writer, entry + 2, key_bytes);
        entry += 2 + key_bytes;
    }
}

void mkv_resp_run_scan(const struct mkv_resp_run *run) {
    struct scan scan = {0};
    if (!parse_cursor(run, &scan) || !parse_options(run, &scan)) {
        return;
    }
    find_prefix(&scan);
    if (scan.none || run->who->tenant == MKV_NONE_U32) {
        scan.at.volume = run->commands->node.volume_count;
    }
    struct mkv_shard_answer *answer = malloc(sizeof *answer);
    scan.page = malloc(SCAN_BYTES_MAX + MKV_SHARD_ANSWER_BYTES_MAX);
    if (answer == NULL || scan.page == NULL) {
        mkv_resp_run_no_memory(run);
    } else if (fill_page(run, &scan, answer)) {
        write_page(run, &scan);
    } else {
        write_not_now(run, scan.at.volume);
    }
    free(answer);
    free(scan.page);
}

/* ---- DBSIZE ---------------------------------------------------------------------------------- */

void mkv_resp_run_dbsize(const struct mkv_resp_run *run) {
    struct mkv_shard_answer *answer = malloc(sizeof *answer);
    if (answer == NULL) {
        mkv_resp_run_no_memory(run);
        return;
    }
    uint64_t count = 0;
    bool complete = true;
    const uint32_t volumes =
        run->who->tenant == MKV_NONE_U32 ? 0 : run->commands->node.volume_count;
    for (uint32_t volume = 0; volume < volumes && complete; volume++) {
        const struct mkv_message question = {
            .kind = MKV_MESSAGE_COUNT, .volume = volume, .tenant = run->who->tenant};
        const enum asked asked = ask(run, &question, NULL, answer);
        count += asked == ASKED_OK ? answer->message.count : 0;
        complete = asked != ASKED_FAILED;
        if (!complete) {
            write_not_now(run, volume);
        }
    }
    free(answer);
    if (complete) {
        mkv_resp_write_integer(run->writer, (int64_t)mkv_min_u64(count, INT64_MAX));
    }
}

/* ---- FLUSHDB --------------------------------------------------------------------------------- */

/* Deletes the keys of a page. */
static enum mkv_status delete_page(const struct mkv_resp_run *run, const struct scan *scan) {
    struct mkv_resp_word keys[FLUSH_KEYS_MAX];
    const uint8_t *entry = scan->page;
    MKV_ASSERT(scan->page_count <= FLUSH_KEYS_MAX);
    for (uint32_t i = 0; i < scan->page_count; i++) {
        keys[i] = (struct mkv_resp_word){entry + 2, mkv_load_u16(entry)};
        entry += 2 + keys[i].count;
    }
    const struct mkv_resp_node *node = &run->commands->node;
    return node->delete_keys(node->context, run->who->tenant, run->who->tenant_name, keys,
                             scan->page_count);
}

/* Walks once through all keys: what is put meanwhile may stay. */
static void flush_all(const struct mkv_resp_run *run, struct scan *scan,
                      struct mkv_shard_answer *answer) {
    scan->at.tenant = run->who->tenant;
    scan->count = FLUSH_KEYS_MAX;
    while (scan->at.volume < run->commands->node.volume_count) {
        scan->page_bytes = 0;
        scan->page_count = 0;
        if (!fill_page(run, scan, answer)) {
            write_not_now(run, scan->at.volume);
            return;
        }
        const enum mkv_status status =
            scan->page_count == 0 ? MKV_STATUS_OK : delete_page(run, scan);
        if (status != MKV_STATUS_OK) {
            mkv_resp_run_error(run, "ERR not all keys could be deleted: %s. Try again",
                               mkv_status_name(status));
            return;
        }
    }
    mkv_resp_write_simple(run->writer, "OK");
}

void mkv_resp_run_flush(const struct mkv_resp_run *run) {
    const bool has_mode = run->word_count == 2 && (mkv_resp_word_is(run->words[1], "async") ||
                                                   mkv_resp_word_is(run->words[1], "sync"));
    if (run->word_count > 1 && !has_mode) {
        mkv_resp_run_syntax_error(run);
        return;
    }
    if (!run->who->is_admin) {
        mkv_resp_run_error(run, "NOPERM this user has no permissions to run the '%s' command",
                           run->row->name);
        return;
    }
    if (run->who->tenant == MKV_NONE_U32) {
        mkv_resp_write_simple(run->writer, "OK"); /* nothing is stored under the name */
        return;
    }
    struct scan *scan = calloc(1, sizeof *scan);
    struct mkv_shard_answer *answer = malloc(sizeof *answer);
    uint8_t *page = malloc(SCAN_BYTES_MAX + MKV_SHARD_ANSWER_BYTES_MAX);
    if (scan == NULL || answer == NULL || page == NULL) {
        mkv_resp_run_no_memory(run);
    } else {
        scan->page = page;
        flush_all(run, scan, answer);
    }
    free(scan);
    free(answer);
    free(page);
}

/* ---- OBJECT, MEMORY USAGE -------------------------------------------------------------------- */

enum look {
    LOOK_THERE,
    LOOK_ABSENT,
    LOOK_REFUSED /* an error was written */
};

/* Whether the key is there, without being a use of it. */
static enum look look(const struct mkv_resp_run *run, struct mkv_resp_word key,
                      struct mkv_admin_why *why) {
    const struct mkv_admin_provider *provider = run->commands->node.provider;
    if (key.count > 0 && key.count <= MKV_KEY_BYTES_MAX) {
        const enum mkv_status status =
            provider->why(provider->context, run->who->tenant_name, key.bytes, key.count, why);
        if (status != MKV_STATUS_OK) {
            mkv_resp_run_error(run, "TRYAGAIN the key cannot be looked up now: %s. Ask again",
                               mkv_status_name(status));
            return LOOK_REFUSED;
        }
        const bool is_over =
            why->expiry_s != 0 && mkv_clock_wall_ms() >= (uint64_t)why->expiry_s * MS_PER_S;
        if ((why->in_memory || why->on_drive) && !is_over) {
            return LOOK_THERE;
        }
    }
    return LOOK_ABSENT;
}

/* Absent keys are answered with nothing. */
static bool look_or_null(const struct mkv_resp_run *run, struct mkv_resp_word key,
                         struct mkv_admin_why *why) {
    const enum look found = look(run, key, why);
    if (found == LOOK_ABSENT) {
        mkv_resp_write_null(run->writer);
    }
    return found == LOOK_THERE;
}

static uint64_t frequency(const struct mkv_resp_run *run, struct mkv_resp_word key) {
    const struct mkv_admin_provider *provider = run->commands->node.provider;
    struct mkv_admin_hotkey *hotkeys = calloc(MKV_HOTKEYS_KEPT, sizeof *hotkeys);
    uint64_t found = 0;
    const uint32_t count =
        hotkeys == NULL ? 0
                        : provider->observed->hotkeys(provider->context, hotkeys, MKV_HOTKEYS_KEPT);
    for (uint32_t i = 0; i < count; i++) {
        const struct mkv_hotkey *hot = &hotkeys[i].hot;
        const size_t known = mkv_min_u64(hot->key_bytes, sizeof hot->key);
        if (hot->key_bytes == key.count && hot->tenant == run->who->tenant &&
            memcmp(hot->key, key.bytes, known) == 0) {
            found = mkv_max_u64(found, hot->count);
        }
    }
    free(hotkeys);
    return found;
}

void mkv_resp_run_object(const struct mkv_resp_run *run) {
    struct mkv_admin_why why;
    if (!look_or_null(run, run->words[2], &why)) {
        return;
    }
    if (mkv_resp_word_is(run->words[1], "freq")) {
        const uint64_t count = frequency(run, run->words[2]);
        mkv_resp_write_integer(run->writer, (int64_t)mkv_min_u64(count, INT64_MAX));
    } else if (mkv_resp_word_is(run->words[1], "refcount")) {
        mkv_resp_write_integer(run->writer, 1);
    } else {
        mkv_resp_write_text(run->writer, "raw");
    }
}

void mkv_resp_run_memory_usage(const struct mkv_resp_run *run) {
    int64_t samples;
    if (run->word_count != 3 &&
        (run->word_count != 5 || !mkv_resp_word_is(run->words[3], "samples"))) {
        mkv_resp_run_syntax_error(run);
        return;
    }
    if (run->word_count == 5 && !mkv_resp_run_integer(run, 4, &samples)) {
        return;
    }
    struct mkv_admin_why why;
    if (!look_or_null(run, run->words[2], &why)) {
        return;
    }
    const uint64_t bytes =
        why.on_drive ? (1 + (uint64_t)why.length_units) * MKV_UNIT_BYTES : why.memory_length;
    mkv_resp_write_integer(run->writer, (int64_t)bytes);
}
