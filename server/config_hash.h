/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A short text that two configurations share when every key has the same value in both, wherever
 * the value came from: for memkv_config_info, which shows nodes that should be alike and are not.
 *
 * Invariants
 *  I1  node.id does not count: it is to differ.
 *  I2  The text tells nothing about a value: it is a hash of 64 bits of all of them.
 *
 * Not responsible for: files; two files that say the same in other words have one hash.
 */
#ifndef MKV_SERVER_CONFIG_HASH_H
#define MKV_SERVER_CONFIG_HASH_H

#include "server/config.h"

/* 16 digits and the closing NUL. */
#define MKV_CONFIG_HASH_BYTES 17u

void mkv_config_hash(const struct mkv_config *config, char out[MKV_CONFIG_HASH_BYTES]);

#endif
