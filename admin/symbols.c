/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/symbols.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct function {
    uint64_t offset; /* from where the program is loaded */
    uint64_t bytes;
    const char *name; /* in the image */
};

struct mkv_symbols {
    const uint8_t *image; /* the program's file */
    size_t image_bytes;
    uintptr_t base; /* where it is loaded */
    size_t count;
    struct function *functions; /* by offset */
};

/* The loader tells of the program first. */
static int first_object(struct dl_phdr_info *info, size_t bytes, void *context) {
    (void)bytes;
    *(uintptr_t *)context = info->dlpi_addr;
    return 1;
}

static const uint8_t *map_program(size_t *bytes) {
    const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    struct stat status;
    void *image = MAP_FAILED;
    if (fstat(fd, &status) == 0 && status.st_size >= (off_t)sizeof(Elf64_Ehdr)) {
        *bytes = (size_t)status.st_size;
        image = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    close(fd);
    return image == MAP_FAILED ? NULL : image;
}

static bool is_inside(const struct mkv_symbols *symbols, uint64_t offset, uint64_t bytes) {
    return offset <= symbols->image_bytes && bytes <= symbols->image_bytes - offset;
}

/* Finds the full table of symbols, or else the dynamic one, and the names that it refers to. */
static bool find_table(const struct mkv_symbols *symbols, Elf64_Shdr *table, Elf64_Shdr *names) {
    Elf64_Ehdr header;
    memcpy(&header, symbols->image, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_shentsize != sizeof(Elf64_Shdr) ||
        !is_inside(symbols, header.e_shoff, (uint64_t)header.e_shnum * sizeof(Elf64_Shdr))) {
        return false;
    }
    const uint8_t *sections = symbols->image + header.e_shoff;
    static const uint32_t kinds[] = {SHT_SYMTAB, SHT_DYNSYM};
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        for (uint32_t index = 0; index < header.e_shnum; index++) {
            memcpy(table, sections + index * sizeof *table, sizeof *table);
            if (table->sh_type == kinds[kind] && table->sh_link < header.e_shnum) {
                memcpy(names, sections + table->sh_link * sizeof *names, sizeof *names);
                return is_inside(symbols, table->sh_offset, table->sh_size) &&
                       is_inside(symbols, names->sh_offset, names->sh_size) && names->sh_size > 0 &&
                       symbols->image[names->sh_offset + names->sh_size - 1] == '\0';
            }
        }
    }
    return false;
}

static int compare(const void *a, const void *b) {
    const struct function *left = a;
    const struct function *right = b;
    return (left->offset > right->offset) - (left->offset < right->offset);
}

/* False when there is no memory; a program without a table has no functions. */
static bool read_table(struct mkv_symbols *symbols) {
    Elf64_Shdr table;
    Elf64_Shdr names;
    if (!find_table(symbols, &table, &names)) {
        return true;
    }
    const size_t entries = table.sh_size / sizeof(Elf64_Sym);
    symbols->functions = calloc(entries + 1, sizeof *symbols->functions);
    if (symbols->functions == NULL) {
        return false;
    }
    for (size_t index = 0; index < entries; index++) {
        Elf64_Sym entry;
        memcpy(&entry, symbols->image + table.sh_offset + index * sizeof entry, sizeof entry);
        if (ELF64_ST_TYPE(entry.st_info) == STT_FUNC && entry.st_value != 0 &&
            entry.st_name < names.sh_size) {
            symbols->functions[symbols->count++] = (struct function){
                .offset = entry.st_value,
                .bytes = entry.st_size,
                .name = (const char *)symbols->image + names.sh_offset + entry.st_name,
            };
        }
    }
    qsort(symbols->functions, symbols->count, sizeof *symbols->functions, compare);
    return true;
}

struct mkv_symbols *mkv_symbols_open(void) {
    struct mkv_symbols *symbols = calloc(1, sizeof *symbols);
    if (symbols == NULL) {
        return NULL;
    }
    symbols->image = map_program(&symbols->image_bytes);
    if (symbols->image == NULL || !read_table(symbols)) {
        mkv_symbols_close(symbols);
        return NULL;
    }
    (void)dl_iterate_phdr(first_object, &symbols->base);
    return symbols;
}

void mkv_symbols_close(struct mkv_symbols *symbols) {
    if (symbols != NULL) {
        if (symbols->image != NULL) {
            munmap((void *)(uintptr_t)symbols->image, symbols->image_bytes);
        }
        free(symbols->functions);
        free(symbols);
    }
}

size_t mkv_symbols_count(const struct mkv_symbols *symbols) {
    return symbols->count;
}

const char *mkv_symbols_find(const struct mkv_symbols *symbols, uintptr_t address) {
    const uint64_t offset = address - symbols->base;
    size_t low = 0;
    size_t high = symbols->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (symbols->functions[middle].offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    /* Behind the last function that begins at or before it. */
    if (low > 0) {
        const struct function *function = &symbols->functions[low - 1];
        if (offset - function->offset < function->bytes) {
            return function->name;
        }
    }
    Dl_info info;
    return dladdr((void *)address, &info) != 0 ? info.dli_sname : NULL; /* NOLINT */
}
