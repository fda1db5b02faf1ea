/* SPDX-License-Identifier: Apache-2.0 */
#include "server/setup_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/table.h"
#include "backends/memory_map.h"
#include "core/front.h"
#include "server/node_internal.h"

#define PATH_BYTES 640u
#define HUGEPAGE_DIRECTORY "kernel/mm/hugepages/hugepages-2048kB"
/* The arena holds no more (backends/arena.h). */
#define ARENA_BYTES_MAX (4096ull * MKV_GIB)
/* Sizes from here on are whole GiB, which people can read. */
#define ROUND_GIB_FROM (8ull * MKV_GIB)
/* network.connections_max and storage.sessions_max as they are by default. */
#define CONNECTIONS 16384u
#define SESSIONS 4096u

/* ---- the machine ---------------------------------------------------------------------------- */

static uint64_t read_number(const char *path, uint64_t otherwise) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return otherwise;
    }
    uint64_t value;
    const bool found = fscanf(file, "%" SCNu64, &value) == 1; /* "max" is none */
    fclose(file);
    return found ? value : otherwise;
}

/* The limit of the control group (version 2) that this process is in, or of one above it. */
static uint64_t cgroup_limit(const struct mkv_drive_roots *roots) {
    char path[PATH_BYTES];
    char line[512];
    char group[512] = "";
    snprintf(path, sizeof path, "%.500s/self/cgroup", roots->proc);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "0::%511s", group) == 1) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    uint64_t limit = UINT64_MAX;
    while (group[0] != '\0' && strcmp(group, "/") != 0) {
        snprintf(path, sizeof path, "%.100s/fs/cgroup%.500s/memory.max", roots->sys, group);
        limit = mkv_min_u64(limit, read_number(path, UINT64_MAX));
        *strrchr(group, '/') = '\0';
    }
    return limit;
}

bool mkv_setup_machine_read(const struct mkv_drive_roots *roots,
                            struct mkv_setup_machine *machine) {
    char path[PATH_BYTES];
    char line[256];
    *machine = (struct mkv_setup_machine){0};
    snprintf(path, sizeof path, "%.500s/meminfo", roots->proc);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        uint64_t kib;
        if (sscanf(line, "MemTotal: %" SCNu64 " kB", &kib) == 1) {
            machine->memory_bytes = kib * MKV_KIB;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    machine->memory_bytes = mkv_min_u64(machine->memory_bytes, cgroup_limit(roots));
    snprintf(path, sizeof path, "%.500s/" HUGEPAGE_DIRECTORY "/nr_hugepages", roots->sys);
    machine->has_hugepages = access(path, F_OK) == 0;
    machine->hugepages = read_number(path, 0);
    return machine->memory_bytes > 0;
}

/* ---- the size ------------------------------------------------------------------------------- */

uint64_t mkv_setup_index_bytes(const struct mkv_geometry *geometry, uint32_t drive_count,
                               uint64_t memory_bytes) {
    struct mkv_volume_config volume = {.capacity_units = geometry->capacity_units,
                                       .geometry = *geometry};
    mkv_node_volume_limits(memory_bytes, drive_count, &volume);
    volume.session_max = SESSIONS;
    return mkv_round_up_u64(mkv_volume_memory_required(&volume), MKV_UNIT_BYTES);
}

/* The front, with its index of the memory tier. */
static uint64_t front_bytes(uint32_t drive_count, uint64_t memory_bytes) {
    struct mkv_front_config front;
    const uint64_t units = memory_bytes / MKV_SLAB_UNIT_STRIDE_BYTES;
    mkv_node_front_limits(memory_bytes, drive_count,
                          (uint32_t)mkv_min_u64(units, MKV_SLAB_UNIT_COUNT_MAX), &front);
    front.connections_max = CONNECTIONS;
    return mkv_round_up_u64(mkv_front_memory_required(&front), MKV_UNIT_BYTES);
}

static uint64_t round_down(uint64_t bytes) {
    const uint64_t step = bytes >= ROUND_GIB_FROM ? MKV_GIB : MKV_HUGEPAGE_BYTES;
    return bytes / step * step;
}

static bool refuse(uint64_t needed_bytes, uint64_t index_bytes, uint32_t drive_count,
                   const struct mkv_setup_machine *machine, struct mkv_backend_error *error) {
    char needed[MKV_TABLE_SIZE_BYTES];
    char index[MKV_TABLE_SIZE_BYTES];
    char has[MKV_TABLE_SIZE_BYTES];
    mkv_table_size(needed_bytes, needed);
    mkv_table_size(index_bytes, index);
    mkv_table_size(machine->memory_bytes, has);
    return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "the index of %s takes %s, so the node needs a machine with %s of "
                              "memory, and this one has %s. Name fewer or smaller drives, or use a "
                              "larger machine",
                              drive_count == 1 ? "this drive" : "these drives", index, needed, has);
}

bool mkv_setup_memory_size(const struct mkv_geometry *geometries, uint32_t drive_count,
                           const struct mkv_setup_machine *machine, struct mkv_setup_memory *memory,
                           struct mkv_backend_error *error) {
    MKV_ASSERT(drive_count >= 1);
    const uint64_t half = mkv_min_u64(machine->memory_bytes / 2, ARENA_BYTES_MAX);
    uint64_t index_bytes = front_bytes(drive_count, half);
    for (uint32_t i = 0; i < drive_count; i++) {
        index_bytes += mkv_setup_index_bytes(&geometries[i], drive_count, half);
    }
    const uint64_t least =
        mkv_round_up_u64(index_bytes + MKV_SETUP_TIER_BYTES_MIN, MKV_HUGEPAGE_BYTES);
    if (least > machine->memory_bytes / 4 * 3) {
        return refuse(least / 3 * 4, index_bytes, drive_count, machine, error);
    }
    memory->max_size_bytes = mkv_max_u64(least, round_down(half));
    memory->index_bytes = index_bytes;
    return true;
}
