/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit_record.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/text.h"

_Static_assert(MKV_AUDIT_HASH_BYTES == SHA256_DIGEST_LENGTH, "the hash is SHA-256");

/* What stands between the hashed bytes and the hash, and behind that. */
#define HASH_BEFORE ",\"hash\":\""
#define HASH_BEHIND "\"}\n"
#define HASH_DIGITS (MKV_AUDIT_HASH_TEXT_BYTES - 1u)
#define TAIL_BYTES ((sizeof HASH_BEFORE - 1) + HASH_DIGITS + (sizeof HASH_BEHIND - 1))
/* Year 9999: a line has room for four digits. */
#define TIME_MS_MAX 253402300799999ull
#define MS_PER_S 1000u

const char *const mkv_audit_operations[MKV_AUDIT_OPERATION_COUNT + 1] = {
    [MKV_AUDIT_GENESIS] = "genesis",
    [MKV_AUDIT_START] = "start",
    [MKV_AUDIT_DRAIN] = "drain",
    [MKV_AUDIT_STOP] = "stop",
    [MKV_AUDIT_FORMAT] = "format",
    [MKV_AUDIT_DRIVES_LOST] = "drives_lost",
    [MKV_AUDIT_DRIVE_SET] = "drive_set",
    [MKV_AUDIT_DRIVE_EMPTIED] = "drive_emptied",
    [MKV_AUDIT_PURGE] = "purge",
    [MKV_AUDIT_CHECKPOINT] = "checkpoint",
    [MKV_AUDIT_TENANT_DROP] = "tenant_drop",
    [MKV_AUDIT_KEYS_DELETE] = "keys_delete",
    [MKV_AUDIT_LOG_LEVEL] = "log_level",
    [MKV_AUDIT_PROFILE] = "profile",
    [MKV_AUDIT_DIAGNOSTICS] = "diagnostics",
    [MKV_AUDIT_EXPORT] = "audit_export",
    [MKV_AUDIT_AUTH_REFUSED] = "auth_refused",
    [MKV_AUDIT_ROTATE] = "rotate",
    [MKV_AUDIT_REMOVE] = "remove",
    [MKV_AUDIT_REPAIR] = "repair",
    [MKV_AUDIT_BROKEN] = "broken",
    [MKV_AUDIT_LOST] = "lost",
    [MKV_AUDIT_DRIVE_LIFE] = "drive_life",
};

const char *mkv_audit_fault_text(enum mkv_audit_fault fault) {
    switch (fault) {
    case MKV_AUDIT_FITS:
        return "it fits";
    case MKV_AUDIT_CUT:
        return "it is cut off: its line has no end";
    case MKV_AUDIT_SHAPE:
        return "it is no record of an audit";
    case MKV_AUDIT_ALTERED:
        return "it was altered: its bytes are not those that its hash was made of";
    case MKV_AUDIT_MISSING:
        return "records before it are missing";
    case MKV_AUDIT_REPEATED:
        return "it stands behind records that came after it";
    case MKV_AUDIT_UNCHAINED:
        return "its previous hash is not that of the record before it";
    }
    MKV_ASSERT(false);
    return "";
}

/* ---- hashes and times ------------------------------------------------------------------------ */

void mkv_audit_hash_text(const uint8_t hash[MKV_AUDIT_HASH_BYTES],
                         char text[MKV_AUDIT_HASH_TEXT_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t index = 0; index < MKV_AUDIT_HASH_BYTES; index++) {
        text[2 * index] = digits[hash[index] >> 4];
        text[2 * index + 1] = digits[hash[index] & 0xf];
    }
    text[HASH_DIGITS] = '\0';
}

/* The value of a lower-case digit, or 16. One spelling, so that a hash has one text. */
static unsigned digit_of(char character) {
    if (character >= '0' && character <= '9') {
        return (unsigned)(character - '0');
    }
    return character >= 'a' && character <= 'f' ? (unsigned)(character - 'a') + 10 : 16;
}

