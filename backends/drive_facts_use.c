/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "backends/drive_facts_internal.h"

/* Lines of /proc/self/mountinfo: several paths of some length. Longer ones are passed over. */
#define LINE_BYTES 8192u
#define PATH_BYTES 4096u

void mkv_drive_list_add(char list[MKV_DRIVE_FACT_LIST_BYTES], const char *item) {
    static const char more[] = ", ...";
    const size_t used = strlen(list);
    const size_t needed = used + (used > 0 ? 2 : 0) + strlen(item) + sizeof more;
    if (needed > MKV_DRIVE_FACT_LIST_BYTES) {
        if (used + sizeof more <= MKV_DRIVE_FACT_LIST_BYTES &&
            (used < sizeof more || strcmp(list + used - (sizeof more - 1), more) != 0)) {
            snprintf(list + used, MKV_DRIVE_FACT_LIST_BYTES - used, "%s", more);
        }
        return;
    }
    snprintf(list + used, MKV_DRIVE_FACT_LIST_BYTES - used, "%s%s", used > 0 ? ", " : "", item);
}

/* ---- mounts --------------------------------------------------------------------------------- */

/* A line of /proc/self/mountinfo:
 *   36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/root rw,errors=continue */
struct mount {
    unsigned device_major;
    unsigned device_minor;
    char point[PATH_BYTES];
    char type[MKV_DRIVE_FACT_BYTES];
    char source[PATH_BYTES];
};

static bool parse_mount(const char *line, struct mount *mount) {
    if (sscanf(line, "%*s %*s %u:%u %*s %4095s", &mount->device_major, &mount->device_minor,
               mount->point) != 3) {
        return false;
    }
    const char *tail = strstr(line, " - ");
    return tail != NULL && sscanf(tail, " - %63s %4095s", mount->type, mount->source) == 2;
}

/* Calls `visit` for each mount of this process's view. */
static void each_mount(const struct mkv_drive_roots *roots,
                       void (*visit)(void *context, const struct mount *mount), void *context) {
    char path[MKV_DRIVE_PLACE_BYTES];
    snprintf(path, sizeof path, "%s/self/mountinfo", roots->proc);
    FILE *file = fopen(path, "re");
    char *line = malloc(LINE_BYTES);
    struct mount *mount = malloc(sizeof *mount);
    while (file != NULL && line != NULL && mount != NULL && fgets(line, LINE_BYTES, file) != NULL) {
        if (parse_mount(line, mount)) {
            visit(context, mount);
        }
    }
    free(mount);
    free(line);
    if (file != NULL) {
        fclose(file);
    }
}

struct mount_search {
    struct mkv_drive_facts *facts;
    const char *kernel_name; /* of the device that is looked for: the drive or its partition */
    unsigned device_major;
    unsigned device_minor;
};

/* Whether a path such as /dev/mapper/x leads to the device. */
static bool path_is_device(const char *path, const struct mount_search *search) {
    struct stat status;
    if (strncmp(path, "/dev/", 5) != 0) {
        return false;
    }
    if (strcmp(path + 5, search->kernel_name) == 0) {
        return true;
    }
    return stat(path, &status) == 0 && S_ISBLK(status.st_mode) &&
           major(status.st_rdev) == search->device_major &&
           minor(status.st_rdev) == search->device_minor;
}

/* Some file systems, as btrfs, have a number of their own, so the source is looked at, too. */
static void note_mount_of_device(void *context, const struct mount *mount) {
    const struct mount_search *search = context;
    struct mkv_drive_facts *facts = search->facts;
    const bool same_number =
        mount->device_major == search->device_major && mount->device_minor == search->device_minor;
    if (!same_number && !path_is_device(mount->source, search)) {
        return;
    }
    facts->mount_count++;
    if (facts->mount_count == 1) {
        mkv_drive_text_copy(facts->mounted_device, sizeof facts->mounted_device,
                            search->kernel_name, strlen(search->kernel_name));
        mkv_drive_text_copy(facts->mounted_at, sizeof facts->mounted_at, mount->point,
                            strlen(mount->point));
    }
}

/* ---- swap ----------------------------------------------------------------------------------- */

/* Whether a path of /proc/swaps is one that `is_it` knows. */
static bool any_swap(const struct mkv_drive_roots *roots,
                     bool (*is_it)(const void *context, const char *path), const void *context) {
    char path[MKV_DRIVE_PLACE_BYTES];
    char line[LINE_BYTES];
    char name[PATH_BYTES];
    snprintf(path, sizeof path, "%s/swaps", roots->proc);
    FILE *file = fopen(path, "re");
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        /* The first line says "Filename". */
        found = line[0] == '/' && sscanf(line, "%4095s", name) == 1 && is_it(context, name);
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

static bool swap_is_device(const void *context, const char *path) {
    return path_is_device(path, context);
}

/* ---- holders and partitions ----------------------------------------------------------------- */

/* "dm-0 (LVM vg0-data)": the kernel's name of a holder, and what device mapper knows of it. */
static void describe_holder(const struct mkv_drive_roots *roots, const char *name,
                            char out[2 * MKV_DRIVE_FACT_BYTES]) {
    char directory[MKV_DRIVE_PLACE_BYTES];
    char uuid[MKV_DRIVE_FACT_BYTES];
    char label[MKV_DRIVE_FACT_BYTES];
    static const struct {
        const char *prefix;
        const char *word;
    } kinds[] = {{"LVM-", "LVM "}, {"CRYPT-", "dm-crypt "}, {"mpath-", "multipath "}};
    snprintf(directory, sizeof directory, "%.200s/block/%.200s/dm", roots->sys, name);
    const char *word = "";
    if (mkv_drive_attribute(directory, "uuid", uuid, sizeof uuid)) {
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            if (strncmp(uuid, kinds[i].prefix, strlen(kinds[i].prefix)) == 0) {
                word = kinds[i].word;
            }
        }
    }
    if (mkv_drive_attribute(directory, "name", label, sizeof label)) {
        snprintf(out, 2 * MKV_DRIVE_FACT_BYTES, "%.40s (%s%.60s)", name, word, label);
    } else {
        snprintf(out, 2 * MKV_DRIVE_FACT_BYTES, "%.60s", name);
    }
}

