/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this host is fit to run memkv: checks, each of which says pass, warn or fail, what it
 * saw, and what to do. They read what the kernel says below roots that a test can set, and what has
 * been asked of the running system before (`mkv_host_sources`).
 *
 *     /sys /proc /dev ──┐
 *     asked: clock, io_uring, library, DCB ──┴──▶ checks, in the order of their table ──▶ rows
 *
 *   fail   memkv, or RDMA where it is there or wanted, will not work like this
 *   warn   it works less well than it could, or it cannot be told whether it does
 *
 * Invariants
 *  I1  Every check makes at least one row, but for those of RDMA ports where there are none:
 *      the row of rdma_device tells for all of them.
 *  I2  A row that is not PASS has a remedy.
 *  I3  Texts are printable UTF-8, whatever files hold.
 *  I4  Nothing is changed, no drive is opened, nothing is sent.
 *
 * Not responsible for: the way to another host (host_path.h), or what a node says of itself
 * (admin/doctor.h).
 */
#ifndef MKV_SERVER_HOST_CHECK_H
#define MKV_SERVER_HOST_CHECK_H

#include <jansson.h>

#include "admin/text.h"
#include "backends/dcb.h"
#include "backends/drive_facts.h"
#include "backends/rdma_facts.h"

/* RoCE traffic class that the configuration has by default: DSCP 26, whose priority is to be 3. */
#define MKV_HOST_TRAFFIC_CLASS 104u
#define MKV_HOST_PRIORITY 3u
/* memory.max_size by default. */
#define MKV_HOST_MEMORY_BYTES MKV_GIB
/* What RoCE v2 adds to its payload at most, as the kernel counts it: IP (of version 6), UDP, base
 * and extended transport headers, checksum. */
#define MKV_HOST_ROCE_HEADER_BYTES 96u
#define MKV_HOST_ROCE_MTU_MAX 4096u

enum mkv_host_word {
    MKV_HOST_PASS = 0,
    MKV_HOST_WARN,
    MKV_HOST_FAIL
};

#define MKV_HOST_SUBJECT_BYTES 96u
#define MKV_HOST_SEEN_BYTES 320u
#define MKV_HOST_REMEDY_BYTES 512u
#define MKV_HOST_ROWS_MAX 512u

struct mkv_host_row {
    const char *check; /* of mkv_host_check_names */
    enum mkv_host_word word;
    char subject[MKV_HOST_SUBJECT_BYTES]; /* "mlx5_0/1", "ens1f0np0"; "" for the host */
    char seen[MKV_HOST_SEEN_BYTES];
    char remedy[MKV_HOST_REMEDY_BYTES]; /* "" with PASS */
};

/* Rows beyond MKV_HOST_ROWS_MAX are left out. All zeroes is an empty one. */
struct mkv_host_report {
    struct mkv_host_row rows[MKV_HOST_ROWS_MAX];
    uint32_t count;
};

struct mkv_host_sources {
    struct mkv_drive_roots roots;
    /* Asked of the running system. */
    struct {
        bool is_known; /* else this process may not ask */
        bool is_synchronised;
        uint64_t error_us; /* the kernel's bound of its error */
    } clock;
    int ring_error;             /* 0: an io_uring can be made; else why not, an error number */
    bool is_built_without_rdma; /* this memkv, whatever the host has */
    struct {
        bool is_there;
        char problem[128];     /* why it is not */
        uint32_t device_count; /* that it opens */
        bool has_dmabuf;       /* ibv_reg_dmabuf_mr */
    } rdma_library;            /* libibverbs */
    /* What the driver of an interface says. False: nothing. */
    bool (*dcb)(void *context, const char *interface, struct mkv_dcb *dcb);
    void *context;
    /* What is wanted. */
    bool is_rdma_required;
    bool is_rdma_off;        /* the node does without: what there is of it is not looked at */
    uint32_t rdma_mtu_bytes; /* rdma.mtu; 0: what the port carries */
    uint32_t traffic_class;  /* rdma.traffic_class */
    uint64_t memory_bytes;   /* memory.max_size */
    uint32_t shards;         /* node.shards */
};

/* Those of the running system, with nothing wanted but what the defaults of the configuration are.
 * In a process with a seccomp filter, `is_guarded` asks for nothing that such filters kill for:
 * then the clock stays unknown. */
void mkv_host_sources_read(struct mkv_host_sources *sources, bool is_guarded);

/* Carries out all checks of the host. */
void mkv_host_check(const struct mkv_host_sources *sources, struct mkv_host_report *report);

/* The names of all checks, with path_mtu, which mkv_host_check does not do; closed by NULL. */
extern const char *const mkv_host_check_names[];

/* ---- rows ----------------------------------------------------------------------------------- */

/* Adds a row; `remedy` goes as it is. */
__attribute__((format(printf, 6, 7))) void mkv_host_row(struct mkv_host_report *report,
                                                        const char *check, const char *subject,
                                                        enum mkv_host_word word, const char *remedy,
                                                        const char *seen, ...);

/* "pass", "warn", "fail". */
const char *mkv_host_word_name(enum mkv_host_word word);
uint32_t mkv_host_count(const struct mkv_host_report *report, enum mkv_host_word word);

/* {"checks": [{"check", "on", "result", "seen", "remedy"}], "passed": N, "warned": N, "failed": N};
 * NULL: no memory. */
json_t *mkv_host_json(const struct mkv_host_report *report);
/* Such an object, of a node of another release also, as a table for people. */
void mkv_host_text(const json_t *host, struct mkv_text *out);

#endif
