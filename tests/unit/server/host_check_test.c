/* SPDX-License-Identifier: Apache-2.0 */
#include "server/host_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char directory[64];
    char paths[3][128];
    struct mkv_host_sources sources;
    struct mkv_host_report report;
    struct mkv_dcb dcb;
    bool has_dcb;
};

static bool tell_dcb(void *context, const char *interface, struct mkv_dcb *dcb) {
    const struct fixture *fixture = context;
    assert_string_equal(interface, "ens1");
    *dcb = fixture->dcb;
    return fixture->has_dcb;
}

/* Writes a file with the directories above it. */
static void put(const struct fixture *fixture, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, S_IRWXU);
        *slash = '/';
    }
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
}

#define IB "sys/class/infiniband/mlx5_0/"
#define PORT IB "ports/1/"
#define LIMITS "Limit                     Soft Limit           Hard Limit           Units     \n"
#define FILES "Max open files            1024                 524288               files     \n"
#define MEMLOCK "Max locked memory         unlimited            unlimited            bytes     \n"
#define STATUS "Name:\tmemkv\nCapEff:\t0000000000000000\nSeccomp:\t0\nCpus_allowed_list:\t0-3\n"

/* A machine with a card for RoCE where nothing is wrong. */
static const struct {
    const char *path;
    const char *text;
} machine_files[] = {
    {"proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"},
    {"proc/sys/kernel/io_uring_disabled", "0\n"},
    {"proc/self/limits", LIMITS FILES MEMLOCK},
    {"proc/self/status", STATUS},
    {"proc/meminfo", "MemTotal:       263921234 kB\n"},
    {"proc/self/mountinfo", ""},
    {"proc/swaps", "Filename\n"},
    {"sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "1024\n"},
    {"sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "1000\n"},
    {"sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"},
    {"sys/kernel/mm/transparent_hugepage/defrag", "always defer [madvise] never\n"},
    {"sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"},
    {"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"},
    {"sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"},
    {"sys/devices/system/node/online", "0-1\n"},
    {"sys/devices/system/node/node0/cpulist", "0-1\n"},
    {"sys/devices/system/node/node1/cpulist", "2-3\n"},
    {"sys/block/nvme0n1/size", "7501476528\n"},
    {"sys/block/nvme0n1/dev", "259:0\n"},
    {"sys/block/nvme0n1/device/numa_node", "1\n"},
    {"sys/block/nvme0n1/uevent", "DEVNAME=nvme0n1\n"},
    {IB "fw_ver", "22.35.1012\n"},
    {IB "device/numa_node", "1\n"},
    {PORT "state", "4: ACTIVE\n"},
    {PORT "link_layer", "Ethernet\n"},
    {PORT "rate", "200 Gb/sec (4X HDR)\n"},
    {PORT "gids/0", "fe80:0000:0000:0000:0ac0:ebff:fe12:3456\n"},
    {PORT "gid_attrs/types/0", "RoCE v2\n"},
    {PORT "gid_attrs/ndevs/0", "ens1\n"},
    {PORT "gids/1", "0000:0000:0000:0000:0000:ffff:0a00:0007\n"},
    {PORT "gid_attrs/types/1", "RoCE v2\n"},
    {PORT "gid_attrs/ndevs/1", "ens1\n"},
    {"sys/class/infiniband_verbs/uverbs0/ibdev", "mlx5_0\n"},
    {"dev/infiniband/uverbs0", ""},
    {"sys/class/net/ens1/mtu", "9000\n"},
    {"sys/class/net/ens1/ecn/roce_np/enable/3", "1\n"},
    {"sys/class/net/ens1/ecn/roce_rp/enable/3", "1\n"},
};

static void make_machine(struct fixture *fixture) {
    static const char *const names[] = {"sys", "proc", "dev"};
    snprintf(fixture->directory, sizeof fixture->directory, "/var/tmp/memkv-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    for (size_t i = 0; i < 3; i++) {
        snprintf(fixture->paths[i], sizeof fixture->paths[i], "%s/%s", fixture->directory,
                 names[i]);
    }
    for (size_t i = 0; i < sizeof machine_files / sizeof machine_files[0]; i++) {
        put(fixture, machine_files[i].path, machine_files[i].text);
    }
    char from[256];
    char to[256];
    snprintf(from, sizeof from, "%s/sys/dev/block", fixture->directory);
    snprintf(to, sizeof to, "%s/sys/dev", fixture->directory);
    assert_int_equal(mkdir(to, S_IRWXU), 0);
    assert_int_equal(mkdir(from, S_IRWXU), 0);
    snprintf(from, sizeof from, "%s/sys/dev/block/259:0", fixture->directory);
    assert_int_equal(symlink("../../block/nvme0n1", from), 0);
    fixture->has_dcb = true;
    fixture->dcb = (struct mkv_dcb){.has_pfc = true, .pfc_priorities = 1u << 3, .has_dscp = true};
    memset(fixture->dcb.priority_of_dscp, MKV_DCB_NO_PRIORITY, MKV_DCB_DSCP_COUNT);
    fixture->dcb.priority_of_dscp[26] = 3;
    fixture->sources = (struct mkv_host_sources){
        .roots = {fixture->paths[0], fixture->paths[1], fixture->paths[2]},
        .clock = {.is_known = true, .is_synchronised = true, .error_us = 1500},
        .rdma_library = {.is_there = true, .device_count = 1, .has_dmabuf = true},
        .dcb = tell_dcb,
        .context = fixture,
        .traffic_class = MKV_HOST_TRAFFIC_CLASS,
        .memory_bytes = MKV_HOST_MEMORY_BYTES,
        .shards = 1,
    };
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static void remove_machine(const struct fixture *fixture) {
    assert_int_equal(nftw(fixture->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    make_machine(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    remove_machine(fixture);
    free(fixture);
    return 0;
}

static void check(struct fixture *fixture) {
    memset(&fixture->report, 0, sizeof fixture->report);
    mkv_host_check(&fixture->sources, &fixture->report);
}

/* The row of a check, of which there is one. */
static const struct mkv_host_row *row_of(const struct fixture *fixture, const char *name) {
    const struct mkv_host_row *found = NULL;
    for (uint32_t i = 0; i < fixture->report.count; i++) {
        if (strcmp(fixture->report.rows[i].check, name) == 0) {
            assert_null(found);
            found = &fixture->report.rows[i];
        }
    }
    return found;
}

static void expect(const struct fixture *fixture, const char *name, enum mkv_host_word word,
                   const char *seen) {
    const struct mkv_host_row *row = row_of(fixture, name);
    assert_non_null(row);
    if (row->word != word || strstr(row->seen, seen) == NULL) {
        fail_msg("%s: %s, %s", name, mkv_host_word_name(row->word), row->seen);
    }
    assert_int_equal(row->remedy[0] == '\0', word == MKV_HOST_PASS);
}

static void test_check__nothing_wrong__all_pass_but_what_is_untested(void **state) {
    struct fixture *fixture = *state;
    check(fixture);
    for (const char *const *name = mkv_host_check_names; *name != NULL; name++) {
        if (strcmp(*name, "path_mtu") == 0) {
            assert_null(row_of(fixture, *name));
        } else if (strcmp(*name, "dma_buf") == 0) {
            expect(fixture, *name, MKV_HOST_WARN, "untested");
        } else {
            expect(fixture, *name, MKV_HOST_PASS, "");
        }
    }
    assert_string_equal(row_of(fixture, "rdma_port")->subject, "mlx5_0/1");
    assert_string_equal(row_of(fixture, "pfc")->subject, "ens1");
    assert_int_equal(mkv_host_count(&fixture->report, MKV_HOST_FAIL), 0);
}

/* One file that is otherwise, and what its check says then. NULL: the file is not there. */
struct breakage {
    const char *check;
    enum mkv_host_word word;
    const char *seen;
    const char *path;
    const char *text;
};

static const struct breakage breakages[] = {
    {"kernel", MKV_HOST_FAIL, "too old", "proc/sys/kernel/osrelease", "5.10.0-28-amd64\n"},
    {"kernel", MKV_HOST_FAIL, "too old", "proc/sys/kernel/osrelease", "4.18.0\n"},
    {"kernel", MKV_HOST_WARN, "older", "proc/sys/kernel/osrelease", "5.15.0\n"},
    {"kernel", MKV_HOST_WARN, "does not tell", "proc/sys/kernel/osrelease", NULL},
    {"io_uring", MKV_HOST_WARN, "io_uring_disabled is 1", "proc/sys/kernel/io_uring_disabled",
     "1\n"},
    {"memlock", MKV_HOST_FAIL, "8.00 MiB", "proc/self/limits",
     LIMITS FILES "Max locked memory         8388608              8388608              bytes \n"},
    {"memlock", MKV_HOST_WARN, "does not tell", "proc/self/limits", LIMITS FILES},
    {"files", MKV_HOST_WARN, "4096 files", "proc/self/limits",
     LIMITS MEMLOCK "Max open files            1024                 4096                 files \n"},
    {"files", MKV_HOST_FAIL, "64 files", "proc/self/limits",
     LIMITS MEMLOCK "Max open files            64                   64                   files \n"},
    {"files", MKV_HOST_WARN, "does not tell", "proc/self/limits", NULL},
    {"hugepages", MKV_HOST_WARN, "0 pages", "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
     "0\n"},
    {"hugepages", MKV_HOST_WARN, "no pages of 2 MiB",
     "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", NULL},
    {"transparent", MKV_HOST_WARN, "defrag is always", "sys/kernel/mm/transparent_hugepage/defrag",
     "[always] defer madvise never\n"},
    {"clocksource", MKV_HOST_WARN, "hpet, which is slow",
     "sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n"},
    {"governor", MKV_HOST_WARN, "powersave on 1 of 2",
     "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n"},
    {"numa", MKV_HOST_WARN, "nvme0n1 (0)", "sys/block/nvme0n1/device/numa_node", "0\n"},
    {"numa", MKV_HOST_WARN, "none of its processors", "proc/self/status",
     "CapEff:\t0\nSeccomp:\t0\nCpus_allowed_list:\t0-1\n"},
    {"rdma_access", MKV_HOST_FAIL, "uverbs0 is not there", "dev/infiniband/uverbs0", NULL},
    {"rdma_access", MKV_HOST_FAIL, "ib_uverbs", "sys/class/infiniband_verbs/uverbs0/ibdev", NULL},
    {"rdma_port", MKV_HOST_FAIL, "DOWN, Ethernet", PORT "state", "1: DOWN\n"},
    {"rdma_mtu", MKV_HOST_WARN, "MTU 1500 of ens1 carries RoCE MTU 1024", "sys/class/net/ens1/mtu",
     "1500\n"},
    {"rdma_mtu", MKV_HOST_FAIL, "carries RoCE MTU 0", "sys/class/net/ens1/mtu", "300\n"},
    {"rdma_mtu", MKV_HOST_WARN, "not known", "sys/class/net/ens1/mtu", NULL},
    {"rdma_gid", MKV_HOST_FAIL, "no GID", PORT "gid_attrs/types/1", "IB/RoCE v1\n"},
    {"rdma_gid", MKV_HOST_WARN, "2001:db8::1", PORT "gids/1",
     "2001:0db8:0000:0000:0000:0000:0000:0001\n"},
    {"ecn", MKV_HOST_WARN, "notifications on, slowing down off",
     "sys/class/net/ens1/ecn/roce_rp/enable/3", "0\n"},
    {"ecn", MKV_HOST_WARN, "not readable", "sys/class/net/ens1/ecn/roce_np/enable/3", NULL},
};

static void test_check__one_file_otherwise__its_check_and_no_other(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof breakages / sizeof breakages[0]; i++) {
        const struct breakage *breakage = &breakages[i];
        remove_machine(fixture);
        make_machine(fixture);
        if (breakage->text != NULL) {
            put(fixture, breakage->path, breakage->text);
        } else {
            char path[256];
            snprintf(path, sizeof path, "%s/%s", fixture->directory, breakage->path);
            assert_int_equal(unlink(path), 0);
        }
        check(fixture);
        expect(fixture, breakage->check, breakage->word, breakage->seen);
        for (uint32_t j = 0; j < fixture->report.count; j++) {
            const struct mkv_host_row *row = &fixture->report.rows[j];
            const bool is_limits = strcmp(breakage->path, "proc/self/limits") == 0;
            if (strcmp(row->check, breakage->check) != 0 && strcmp(row->check, "dma_buf") != 0 &&
                !is_limits) {
                assert_int_equal(row->word, MKV_HOST_PASS);
            }
        }
    }
}

static void test_check__each__has_a_way_to_fail_here(void **state) {
    struct fixture *fixture = *state;
    /* What the tests below break. */
    static const char *const others[] = {"clock", "rdma_library", "rdma_device", "pfc",
                                         "dscp",  "dma_buf",      "path_mtu"};
    (void)fixture;
    for (const char *const *name = mkv_host_check_names; *name != NULL; name++) {
        bool found = false;
        for (size_t i = 0; i < sizeof breakages / sizeof breakages[0]; i++) {
            found = found || strcmp(breakages[i].check, *name) == 0;
        }
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
            found = found || strcmp(others[i], *name) == 0;
        }
        if (!found) {
            fail_msg("no test in which %s fails", *name);
        }
    }
}

static void test_io_uring__refused__why_and_what_to_do(void **state) {
    struct fixture *fixture = *state;
    fixture->sources.ring_error = EPERM;
    put(fixture, "proc/sys/kernel/io_uring_disabled", "2\n");
    check(fixture);
    expect(fixture, "io_uring", MKV_HOST_FAIL, "Operation not permitted");
    assert_non_null(strstr(row_of(fixture, "io_uring")->remedy, "kernel.io_uring_disabled=0"));
    put(fixture, "proc/sys/kernel/io_uring_disabled", "0\n");
    put(fixture, "proc/self/status", "Seccomp:\t2\n");
    check(fixture);
    assert_non_null(strstr(row_of(fixture, "io_uring")->remedy, "seccomp"));
}

static void test_memlock__privileged_or_without_rdma__milder(void **state) {
    struct fixture *fixture = *state;
    put(fixture, "proc/self/limits",
        LIMITS FILES "Max locked memory         65536                65536                bytes\n");
    put(fixture, "proc/self/status", "CapEff:\t0000000000004000\nCpus_allowed_list:\t0-3\n");
    check(fixture);
    expect(fixture, "memlock", MKV_HOST_PASS, "CAP_IPC_LOCK");
    put(fixture, "proc/self/status", STATUS);
    fixture->sources.roots.sys = "/nowhere";
    check(fixture);
    expect(fixture, "memlock", MKV_HOST_WARN, "64.00 KiB");
}

/* One card with one port: the memory counts for it and for io_uring. */
static void test_memlock__compared_with_what_the_node_registers(void **state) {
    struct fixture *fixture = *state;
    put(fixture, "proc/self/limits",
        LIMITS FILES "Max locked memory         4294967296           4294967296           bytes\n");
    check(fixture);
    expect(fixture, "memlock", MKV_HOST_PASS, "may lock 4.00 GiB, and about 2.07 GiB are needed");
    fixture->sources.shards = 4;
    check(fixture);
    expect(fixture, "memlock", MKV_HOST_FAIL, "about 5.09 GiB are needed: memory.max_size, here");
    assert_non_null(strstr(row_of(fixture, "memlock")->remedy, "LimitMEMLOCK"));
    fixture->sources.shards = 2;
    fixture->sources.is_rdma_off = true;
    check(fixture);
    expect(fixture, "memlock", MKV_HOST_PASS, "about 2.06 GiB");
    fixture->sources.memory_bytes = 2 * MKV_HOST_MEMORY_BYTES;
    check(fixture);
    expect(fixture, "memlock", MKV_HOST_WARN, "about 4.06 GiB");
    /* A port that is to be there counts before it is. */
    fixture->sources.is_rdma_off = false;
    fixture->sources.is_rdma_required = true;
    fixture->sources.shards = 1;
    fixture->sources.roots.sys = "/nowhere";
    check(fixture);
    expect(fixture, "memlock", MKV_HOST_FAIL, "about 4.07 GiB");
}

static void test_transparent__off_and_nothing_reserved__warned(void **state) {
    struct fixture *fixture = *state;
    put(fixture, "sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
    check(fixture);
    expect(fixture, "transparent", MKV_HOST_PASS, "reserved");
    put(fixture, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n");
    check(fixture);
    expect(fixture, "transparent", MKV_HOST_WARN, "off");
}

static void test_clock__unknown_unsynchronised_or_far_off__warned(void **state) {
    struct fixture *fixture = *state;
    fixture->sources.clock.error_us = 2000000;
    check(fixture);
    expect(fixture, "clock", MKV_HOST_WARN, "2.000 s");
    fixture->sources.clock.is_synchronised = false;
    check(fixture);
    expect(fixture, "clock", MKV_HOST_WARN, "nothing synchronises");
    fixture->sources.clock.is_known = false;
    check(fixture);
    expect(fixture, "clock", MKV_HOST_WARN, "may not ask");
}

static void test_numa__one_node__pass(void **state) {
    struct fixture *fixture = *state;
    put(fixture, "sys/devices/system/node/online", "0\n");
    put(fixture, "sys/block/nvme0n1/device/numa_node", "0\n");
    check(fixture);
    expect(fixture, "numa", MKV_HOST_PASS, "one node");
}

static void test_rdma__none__one_row_that_says_so(void **state) {
    struct fixture *fixture = *state;
    static const char *const of_ports[] = {"rdma_access", "rdma_port", "rdma_mtu", "rdma_gid",
                                           "pfc",         "dscp",      "ecn",      "dma_buf"};
    fixture->sources.roots.sys = "/nowhere";
    fixture->sources.rdma_library.is_there = false;
    snprintf(fixture->sources.rdma_library.problem, sizeof fixture->sources.rdma_library.problem,
             "no file");
    check(fixture);
    expect(fixture, "rdma_device", MKV_HOST_WARN, "there is none");
    expect(fixture, "rdma_library", MKV_HOST_WARN, "no file");
    for (size_t i = 0; i < sizeof of_ports / sizeof of_ports[0]; i++) {
        assert_null(row_of(fixture, of_ports[i]));
    }
    fixture->sources.is_rdma_required = true;
    check(fixture);
    expect(fixture, "rdma_device", MKV_HOST_FAIL, "there is none");
    expect(fixture, "rdma_library", MKV_HOST_FAIL, "no file");
}

/* A card that the node leaves alone is no reason for it to fail. */
static void test_rdma__off__what_is_there_is_not_looked_at(void **state) {
    struct fixture *fixture = *state;
    put(fixture, "proc/self/limits",
        LIMITS FILES "Max locked memory         8388608              8388608              bytes\n");
    put(fixture, PORT "state", "1: DOWN\n");
    fixture->sources.rdma_library.is_there = false;
    check(fixture);
    assert_true(mkv_host_count(&fixture->report, MKV_HOST_FAIL) >= 3);
    fixture->sources.is_rdma_off = true;
    check(fixture);
    assert_int_equal(mkv_host_count(&fixture->report, MKV_HOST_FAIL), 0);
    expect(fixture, "rdma_device", MKV_HOST_PASS, "not looked at");
    expect(fixture, "memlock", MKV_HOST_WARN, "8.00 MiB");
    assert_null(row_of(fixture, "rdma_port"));
}

static void test_library__missing_or_blind__fails_where_there_is_a_device(void **state) {
    struct fixture *fixture = *state;
    fixture->sources.rdma_library.device_count = 0;
    check(fixture);
    expect(fixture, "rdma_library", MKV_HOST_FAIL, "has 1 devices and libibverbs finds 0");
    fixture->sources.rdma_library.is_there = false;
    check(fixture);
    expect(fixture, "rdma_library", MKV_HOST_FAIL, "cannot be loaded");
    fixture->sources.is_built_without_rdma = true;
    check(fixture);
    expect(fixture, "rdma_library", MKV_HOST_FAIL, "built without RDMA");
    fixture->sources.rdma_library.has_dmabuf = false;
    check(fixture);
    expect(fixture, "dma_buf", MKV_HOST_WARN, "has no ibv_reg_dmabuf_mr");
}

static void test_port__down_beside_an_active_one__warned(void **state) {
    struct fixture *fixture = *state;
    put(fixture, IB "ports/2/state", "1: DOWN\n");
    put(fixture, IB "ports/2/link_layer", "InfiniBand\n");
    check(fixture);
    uint32_t rows = 0;
    for (uint32_t i = 0; i < fixture->report.count; i++) {
        const struct mkv_host_row *row = &fixture->report.rows[i];
        if (strcmp(row->subject, "mlx5_0/2") == 0) {
            assert_string_equal(row->check, "rdma_port");
            assert_int_equal(row->word, MKV_HOST_WARN);
            rows++;
        }
    }
    assert_int_equal(rows, 1); /* MTU, GID and priorities are of Ethernet */
}

static void test_mtu__that_is_wanted__held_against_the_interface(void **state) {
    struct fixture *fixture = *state;
    put(fixture, "sys/class/net/ens1/mtu", "1500\n");
    fixture->sources.rdma_mtu_bytes = 1024;
    check(fixture);
    expect(fixture, "rdma_mtu", MKV_HOST_PASS, "RoCE MTU 1024");
    fixture->sources.rdma_mtu_bytes = 2048;
    check(fixture);
    expect(fixture, "rdma_mtu", MKV_HOST_FAIL, "2048 is asked for");
    assert_non_null(strstr(row_of(fixture, "rdma_mtu")->remedy, "ip link set ens1 mtu 9000"));
    /* The last that fits, and one byte less. */
    put(fixture, "sys/class/net/ens1/mtu", "2144\n");
    check(fixture);
    expect(fixture, "rdma_mtu", MKV_HOST_PASS, "RoCE MTU 2048");
    put(fixture, "sys/class/net/ens1/mtu", "2143\n");
    check(fixture);
    expect(fixture, "rdma_mtu", MKV_HOST_FAIL, "RoCE MTU 1024");
}

static void test_priorities__otherwise_or_not_told__warned(void **state) {
    struct fixture *fixture = *state;
    fixture->dcb.pfc_priorities = 1u << 4;
    fixture->dcb.priority_of_dscp[26] = 0;
    check(fixture);
    expect(fixture, "pfc", MKV_HOST_WARN, "priority 3 does not pause (mask 0x10)");
    expect(fixture, "dscp", MKV_HOST_WARN, "DSCP 26 has priority 0");
    fixture->dcb.priority_of_dscp[26] = MKV_DCB_NO_PRIORITY;
    check(fixture);
    expect(fixture, "dscp", MKV_HOST_WARN, "DSCP 26 has no priority");
    fixture->sources.traffic_class = 184; /* DSCP 46 */
    fixture->dcb.priority_of_dscp[46] = 3;
    check(fixture);
    expect(fixture, "dscp", MKV_HOST_PASS, "DSCP 46");
    fixture->has_dcb = false;
    check(fixture);
    expect(fixture, "pfc", MKV_HOST_WARN, "not readable");
    expect(fixture, "dscp", MKV_HOST_WARN, "not readable");
}

static void test_text__of_the_rows__words_remedies_and_sums(void **state) {
    struct fixture *fixture = *state;
    struct mkv_text text = {0};
    put(fixture, PORT "state", "1: D\001OWN\n");
    check(fixture);
    json_t *host = mkv_host_json(&fixture->report);
    mkv_host_text(host, &text);
    assert_false(text.failed);
    assert_non_null(strstr(text.bytes, "RESULT  CHECK "));
    assert_non_null(strstr(text.bytes, "pass    kernel "));
    assert_non_null(strstr(text.bytes, "fail    rdma_port     mlx5_0/1  D?OWN, Ethernet"));
    assert_non_null(strstr(text.bytes, "\n        do: ip link set"));
    assert_non_null(strstr(text.bytes, "1 failed, 1 warned, "));
    assert_int_equal(json_integer_value(json_object_get(host, "failed")), 1);
    json_decref(host);
    mkv_text_free(&text);
    /* Whatever a node of another release says. */
    mkv_host_text(NULL, &text);
    assert_non_null(text.bytes);
    mkv_text_free(&text);
}

static void test_rows__too_many__bounded(void **state) {
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < MKV_HOST_ROWS_MAX + 3; i++) {
        mkv_host_row(&fixture->report, "kernel", "", MKV_HOST_PASS, "", "%u", i);
    }
    assert_int_equal(fixture->report.count, MKV_HOST_ROWS_MAX);
}

static void test_sources__of_this_system__are_read(void **state) {
    struct fixture *fixture = *state;
    struct mkv_host_sources sources;
    mkv_host_sources_read(&sources, true);
    assert_string_equal(sources.roots.sys, "/sys");
    fixture->sources = sources;
    check(fixture);
    assert_non_null(row_of(fixture, "kernel"));
    assert_int_equal(row_of(fixture, "kernel")->word, MKV_HOST_PASS);
    struct mkv_dcb dcb;
    assert_false(sources.dcb(NULL, "lo", &dcb));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_check__nothing_wrong__all_pass_but_what_is_untested),
        CASE(test_check__one_file_otherwise__its_check_and_no_other),
        CASE(test_check__each__has_a_way_to_fail_here),
        CASE(test_io_uring__refused__why_and_what_to_do),
        CASE(test_memlock__privileged_or_without_rdma__milder),
        CASE(test_memlock__compared_with_what_the_node_registers),
        CASE(test_transparent__off_and_nothing_reserved__warned),
        CASE(test_clock__unknown_unsynchronised_or_far_off__warned),
        CASE(test_numa__one_node__pass),
        CASE(test_rdma__none__one_row_that_says_so),
        CASE(test_rdma__off__what_is_there_is_not_looked_at),
        CASE(test_library__missing_or_blind__fails_where_there_is_a_device),
        CASE(test_port__down_beside_an_active_one__warned),
        CASE(test_mtu__that_is_wanted__held_against_the_interface),
        CASE(test_priorities__otherwise_or_not_told__warned),
        CASE(test_text__of_the_rows__words_remedies_and_sums),
        CASE(test_rows__too_many__bounded),
        CASE(test_sources__of_this_system__are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
