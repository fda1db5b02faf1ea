/* SPDX-License-Identifier: Apache-2.0 */
/* `memkv drive list` and `memkv drive inspect`. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/drive_facts.h"
#include "backends/drive_smart.h"
#include "server/command_drive_internal.h"
#include "server/config.h"
#include "server/drive_set.h"
#include "server/drive_tool_inspect.h"

static const char help_list[] =
    "usage: memkv drive list [--config FILE] [--json] [PATH...]\n"
    "\n"
    "What is on drives: those at the paths, or in storage.drives of a configuration, or all disks\n"
    "of this machine. Of a drive that somebody has, only its superblock is looked at.\n"
    "\n"
    "  STATE       clean: closed as it should be; unclean: a start will recover; blank, foreign,\n"
    "              damaged, newer, shrunk, absent, unreadable; in use: somebody has it\n"
    "\n"
    "  --config FILE  the drives in storage.drives of a configuration\n"
    "  --json         the result as JSON\n"
    "  -h, --help     this text\n"
    "\n"
    "Exit status: 0 done, 2 usage, 4 the configuration cannot be read.\n";

static const char help_inspect[] =
    "usage: memkv drive inspect [--json] PATH\n"
    "\n"
    "Everything that a drive says of itself: superblocks, geometry, journal, checkpoints,\n"
    "directory, what a start would find, the hardware, and its health where it is an NVMe drive.\n"
    "Writes nothing.\n"
    "\n"
    "  --json      all of it, as JSON\n"
    "  -h, --help  this text\n"
    "\n"
    "Exit status: 0 done, 1 it holds no store, 2 usage, 4 the drive cannot be had or read.\n";

/* ---- looking at a drive that somebody has ---------------------------------------------------- */

