/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit: a chained log of what administrators do, of what destroys data, and of who was turned
 * away. Any thread hands in an entry; a thread of the audit's own writes each as a record and makes
 * it durable before the next.
 *
 *   admin listener --write--> +-----------------+
 *   shard, through            | queue of 256    | --> audit thread --> file, fdatasync
 *   audit_deletes  --offer--> |                 |         |
 *   refusals       --refuse-> | one line each,  |         +--> wait() returns
 *                             | then counted    |
 *                             +-----------------+
 *
 * Invariants
 *  I1  Records stand in the file in the order of the calls, each durable before the next is
 *      written.
 *  I2  offer never waits: neither for the file nor for the lock. write waits for the lock alone,
 *      which nobody holds during I/O.
 *  I3  Nothing goes unnoticed: what finds no room is counted, and a record says how many, once
 *      there is room again. A record that cannot be written stays at the head and is tried again.
 *  I4  Refusals of one kind, from one host and credential, are at most MKV_AUDIT_REFUSALS_MAX
 *      records a window; the others are counted in one more when the window ends.
 *
 * Not responsible for: what is hashed and what a crash leaves (audit_record.h, audit_file.h).
 */
#ifndef MKV_ADMIN_AUDIT_H
#define MKV_ADMIN_AUDIT_H

#include "admin/audit_file.h"

#define MKV_AUDIT_QUEUE_MAX 256u
/* Refusals: records for one host and credential in a window, and how many are told apart. */
#define MKV_AUDIT_REFUSALS_MAX 5u
#define MKV_AUDIT_REFUSAL_WINDOW_NS (60ull * 1000000000u)
#define MKV_AUDIT_REFUSERS_MAX 32u
/* A file that cannot be written is tried again after so long. */
#define MKV_AUDIT_RETRY_NS (1000ull * 1000000u)
/* What an administrator's operation waits for its record, at most. */
#define MKV_AUDIT_WAIT_NS (3000ull * 1000000u)

struct mkv_audit;

struct mkv_audit_options {
    struct mkv_audit_file_options file;
    /* Fills in the position in the journals, on the audit's thread. NULL: there is none. */
    void (*position)(void *context, char text[MKV_AUDIT_POSITION_BYTES]);
    void *context;
    uint64_t refusal_window_ns; /* 0: MKV_AUDIT_REFUSAL_WINDOW_NS */
};

struct mkv_audit_status {
    char path[MKV_AUDIT_PATH_BYTES];
    struct mkv_audit_head head; /* behind the last durable record */
    uint64_t records;           /* durable, of this process */
    uint64_t lost;              /* found no room; the record that says so may still be to come */
    uint64_t waiting;
    bool broken; /* the last record did not fit when the file was opened */
    bool failing;
    char error[MKV_AUDIT_ERROR_BYTES]; /* why, while `failing` */
};

/* Opens the file and starts the thread. False: one line says why. */
__attribute__((warn_unused_result)) bool mkv_audit_open(const struct mkv_audit_options *options,
                                                        struct mkv_audit **audit,
                                                        char error[MKV_AUDIT_ERROR_BYTES]);
/* From here on `position` is not called, nor running. NULL is allowed. */
void mkv_audit_detach(struct mkv_audit *audit);
/* Writes what waits, as far as it can be written within MKV_AUDIT_WAIT_NS, and ends. NULL is
 * allowed. */
void mkv_audit_close(struct mkv_audit *audit);

/* Hands an entry in; the result is for mkv_audit_wait, 0 when there was no room. An audit that is
 * NULL records nothing. */
uint64_t mkv_audit_write(struct mkv_audit *audit, const struct mkv_audit_entry *entry);
/* Waits until that record is durable; false when it is not within MKV_AUDIT_WAIT_NS. */
bool mkv_audit_wait(struct mkv_audit *audit, uint64_t ticket);
/* For threads that may not wait: false when the lock is taken or there is no room. Nothing is
 * counted then; offer it again. */
__attribute__((warn_unused_result)) bool mkv_audit_offer(struct mkv_audit *audit,
                                                         const struct mkv_audit_entry *entry);
/* Somebody was refused; limited as I4 says. */
void mkv_audit_refuse(struct mkv_audit *audit, const struct mkv_audit_entry *entry);

void mkv_audit_status(struct mkv_audit *audit, struct mkv_audit_status *status);
/* Between these two nothing is written or rotated: for reading the files, which takes a bounded
 * time. Not while waiting for a record. */
void mkv_audit_hold(struct mkv_audit *audit);
void mkv_audit_release(struct mkv_audit *audit);

/* An entry with one format for its reason; what is not named is empty, the count is 1. */
__attribute__((format(printf, 4, 5))) struct mkv_audit_entry mkv_audit_entry_make(
    enum mkv_audit_operation operation, const char *entity, const char *outcome,
    const char *reason_format, ...);

#endif
