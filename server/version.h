/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which memkv this is, for --version, status and logs.
 *
 * Not responsible for: versions of the formats (core/superblock.h, wire/native.h).
 */
#ifndef MKV_SERVER_VERSION_H
#define MKV_SERVER_VERSION_H

/* "0.1.0". */
const char *mkv_version(void);
/* The commit that it was built from, "3fa9c02"; "unknown" when it was not built in a git tree. */
const char *mkv_version_commit(void);

#endif
