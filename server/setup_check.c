/* SPDX-License-Identifier: Apache-2.0 */
#include "server/setup_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/table.h"
#include "server/drive_set.h"

/* ---- use ------------------------------------------------------------------------------------ */

static bool refuse_mounted(const char *name, const char *path, const struct mkv_drive_facts *facts,
                           struct mkv_backend_error *error) {
    const bool itself = strcmp(facts->mounted_device, facts->kernel_name) == 0;
    if (itself) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "drive %s: %s is mounted at %s, which --force does not override. "
                                  "Name another drive; or, if nothing there is needed, run: "
                                  "umount %s",
                                  name, path, facts->mounted_at, facts->mounted_at);
    }
    return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "drive %s: %s, a partition of %s, is mounted at %s, which --force "
                              "does not override. Name another drive",
                              name, facts->mounted_device, path, facts->mounted_at);
}

static bool refuse_holders(const char *name, const char *path, const struct mkv_drive_facts *facts,
                           struct mkv_backend_error *error) {
    if (!facts->block_device) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "drive %s: file %s is attached to %s. Name the device instead, "
                                  "or run: losetup --detach /dev/%s",
                                  name, path, facts->holders, facts->holders);
    }
    return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "drive %s: %s is held by %s, which --force does not override. Name "
                              "another drive; or take it out of what holds it (lsblk %s)",
                              name, path, facts->holders, path);
}

static bool refuse_partitioned(const char *name, const char *path,
                               const struct mkv_drive_facts *facts,
                               struct mkv_backend_error *error) {
    return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                              "drive %s: %s has %" PRIu32 " partition%s: %s. Name a partition, or "
                              "another drive; or, if nothing on any of them is needed, run: "
                              "wipefs --all --force %s",
                              name, path, facts->partition_count,
                              facts->partition_count == 1 ? "" : "s", facts->partitions, path);
}

static bool refuse_small(const char *name, const char *path, const struct mkv_drive_facts *facts,
                         struct mkv_backend_error *error) {
    char size[MKV_TABLE_SIZE_BYTES];
    char needed[MKV_TABLE_SIZE_BYTES];
    mkv_table_size(facts->size_bytes, size);
    mkv_table_size(MKV_SETUP_DRIVE_BYTES_MIN, needed);
    return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                              "drive %s: %s has %s, and a drive of a store has %s at least. Name a "
                              "larger one",
                              name, path, size, needed);
}

bool mkv_setup_check_use(const char *name, const char *path, const struct mkv_drive_facts *facts,
                         struct mkv_backend_error *error) {
    if (facts->mount_count > 0) {
        return refuse_mounted(name, path, facts, error);
    }
    if (facts->swap) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "drive %s: %s is in use as swap space, which --force does not "
                                  "override. Name another drive; or run: swapoff, and take it out "
                                  "of /etc/fstab",
                                  name, path);
    }
    if (facts->holder_count > 0) {
        return refuse_holders(name, path, facts, error);
    }
    if (facts->nvme && facts->state[0] != '\0' && strcmp(facts->state, "live") != 0) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "drive %s: the controller of %s is %s. See dmesg; the drive may "
                                  "need replacing",
                                  name, path, facts->state);
    }
    if (facts->read_only) {
        return mkv_backend_refuse(error, MKV_BACKEND_PERMISSION,
                                  "drive %s: %s can only be read. Run: %s %s; a drive that has "
                                  "worn out stays so and needs replacing",
                                  name, path,
                                  facts->block_device ? "blockdev --setrw"
                                                      : "mount -o remount,rw on the file system of",
                                  path);
    }
    if (facts->zoned) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "drive %s: %s takes sequential writes only (host-managed zones), "
                                  "which a store cannot do. Name another drive",
                                  name, path);
    }
    if (facts->partition_count > 0) {
        return refuse_partitioned(name, path, facts, error);
    }
    /* An empty file is to be given its size. */
    const bool to_fill = !facts->block_device && facts->size_bytes == 0;
    return to_fill || facts->size_bytes >= MKV_SETUP_DRIVE_BYTES_MIN ||
           refuse_small(name, path, facts, error);
}

void mkv_setup_describe_use(const struct mkv_drive_facts *facts, char out[MKV_SETUP_USE_BYTES]) {
    out[0] = '\0';
    if (facts->mount_count > 0) {
        snprintf(out, MKV_SETUP_USE_BYTES, "%s%smounted at %s", facts->mounted_device,
                 facts->mounted_device[0] == '\0' ? "" : " ", facts->mounted_at);
    } else if (facts->swap) {
        snprintf(out, MKV_SETUP_USE_BYTES, "swap space");
    } else if (facts->holder_count > 0) {
        snprintf(out, MKV_SETUP_USE_BYTES, "held by %s", facts->holders);
    } else if (facts->read_only) {
        snprintf(out, MKV_SETUP_USE_BYTES, "read-only");
    } else if (facts->zoned) {
        snprintf(out, MKV_SETUP_USE_BYTES, "host-managed zones");
    } else if (facts->partition_count > 0) {
        snprintf(out, MKV_SETUP_USE_BYTES, "partitions: %s", facts->partitions);
    } else if (facts->size_bytes < MKV_SETUP_DRIVE_BYTES_MIN) {
        snprintf(out, MKV_SETUP_USE_BYTES, "too small");
    }
}

