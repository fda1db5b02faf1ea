/* SPDX-License-Identifier: Apache-2.0 */
#include "server/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/table.h"
#include "backends/drive_smart.h"
#include "backends/memory_map.h"
#include "server/node_format.h"
#include "server/node_internal.h"
#include "server/setup_check.h"

/* Of a process that was killed a moment ago and whose last I/O still runs. */
#define LOCK_WAIT_MS 5000u
/* Of the volume that formats a drive; a start has its own. */
#define FORMAT_SESSIONS 1u

struct drive {
    char name[MKV_CONFIG_NAME_BYTES];
    const char *path;
    uint64_t size_bytes; /* of a file to be made */
    bool exists;
    bool to_make; /* a file that is not there, or is empty */
    bool created; /* by this run, and not formatted yet */
    struct mkv_drive_facts facts;
    struct mkv_drive_media media; /* fd -1: not open */
    struct mkv_drive_probe probe;
    enum mkv_setup_action action;
    struct mkv_geometry geometry; /* that it has, or gets */
};

struct setup {
    const struct mkv_setup_run_options *run;
    uint32_t drive_count;
    struct drive drives[MKV_CONFIG_DRIVES_MAX];
    struct mkv_config_drive configured[MKV_CONFIG_DRIVES_MAX];
    struct mkv_rdma_port ports[MKV_RDMA_PORTS_MAX];
    struct mkv_drive_set_plan plan;
    struct mkv_setup_machine machine;
    struct mkv_setup_memory memory;
};

__attribute__((format(printf, 2, 3))) static void say(const struct setup *setup, const char *format,
                                                      ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("memkv setup: ", setup->run->log);
    vfprintf(setup->run->log, format, arguments);
    fputc('\n', setup->run->log);
    va_end(arguments);
}

/* ---- looking at drives ---------------------------------------------------------------------- */

/* Two paths may lead to one drive. */
static bool check_distinct(const struct setup *setup, uint32_t index,
                           struct mkv_backend_error *error) {
    const struct drive *own = &setup->drives[index];
    struct stat status;
    for (uint32_t i = 0; i < index; i++) {
        const struct drive *other = &setup->drives[i];
        struct stat other_status;
        bool same = strcmp(own->path, other->path) == 0;
        if (!same && stat(own->path, &status) == 0 && stat(other->path, &other_status) == 0) {
            same =
                S_ISBLK(status.st_mode)
                    ? S_ISBLK(other_status.st_mode) && status.st_rdev == other_status.st_rdev
                    : status.st_dev == other_status.st_dev && status.st_ino == other_status.st_ino;
        }
        if (same) {
            return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                      "drive %s: %s is the same as drive %s (%s). Name each drive "
                                      "once",
                                      own->name, own->path, other->name, other->path);
        }
    }
    return true;
}

/* What is known of it without opening it. False with a refusal, also where it is not there. */
static bool look_from_outside(struct setup *setup, struct drive *drive,
                              struct mkv_backend_error *error) {
    struct stat status;
    const bool in_dev = strncmp(drive->path, "/dev/", 5) == 0;
    drive->exists = stat(drive->path, &status) == 0;
    if (!drive->exists && errno == ENOENT && !in_dev) {
        drive->to_make = drive->size_bytes > 0;
        return drive->to_make ||
               mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "drive %s: %s is not there. For a file to be made give its size, "
                                  "%s=64GiB; for a drive its device in /dev",
                                  drive->name, drive->path, drive->path);
    }
    if (!drive->exists || !mkv_drive_facts_read(setup->run->roots, drive->path, &drive->facts)) {
        /* Opening it says why not. */
        drive->facts = (struct mkv_drive_facts){.size_bytes = MKV_SETUP_DRIVE_BYTES_MIN};
        return true;
    }
    if (!drive->facts.block_device && drive->facts.size_bytes == 0) {
        drive->to_make = drive->size_bytes > 0;
    }
    return mkv_setup_check_use(drive->name, drive->path, &drive->facts, error);
}

static bool open_drive(struct drive *drive, struct mkv_backend_error *error) {
    const struct mkv_drive_open_options options = {
        .name = drive->name,
        .media = drive->path,
        .size_bytes = drive->to_make ? drive->size_bytes : 0,
        .mode = drive->facts.block_device ? MKV_DRIVE_MODE_DIRECT : MKV_DRIVE_MODE_FILE,
        .lock_wait_ms = LOCK_WAIT_MS,
    };
    if (!mkv_drive_open(&options, &drive->media, error)) {
        drive->media.fd = -1;
        return false;
    }
    drive->created = drive->media.created && !drive->exists;
    return true;
}

