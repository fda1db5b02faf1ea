/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks of host_check.h that are of the machine itself: kernel, limits, memory, clock,
 * processors, and where they are.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/table.h"
#include "backends/lane_ports.h"
#include "backends/memory_map.h"
#include "backends/ring_refusal.h"
#include "server/host_check_internal.h"
#include "server/setup_memory.h"

/* Rings need what came with 5.11 (a wait with a time), and are tested from 6.1 on. */
#define KERNEL_NEEDED 511u
#define KERNEL_TESTED 601u
/* network.connections_max by default, and the descriptors of a node besides. */
#define FILES_WANTED (16384u + 512u)
#define FILES_NEEDED 256u
#define CLOCK_ERROR_US_MAX 1000000u
#define CPUS_MAX 8192u
#define NODES_MAX 64u
/* Rings, queues and pieces beside the memory for blocks. */
#define MEMLOCK_OTHER_BYTES (64ull * 1024 * 1024)
/* CAP_IPC_LOCK, in CapEff. */
#define CAPABILITY_LOCK_BIT 14u

static const char lock_remedy[] =
    "LimitMEMLOCK=infinity in the unit; ulimit -l unlimited for a shell; docker run --ulimit "
    "memlock=-1. The limit here is of this process: see systemctl show -p LimitMEMLOCK memkv";

/* ---- kernel --------------------------------------------------------------------------------- */

void mkv_host_check_kernel(struct mkv_host *host) {
    char line[MKV_HOST_LINE_BYTES];
    unsigned major;
    unsigned minor;
    if (!mkv_host_line(host->sources->roots.proc, "sys/kernel/osrelease", line) ||
        sscanf(line, "%u.%u", &major, &minor) != 2) {
        mkv_host_row(host->report, "kernel", "", MKV_HOST_WARN,
                     "see uname -r: it is to be 6.1 or "
                     "later",
                     "the kernel does not tell its release");
        return;
    }
    const unsigned release = major * 100 + (minor > 99 ? 99 : minor);
    enum mkv_host_word word = MKV_HOST_PASS;
    if (release < KERNEL_TESTED) {
        word = release < KERNEL_NEEDED ? MKV_HOST_FAIL : MKV_HOST_WARN;
    }
    mkv_host_row(host->report, "kernel", "", word, "boot a kernel 6.1 or later", "Linux %s%s", line,
                 word == MKV_HOST_PASS   ? ""
                 : word == MKV_HOST_WARN ? ", older than any that memkv is tested with"
                                         : ", whose io_uring is too old for memkv");
}

static int64_t number_at(const struct mkv_host *host, const char *path, int64_t otherwise) {
    char line[MKV_HOST_LINE_BYTES];
    return mkv_host_line(host->sources->roots.proc, path, line) ? strtoll(line, NULL, 10)
                                                                : otherwise;
}

void mkv_host_check_io_uring(struct mkv_host *host) {
    char line[MKV_HOST_LINE_BYTES];
    struct mkv_ring_circumstances about = {
        .disabled = number_at(host, "sys/kernel/io_uring_disabled", -1),
        .group = number_at(host, "sys/kernel/io_uring_group", -1),
    };
    about.seccomp = mkv_host_line_of(host->sources->roots.proc, "self/status", "Seccomp:", line) &&
                    line[0] == '2';
    (void)mkv_host_limit(host, "Max locked memory", &about.memlock_bytes);
    (void)mkv_host_limit(host, "Max open files", &about.files_max);
    (void)mkv_host_line(host->sources->roots.proc, "sys/kernel/osrelease", line);
    snprintf(about.release, sizeof about.release, "%.60s", line);
    if (host->sources->ring_error != 0) {
        struct mkv_backend_error error;
        (void)mkv_ring_refusal(host->sources->ring_error, &about, &error);
        mkv_host_row(host->report, "io_uring", "", MKV_HOST_FAIL, error.text,
                     "the kernel refuses one: %s", strerror(host->sources->ring_error));
    } else if (about.disabled > 0) {
        mkv_host_row(host->report, "io_uring", "", MKV_HOST_WARN,
                     "sysctl -w kernel.io_uring_disabled=0, or see that the user memkv is allowed",
                     "this process may use it, but kernel.io_uring_disabled is %" PRId64
                     ": another user may not",
                     about.disabled);
    } else {
        mkv_host_row(host->report, "io_uring", "", MKV_HOST_PASS, "", "usable");
    }
}

