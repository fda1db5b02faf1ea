/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_facts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "backends/drive_facts_internal.h"

/* The kernel counts sizes in these, whatever the sectors of the device are. */
#define SYSFS_SECTOR_BYTES 512u
/* Lines of sysfs that are longer are of no interest here. */
#define LINE_BYTES 512u
#define PATH_BYTES (2u * MKV_DRIVE_PLACE_BYTES)

const struct mkv_drive_roots mkv_drive_roots_kernel = {"/sys", "/proc", "/dev"};

/* ---- attributes ----------------------------------------------------------------------------- */

void mkv_drive_text_copy(char *out, size_t out_bytes, const char *text, size_t text_bytes) {
    MKV_ASSERT(out_bytes > 0);
    const size_t count = mkv_min_u64(text_bytes, out_bytes - 1);
    for (size_t i = 0; i < count; i++) {
        out[i] = text[i] < ' ' || text[i] > '~' ? '?' : text[i];
    }
    out[count] = '\0';
}

bool mkv_drive_attribute(const char *directory, const char *name, char *out, size_t out_bytes) {
    char path[PATH_BYTES];
    char line[LINE_BYTES];
    out[0] = '\0';
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    const char *read = fgets(line, sizeof line, file);
    fclose(file);
    if (read == NULL) {
        return false;
    }
    const char *start = line;
    while (isspace((unsigned char)*start)) {
        start++;
    }
    size_t count = strcspn(start, "\n");
    while (count > 0 && isspace((unsigned char)start[count - 1])) {
        count--;
    }
    mkv_drive_text_copy(out, out_bytes, start, count);
    return count > 0;
}

uint64_t mkv_drive_attribute_number(const char *directory, const char *name) {
    char text[MKV_DRIVE_FACT_BYTES];
    return mkv_drive_attribute(directory, name, text, sizeof text) ? strtoull(text, NULL, 10) : 0;
}

/* The first of several attributes that is there: kinds of drives have different ones. */
static void read_first(const char *disk, const char *const *names, char *out, size_t out_bytes) {
    for (out[0] = '\0'; *names != NULL; names++) {
        if (mkv_drive_attribute(disk, *names, out, out_bytes)) {
            return;
        }
    }
}

/* ---- places --------------------------------------------------------------------------------- */

static bool find_place(const struct mkv_drive_roots *roots, dev_t device,
                       struct mkv_drive_place *place) {
    place->roots = roots;
    snprintf(place->own, sizeof place->own, "%s/dev/block/%u:%u", roots->sys, major(device),
             minor(device));
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/partition", place->own);
    const bool partition = access(path, F_OK) == 0;
    snprintf(place->disk, sizeof place->disk, "%.*s%s", (int)sizeof place->own - 4, place->own,
             partition ? "/.." : "");
    return access(place->own, F_OK) == 0;
}

/* The value behind KEY= in the device's uevent. */
static void read_uevent(const char *directory, const char *key, char *out, size_t out_bytes) {
    char path[PATH_BYTES];
    char line[LINE_BYTES];
    const size_t key_bytes = strlen(key);
    out[0] = '\0';
    snprintf(path, sizeof path, "%s/uevent", directory);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, key_bytes) == 0 && line[key_bytes] == '=') {
            const char *value = line + key_bytes + 1;
            mkv_drive_text_copy(out, out_bytes, value, strcspn(value, "\n"));
            break;
        }
    }
    fclose(file);
}

/* ---- which one it is ------------------------------------------------------------------------ */

/* How well a name of /dev/disk/by-id serves: 3 says model and serial number, 1 is a number. */
static uint32_t by_id_rank(const char *name) {
    static const char *const numbers[] = {"wwn-",   "nvme-eui.",    "nvme-nvme.", "nvme-uuid.",
                                          "scsi-3", "lvm-pv-uuid-", "dm-uuid-",   "md-uuid-"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strncmp(name, numbers[i], strlen(numbers[i])) == 0) {
            return 1;
        }
    }
    return strncmp(name, "nvme-", 5) == 0 || strncmp(name, "ata-", 4) == 0 ? 3 : 2;
}

/* The best name, and of equally good ones the shortest, then the first. */
static bool by_id_better(const char *name, const char *best) {
    if (best[0] == '\0' || by_id_rank(name) != by_id_rank(best)) {
        return best[0] == '\0' || by_id_rank(name) > by_id_rank(best);
    }
    return strlen(name) != strlen(best) ? strlen(name) < strlen(best) : strcmp(name, best) < 0;
}

