/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether full-size packets reach another host unbroken: UDP packets that no router may fragment
 * (IP_PMTUDISC_PROBE), of the sizes that RoCE sends. `memkv doctor --answer` on the other host
 * sends each back in the same size, so both directions are tested; without it the other kernel's
 * refusal (ICMP port unreachable, which quotes the packet) tells that this direction carries it.
 *
 *   small packet ── no sign ──▶ nothing is known: warn
 *        │ arrives
 *   full size (the interface's MTU) ── arrives ──▶ pass
 *        │ no sign
 *   what RoCE needs ── arrives ──▶ warn      no sign ──▶ fail, with the largest that arrives
 *
 *   packet  0 8 magic of a question or an answer | 8 8 number | then zeroes
 *
 * Invariants
 *  I1  A sign counts for the packet that it names by its number, never for another one.
 *  I2  An answer is of the size of its question and is no question, so that nothing is amplified,
 *      and two that answer never talk to each other.
 *  I3  A check takes MKV_HOST_PATH_SECONDS_MAX at most.
 *
 * Not responsible for: how fast the way is (memkv bench, ib_write_bw), or priorities on it.
 */
#ifndef MKV_SERVER_HOST_PATH_H
#define MKV_SERVER_HOST_PATH_H

#include <signal.h>

#include "server/host_check.h"

#define MKV_HOST_PATH_PORT 9909u
#define MKV_HOST_PATH_SECONDS_MAX 30u
#define MKV_HOST_PATH_PROBLEM_BYTES 192u
/* The largest that is tried: jumbo frames, above which RoCE uses nothing. */
#define MKV_HOST_PATH_BYTES_MAX 9000u

/* Adds the row path_mtu. `peer` is "HOST", "HOST:PORT" or "[IPV6]:PORT". */
void mkv_host_path_check(const char *peer, struct mkv_host_report *report);

/* A socket that answers at "PORT", "HOST:PORT" or "[IPV6]:PORT", of all addresses without a host;
 * port 0: any. -1: `problem` says why not. */
int mkv_host_path_listen(const char *listen, char problem[MKV_HOST_PATH_PROBLEM_BYTES]);
/* Answers until so many seconds have passed (0: for ever) or *stop is set by a signal's handler.
 * Questions above `bytes_max` bytes, headers included, stay without an answer, as on a way that
 * does not carry them; UINT32_MAX answers all. Returns how many it has answered. */
uint64_t mkv_host_path_answer(int fd, uint32_t seconds, uint32_t bytes_max,
                              const volatile sig_atomic_t *stop);

#endif