/* ---- limits --------------------------------------------------------------------------------- */

static bool may_lock_all(const struct mkv_host *host) {
    char line[MKV_HOST_LINE_BYTES];
    return mkv_host_line_of(host->sources->roots.proc, "self/status", "CapEff:", line) &&
           (strtoull(line, NULL, 16) >> CAPABILITY_LOCK_BIT & 1) != 0;
}

/* Memory that a drive or a network card reads and writes is locked, and counts each time that it is
 * registered: with io_uring at most for each shard, at an RDMA port once, since each shard has its
 * part there (backends/lane_ports.h). */
static uint64_t memlock_needed(const struct mkv_host *host) {
    const bool has_more = host->port_count == 0 && host->sources->is_rdma_required;
    const uint64_t ports = host->port_count + (has_more ? 1 : 0);
    const uint64_t shards = host->sources->shards;
    return host->sources->memory_bytes * (shards + ports) +
           ports * shards * MKV_LANE_ROUNDS * MKV_LANE_PIECE_BYTES + MEMLOCK_OTHER_BYTES;
}

void mkv_host_check_memlock(struct mkv_host *host) {
    uint64_t limit;
    if (!mkv_host_limit(host, "Max locked memory", &limit)) {
        mkv_host_row(host->report, "memlock", "", MKV_HOST_WARN, lock_remedy,
                     "the kernel does not tell the limit");
        return;
    }
    char size[MKV_TABLE_SIZE_BYTES];
    char needed_size[MKV_TABLE_SIZE_BYTES];
    const uint64_t needed = memlock_needed(host);
    mkv_table_size(limit, size);
    mkv_table_size(needed, needed_size);
    if (limit == UINT64_MAX) {
        mkv_host_row(host->report, "memlock", "", MKV_HOST_PASS, "", "unlimited");
    } else if (may_lock_all(host)) {
        mkv_host_row(host->report, "memlock", "", MKV_HOST_PASS, "",
                     "this process may lock %s, and more, since it has CAP_IPC_LOCK", size);
    } else if (limit >= needed) {
        mkv_host_row(host->report, "memlock", "", MKV_HOST_PASS, "",
                     "this process may lock %s, and about %s are needed", size, needed_size);
    } else {
        char memory[MKV_TABLE_SIZE_BYTES];
        mkv_table_size(host->sources->memory_bytes, memory);
        mkv_host_row(host->report, "memlock", "",
                     host->port_count > 0 || host->sources->is_rdma_required ? MKV_HOST_FAIL
                                                                             : MKV_HOST_WARN,
                     lock_remedy,
                     "this process may lock %s, and about %s are needed: memory.max_size, here %s, "
                     "for io_uring in each shard, here %" PRIu32 ", and for each RDMA port",
                     size, needed_size, memory, host->sources->shards);
    }
}

void mkv_host_check_files(struct mkv_host *host) {
    uint64_t limit;
    const bool is_known = mkv_host_limit(host, "Max open files", &limit);
    enum mkv_host_word word = MKV_HOST_PASS;
    if (limit < FILES_WANTED) {
        word = is_known && limit < FILES_NEEDED ? MKV_HOST_FAIL : MKV_HOST_WARN;
    }
    static const char remedy[] = "LimitNOFILE=20000 in the unit, ulimit -n 20000 for a shell, or a "
                                 "lower network.connections_max";
    if (is_known) {
        mkv_host_row(host->report, "files", "", word, remedy,
                     "this process may have %" PRIu64 " files and connections open", limit);
    } else {
        mkv_host_row(host->report, "files", "", MKV_HOST_WARN, remedy,
                     "the kernel does not tell the limit");
    }
}

