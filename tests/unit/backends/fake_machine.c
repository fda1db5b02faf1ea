/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/backends/fake_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 1024u
/* Descriptors that removing a tree may use. */
#define DEPTH_MAX 16

static void full_path(const struct fake_machine *machine, const char *path, char out[PATH_BYTES]) {
    snprintf(out, PATH_BYTES, "%.500s/%.500s", machine->root, path);
}

static void make_directories_above(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, S_IRWXU);
        *slash = '/';
    }
}

void fake_machine_write(const struct fake_machine *machine, const char *path, const char *text) {
    char full[PATH_BYTES];
    full_path(machine, path, full);
    make_directories_above(full);
    FILE *file = fopen(full, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void fake_machine_link(const struct fake_machine *machine, const char *path, const char *target) {
    char full[PATH_BYTES];
    full_path(machine, path, full);
    make_directories_above(full);
    assert_int_equal(symlink(target, full), 0);
}

void fake_machine_make(struct fake_machine *machine) {
    temporary_make(machine->root);
    snprintf(machine->sys, sizeof machine->sys, "%.500s/sys", machine->root);
    snprintf(machine->proc, sizeof machine->proc, "%.500s/proc", machine->root);
    snprintf(machine->dev, sizeof machine->dev, "%.500s/dev", machine->root);
    machine->roots = (struct mkv_drive_roots){machine->sys, machine->proc, machine->dev};
    fake_machine_write(machine, "proc/self/mountinfo",
                       "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n");
    fake_machine_write(machine, "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n");
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

void fake_machine_remove(const struct fake_machine *machine) {
    assert_int_equal(nftw(machine->root, remove_entry, DEPTH_MAX, FTW_DEPTH | FTW_PHYS), 0);
}

static void write_in(const struct fake_machine *machine, const char *directory, const char *name,
                     const char *text) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%.300s/%.200s", directory, name);
    fake_machine_write(machine, path, text);
}

/* What a disk and a partition both have. */
static void add_device(const struct fake_machine *machine, const char *directory, const char *name,
                       const char *kind, unsigned minor, const char *size) {
    char text[PATH_BYTES];
    char link[64];
    snprintf(text, sizeof text, "MAJOR=259\nMINOR=%u\nDEVNAME=%s\nDEVTYPE=%s\n", minor, name, kind);
    write_in(machine, directory, "uevent", text);
    snprintf(text, sizeof text, "259:%u\n", minor);
    write_in(machine, directory, "dev", text);
    write_in(machine, directory, "size", size);
    write_in(machine, directory, "ro", "0\n");
    snprintf(text, sizeof text, "%.200s/holders", directory);
    char full[PATH_BYTES];
    full_path(machine, text, full);
    assert_int_equal(mkdir(full, S_IRWXU), 0);
    snprintf(link, sizeof link, "sys/dev/block/259:%u", minor);
    snprintf(text, sizeof text, "../../../%.200s", directory);
    fake_machine_link(machine, link, text);
}

void fake_machine_add_nvme(const struct fake_machine *machine, const char *name, unsigned minor) {
    static const struct {
        const char *name;
        const char *text;
    } attributes[] = {
        {"device/model", "SAMSUNG MZQL23T8HCLS-00A07             \n"},
        {"device/serial", "S64HNE0R502113      \n"},
        {"device/firmware_rev", "GDC5602Q\n"},
        {"device/address", "0000:41:00.0\n"},
        {"device/state", "live\n"},
        {"device/numa_node", "1\n"},
        {"wwid", "eui.36344830525021130025384500000001\n"},
        {"queue/logical_block_size", "512\n"},
        {"queue/physical_block_size", "4096\n"},
        {"queue/rotational", "0\n"},
        {"queue/zoned", "none\n"},
        {"queue/write_cache", "write through\n"},
        {"queue/fua", "1\n"},
        {"queue/discard_granularity", "512\n"},
        {"queue/discard_max_bytes", "2199023255040\n"},
        {"queue/write_zeroes_max_bytes", "131072\n"},
        {"queue/atomic_write_unit_max_bytes", "65536\n"},
    };
    char directory[128];
    snprintf(directory, sizeof directory, "sys/block/%.60s", name);
    add_device(machine, directory, name, "disk", minor, "7501476528\n");
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
        write_in(machine, directory, attributes[i].name, attributes[i].text);
    }
}

void fake_machine_add_partition(const struct fake_machine *machine, const char *disk,
                                const char *name, unsigned minor) {
    char directory[192];
    snprintf(directory, sizeof directory, "sys/block/%.60s/%.60s", disk, name);
    add_device(machine, directory, name, "partition", minor, "2097152\n");
    write_in(machine, directory, "partition", "1\n");
}
