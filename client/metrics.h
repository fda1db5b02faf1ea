/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the clients of a process do, for Prometheus: with MEMKV_PROMETHEUS_BIND=HOST:PORT the first
 * memkv_open of the process begins to serve /metrics there, on a thread of its own. Without the
 * variable nothing is counted: a client then has no metrics to count in, and asks for nothing else.
 *
 *   memkv_client_call_duration_seconds{op}   histogram: of a call, from its begin to its completion
 *   memkv_client_call_items{op}              histogram: items of a call
 *   memkv_client_items_total{op,status}      counter
 *   memkv_client_value_bytes_total{op}       counter: of values that were put and got
 *   memkv_client_connections                 gauge: greeted
 *   memkv_client_connects_total{result}      counter: ok, failed
 *   memkv_client_disconnects_total           counter: of greeted ones that broke
 *   memkv_client_rdma_connections            gauge: of them, those that have a lane
 *   memkv_client_rdma_servers_on_tcp         gauge: that are reached over TCP since RDMA failed
 *   memkv_client_rdma_fallbacks_total{reason}   counter: servers that came to be
 *   memkv_client_rdma_retries_total{result}  counter: RDMA tried again: ok, failed
 *   memkv_client_rdma_value_bytes_total{memory}  counter: of values that a server wrote or read by
 *                                            itself: registered, cached, call, bounced
 *   memkv_client_rdma_registrations_total{result}  counter: of memory: ok, failed
 *   memkv_client_servers                     gauge: of the lists of all clients
 *   memkv_client_server_list_changes_total   counter: lists that were taken
 *   memkv_client_discovery_reads_total{result}  counter: ok, failed
 *   memkv_client_discovery_failing           gauge: clients whose list could not be read last
 *
 * The op of a call with items of several is "mixed".
 *
 * Invariants
 *  I1  Counters are relaxed atomics: clients of several threads count without waiting.
 *  I2  What is served is begun once in a process, and lives as long as it.
 *
 * Not responsible for: who may ask; the address decides that.
 */
#ifndef MKV_CLIENT_METRICS_H
#define MKV_CLIENT_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "client/memkv.h"

struct mkv_call;
struct mkv_metrics;

/* Room for the whole text. */
#define MKV_METRICS_TEXT_BYTES (128u * 1024u)

/* The process's, which begins with the first call; *metrics is NULL without the variable, or when
 * the address cannot be listened on, which is said on standard error once. MEMKV_INVALID when the
 * variable is no address. */
enum memkv_status mkv_metrics_open(struct mkv_metrics **metrics, struct memkv_error *error);

void mkv_metrics_call(struct mkv_metrics *metrics, const struct mkv_call *call);
void mkv_metrics_connected(struct mkv_metrics *metrics, _Bool has_lane);
void mkv_metrics_connect_failed(struct mkv_metrics *metrics);
void mkv_metrics_disconnected(struct mkv_metrics *metrics, _Bool had_lane);
/* A server has no RDMA, for a reason as in HELLO; `is_first`: it has had until now. */
void mkv_metrics_rdma_failed(struct mkv_metrics *metrics, uint32_t fallback, _Bool is_first);
/* One that had none has it again. */
void mkv_metrics_rdma_recovered(struct mkv_metrics *metrics);
/* One that has none is none of the client's any more. */
void mkv_metrics_rdma_forgotten(struct mkv_metrics *metrics);
/* Bytes of a value, in memory of enum mkv_rdma_kind. */
void mkv_metrics_rdma_moved(struct mkv_metrics *metrics, uint32_t kind, uint64_t bytes);
void mkv_metrics_rdma_registered(struct mkv_metrics *metrics, _Bool is_done);
/* A client has taken a list of so many servers, and had one of so many before. */
void mkv_metrics_servers(struct mkv_metrics *metrics, uint32_t before, uint32_t count);
/* A list was read, or could not be; and so the time before. By a discovery's thread. */
void mkv_metrics_discovery(struct mkv_metrics *metrics, _Bool was_failing, _Bool is_failing);
/* A discovery has ended. */
void mkv_metrics_discovery_end(struct mkv_metrics *metrics, _Bool was_failing);

/* The exposition, format 0.0.4, with its NUL. Returns its bytes. */
size_t mkv_metrics_text(struct mkv_metrics *metrics, char text[MKV_METRICS_TEXT_BYTES]);

/* What else is told behind them, by a program of this tree. */
#define MKV_METRICS_ALSO_BYTES (64u * 1024u)
struct mkv_metrics_also {
    /* On the thread that serves: writes exposition of the same format, without a NUL, and returns
     * its bytes. */
    size_t (*write)(void *context, char text[MKV_METRICS_ALSO_BYTES]);
    void *context;
};
/* From the next scrape on; `also` is not copied. NULL: nothing else, and no call is under way when
 * this returns. */
void mkv_metrics_also(struct mkv_metrics *metrics, const struct mkv_metrics_also *also);
/* Its text, and 0 where there is none. */
size_t mkv_metrics_also_text(struct mkv_metrics *metrics, char text[MKV_METRICS_ALSO_BYTES]);

/* metrics_http.c: serves them on a thread. False: *failure is an errno. */
_Bool mkv_metrics_serve(struct mkv_metrics *metrics, const char *host, const char *port,
                        int *failure);

#endif