/* ---- memory --------------------------------------------------------------------------------- */

/* Memory of 0 where the kernel does not tell; huge pages as it tells all the same. */
static void read_machine(const struct mkv_host *host, struct mkv_setup_machine *machine) {
    if (!mkv_setup_machine_read(&host->sources->roots, machine)) {
        machine->memory_bytes = 0;
    }
}

void mkv_host_check_hugepages(struct mkv_host *host) {
    struct mkv_setup_machine machine;
    char line[MKV_HOST_LINE_BYTES];
    char remedy[MKV_HOST_REMEDY_BYTES];
    read_machine(host, &machine);
    const uint64_t half = machine.memory_bytes / 2 / MKV_HUGEPAGE_BYTES;
    snprintf(remedy, sizeof remedy,
             "sysctl -w vm.nr_hugepages=N, N being memory.max_size / 2 MiB (%" PRIu64
             " for half of this machine), and the same in /etc/sysctl.d; or leave "
             "memory.hugepages: auto, which takes normal pages",
             half);
    if (!machine.has_hugepages) {
        mkv_host_row(host->report, "hugepages", "", MKV_HOST_WARN,
                     "leave memory.hugepages: auto; normal pages serve, with more work of the "
                     "processor",
                     "this kernel has no pages of 2 MiB to reserve");
        return;
    }
    (void)mkv_host_line(host->sources->roots.sys,
                        "kernel/mm/hugepages/hugepages-2048kB/free_hugepages", line);
    mkv_host_row(host->report, "hugepages", "",
                 machine.hugepages == 0 ? MKV_HOST_WARN : MKV_HOST_PASS, remedy,
                 "%" PRIu64 " pages of 2 MiB are reserved, %s of them free", machine.hugepages,
                 line[0] == '\0' ? "an unknown number" : line);
}

/* The word in brackets: "always [madvise] never". */
static void chosen_of(const char *line, char out[MKV_HOST_LINE_BYTES]) {
    const char *begin = strchr(line, '[');
    const size_t bytes = begin == NULL ? 0 : strcspn(begin + 1, "]");
    snprintf(out, MKV_HOST_LINE_BYTES, "%.*s", (int)bytes, begin == NULL ? "" : begin + 1);
}

void mkv_host_check_transparent(struct mkv_host *host) {
    static const char folder[] = "kernel/mm/transparent_hugepage/";
    struct mkv_setup_machine machine;
    char line[MKV_HOST_LINE_BYTES];
    char enabled[MKV_HOST_LINE_BYTES];
    char defrag[MKV_HOST_LINE_BYTES];
    char path[MKV_HOST_LINE_BYTES];
    read_machine(host, &machine);
    snprintf(path, sizeof path, "%senabled", folder);
    (void)mkv_host_line(host->sources->roots.sys, path, line);
    chosen_of(line, enabled);
    snprintf(path, sizeof path, "%sdefrag", folder);
    (void)mkv_host_line(host->sources->roots.sys, path, line);
    chosen_of(line, defrag);
    const bool is_off = enabled[0] == '\0' || strcmp(enabled, "never") == 0;
    if (is_off && machine.hugepages == 0) {
        mkv_host_row(host->report, "transparent", "", MKV_HOST_WARN,
                     "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled, or reserve huge "
                     "pages (check hugepages)",
                     "transparent huge pages are %s, and none are reserved: memory is in pages of "
                     "4 KiB",
                     enabled[0] == '\0' ? "not known to this kernel" : "off");
    } else if (strcmp(defrag, "always") == 0) {
        mkv_host_row(host->report, "transparent", "", MKV_HOST_WARN,
                     "echo madvise >/sys/kernel/mm/transparent_hugepage/defrag",
                     "%s, and defrag is always: a process that wants memory may wait while pages "
                     "are moved",
                     enabled[0] == '\0' ? "unknown" : enabled);
    } else {
        mkv_host_row(host->report, "transparent", "", MKV_HOST_PASS, "", "%s%s%s",
                     is_off ? "off; huge pages are reserved" : enabled,
                     defrag[0] == '\0' ? "" : ", defrag ", defrag);
    }
}