/* ---- content -------------------------------------------------------------------------------- */

/* How to have the first and the last MiB hold zeroes, which makes a drive empty to us. */
static void tell_how_to_empty(const char *path, const struct mkv_drive_facts *facts,
                              char out[MKV_BACKEND_ERROR_TEXT_BYTES]) {
    if (!facts->block_device) {
        snprintf(out, MKV_BACKEND_ERROR_TEXT_BYTES, "rm %.300s", path);
        return;
    }
    const uint64_t mib_units = MKV_MIB / MKV_UNIT_BYTES;
    snprintf(out, MKV_BACKEND_ERROR_TEXT_BYTES,
             "for at in 0 %" PRIu64 "; do dd if=/dev/zero of=%.300s bs=4k count=%" PRIu64
             " seek=$at conv=fsync; done",
             facts->size_bytes / MKV_UNIT_BYTES - mib_units, path, mib_units);
}

static bool refuse_other(const char *name, const char *path,
                         const struct mkv_setup_content *content, struct mkv_backend_error *error) {
    char how[MKV_BACKEND_ERROR_TEXT_BYTES];
    const bool known = content->probe->signature.kind != MKV_DRIVE_SIGNATURE_NONE;
    tell_how_to_empty(path, content->facts, how);
    return mkv_backend_refuse(
        error, MKV_BACKEND_CONFIGURATION,
        "drive %s: %.300s holds %s, which is not overwritten, by --force "
        "neither. Name another drive; or, if nothing on it is needed, run: "
        "%.400s",
        name, path, known ? content->probe->signature.name : "data of no known kind", how);
}

static bool refuse_ours(const char *name, const char *path, const struct mkv_drive_probe *probe,
                        struct mkv_backend_error *error) {
    char text[MKV_UUID_TEXT_BYTES];
    char store[MKV_TABLE_SIZE_BYTES];
    char medium[MKV_TABLE_SIZE_BYTES];
    switch (probe->kind) {
    case MKV_DRIVE_PROBE_STORE:
        mkv_uuid_format(probe->superblock.store_uuid, text);
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "drive %s: %s belongs to memkv store %s. Run memkv setup with "
                                  "--idempotent to leave it as it is, or with --force to format it "
                                  "anew, which loses its blocks",
                                  name, path, text);
    case MKV_DRIVE_PROBE_DAMAGED:
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "drive %s: the memkv store on %s is damaged: no two of its four "
                                  "superblocks agree. Run memkv setup with --force to format it "
                                  "anew, which loses its blocks",
                                  name, path);
    case MKV_DRIVE_PROBE_NEWER:
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "drive %s: the memkv store on %s has format version %u, and this "
                                  "release knows versions up to %u. Start the release that wrote "
                                  "it, or run memkv setup with --force to format it anew, which "
                                  "loses its blocks",
                                  name, path, (unsigned)probe->superblock.version,
                                  (unsigned)MKV_FORMAT_VERSION);
    case MKV_DRIVE_PROBE_SHRUNK:
        mkv_table_size(probe->store_capacity_units * MKV_UNIT_BYTES, store);
        mkv_table_size(probe->medium_capacity_units * MKV_UNIT_BYTES, medium);
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "drive %s: %s has shrunk: it has %s, the memkv store on it has "
                                  "%s. Bring back the missing part, or run memkv setup with "
                                  "--force to format it anew, which loses its blocks",
                                  name, path, medium, store);
    case MKV_DRIVE_PROBE_BLANK:
    case MKV_DRIVE_PROBE_OTHER:
        break;
    }
    MKV_ASSERT(false);
    return false;
}

bool mkv_setup_check_content(const char *name, const char *path,
                             const struct mkv_setup_content *content, enum mkv_setup_action *action,
                             struct mkv_backend_error *error) {
    const enum mkv_drive_probe_kind kind = content->probe->kind;
    *action = MKV_SETUP_FORMAT;
    if (kind == MKV_DRIVE_PROBE_BLANK) {
        return true;
    }
    if (kind == MKV_DRIVE_PROBE_OTHER) {
        return refuse_other(name, path, content, error);
    }
    if (content->force) {
        return true;
    }
    if (content->idempotent && kind == MKV_DRIVE_PROBE_STORE) {
        *action = MKV_SETUP_KEEP;
        return true;
    }
    return refuse_ours(name, path, content->probe, error);
}