static void note_holders(const struct mkv_drive_place *place, const char *directory,
                         struct mkv_drive_facts *facts) {
    char path[2 * MKV_DRIVE_PLACE_BYTES];
    snprintf(path, sizeof path, "%s/holders", directory);
    DIR *holders = opendir(path);
    if (holders == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(holders)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char item[2 * MKV_DRIVE_FACT_BYTES];
        describe_holder(place->roots, entry->d_name, item);
        mkv_drive_list_add(facts->holders, item);
        facts->holder_count++;
    }
    closedir(holders);
}

/* Uses of one device: the drive itself, or one of its partitions. */
static void note_uses(const struct mkv_drive_place *place, const char *directory,
                      const char *kernel_name, struct mkv_drive_facts *facts) {
    char number[32];
    struct mount_search search = {.facts = facts, .kernel_name = kernel_name};
    if (mkv_drive_attribute(directory, "dev", number, sizeof number) &&
        sscanf(number, "%u:%u", &search.device_major, &search.device_minor) == 2) {
        each_mount(place->roots, note_mount_of_device, &search);
        facts->swap = facts->swap || any_swap(place->roots, swap_is_device, &search);
    }
    note_holders(place, directory, facts);
}

static void note_partitions(const struct mkv_drive_place *place, struct mkv_drive_facts *facts) {
    DIR *children = opendir(place->own);
    if (children == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(children)) != NULL) {
        char path[2 * MKV_DRIVE_PLACE_BYTES];
        char attribute[2 * MKV_DRIVE_PLACE_BYTES];
        snprintf(path, sizeof path, "%.500s/%.255s", place->own, entry->d_name);
        snprintf(attribute, sizeof attribute, "%.800s/partition", path);
        if (entry->d_name[0] == '.' || access(attribute, F_OK) != 0) {
            continue;
        }
        mkv_drive_list_add(facts->partitions, entry->d_name);
        facts->partition_count++;
        note_uses(place, path, entry->d_name, facts);
    }
    closedir(children);
}

void mkv_drive_use_of_device(const struct mkv_drive_place *place, struct mkv_drive_facts *facts) {
    note_uses(place, place->own, facts->kernel_name, facts);
    if (!facts->partition) {
        note_partitions(place, facts);
    }
}

/* ---- files ---------------------------------------------------------------------------------- */

struct file_search {
    const struct mkv_drive_roots *roots;
    struct mkv_drive_facts *facts;
    uint64_t inode;
};

static void note_file_system(void *context, const struct mount *mount) {
    const struct file_search *search = context;
    struct mkv_drive_facts *facts = search->facts;
    if (mount->device_major == facts->device_major && mount->device_minor == facts->device_minor) {
        mkv_drive_text_copy(facts->file_system, sizeof facts->file_system, mount->type,
                            strlen(mount->type));
    }
}

static bool path_is_file(const void *context, const char *path) {
    const struct file_search *search = context;
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_ino == search->inode &&
           major(status.st_dev) == search->facts->device_major &&
           minor(status.st_dev) == search->facts->device_minor;
}

static void note_loop_devices(const struct file_search *search) {
    char directory[MKV_DRIVE_PLACE_BYTES];
    snprintf(directory, sizeof directory, "%s/block", search->roots->sys);
    DIR *disks = opendir(directory);
    if (disks == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(disks)) != NULL) {
        char path[2 * MKV_DRIVE_PLACE_BYTES];
        char backing[MKV_DRIVE_FACT_LIST_BYTES];
        snprintf(path, sizeof path, "%.500s/%.255s", directory, entry->d_name);
        if (strncmp(entry->d_name, "loop", 4) == 0 &&
            mkv_drive_attribute(path, "loop/backing_file", backing, sizeof backing) &&
            path_is_file(search, backing)) {
            mkv_drive_list_add(search->facts->holders, entry->d_name);
            search->facts->holder_count++;
        }
    }
    closedir(disks);
}

void mkv_drive_use_of_file(const struct mkv_drive_roots *roots, uint64_t inode,
                           struct mkv_drive_facts *facts) {
    struct file_search search = {.roots = roots, .facts = facts, .inode = inode};
    each_mount(roots, note_file_system, &search);
    facts->swap = any_swap(roots, path_is_file, &search);
    note_loop_devices(&search);
}
