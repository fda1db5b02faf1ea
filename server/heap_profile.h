/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv start --heap-profile`: the process keeps account of every allocation of malloc from its
 * start, for /debug/pprof/heap (admin/profile.h). That takes another allocator, gperftools', which
 * has to be there before the first allocation; so the program starts itself once more, as the same
 * process, with that library loaded first.
 *
 * Invariants
 *  I1  It starts itself again once at most: a library that is not there then is an error.
 *  I2  What it set in the environment for that is gone behind it.
 *
 * Not responsible for: memory of the arena and of tables, which is mapped and not from malloc.
 */
#ifndef MKV_SERVER_HEAP_PROFILE_H
#define MKV_SERVER_HEAP_PROFILE_H

#include "server/config.h"

/* Starts the account, or the program anew; argv is that of `start`. Before any thread is made. */
__attribute__((warn_unused_result)) bool mkv_heap_profile_begin(int argc, char *const *argv,
                                                                struct mkv_config_error *error);

#endif
