/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the test vectors that the documents print, so that a document and the code cannot differ.
 *
 * A vector is a fenced block whose info string is "hex NAME BYTES": lines of an offset of four hex
 * digits and up to sixteen bytes; every byte that no line holds is 0.
 *
 *     ```hex example 40
 *     0000  4d 45 4d 4b
 *     ```
 *
 * Not responsible for: the meaning of the bytes.
 */
#ifndef MKV_TESTS_UNIT_CORE_VECTORS_H
#define MKV_TESTS_UNIT_CORE_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Opens a file of the source tree by its path from the root; the test fails when it cannot. */
FILE *vectors_open(const char *path);

/* Loads the vector `name` of the document `path`, which must be byte_count bytes long. A missing
 * vector, a wrong length or a malformed line fails the test. */
void vectors_load(const char *path, const char *name, uint8_t *target, size_t byte_count);

/* Compares bytes with that vector; a difference fails the test and prints what the block should
 * hold, ready to be read against the tables. */
void vectors_check(const char *path, const char *name, const uint8_t *bytes, size_t byte_count);

/* Bytes of a hex text without spaces, into at most target_bytes; "-" is none. Malformed text fails
 * the test. Returns their count. */
size_t vectors_parse_hex(const char *text, uint8_t *target, size_t target_bytes);

#endif
