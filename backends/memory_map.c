/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/memory_map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define HUGEPAGE_DIRECTORY "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define CGROUP_ROOT "/sys/fs/cgroup"

/* ---- messages ------------------------------------------------------------------------------- */

/* "64GiB": the largest unit that divides the figure, so that nothing is rounded. */
static void format_bytes(uint64_t bytes, char out[32]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (unit + 1 < sizeof units / sizeof units[0] && bytes != 0 && bytes % MKV_KIB == 0) {
        bytes /= MKV_KIB;
        unit++;
    }
    snprintf(out, 32, "%" PRIu64 "%s", bytes, units[unit]);
}

bool mkv_memory_refuse_hugepages(const char *setting, uint64_t bytes, uint64_t hugepages_free,
                                 struct mkv_backend_error *error) {
    char size[32];
    format_bytes(bytes, size);
    uint64_t needed = (bytes + MKV_HUGEPAGE_BYTES - 1) / MKV_HUGEPAGE_BYTES;
    return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "%s %s needs %" PRIu64 " huge pages of 2 MiB, %" PRIu64
                              " are free. Run: sysctl -w vm.nr_hugepages=%" PRIu64
                              ", or set memory.hugepages: auto",
                              setting, size, needed, hugepages_free, needed);
}

bool mkv_memory_refuse_bytes(const char *setting, uint64_t bytes, uint64_t available_bytes,
                             struct mkv_backend_error *error) {
    char size[32];
    format_bytes(bytes, size);
    uint64_t available_mib = available_bytes / (1024u * 1024u);
    return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "%s %s is more memory than there is: %" PRIu64
                              "MiB are available here. Set %s below that",
                              setting, size, available_mib, setting);
}

/* ---- what the machine has ------------------------------------------------------------------- */

static uint64_t read_number(const char *path, uint64_t missing) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return missing;
    }
    uint64_t value = missing;
    if (fscanf(file, "%" SCNu64, &value) != 1) {
        value = missing; /* "max", for one */
    }
    fclose(file);
    return value;
}

/* Free huge pages that no mapping has reserved already. */
static uint64_t hugepages_free(void) {
    uint64_t free_count = read_number(HUGEPAGE_DIRECTORY "free_hugepages", 0);
    uint64_t reserved_count = read_number(HUGEPAGE_DIRECTORY "resv_hugepages", 0);
    return free_count > reserved_count ? free_count - reserved_count : 0;
}

static uint64_t machine_available_bytes(void) {
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL) {
        return UINT64_MAX;
    }
    uint64_t available = UINT64_MAX;
    char line[256];
    while (fgets(line, sizeof line, file) != NULL) {
        uint64_t kib;
        if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) == 1) {
            available = kib * MKV_KIB;
            break;
        }
    }
    fclose(file);
    return available;
}

/* What the control group of this process (version 2) may still take; containers are bounded so. */
static uint64_t cgroup_available_bytes(void) {
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL) {
        return UINT64_MAX;
    }
    char line[512];
    char group[512] = "";
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "0::%511s", group) == 1) {
            break;
        }
    }
    fclose(file);
    char path[640];
    snprintf(path, sizeof path, CGROUP_ROOT "%s/memory.max", group);
    uint64_t limit = read_number(path, UINT64_MAX);
    snprintf(path, sizeof path, CGROUP_ROOT "%s/memory.current", group);
    uint64_t used = read_number(path, 0);
    if (limit == UINT64_MAX) {
        return UINT64_MAX;
    }
    return limit > used ? limit - used : 0;
}

/* ---- mapping -------------------------------------------------------------------------------- */

/* Gives every page of a new mapping its memory now (I1). Returns 0 or an error number. */
static int populate(uint8_t *base, uint64_t bytes, uint64_t page_bytes) {
    if (madvise(base, bytes, MADV_POPULATE_WRITE) == 0) {
        return 0;
    }
    if (errno != EINVAL) {
        return errno;
    }
    /* Kernels before 5.14 do not know the advice. */
    for (uint64_t offset = 0; offset < bytes; offset += page_bytes) {
        *(volatile uint8_t *)(base + offset) = 0;
    }
    return 0;
}

/* Returns 0 and fills in base and bytes, or an error number. */
static int map_pages(uint64_t bytes, uint64_t page_bytes, bool huge_if_possible, int flags,
                     struct mkv_memory_map *map) {
    uint64_t mapped_bytes = mkv_round_up_u64(bytes, page_bytes);
    void *base = mmap(NULL, mapped_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (base == MAP_FAILED) {
        return errno;
    }
    if (huge_if_possible) {
        /* Transparent huge pages cost nothing to ask for; where they are off nothing changes. */
        (void)madvise(base, mapped_bytes, MADV_HUGEPAGE);
    }
    int error_number = populate(base, mapped_bytes, page_bytes);
    if (error_number != 0) {
        munmap(base, mapped_bytes);
        return error_number;
    }
    map->base = base;
    map->bytes = mapped_bytes;
    return 0;
}

bool mkv_memory_map(uint64_t bytes, enum mkv_hugepages hugepages, const char *setting,
                    struct mkv_memory_map *map, struct mkv_backend_error *error) {
    MKV_ASSERT(bytes > 0);
    *map = (struct mkv_memory_map){0};
    if (hugepages != MKV_HUGEPAGES_OFF) {
        map->hugepages_needed = mkv_divide_up_u64(bytes, MKV_HUGEPAGE_BYTES);
        map->hugepages_free = hugepages_free();
        /* Another process may take them between the look and the mapping, so both can refuse. */
        if (map->hugepages_free >= map->hugepages_needed &&
            map_pages(bytes, MKV_HUGEPAGE_BYTES, false, MAP_HUGETLB | MAP_HUGE_2MB, map) == 0) {
            map->huge = true;
            return true;
        }
        if (hugepages == MKV_HUGEPAGES_REQUIRE) {
            return mkv_memory_refuse_hugepages(setting, bytes, map->hugepages_free, error);
        }
    }
    /* Touching more than there is would have the kernel kill this process, or another one. */
    uint64_t available = mkv_min_u64(machine_available_bytes(), cgroup_available_bytes());
    if (bytes > available) {
        return mkv_memory_refuse_bytes(setting, bytes, available, error);
    }
    int error_number = map_pages(bytes, MKV_UNIT_BYTES, hugepages == MKV_HUGEPAGES_AUTO, 0, map);
    if (error_number != 0) {
        char size[32];
        format_bytes(bytes, size);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "%s %s cannot be mapped: %s. Set %s lower, or raise the limit of "
                                  "this process (ulimit -v, MemoryMax of the unit)",
                                  setting, size, strerror(error_number), setting);
    }
    return true;
}

void mkv_memory_unmap(struct mkv_memory_map *map) {
    if (map->base != NULL) {
        int result = munmap(map->base, map->bytes);
        MKV_ASSERT(result == 0);
    }
    *map = (struct mkv_memory_map){0};
}
