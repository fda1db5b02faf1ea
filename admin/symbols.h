/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of functions by address, for profiles that are looked at where the program is not.
 * Those of the program itself, static ones too, come from its symbol table; those of libraries from
 * the dynamic loader, which knows what they export.
 *
 * Invariants
 *  I1  A name is given only for an address inside of the function, where its size is known.
 *
 * Not responsible for: source lines, and names in a library that is gone.
 */
#ifndef MKV_ADMIN_SYMBOLS_H
#define MKV_ADMIN_SYMBOLS_H

#include "core/base.h"

struct mkv_symbols;

/* Reads the program's table; NULL when there is no memory or the program cannot be read. */
struct mkv_symbols *mkv_symbols_open(void);
void mkv_symbols_close(struct mkv_symbols *symbols);

/* Functions of the program that have a name: 0 when it was stripped. */
size_t mkv_symbols_count(const struct mkv_symbols *symbols);

/* The function at an address of this process, or NULL. Good until the close. */
const char *mkv_symbols_find(const struct mkv_symbols *symbols, uintptr_t address);

#endif