/* "SAMSUNG MZQL2… (S64HNE0R502113), 3.49 TiB, sectors of 512 B on 4096 B, no volatile cache" */
static void say_what_it_is(const struct setup *setup, const struct drive *drive) {
    const struct mkv_drive_facts *facts = &drive->facts;
    char size[MKV_TABLE_SIZE_BYTES];
    mkv_table_size(facts->size_bytes, size);
    if (!facts->block_device) {
        say(setup, "drive %s: %s, a file of %s on %s", drive->name, drive->path, size,
            facts->file_system[0] == '\0' ? "an unknown file system" : facts->file_system);
        return;
    }
    static const char *const caches[] = {"cache unknown", "volatile cache", "no volatile cache"};
    say(setup, "drive %s: %s, %s%s%s%s%s, sectors of %u B on %u B, %s%s", drive->name, drive->path,
        facts->model, facts->serial[0] == '\0' ? "" : " (", facts->serial,
        facts->serial[0] == '\0' ? (facts->model[0] == '\0' ? "" : ", ") : "), ", size,
        facts->logical_sector_bytes, facts->physical_sector_bytes, caches[facts->cache],
        facts->rotational ? ", rotating" : "");
}

static void say_health(const struct setup *setup, const struct drive *drive) {
    struct mkv_drive_smart smart;
    char words[MKV_DRIVE_SMART_WARNING_BYTES];
    if (!drive->facts.nvme) {
        return;
    }
    mkv_drive_smart_read(drive->media.fd, &smart);
    if (!smart.available) {
        say(setup, "drive %s: its health is not known: %s", drive->name, smart.why);
        return;
    }
    mkv_drive_smart_warning(smart.critical_warning, words);
    say(setup, "drive %s: %u %% of its life used, %" PRIu64 " media errors, %d degrees Celsius%s%s",
        drive->name, smart.used_percent, smart.media_errors, smart.temperature_celsius,
        words[0] == '\0' ? "" : "; the drive warns: ", words);
}

static bool plan_geometry(struct drive *drive, uint64_t capacity_units,
                          struct mkv_backend_error *error) {
    const struct mkv_geometry_options defaults = {0};
    const enum mkv_err err = mkv_geometry_plan(capacity_units, &defaults, &drive->geometry);
    char size[MKV_TABLE_SIZE_BYTES];
    mkv_table_size(capacity_units * MKV_UNIT_BYTES, size);
    return err == MKV_OK ||
           mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                              "drive %s: %s has %s, which is too %s for a store. Name a %s one",
                              drive->name, drive->path, size,
                              err == MKV_ERR_TOO_SMALL ? "small" : "large",
                              err == MKV_ERR_TOO_SMALL ? "larger" : "smaller");
}

static bool look_inside(struct setup *setup, struct drive *drive, struct mkv_backend_error *error) {
    const struct mkv_setup_options *options = setup->run->options;
    if (!open_drive(drive, error)) {
        return false;
    }
    if (drive->media.block_device != drive->facts.block_device) {
        return mkv_backend_refuse(
            error, MKV_BACKEND_UNAVAILABLE,
            "drive %s: %s does not tell what %s is and who uses it. Mount it: "
            "mount -t sysfs sysfs %s",
            drive->name, setup->run->roots->sys, drive->path, setup->run->roots->sys);
    }
    say_what_it_is(setup, drive);
    if (drive->size_bytes > 0 && drive->size_bytes != drive->facts.size_bytes) {
        say(setup, "drive %s: it is there already and keeps its size", drive->name);
    }
    say_health(setup, drive);
    if (!mkv_drive_probe(&drive->media, drive->name, drive->path, &drive->probe, error)) {
        return false;
    }
    const struct mkv_setup_content content = {
        .facts = &drive->facts,
        .probe = &drive->probe,
        .force = options->force,
        .idempotent = options->idempotent,
    };
    if (!mkv_setup_check_content(drive->name, drive->path, &content, &drive->action, error)) {
        return false;
    }
    if (drive->action == MKV_SETUP_KEEP) {
        drive->geometry = drive->probe.superblock.geometry;
        return true;
    }
    if (drive->probe.kind != MKV_DRIVE_PROBE_BLANK) {
        say(setup, "drive %s: the memkv store on it is given up", drive->name);
        drive->probe.kind = MKV_DRIVE_PROBE_BLANK;
    }
    return plan_geometry(drive, drive->media.capacity_units, error);
}