/* ---- clock ---------------------------------------------------------------------------------- */

void mkv_host_check_clock(struct mkv_host *host) {
    static const char remedy[] = "run chrony or systemd-timesyncd (timedatectl set-ntp true); see "
                                 "timedatectl. Expiry across restarts, keys' not_after, "
                                 "certificates and traces go by this clock";
    if (!host->sources->clock.is_known) {
        mkv_host_row(host->report, "clock", "", MKV_HOST_WARN,
                     "timedatectl says whether it is synchronised",
                     "this process may not ask for its state");
        return;
    }
    const double seconds = (double)host->sources->clock.error_us / 1e6;
    const bool is_near = host->sources->clock.error_us <= CLOCK_ERROR_US_MAX;
    if (!host->sources->clock.is_synchronised) {
        mkv_host_row(host->report, "clock", "", MKV_HOST_WARN, remedy,
                     "nothing synchronises the clock");
    } else {
        mkv_host_row(host->report, "clock", "", is_near ? MKV_HOST_PASS : MKV_HOST_WARN, remedy,
                     "synchronised, to %.3f s at worst", seconds);
    }
}

void mkv_host_check_clock_source(struct mkv_host *host) {
    static const char *const slow[] = {"hpet", "acpi_pm", "jiffies", "pit"};
    char line[MKV_HOST_LINE_BYTES];
    bool is_slow =
        !mkv_host_line(host->sources->roots.sys,
                       "devices/system/clocksource/clocksource0/current_clocksource", line);
    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
        is_slow = is_slow || strcmp(line, slow[i]) == 0;
    }
    mkv_host_row(host->report, "clocksource", "", is_slow ? MKV_HOST_WARN : MKV_HOST_PASS,
                 "see dmesg for why tsc was given up; boot with clocksource=tsc tsc=reliable where "
                 "the machine keeps it",
                 "%s%s", line[0] == '\0' ? "not told" : line,
                 is_slow && line[0] != '\0' ? ", which is slow to read, and read at each request"
                                            : "");
}

/* ---- processors ----------------------------------------------------------------------------- */

void mkv_host_check_governor(struct mkv_host *host) {
    char line[MKV_HOST_LINE_BYTES];
    char other[MKV_HOST_LINE_BYTES] = "";
    char path[MKV_HOST_LINE_BYTES];
    uint32_t governed = 0;
    uint32_t others = 0;
    for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++) {
        snprintf(path, sizeof path, "devices/system/cpu/cpu%u/cpufreq/scaling_governor", cpu);
        if (mkv_host_line(host->sources->roots.sys, path, line)) {
            governed++;
            if (strcmp(line, "performance") != 0) {
                others++;
                snprintf(other, sizeof other, "%s", line);
            }
        } else if (cpu > governed + NODES_MAX) {
            break; /* processors may be offline, but not that many in a row */
        }
    }
    if (governed == 0) {
        mkv_host_row(host->report, "governor", "", MKV_HOST_PASS, "",
                     "the kernel does not steer frequencies here (a virtual machine, or firmware)");
    } else if (others == 0) {
        mkv_host_row(host->report, "governor", "", MKV_HOST_PASS, "",
                     "performance on %" PRIu32 " processors", governed);
    } else {
        mkv_host_row(host->report, "governor", "", MKV_HOST_WARN,
                     "cpupower frequency-set -g performance, or a tuned profile that does it",
                     "%s on %" PRIu32 " of %" PRIu32 " processors: waking up takes longer", other,
                     others, governed);
    }
}