/* Reads superblocks of a drive without having it. False: it cannot be opened, or is no medium. */
static bool peek(const char *path, struct mkv_drive_probe *probe) {
    struct mkv_drive_media media = {.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
    struct mkv_backend_error error;
    struct stat status;
    uint64_t bytes = 0;
    if (media.fd < 0) {
        return false;
    }
    if (fstat(media.fd, &status) == 0) {
        media.block_device = S_ISBLK(status.st_mode);
        bytes = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    }
    if (media.block_device && ioctl(media.fd, BLKGETSIZE64, &bytes) != 0) {
        bytes = 0;
    }
    media.capacity_units = bytes / MKV_UNIT_BYTES;
    const bool seen =
        bytes >= MKV_DRIVE_BYTES_MIN && mkv_drive_probe(&media, path, path, probe, &error);
    close(media.fd);
    return seen;
}

/* ---- list ------------------------------------------------------------------------------------ */

struct row {
    const char *path;
    const char *name; /* in the configuration; NULL */
    const char *state;
    char why[MKV_BACKEND_ERROR_TEXT_BYTES];
    bool store;
    bool fill_known;
    struct mkv_drive_probe probe;
    uint64_t used_bytes, usable_bytes, blocks;
};

static void look_inside(struct row *row, const struct mkv_drive_tool *drive) {
    struct mkv_drive_recovered recovered;
    struct mkv_backend_error error;
    row->probe = drive->probe;
    row->store = drive->probe.kind == MKV_DRIVE_PROBE_STORE;
    if (!row->store) {
        row->state = mkv_drive_tool_kind_name(drive->probe.kind);
        return;
    }
    const bool clean = (drive->probe.superblock.flags & MKV_SUPERBLOCK_CLEAN) != 0;
    row->state = clean ? "clean" : "unclean";
    if (mkv_drive_recover(drive, &recovered, &error) && recovered.serves) {
        row->fill_known = true;
        row->used_bytes = recovered.stats.bytes_used;
        row->usable_bytes = recovered.stats.bytes_usable;
        row->blocks = recovered.stats.blocks;
        row->state = recovered.empty ? "damaged" : row->state;
        json_decref(recovered.tenants);
    } else {
        row->state = "damaged";
    }
}

static void look(struct row *row) {
    struct mkv_drive_tool drive;
    struct mkv_backend_error error;
    if (mkv_drive_tool_open(&drive, row->path, MKV_DRIVE_TOOL_READ, &error)) {
        look_inside(row, &drive);
        mkv_drive_tool_close(&drive);
        return;
    }
    struct stat status;
    snprintf(row->why, sizeof row->why, "%s", error.text);
    row->state = stat(row->path, &status) != 0              ? "absent"
                 : error.failure == MKV_BACKEND_UNAVAILABLE ? "in use"
                                                            : "unreadable";
    row->store = peek(row->path, &row->probe) && row->probe.kind == MKV_DRIVE_PROBE_STORE;
}

static json_t *row_json(const struct row *row) {
    json_t *out = json_object();
    json_object_set_new(out, "path", mkv_command_drive_text(row->path));
    if (row->name != NULL) {
        json_object_set_new(out, "name", mkv_command_drive_text(row->name));
    }
    json_object_set_new(out, "state", json_string(row->state));
    if (row->why[0] != '\0') {
        json_object_set_new(out, "why", mkv_command_drive_text(row->why));
    }
    if (row->probe.medium_capacity_units > 0) {
        json_object_set_new(
            out, "bytes",
            json_integer((json_int_t)(row->probe.medium_capacity_units * MKV_UNIT_BYTES)));
    }
    if (row->store) {
        const struct mkv_superblock *superblock = &row->probe.superblock;
        json_object_set_new(out, "store_uuid", mkv_command_drive_uuid(superblock->store_uuid));
        json_object_set_new(out, "drive_uuid", mkv_command_drive_uuid(superblock->drive_uuid));
        json_object_set_new(out, "drive_set",
                            json_integer((json_int_t)superblock->drive_set.version));
        json_object_set_new(out, "members", json_integer((json_int_t)superblock->drive_set.count));
    }
    if (row->fill_known) {
        json_object_set_new(out, "blocks", json_integer((json_int_t)row->blocks));
        json_object_set_new(out, "used_bytes", json_integer((json_int_t)row->used_bytes));
        json_object_set_new(out, "usable_bytes", json_integer((json_int_t)row->usable_bytes));
    }
    return out;
}

static void row_print(const struct row *row, int width) {
    char size[MKV_COMMAND_DRIVE_SIZE_BYTES] = "-";
    char fill[16] = "-";
    char store[MKV_UUID_TEXT_BYTES] = "-";
    char set[48] = "-";
    if (row->probe.medium_capacity_units > 0) {
        mkv_command_drive_size(row->probe.medium_capacity_units * MKV_UNIT_BYTES, size);
    }
    if (row->fill_known && row->usable_bytes > 0) {
        snprintf(fill, sizeof fill, "%.1f %%",
                 100.0 * (double)row->used_bytes / (double)row->usable_bytes);
    }
    if (row->store) {
        mkv_uuid_format(row->probe.superblock.store_uuid, store);
        snprintf(set, sizeof set, "%" PRIu64 ", of %u", row->probe.superblock.drive_set.version,
                 row->probe.superblock.drive_set.count);
    }
    printf("%-*s  %-10s  %10s  %8s  %-12s  %s\n", width, row->path, row->state, size, fill, set,
           store);
}

static int rows_tell(struct row *rows, uint32_t count, bool json) {
    if (json) {
        json_t *drives = json_array();
        for (uint32_t i = 0; i < count; i++) {
            json_array_append_new(drives, row_json(&rows[i]));
        }
        return mkv_command_drive_print(json_pack("{s:o}", "drives", drives), MKV_EXIT_CLIENT_DONE);
    }
    int width = 4;
    for (uint32_t i = 0; i < count; i++) {
        const int bytes = (int)strlen(rows[i].path);
        width = bytes > width ? bytes : width;
    }
    printf("%-*s  %-10s  %10s  %8s  %-12s  %s\n", width, "PATH", "STATE", "SIZE", "USED", "SET",
           "STORE");
    for (uint32_t i = 0; i < count; i++) {
        row_print(&rows[i], width);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].why[0] != '\0') {
            printf("%s\n", rows[i].why);
        }
    }
    return MKV_EXIT_CLIENT_DONE;
}

/* "/dev/nvme0n1" of each disk, into memory of the caller's. */
static uint32_t disks(char (*paths)[MKV_DRIVE_FACT_BYTES + 8], uint32_t max) {
    struct mkv_drive_name *names = calloc(MKV_DRIVE_LIST_MAX, sizeof *names);
    if (names == NULL) {
        return 0;
    }
    uint32_t count = mkv_drive_list(&mkv_drive_roots_kernel, names, MKV_DRIVE_LIST_MAX);
    count = count < max ? count : max;
    for (uint32_t i = 0; i < count; i++) {
        snprintf(paths[i], sizeof paths[i], "/dev/%s", names[i].text);
    }
    free(names);
    return count;
}