static bool look_at(struct setup *setup, uint32_t index, struct mkv_backend_error *error) {
    struct drive *drive = &setup->drives[index];
    const struct mkv_setup_path *path = &setup->run->options->paths[index];
    char size[MKV_TABLE_SIZE_BYTES];
    *drive = (struct drive){.path = path->path, .size_bytes = path->size_bytes, .media.fd = -1};
    snprintf(drive->name, sizeof drive->name, "d%02u", index);
    setup->drive_count = index + 1;
    if (!check_distinct(setup, index, error) || !look_from_outside(setup, drive, error)) {
        return false;
    }
    if (!drive->to_make) {
        return look_inside(setup, drive, error);
    }
    drive->facts.size_bytes = drive->size_bytes / MKV_UNIT_BYTES * MKV_UNIT_BYTES;
    mkv_table_size(drive->facts.size_bytes, size);
    say(setup, "drive %s: %s, a file of %s that is to be made", drive->name, drive->path, size);
    return mkv_setup_check_use(drive->name, drive->path, &drive->facts, error) &&
           plan_geometry(drive, drive->facts.size_bytes / MKV_UNIT_BYTES, error);
}

/* ---- deciding ------------------------------------------------------------------------------- */

static bool decide(struct setup *setup, struct mkv_backend_error *error) {
    struct mkv_drive_set_candidate candidates[MKV_CONFIG_DRIVES_MAX];
    for (uint32_t i = 0; i < setup->drive_count; i++) {
        const struct drive *drive = &setup->drives[i];
        candidates[i] = (struct mkv_drive_set_candidate){
            .name = drive->name,
            .path = drive->path,
            .probe = &drive->probe,
            .usable_units = mkv_geometry_usable_units(&drive->geometry),
        };
    }
    return mkv_drive_set_judge(candidates, setup->drive_count, NULL, &mkv_drive_set_random_kernel,
                               &setup->plan, error);
}

static bool size_memory(struct setup *setup, struct mkv_backend_error *error) {
    struct mkv_geometry geometries[MKV_CONFIG_DRIVES_MAX];
    char size[MKV_TABLE_SIZE_BYTES];
    char index[MKV_TABLE_SIZE_BYTES];
    char has[MKV_TABLE_SIZE_BYTES];
    for (uint32_t i = 0; i < setup->drive_count; i++) {
        geometries[i] = setup->drives[i].geometry;
    }
    if (!mkv_setup_machine_read(setup->run->roots, &setup->machine)) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "%s/meminfo does not say how much memory this machine has. Mount "
                                  "/proc",
                                  setup->run->roots->proc);
    }
    if (!mkv_setup_memory_size(geometries, setup->drive_count, &setup->machine, &setup->memory,
                               error)) {
        return false;
    }
    mkv_table_size(setup->memory.max_size_bytes, size);
    mkv_table_size(setup->memory.index_bytes, index);
    mkv_table_size(setup->machine.memory_bytes, has);
    say(setup, "memory: %s of %s, of which the index takes %s and blocks the rest", size, has,
        index);
    const uint64_t pages = setup->memory.max_size_bytes / MKV_HUGEPAGE_BYTES;
    if (!setup->machine.has_hugepages) {
        say(setup, "memory: this kernel has no huge pages of 2 MiB, so normal ones are used");
    } else if (setup->machine.hugepages < pages) {
        say(setup,
            "memory: it needs %" PRIu64 " huge pages of 2 MiB, %" PRIu64
            " are reserved. Run: sysctl -w vm.nr_hugepages=%" PRIu64
            ", and for the next boot write vm.nr_hugepages=%" PRIu64
            " into /etc/sysctl.d/90-memkv.conf",
            pages, setup->machine.hugepages, pages, pages);
    }
    return true;
}

/* ---- RDMA ----------------------------------------------------------------------------------- */

static void say_port(FILE *log, const struct mkv_rdma_port *port) {
    fprintf(log, "memkv setup: rdma %s port %u: %s, %s, %s", port->device, port->port, port->state,
            port->ethernet ? "RoCE" : "InfiniBand", port->rate);
    if (port->gid_index >= 0) {
        fprintf(log, ", RoCE v2 at GID index %d: %s (%s, MTU %u)", port->gid_index, port->address,
                port->interface, port->mtu);
    }
    fputc('\n', log);
}

static bool refuse_no_device(const struct mkv_rdma_port *ports, uint32_t count, const char *device,
                             struct mkv_backend_error *error) {
    char list[MKV_DRIVE_FACT_LIST_BYTES] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < count && used < sizeof list - MKV_DRIVE_FACT_BYTES; i++) {
        if (i == 0 || strcmp(ports[i].device, ports[i - 1].device) != 0) {
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ",
                                     ports[i].device);
        }
    }
    return mkv_backend_refuse(
        error, MKV_BACKEND_UNAVAILABLE,
        "--rdma %.60s: this machine has no such RDMA device%s%s. Leave --rdma "
        "out, or see: rdma link",
        device, count == 0 ? ", nor any other" : "; it has ", list);
}