/* Whether this process may run on a processor of the node; true when it cannot be told. */
static bool has_core_on(const struct mkv_host *host, int32_t node) {
    char path[MKV_HOST_LINE_BYTES];
    char cpus[MKV_HOST_LINE_BYTES];
    char allowed[MKV_HOST_LINE_BYTES];
    snprintf(path, sizeof path, "devices/system/node/node%d/cpulist", node);
    if (!mkv_host_line(host->sources->roots.sys, path, cpus) ||
        !mkv_host_line_of(host->sources->roots.proc, "self/status",
                          "Cpus_allowed_list:", allowed)) {
        return true;
    }
    for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++) {
        if (mkv_host_list_has(cpus, cpu) && mkv_host_list_has(allowed, cpu)) {
            return true;
        }
    }
    return false;
}

/* Drives that are known to be on another node: "nvme0n1 (0), …". Returns their count. */
static uint32_t drives_elsewhere(const struct mkv_host *host, int32_t node,
                                 char out[MKV_HOST_LINE_BYTES]) {
    static const uint32_t shown_max = 6;
    struct mkv_drive_name *names = calloc(MKV_DRIVE_LIST_MAX, sizeof *names);
    uint32_t count = 0;
    size_t used = 0;
    out[0] = '\0';
    const uint32_t drives =
        names == NULL ? 0 : mkv_drive_list(&host->sources->roots, names, MKV_DRIVE_LIST_MAX);
    for (uint32_t i = 0; i < drives; i++) {
        struct mkv_drive_facts facts;
        if (!mkv_drive_facts_read_name(&host->sources->roots, names[i].text, &facts) ||
            facts.numa_node < 0 || facts.numa_node == node) {
            continue;
        }
        count++;
        if (count <= shown_max && used + 1 < MKV_HOST_LINE_BYTES) {
            used += (size_t)snprintf(out + used, MKV_HOST_LINE_BYTES - used, "%s%s (%d)",
                                     count == 1 ? "" : ", ", names[i].text, facts.numa_node);
        }
    }
    free(names);
    return count;
}

static void check_numa_of(struct mkv_host *host, const struct mkv_rdma_port *port) {
    static const char remedy[] =
        "keep a network card, its drives and the shards that use them on one node: move the card "
        "or the drives to slots of it, or run a memkv for each node (NUMAPolicy=, CPUAffinity= in "
        "the unit)";
    char elsewhere[MKV_HOST_LINE_BYTES];
    if (port->numa_node < 0) {
        mkv_host_row(host->report, "numa", port->device, MKV_HOST_PASS, "",
                     "the device is of no node");
    } else if (!has_core_on(host, port->numa_node)) {
        mkv_host_row(host->report, "numa", port->device, MKV_HOST_WARN, remedy,
                     "the device is on node %d, and this process may run on none of its processors",
                     port->numa_node);
    } else if (drives_elsewhere(host, port->numa_node, elsewhere) > 0) {
        mkv_host_row(host->report, "numa", port->device, MKV_HOST_WARN, remedy,
                     "the device is on node %d, drives are elsewhere: %s", port->numa_node,
                     elsewhere);
    } else {
        mkv_host_row(host->report, "numa", port->device, MKV_HOST_PASS, "",
                     "device, drives and processors are on node %d", port->numa_node);
    }
}

void mkv_host_check_numa(struct mkv_host *host) {
    char line[MKV_HOST_LINE_BYTES];
    uint32_t nodes = 0;
    (void)mkv_host_line(host->sources->roots.sys, "devices/system/node/online", line);
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        nodes += mkv_host_list_has(line, node) ? 1 : 0;
    }
    if (nodes <= 1) {
        mkv_host_row(host->report, "numa", "", MKV_HOST_PASS, "", "the machine has one node");
        return;
    }
    for (uint32_t i = 0; i < host->port_count; i++) {
        if (i == 0 || strcmp(host->ports[i].device, host->ports[i - 1].device) != 0) {
            check_numa_of(host, &host->ports[i]);
        }
    }
    if (host->port_count == 0) {
        mkv_host_row(host->report, "numa", "", MKV_HOST_PASS, "",
                     "%" PRIu32 " nodes, and no RDMA device that should be near its drives", nodes);
    }
}
