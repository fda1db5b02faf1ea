/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of host_check.h share.
 *
 * Not responsible for: anything that callers outside see.
 */
#ifndef MKV_SERVER_HOST_CHECK_INTERNAL_H
#define MKV_SERVER_HOST_CHECK_INTERNAL_H

#include "server/host_check.h"

#define MKV_HOST_LINE_BYTES 512u
#define MKV_HOST_PATH_BYTES 768u

struct mkv_host {
    const struct mkv_host_sources *sources;
    struct mkv_host_report *report;
    struct mkv_rdma_port ports[MKV_RDMA_PORTS_MAX];
    uint32_t port_count;
};

/* The first line of ROOT/PATH without blanks around it. False, and "", when there is none. */
bool mkv_host_line(const char *root, const char *path, char out[MKV_HOST_LINE_BYTES]);
/* The rest of the line of ROOT/PATH that begins with `begin`. False, and "", when there is none. */
bool mkv_host_line_of(const char *root, const char *path, const char *begin,
                      char out[MKV_HOST_LINE_BYTES]);
/* Whether a number is in a list as the kernel writes them: "0-3,8". */
bool mkv_host_list_has(const char *list, uint32_t number);
/* The hard limit of a line of /proc/self/limits; UINT64_MAX: none. False: it is not there. */
bool mkv_host_limit(const struct mkv_host *host, const char *name, uint64_t *limit);

/* Checks, each of which adds its rows. */
void mkv_host_check_kernel(struct mkv_host *host);
void mkv_host_check_io_uring(struct mkv_host *host);
void mkv_host_check_memlock(struct mkv_host *host);
void mkv_host_check_files(struct mkv_host *host);
void mkv_host_check_hugepages(struct mkv_host *host);
void mkv_host_check_transparent(struct mkv_host *host);
void mkv_host_check_clock(struct mkv_host *host);
void mkv_host_check_clock_source(struct mkv_host *host);
void mkv_host_check_governor(struct mkv_host *host);
void mkv_host_check_numa(struct mkv_host *host);
void mkv_host_check_library(struct mkv_host *host);
void mkv_host_check_device(struct mkv_host *host);
void mkv_host_check_access(struct mkv_host *host);
void mkv_host_check_port(struct mkv_host *host);
void mkv_host_check_mtu(struct mkv_host *host);
void mkv_host_check_gid(struct mkv_host *host);
/* pfc, dscp and ecn. */
void mkv_host_check_priorities(struct mkv_host *host);
void mkv_host_check_ecn(struct mkv_host *host);
void mkv_host_check_dmabuf(struct mkv_host *host);

#endif