bool mkv_setup_choose_rdma(const struct mkv_rdma_port *ports, uint32_t count, const char *device,
                           const struct mkv_rdma_port **chosen, struct mkv_backend_error *error) {
    const struct mkv_rdma_port *found = NULL;
    *chosen = NULL;
    for (uint32_t i = 0; i < count && *chosen == NULL; i++) {
        if (strcmp(ports[i].device, device) == 0) {
            found = found == NULL || ports[i].active ? &ports[i] : found;
            if (ports[i].active && ports[i].gid_index >= 0) {
                *chosen = &ports[i];
            }
        }
    }
    if (found == NULL) {
        return refuse_no_device(ports, count, device, error);
    }
    if (*chosen != NULL) {
        return true;
    }
    if (!found->active) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "--rdma %s: its port %u is %s. Bring its link up, or name "
                                  "another device",
                                  device, found->port, found->state);
    }
    return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "--rdma %s: its port %u has no GID of RoCE v2 with an IP address. %s",
                              device, found->port,
                              found->ethernet ? "Give its network interface an address: ip address "
                                                "add"
                                              : "It is InfiniBand: leave --rdma out, and write the "
                                                "address of its interface into network.address");
}

/* ---- making --------------------------------------------------------------------------------- */

static bool format_drive(struct setup *setup, uint32_t index, struct mkv_backend_error *error) {
    struct drive *drive = &setup->drives[index];
    struct mkv_volume_config volume = {
        .volume = index,
        .capacity_units = drive->media.capacity_units,
        .store_uuid = setup->plan.store_uuid,
        .drive_uuid = setup->plan.drive_uuids[index],
        .drive_set = setup->plan.newest,
        .geometry = drive->geometry,
        .session_max = FORMAT_SESSIONS,
    };
    mkv_node_volume_limits(setup->memory.max_size_bytes, setup->drive_count, &volume);
    if (mkv_drive_set_find(&setup->plan.newest, volume.drive_uuid) == MKV_NONE_U32) {
        mkv_drive_set_outside(volume.drive_uuid, &volume.drive_set);
    }
    const struct mkv_node_format_options options = {
        .name = drive->name,
        .path = drive->path,
        .media = &drive->media,
        .config = &volume,
    };
    if (!mkv_node_format_alone(&options, error)) {
        return false;
    }
    drive->created = false;
    say(setup, "drive %s: formatted", drive->name);
    return true;
}

static bool make(struct setup *setup, struct mkv_backend_error *error) {
    for (uint32_t i = 0; i < setup->drive_count; i++) {
        struct drive *drive = &setup->drives[i];
        if (drive->to_make && !open_drive(drive, error)) {
            return false;
        }
        /* It may have been made by somebody else in between. */
        if (drive->to_make &&
            drive->media.capacity_units != drive->facts.size_bytes / MKV_UNIT_BYTES) {
            return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                      "drive %s: file %s came while memkv setup ran. See who uses "
                                      "it, and run it again",
                                      drive->name, drive->path);
        }
    }
    for (uint32_t i = 0; i < setup->drive_count; i++) {
        if (setup->plan.actions[i] == MKV_DRIVE_FORMAT) {
            if (!format_drive(setup, i, error)) {
                return false;
            }
        } else {
            say(setup, "drive %s: is of this store, left as it is", setup->drives[i].name);
        }
    }
    return true;
}

/* ---- the configuration ---------------------------------------------------------------------- */

/* A path that does not depend on where the configuration lies, nor, where it can be, on the order
 * in which the kernel found its drives. */
static bool stable_path(const struct drive *drive, char out[MKV_CONFIG_PATH_BYTES]) {
    const bool is_kernel_name = drive->facts.block_device && drive->facts.by_id[0] != '\0' &&
                                strncmp(drive->path, "/dev/disk/", 10) != 0;
    if (is_kernel_name || drive->path[0] == '/') {
        snprintf(out, MKV_CONFIG_PATH_BYTES, "%s",
                 is_kernel_name ? drive->facts.by_id : drive->path);
        return true;
    }
    char copy[MKV_CONFIG_PATH_BYTES];
    char other[MKV_CONFIG_PATH_BYTES];
    snprintf(copy, sizeof copy, "%s", drive->path);
    snprintf(other, sizeof other, "%s", drive->path);
    char *directory = realpath(dirname(copy), NULL);
    const char *name = basename(other);
    const size_t half = MKV_CONFIG_PATH_BYTES / 2;
    const bool fits = directory != NULL && strlen(directory) < half && strlen(name) < half - 1;
    if (fits) {
        snprintf(out, MKV_CONFIG_PATH_BYTES, "%.511s/%.510s", directory, name);
    }
    free(directory);
    return fits;
}