static void find_by_id(const struct mkv_drive_roots *roots, struct mkv_drive_facts *facts) {
    char directory[PATH_BYTES];
    char best[MKV_DRIVE_FACT_PATH_BYTES - 32] = "";
    snprintf(directory, sizeof directory, "%s/disk/by-id", roots->dev);
    DIR *links = opendir(directory);
    if (links == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(links)) != NULL) {
        char path[2 * PATH_BYTES];
        char target[PATH_BYTES];
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        const ssize_t count = readlink(path, target, sizeof target - 1);
        if (count <= 0 || strlen(entry->d_name) >= sizeof best) {
            continue;
        }
        target[count] = '\0';
        const char *slash = strrchr(target, '/');
        if (strcmp(slash == NULL ? target : slash + 1, facts->kernel_name) == 0 &&
            by_id_better(entry->d_name, best)) {
            snprintf(best, sizeof best, "%s", entry->d_name);
        }
    }
    closedir(links);
    if (best[0] != '\0') {
        snprintf(facts->by_id, sizeof facts->by_id, "/dev/disk/by-id/%s", best);
    }
}

static void read_identity(const struct mkv_drive_place *place, struct mkv_drive_facts *facts) {
    static const char *const model[] = {"device/model", "device/device/model", "device/name", NULL};
    static const char *const serial[] = {"device/serial", "device/device/serial", "serial", NULL};
    static const char *const firmware[] = {"device/firmware_rev", "device/device/firmware_rev",
                                           "device/rev", NULL};
    static const char *const wwid[] = {"wwid", "device/wwid", NULL};
    static const char *const address[] = {"device/address", NULL};
    static const char *const numa[] = {"device/numa_node", "device/device/numa_node", NULL};
    const char *disk = place->disk;
    read_uevent(place->own, "DEVNAME", facts->kernel_name, sizeof facts->kernel_name);
    facts->nvme = strncmp(facts->kernel_name, "nvme", 4) == 0;
    read_first(disk, model, facts->model, sizeof facts->model);
    read_first(disk, serial, facts->serial, sizeof facts->serial);
    read_first(disk, firmware, facts->firmware, sizeof facts->firmware);
    read_first(disk, wwid, facts->wwid, sizeof facts->wwid);
    read_first(disk, address, facts->address, sizeof facts->address);
    if (facts->nvme) {
        (void)mkv_drive_attribute(disk, "device/state", facts->state, sizeof facts->state);
    }
    char node[16];
    read_first(disk, numa, node, sizeof node);
    facts->numa_node = node[0] == '\0' ? -1 : (int32_t)strtol(node, NULL, 10);
    find_by_id(place->roots, facts);
}

/* ---- its queue ------------------------------------------------------------------------------ */

static enum mkv_drive_cache read_cache(const char *disk) {
    char text[MKV_DRIVE_FACT_BYTES];
    if (!mkv_drive_attribute(disk, "queue/write_cache", text, sizeof text)) {
        return MKV_DRIVE_CACHE_UNKNOWN;
    }
    if (strcmp(text, "write back") == 0) {
        return MKV_DRIVE_CACHE_WRITE_BACK;
    }
    return strcmp(text, "write through") == 0 ? MKV_DRIVE_CACHE_WRITE_THROUGH
                                              : MKV_DRIVE_CACHE_UNKNOWN;
}

static void read_queue(const char *disk, struct mkv_drive_facts *facts) {
    char zoned[MKV_DRIVE_FACT_BYTES];
    facts->logical_sector_bytes =
        (uint32_t)mkv_drive_attribute_number(disk, "queue/logical_block_size");
    facts->physical_sector_bytes =
        (uint32_t)mkv_drive_attribute_number(disk, "queue/physical_block_size");
    facts->rotational = mkv_drive_attribute_number(disk, "queue/rotational") != 0;
    facts->zoned = mkv_drive_attribute(disk, "queue/zoned", zoned, sizeof zoned) &&
                   strcmp(zoned, "host-managed") == 0;
    facts->cache = read_cache(disk);
    facts->fua = mkv_drive_attribute_number(disk, "queue/fua") != 0;
    facts->discard_granularity_bytes =
        mkv_drive_attribute_number(disk, "queue/discard_granularity");
    facts->discard_bytes_max = mkv_drive_attribute_number(disk, "queue/discard_max_bytes");
    facts->write_zeroes_bytes_max =
        mkv_drive_attribute_number(disk, "queue/write_zeroes_max_bytes");
    facts->atomic_write_bytes_max =
        mkv_drive_attribute_number(disk, "queue/atomic_write_unit_max_bytes");
}

/* ---- calls ---------------------------------------------------------------------------------- */