struct listing {
    struct row rows[MKV_COMMAND_DRIVE_PATHS_MAX];
    char paths[MKV_COMMAND_DRIVE_PATHS_MAX][MKV_DRIVE_FACT_BYTES + 8];
    struct mkv_config config;
};

static int list(struct listing *listing, const struct mkv_command_drive_line *line) {
    uint32_t count = line->path_count;
    for (uint32_t i = 0; i < count; i++) {
        listing->rows[i].path = line->paths[i];
    }
    if (line->config != NULL) {
        struct mkv_config_error error;
        mkv_config_defaults(&listing->config, false);
        if (!mkv_config_load_file(&listing->config, line->config, &error)) {
            mkv_command_drive_complain("list", "%s", error.message);
            return MKV_EXIT_CLIENT_SERVER_ERROR;
        }
        count = listing->config.storage.drive_count;
        for (uint32_t i = 0; i < count; i++) {
            listing->rows[i].path = listing->config.storage.drives[i].media;
            listing->rows[i].name = listing->config.storage.drives[i].name;
        }
    } else if (count == 0) {
        count = disks(listing->paths, MKV_COMMAND_DRIVE_PATHS_MAX);
        for (uint32_t i = 0; i < count; i++) {
            listing->rows[i].path = listing->paths[i];
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        look(&listing->rows[i]);
    }
    return rows_tell(listing->rows, count, line->json);
}

int mkv_command_drive_list(int argc, char **argv) {
    struct mkv_command_drive_line line = {.command = "list",
                                          .help = help_list,
                                          .takes_json = true,
                                          .takes_config = true,
                                          .paths_max = MKV_COMMAND_DRIVE_PATHS_MAX};
    int exit_code;
    if (!mkv_command_drive_parse(&line, argc, argv, &exit_code)) {
        return exit_code;
    }
    if (line.config != NULL && line.path_count > 0) {
        mkv_command_drive_complain("list", "it takes paths, or --config FILE, not both");
        return MKV_EXIT_CLIENT_USAGE;
    }
    struct listing *listing = calloc(1, sizeof *listing);
    if (listing == NULL) {
        mkv_command_drive_complain("list", "there is no memory. Free some");
        return MKV_EXIT_CLIENT_SERVER_ERROR;
    }
    exit_code = list(listing, &line);
    free(listing);
    return exit_code;
}

/* ---- inspect: the hardware ------------------------------------------------------------------- */

static void set_text(json_t *object, const char *key, const char *text) {
    if (text[0] != '\0') {
        json_object_set_new(object, key, mkv_command_drive_text(text));
    }
}

static json_t *hardware_json(int fd) {
    static const char *const caches[] = {[MKV_DRIVE_CACHE_UNKNOWN] = "unknown",
                                         [MKV_DRIVE_CACHE_WRITE_BACK] = "write back",
                                         [MKV_DRIVE_CACHE_WRITE_THROUGH] = "write through"};
    struct mkv_drive_facts facts;
    json_t *out = json_object();
    if (!mkv_drive_facts_read_fd(&mkv_drive_roots_kernel, fd, &facts)) {
        return out;
    }
    set_text(out, "model", facts.model);
    set_text(out, "serial", facts.serial);
    set_text(out, "firmware", facts.firmware);
    set_text(out, "wwid", facts.wwid);
    set_text(out, "by_id", facts.by_id);
    set_text(out, "address", facts.address);
    set_text(out, "file_system", facts.file_system);
    json_object_set_new(out, "read_only", json_boolean(facts.read_only));
    if (facts.block_device) {
        json_object_set_new(out, "logical_sector_bytes", json_integer(facts.logical_sector_bytes));
        json_object_set_new(out, "physical_sector_bytes",
                            json_integer(facts.physical_sector_bytes));
        json_object_set_new(out, "cache", json_string(caches[facts.cache]));
        json_object_set_new(out, "fua", json_boolean(facts.fua));
        json_object_set_new(out, "rotational", json_boolean(facts.rotational));
        json_object_set_new(out, "discard_bytes_max",
                            json_integer((json_int_t)facts.discard_bytes_max));
        json_object_set_new(out, "numa_node", json_integer(facts.numa_node));
    } else {
        json_object_set_new(out, "allocated_bytes",
                            json_integer((json_int_t)facts.allocated_bytes));
    }
    return out;
}

static json_t *health_json(int fd) {
    struct mkv_drive_smart smart;
    char warning[MKV_DRIVE_SMART_WARNING_BYTES];
    mkv_drive_smart_read(fd, &smart);
    json_t *out = json_object();
    json_object_set_new(out, "available", json_boolean(smart.available));
    if (!smart.available) {
        set_text(out, "why", smart.why);
        return out;
    }
    mkv_drive_smart_warning(smart.critical_warning, warning);
    json_object_set_new(out, "critical_warning", mkv_command_drive_text(warning));
    json_object_set_new(out, "temperature_celsius", json_integer(smart.temperature_celsius));
    json_object_set_new(out, "spare_percent", json_integer(smart.spare_percent));
    json_object_set_new(out, "used_percent", json_integer(smart.used_percent));
    json_object_set_new(out, "written_bytes", json_integer((json_int_t)smart.written_bytes));
    json_object_set_new(out, "read_bytes", json_integer((json_int_t)smart.read_bytes));
    json_object_set_new(out, "power_on_hours", json_integer((json_int_t)smart.power_on_hours));
    json_object_set_new(out, "unsafe_shutdowns", json_integer((json_int_t)smart.unsafe_shutdowns));
    json_object_set_new(out, "media_errors", json_integer((json_int_t)smart.media_errors));
    return out;
}

/* ---- inspect: in words ----------------------------------------------------------------------- */

static const char *word(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static uint64_t number(const json_t *object, const char *key) {
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

static const char *size_of(const json_t *object, const char *key,
                           char out[MKV_COMMAND_DRIVE_SIZE_BYTES]) {
    mkv_command_drive_size(number(object, key), out);
    return out;
}

static void print_copies(const json_t *superblock) {
    const json_t *copies = json_object_get(superblock, "copies");
    printf("superblock    sequence %" PRIu64 ", epoch %" PRIu64 ", %s; copies",
           number(superblock, "sequence"), number(superblock, "epoch"),
           json_is_true(json_object_get(superblock, "clean")) ? "closed clean"
                                                              : "not closed clean");
    for (size_t i = 0; i < json_array_size(copies); i++) {
        printf(" %s", word(json_array_get(copies, i), "state"));
    }
    printf("\n");
}

static void print_regions(const json_t *geometry) {
    const json_t *regions = json_object_get(geometry, "regions");
    char size[MKV_COMMAND_DRIVE_SIZE_BYTES];
    for (size_t i = 0; i < json_array_size(regions); i++) {
        const json_t *region = json_array_get(regions, i);
        mkv_command_drive_size(number(region, "units") * MKV_UNIT_BYTES, size);
        printf("  unit %-12" PRIu64 " %10s  %s\n", number(region, "unit"), size,
               word(region, "name"));
    }
}

static void print_checkpoints(const json_t *sides) {
    for (size_t i = 0; i < json_array_size(sides); i++) {
        const json_t *side = json_array_get(sides, i);
        printf("checkpoint %s  %s", word(side, "side"), word(side, "state"));
        if (json_object_get(side, "number") != NULL) {
            printf(": number %" PRIu64 ", %" PRIu64 " pages, journal from %" PRIu64,
                   number(side, "number"), number(side, "pages"), number(side, "journal_sequence"));
        }
        printf("\n");
    }
}

static void print_fill(const json_t *fill, const json_t *tenants) {
    char one[MKV_COMMAND_DRIVE_SIZE_BYTES];
    char other[MKV_COMMAND_DRIVE_SIZE_BYTES];
    const json_t *classes = json_object_get(fill, "classes");
    printf("fill          %" PRIu64 " blocks, %s of %s used, %" PRIu64 " extents free, %" PRIu64
           " slots retired\n",
           number(fill, "blocks"), size_of(fill, "used_bytes", one),
           size_of(fill, "usable_bytes", other), number(fill, "extents_free"),
           number(fill, "slots_retired"));
    for (size_t i = 0; i < json_array_size(classes); i++) {
        const json_t *class_of = json_array_get(classes, i);
        printf("  class %10s  %" PRIu64 " of %" PRIu64 " slots, %" PRIu64 " extents\n",
               size_of(class_of, "slot_bytes", one), number(class_of, "slots_used"),
               number(class_of, "slots"), number(class_of, "extents"));
    }
    for (size_t i = 0; i < json_array_size(tenants); i++) {
        const json_t *tenant = json_array_get(tenants, i);
        printf("  tenant %s%s  %" PRIu64 " blocks, %s\n", word(tenant, "name"),
               json_is_true(json_object_get(tenant, "live")) ? "" : " (dropped)",
               number(tenant, "blocks"), size_of(tenant, "bytes", one));
    }
}

static void print_health(const json_t *health) {
    char size[MKV_COMMAND_DRIVE_SIZE_BYTES];
    if (!json_is_true(json_object_get(health, "available"))) {
        printf("health        not known: %s\n", word(health, "why"));
        return;
    }
    printf("health        %s, %" PRIu64 " %% of its life used, spare %" PRIu64
           " %%, %lld C, %s written, %" PRIu64 " media errors\n",
           word(health, "critical_warning")[0] == '\0' ? "no warning"
                                                       : word(health, "critical_warning"),
           number(health, "used_percent"), number(health, "spare_percent"),
           (long long)json_integer_value(json_object_get(health, "temperature_celsius")),
           size_of(health, "written_bytes", size), number(health, "media_errors"));
}

static void print_inspected(const json_t *all) {
    char size[MKV_COMMAND_DRIVE_SIZE_BYTES];
    const json_t *medium = json_object_get(all, "medium");
    const json_t *set = json_object_get(all, "drive_set");
    const json_t *journal = json_object_get(all, "journal");
    const json_t *directory = json_object_get(all, "directory");
    const json_t *recovery = json_object_get(all, "recovery");
    printf("drive         %s, %s, %s\n", word(all, "path"), word(medium, "type"),
           size_of(medium, "bytes", size));
    const json_t *hardware = json_object_get(all, "hardware");
    if (word(hardware, "model")[0] != '\0') {
        printf("hardware      %s, serial %s, firmware %s, cache %s\n", word(hardware, "model"),
               word(hardware, "serial"), word(hardware, "firmware"), word(hardware, "cache"));
    }
    print_health(json_object_get(all, "health"));
    printf("store         %s\ndrive uuid    %s\n", word(all, "store_uuid"),
           word(all, "drive_uuid"));
    printf("drive set     version %" PRIu64 ", %zu members\n", number(set, "version"),
           json_array_size(json_object_get(set, "members")));
    print_copies(json_object_get(all, "superblock"));
    print_regions(json_object_get(all, "geometry"));
    print_checkpoints(json_object_get(all, "checkpoints"));
    printf("directory     commit %" PRIu64 ", %" PRIu64 " entries in %" PRIu64
           " nodes, applied to block %" PRIu64 "\n",
           number(directory, "commit"), number(directory, "entries"), number(directory, "nodes"),
           number(directory, "applied_sequence"));
    printf("a start       %s%s%s\n", word(recovery, "outcome"),
           word(recovery, "why")[0] == '\0' ? "" : ": ", word(recovery, "why"));
    if (json_object_get(journal, "head") != NULL) {
        printf("journal       blocks %" PRIu64 " to %" PRIu64 ", %" PRIu64
               " records; in one copy alone: %" PRIu64 "\n",
               number(journal, "first"), number(journal, "head"), number(journal, "records"),
               number(journal, "copies_differing"));
    }
    if (json_object_get(all, "fill") != NULL) {
        print_fill(json_object_get(all, "fill"), json_object_get(all, "tenants"));
    }
}

static int inspect(const struct mkv_drive_tool *drive, bool json) {
    struct mkv_backend_error error;
    if (!mkv_drive_tool_is_store(drive, &error)) {
        mkv_command_drive_complain("inspect", "%s", error.text);
        return MKV_EXIT_CLIENT_NOT_FOUND;
    }
    json_t *all = mkv_drive_inspect(drive, &error);
    if (all == NULL) {
        return mkv_command_drive_fail("inspect", &error);
    }
    json_object_set_new(all, "hardware", hardware_json(drive->media.fd));
    json_object_set_new(all, "health", health_json(drive->media.fd));
    if (json) {
        return mkv_command_drive_print(all, MKV_EXIT_CLIENT_DONE);
    }
    print_inspected(all);
    json_decref(all);
    return MKV_EXIT_CLIENT_DONE;
}

int mkv_command_drive_inspect(int argc, char **argv) {
    struct mkv_command_drive_line line = {.command = "inspect",
                                          .help = help_inspect,
                                          .takes_json = true,
                                          .paths_min = 1,
                                          .paths_max = 1};
    struct mkv_drive_tool drive;
    int exit_code;
    if (!mkv_command_drive_begin(&line, argc, argv, MKV_DRIVE_TOOL_READ, &drive, &exit_code)) {
        return exit_code;
    }
    exit_code = inspect(&drive, line.json);
    mkv_drive_tool_close(&drive);
    return exit_code;
}