static bool write_config(struct setup *setup, struct mkv_text *yaml,
                         struct mkv_backend_error *error) {
    const char *device = setup->run->options->rdma;
    struct mkv_setup_config config = {
        .store_uuid = setup->plan.store_uuid,
        .memory_bytes = setup->memory.max_size_bytes,
        .has_hugepages = setup->machine.has_hugepages,
        .drive_count = setup->drive_count,
        .drives = setup->configured,
    };
    const uint32_t ports = mkv_rdma_list(setup->run->roots, setup->ports, MKV_RDMA_PORTS_MAX);
    for (uint32_t i = 0; i < ports; i++) {
        say_port(setup->run->log, &setup->ports[i]);
    }
    if (device != NULL &&
        !mkv_setup_choose_rdma(setup->ports, ports, device, &config.rdma, error)) {
        return false;
    }
    for (uint32_t i = 0; i < setup->drive_count; i++) {
        const struct drive *drive = &setup->drives[i];
        struct mkv_config_drive *configured = &setup->configured[i];
        *configured = (struct mkv_config_drive){0};
        snprintf(configured->name, sizeof configured->name, "%s", drive->name);
        if (!drive->facts.block_device) {
            config.has_files = true;
            configured->size_bytes = drive->facts.size_bytes / MKV_UNIT_BYTES * MKV_UNIT_BYTES;
        }
        if (!stable_path(drive, configured->media)) {
            return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                      "drive %s: the directory of %s is not there. Run: mkdir -p",
                                      drive->name, drive->path);
        }
    }
    if (config.rdma != NULL) {
        say(setup,
            "clients connect at %s:9900. Without a key this serves clients of this machine "
            "alone: memkv auth keygen, network.auth_key",
            config.rdma->address);
    }
    return mkv_setup_config_write(&config, yaml, error);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void let_go(struct setup *setup) {
    for (uint32_t i = 0; i < setup->drive_count; i++) {
        struct drive *drive = &setup->drives[i];
        if (drive->media.fd < 0) {
            continue;
        }
        /* Before the lock is let go, so that nobody else has the file meanwhile. */
        if (drive->created) {
            (void)unlink(drive->path);
        }
        mkv_drive_media_close(&drive->media);
    }
}

bool mkv_setup_run(const struct mkv_setup_run_options *run, struct mkv_text *yaml,
                   struct mkv_backend_error *error) {
    MKV_ASSERT(run->options->path_count >= 1);
    struct setup *setup = calloc(1, sizeof *setup);
    if (setup == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory to look at drives. Free memory on this machine");
    }
    setup->run = run;
    bool done = true;
    for (uint32_t i = 0; i < run->options->path_count && done; i++) {
        done = look_at(setup, i, error);
    }
    done = done && decide(setup, error) && size_memory(setup, error) &&
           write_config(setup, yaml, error) && make(setup, error);
    let_go(setup);
    free(setup);
    return done;
}

void mkv_setup_list(const struct mkv_drive_roots *roots, FILE *log) {
    struct mkv_drive_name names[MKV_DRIVE_LIST_MAX];
    struct mkv_rdma_port ports[MKV_RDMA_PORTS_MAX];
    const uint32_t count = mkv_drive_list(roots, names, MKV_DRIVE_LIST_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct mkv_drive_facts facts;
        if (!mkv_drive_facts_read_name(roots, names[i].text, &facts)) {
            continue;
        }
        char size[MKV_TABLE_SIZE_BYTES];
        char use[MKV_SETUP_USE_BYTES];
        mkv_table_size(facts.size_bytes, size);
        mkv_setup_describe_use(&facts, use);
        fprintf(log, "memkv setup: /dev/%s, %s%s%s: %s\n", names[i].text, size,
                facts.model[0] == '\0' ? "" : ", ", facts.model,
                use[0] == '\0' ? "not in use" : use);
    }
    const uint32_t port_count = mkv_rdma_list(roots, ports, MKV_RDMA_PORTS_MAX);
    for (uint32_t i = 0; i < port_count; i++) {
        say_port(log, &ports[i]);
    }
    fprintf(log, "memkv setup: %u drive%s, %u RDMA port%s; nothing was opened or written\n", count,
            count == 1 ? "" : "s", port_count, port_count == 1 ? "" : "s");
}