bool mkv_drive_facts_read_device(const struct mkv_drive_roots *roots, dev_t device,
                                 struct mkv_drive_facts *facts) {
    struct mkv_drive_place place;
    *facts = (struct mkv_drive_facts){.block_device = true, .numa_node = -1};
    facts->device_major = major(device);
    facts->device_minor = minor(device);
    if (!find_place(roots, device, &place)) {
        errno = ENODEV;
        return false;
    }
    facts->partition = strcmp(place.own, place.disk) != 0;
    facts->size_bytes = mkv_drive_attribute_number(place.own, "size") * SYSFS_SECTOR_BYTES;
    facts->read_only = mkv_drive_attribute_number(place.own, "ro") != 0;
    read_identity(&place, facts);
    read_queue(place.disk, facts);
    mkv_drive_use_of_device(&place, facts);
    return true;
}

static bool read_status(const struct mkv_drive_roots *roots, const struct stat *status,
                        struct mkv_drive_facts *facts) {
    if (S_ISBLK(status->st_mode)) {
        return mkv_drive_facts_read_device(roots, status->st_rdev, facts);
    }
    *facts = (struct mkv_drive_facts){.numa_node = -1};
    if (!S_ISREG(status->st_mode)) {
        errno = EINVAL;
        return false;
    }
    facts->device_major = major(status->st_dev);
    facts->device_minor = minor(status->st_dev);
    facts->size_bytes = (uint64_t)status->st_size;
    facts->allocated_bytes = (uint64_t)status->st_blocks * SYSFS_SECTOR_BYTES;
    mkv_drive_use_of_file(roots, status->st_ino, facts);
    return true;
}

bool mkv_drive_facts_read(const struct mkv_drive_roots *roots, const char *path,
                          struct mkv_drive_facts *facts) {
    struct stat status;
    *facts = (struct mkv_drive_facts){.numa_node = -1};
    if (stat(path, &status) != 0 || !read_status(roots, &status, facts)) {
        return false;
    }
    if (!facts->block_device) {
        facts->read_only = access(path, W_OK) != 0 && errno == EROFS;
    }
    return true;
}

bool mkv_drive_facts_read_fd(const struct mkv_drive_roots *roots, int fd,
                             struct mkv_drive_facts *facts) {
    struct stat status;
    *facts = (struct mkv_drive_facts){.numa_node = -1};
    return fstat(fd, &status) == 0 && read_status(roots, &status, facts);
}

bool mkv_drive_facts_read_name(const struct mkv_drive_roots *roots, const char *name,
                               struct mkv_drive_facts *facts) {
    char directory[MKV_DRIVE_PLACE_BYTES];
    char number[32];
    unsigned device_major;
    unsigned device_minor;
    snprintf(directory, sizeof directory, "%.250s/block/%.200s", roots->sys, name);
    if (!mkv_drive_attribute(directory, "dev", number, sizeof number) ||
        sscanf(number, "%u:%u", &device_major, &device_minor) != 2) {
        *facts = (struct mkv_drive_facts){.numa_node = -1};
        errno = ENODEV;
        return false;
    }
    return mkv_drive_facts_read_device(roots, makedev(device_major, device_minor), facts);
}

/* ---- the list ------------------------------------------------------------------------------- */

/* What the kernel lists as a disk and nobody keeps blocks on by itself. */
static bool is_no_drive(const char *directory, const char *name) {
    static const char *const others[] = {"ram", "zram", "sr", "fd", "dm-", "md"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strncmp(name, others[i], strlen(others[i])) == 0) {
            return true;
        }
    }
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%.400s/%.200s", directory, name);
    /* A path of an NVMe drive with several is hidden; the drive itself is listed, too. */
    return mkv_drive_attribute_number(path, "size") == 0 ||
           mkv_drive_attribute_number(path, "hidden") != 0;
}

static int compare_names(const void *left, const void *right) {
    return strverscmp(((const struct mkv_drive_name *)left)->text,
                      ((const struct mkv_drive_name *)right)->text);
}

uint32_t mkv_drive_list(const struct mkv_drive_roots *roots, struct mkv_drive_name *out,
                        uint32_t out_max) {
    char directory[MKV_DRIVE_PLACE_BYTES];
    snprintf(directory, sizeof directory, "%s/block", roots->sys);
    DIR *disks = opendir(directory);
    if (disks == NULL) {
        return 0;
    }
    uint32_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(disks)) != NULL && count < out_max) {
        if (entry->d_name[0] != '.' && strlen(entry->d_name) < sizeof out->text &&
            !is_no_drive(directory, entry->d_name)) {
            snprintf(out[count].text, sizeof out->text, "%.63s", entry->d_name);
            count++;
        }
    }
    closedir(disks);
    qsort(out, count, sizeof *out, compare_names);
    return count;
}