static bool hash_read(const char *text, uint8_t hash[MKV_AUDIT_HASH_BYTES]) {
    for (size_t index = 0; index < MKV_AUDIT_HASH_BYTES; index++) {
        const unsigned high = digit_of(text[2 * index]);
        const unsigned low = high > 15 ? 16 : digit_of(text[2 * index + 1]);
        if (low > 15) {
            return false;
        }
        hash[index] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool mkv_audit_hash_parse(const char *text, uint8_t hash[MKV_AUDIT_HASH_BYTES]) {
    return strlen(text) == HASH_DIGITS && hash_read(text, hash);
}

void mkv_audit_time_text(uint64_t time_ms, char text[MKV_AUDIT_TIME_BYTES]) {
    const uint64_t bounded = mkv_min_u64(time_ms, TIME_MS_MAX);
    const time_t seconds = (time_t)(bounded / MS_PER_S);
    struct tm parts;
    const bool converted = gmtime_r(&seconds, &parts) != NULL;
    MKV_ASSERT(converted);
    char whole[MKV_AUDIT_TIME_BYTES];
    const size_t bytes = strftime(whole, sizeof whole, "%Y-%m-%dT%H:%M:%S", &parts);
    MKV_ASSERT(bytes > 0);
    snprintf(text, MKV_AUDIT_TIME_BYTES, "%.19s.%03uZ", whole, (unsigned)(bounded % MS_PER_S));
}

/* Reads `digits` digits at *at and moves it. */
static bool take_number(const char **at, unsigned digits, int *number) {
    *number = 0;
    for (unsigned index = 0; index < digits; index++) {
        if (**at < '0' || **at > '9') {
            return false;
        }
        *number = *number * 10 + (**at - '0');
        (*at)++;
    }
    return true;
}

static bool take(const char **at, char character) {
    if (**at != character) {
        return false;
    }
    (*at)++;
    return true;
}

/* What follows a day: nothing, or the time of it. What is not named is the first or last moment. */
static bool take_clock(const char **at, bool end, struct tm *parts, int *ms) {
    parts->tm_hour = end ? 23 : 0;
    parts->tm_min = end ? 59 : 0;
    parts->tm_sec = end ? 59 : 0;
    *ms = end ? 999 : 0;
    if (**at == '\0') {
        return true;
    }
    if (!take(at, 'T') || !take_number(at, 2, &parts->tm_hour) || !take(at, ':') ||
        !take_number(at, 2, &parts->tm_min)) {
        return false;
    }
    if (take(at, ':')) {
        if (!take_number(at, 2, &parts->tm_sec) || (take(at, '.') && !take_number(at, 3, ms))) {
            return false;
        }
    }
    (void)take(at, 'Z');
    return **at == '\0' && parts->tm_hour < 24 && parts->tm_min < 60 && parts->tm_sec < 60;
}

bool mkv_audit_time_parse(const char *text, bool end, uint64_t *time_ms) {
    const char *at = text;
    struct tm parts = {0};
    int year;
    int month;
    int ms;
    if (!take_number(&at, 4, &year) || !take(&at, '-') || !take_number(&at, 2, &month) ||
        !take(&at, '-') || !take_number(&at, 2, &parts.tm_mday) ||
        !take_clock(&at, end, &parts, &ms) || year < 1970) {
        return false;
    }
    parts.tm_year = year - 1900;
    parts.tm_mon = month - 1;
    const struct tm asked = parts;
    const time_t seconds = timegm(&parts);
    /* A 31st of April becomes the 1st of May: then it was none. */
    if (seconds < 0 || parts.tm_mon != asked.tm_mon || parts.tm_mday != asked.tm_mday) {
        return false;
    }
    *time_ms = (uint64_t)seconds * MS_PER_S + (uint64_t)ms;
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* A cleaned text, or null for none. */
static json_t *text_of(const char *source) {
    char clean[MKV_AUDIT_POSITION_BYTES];
    mkv_text_clean(source, clean, sizeof clean);
    return clean[0] == '\0' ? json_null() : json_string(clean);
}

/* The fields before the hash, in their order. */
static json_t *fields_of(const struct mkv_audit_entry *entry, uint64_t time_ms,
                         const struct mkv_audit_head *head) {
    char time[MKV_AUDIT_TIME_BYTES];
    char previous[MKV_AUDIT_HASH_TEXT_BYTES];
    char session[32] = ""; /* a text, since JSON readers round numbers beyond 2^53 */
    mkv_audit_time_text(time_ms, time);
    if (entry->session != 0) {
        snprintf(session, sizeof session, "%" PRIu64, entry->session);
    }
    mkv_audit_hash_text(head->hash, previous);
    return json_pack("{s:I, s:s, s:s, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:s}",
                     "sequence", (json_int_t)head->next_sequence, "time", time, "operation",
                     mkv_audit_operations[entry->operation], "entity", text_of(entry->entity),
                     "outcome", text_of(entry->outcome), "count", (json_int_t)entry->count,
                     "log_position", text_of(entry->log_position), "tenant", text_of(entry->tenant),
                     "client", text_of(entry->client), "session", text_of(session), "address",
                     text_of(entry->address), "reason", text_of(entry->reason), "previous_hash",
                     previous);
}

uint32_t mkv_audit_line(const struct mkv_audit_entry *entry, uint64_t time_ms,
                        struct mkv_audit_head *head, char line[MKV_AUDIT_LINE_BYTES_MAX + 1]) {
    MKV_ASSERT(entry->operation < MKV_AUDIT_OPERATION_COUNT);
    MKV_ASSERT(entry->count > 0);
    json_t *fields = fields_of(entry, time_ms, head);
    const size_t room = MKV_AUDIT_LINE_BYTES_MAX - TAIL_BYTES;
    const size_t written = fields == NULL ? 0 : json_dumpb(fields, line, room, JSON_COMPACT);
    json_decref(fields);
    if (written == 0) {
        return 0;
    }
    MKV_ASSERT(written <= room); /* the bounds of the texts see to it */
    const size_t hashed = written - 1;
    MKV_ASSERT(line[hashed] == '}');
    struct mkv_audit_head next = {.next_sequence = head->next_sequence + 1};
    SHA256((const unsigned char *)line, hashed, next.hash);
    char text[MKV_AUDIT_HASH_TEXT_BYTES];
    mkv_audit_hash_text(next.hash, text);
    const int tail = snprintf(line + hashed, TAIL_BYTES + 1, HASH_BEFORE "%s" HASH_BEHIND, text);
    MKV_ASSERT(tail == (int)TAIL_BYTES);
    *head = next;
    return (uint32_t)(hashed + TAIL_BYTES);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool operation_read(const json_t *object, enum mkv_audit_operation *operation) {
    const char *word = json_string_value(json_object_get(object, "operation"));
    for (uint32_t index = 0; word != NULL && index < MKV_AUDIT_OPERATION_COUNT; index++) {
        if (strcmp(word, mkv_audit_operations[index]) == 0) {
            *operation = (enum mkv_audit_operation)index;
            return true;
        }
    }
    return false;
}

static bool fields_read(const json_t *object, struct mkv_audit_record *record) {
    const json_t *sequence = json_object_get(object, "sequence");
    const char *time = json_string_value(json_object_get(object, "time"));
    const char *previous = json_string_value(json_object_get(object, "previous_hash"));
    if (!json_is_integer(sequence) || json_integer_value(sequence) < 0 || time == NULL ||
        previous == NULL) {
        return false;
    }
    record->sequence = (uint64_t)json_integer_value(sequence);
    return mkv_audit_time_parse(time, false, &record->time_ms) &&
           mkv_audit_hash_parse(previous, record->previous) &&
           operation_read(object, &record->operation);
}

enum mkv_audit_fault mkv_audit_line_read(const char *line, size_t bytes,
                                         struct mkv_audit_record *record, json_t **object) {
    *record = (struct mkv_audit_record){0};
    if (bytes == 0 || line[bytes - 1] != '\n') {
        return MKV_AUDIT_CUT;
    }
    if (bytes <= TAIL_BYTES || bytes > MKV_AUDIT_LINE_BYTES_MAX) {
        return MKV_AUDIT_SHAPE;
    }
    const char *tail = line + bytes - TAIL_BYTES;
    const char *digits = tail + sizeof HASH_BEFORE - 1;
    if (memcmp(tail, HASH_BEFORE, sizeof HASH_BEFORE - 1) != 0 ||
        memcmp(digits + HASH_DIGITS, HASH_BEHIND, sizeof HASH_BEHIND - 1) != 0 ||
        !hash_read(digits, record->hash)) {
        return MKV_AUDIT_SHAPE;
    }
    uint8_t hash[MKV_AUDIT_HASH_BYTES];
    SHA256((const unsigned char *)line, bytes - TAIL_BYTES, hash);
    if (memcmp(hash, record->hash, sizeof hash) != 0) {
        return MKV_AUDIT_ALTERED;
    }
    json_t *read = json_loadb(line, bytes - 1, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(read) || !fields_read(read, record)) {
        json_decref(read);
        return MKV_AUDIT_SHAPE;
    }
    if (object != NULL) {
        *object = read;
    } else {
        json_decref(read);
    }
    return MKV_AUDIT_FITS;
}

enum mkv_audit_fault mkv_audit_follows(const struct mkv_audit_record *record,
                                       struct mkv_audit_head *head) {
    if (record->sequence > head->next_sequence) {
        return MKV_AUDIT_MISSING;
    }
    if (record->sequence < head->next_sequence) {
        return MKV_AUDIT_REPEATED;
    }
    if (memcmp(record->previous, head->hash, sizeof head->hash) != 0) {
        return MKV_AUDIT_UNCHAINED;
    }
    head->next_sequence = record->sequence + 1;
    memcpy(head->hash, record->hash, sizeof head->hash);
    return MKV_AUDIT_FITS;
}
