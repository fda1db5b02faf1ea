/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles of the running daemon, by the paths and in the formats of gperftools, for google-pprof:
 *
 *   /debug/pprof/profile?seconds=30   where CPU time goes, sampled 100 times a second of it
 *   /debug/pprof/heap                 who holds memory of malloc, since a start with --heap-profile
 *   /debug/pprof/symbol               names for addresses (POST 0x…+0x…)
 *   /debug/pprof/cmdline              the command line
 *
 * The CPU profiler is loaded when it is first asked for; the daemon is not linked with it, and pays
 * nothing for it until then.
 *
 * Invariants
 *  I1  One CPU profile is taken at a time, for MKV_PROFILE_SECONDS_MAX at most; the listener serves
 *      others meanwhile.
 *  I2  Only peers of this machine get one, unless the configuration says otherwise: a profile slows
 *      the node down a little, and tells what it does.
 *
 * Not responsible for: who is an operator (routes.h), and loading the heap profiler, which has to
 * be there before the first allocation (server/heap_profile.h).
 */
#ifndef MKV_ADMIN_PROFILE_H
#define MKV_ADMIN_PROFILE_H

#include "admin/request.h"

#define MKV_PROFILE_SECONDS_DEFAULT 30u
#define MKV_PROFILE_SECONDS_MAX 300u

mkv_admin_handler mkv_endpoint_profile;
mkv_admin_handler mkv_endpoint_heap;
mkv_admin_handler mkv_endpoint_symbol;
mkv_admin_handler mkv_endpoint_cmdline;

/* Whether a peer asks from this machine: over the Unix socket, or from a loopback address. */
bool mkv_profile_peer_is_local(const struct mkv_admin_peer *peer);

#endif
