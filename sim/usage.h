/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of memkv-sim share where they read their command lines.
 *
 * Not responsible for: what there is to say on them (command.c, and the commands of their own).
 */
#ifndef MKV_SIM_USAGE_H
#define MKV_SIM_USAGE_H

#include "core/base.h"

/* Exit statuses; command.h says what they mean. */
#define EXIT_PASSED 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2

/* Says on the standard error what is wrong with the command line. Returns EXIT_USAGE. */
__attribute__((format(printf, 1, 2))) int mkv_usage_error(const char *format, ...);

/* A whole number of the range, decimal, or hexadecimal behind 0x; false where `text` is none. */
bool mkv_usage_number(const char *text, uint64_t low, uint64_t high, uint64_t *value);

#endif
