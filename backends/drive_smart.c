/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_smart.h"

#include <errno.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/bytes.h"

#define OPCODE_GET_LOG_PAGE 0x02u
#define OPCODE_IDENTIFY 0x06u
#define LOG_PAGE_SMART 0x02u
#define IDENTIFY_CONTROLLER 0x01u
/* The log of the controller, not of one namespace. */
#define NAMESPACE_ALL 0xffffffffu
/* A data unit of the log is a thousand sectors of 512 bytes. */
#define DATA_UNIT_BYTES 512000u
#define KELVIN_OF_0_CELSIUS 273

/* ---- sending -------------------------------------------------------------------------------- */

static int read_by_ioctl(void *context, uint8_t opcode, uint32_t namespace_id, uint32_t dword10,
                         uint8_t *bytes, uint32_t byte_count) {
    const int *fd = context;
    struct nvme_passthru_cmd command = {
        .opcode = opcode,
        .nsid = namespace_id,
        .addr = (uintptr_t)bytes,
        .data_len = byte_count,
        .cdw10 = dword10,
        .timeout_ms = MKV_DRIVE_ADMIN_TIMEOUT_MS,
    };
    return ioctl(*fd, NVME_IOCTL_ADMIN_CMD, &command);
}

/* Says why a command brought nothing. */
static void explain(int result, int error_number, char why[MKV_DRIVE_SMART_WHY_BYTES]) {
    if (result > 0) {
        snprintf(why, MKV_DRIVE_SMART_WHY_BYTES, "the drive refused with NVMe status 0x%03x",
                 (unsigned)result);
        return;
    }
    switch (error_number) {
    case ENOTTY:
    case EINVAL:
    case EOPNOTSUPP:
        snprintf(why, MKV_DRIVE_SMART_WHY_BYTES, "not an NVMe drive");
        return;
    case EACCES:
    case EPERM:
        snprintf(why, MKV_DRIVE_SMART_WHY_BYTES,
                 "asking an NVMe drive needs CAP_SYS_ADMIN, which root has");
        return;
    default:
        snprintf(why, MKV_DRIVE_SMART_WHY_BYTES, "the drive does not answer: %s",
                 strerror(error_number));
        return;
    }
}

/* ---- the SMART log -------------------------------------------------------------------------- */

static uint64_t get_u128(const uint8_t *bytes) {
    return mkv_load_u64(bytes + 8) != 0 ? UINT64_MAX : mkv_load_u64(bytes);
}

static uint64_t data_units_to_bytes(uint64_t units) {
    return units > UINT64_MAX / DATA_UNIT_BYTES ? UINT64_MAX : units * DATA_UNIT_BYTES;
}

static void decode_smart(const uint8_t *page, struct mkv_drive_smart *smart) {
    smart->available = true;
    smart->critical_warning = page[0];
    /* A drive that does not measure reports 0 K. */
    const int32_t kelvin = mkv_load_u16(page + 1);
    smart->temperature_celsius = kelvin == 0 ? 0 : kelvin - KELVIN_OF_0_CELSIUS;
    smart->spare_percent = page[3];
    smart->spare_threshold_percent = page[4];
    smart->used_percent = page[5];
    smart->read_bytes = data_units_to_bytes(get_u128(page + 32));
    smart->written_bytes = data_units_to_bytes(get_u128(page + 48));
    smart->power_cycles = get_u128(page + 112);
    smart->power_on_hours = get_u128(page + 128);
    smart->unsafe_shutdowns = get_u128(page + 144);
    smart->media_errors = get_u128(page + 160);
    smart->error_log_entries = get_u128(page + 176);
}

void mkv_drive_smart_ask(const struct mkv_drive_admin *admin, struct mkv_drive_smart *smart) {
    _Alignas(8) uint8_t page[MKV_DRIVE_SMART_PAGE_BYTES] = {0};
    /* The count of dwords, less one, stands above the page's number. */
    const uint32_t dword10 = LOG_PAGE_SMART | (MKV_DRIVE_SMART_PAGE_BYTES / 4 - 1) << 16;
    *smart = (struct mkv_drive_smart){0};
    const int result =
        admin->read(admin->context, OPCODE_GET_LOG_PAGE, NAMESPACE_ALL, dword10, page, sizeof page);
    if (result != 0) {
        explain(result, errno, smart->why);
        return;
    }
    decode_smart(page, smart);
}

void mkv_drive_smart_read(int fd, struct mkv_drive_smart *smart) {
    const struct mkv_drive_admin admin = {.context = &fd, .read = read_by_ioctl};
    mkv_drive_smart_ask(&admin, smart);
}

void mkv_drive_smart_warning(uint32_t critical_warning, char out[MKV_DRIVE_SMART_WARNING_BYTES]) {
    static const char *const words[] = {
        "spare blocks are low",   "temperature is out of bounds",         "media is unreliable",
        "drive is read-only now", "backup of volatile memory has failed",
    };
    out[0] = '\0';
    for (uint32_t bit = 0; bit < sizeof words / sizeof words[0]; bit++) {
        if ((critical_warning & 1u << bit) != 0) {
            const size_t used = strlen(out);
            snprintf(out + used, MKV_DRIVE_SMART_WARNING_BYTES - used, "%s%s", used > 0 ? ", " : "",
                     words[bit]);
        }
    }
}

/* ---- Identify Controller -------------------------------------------------------------------- */

static void decode_controller(const uint8_t *page, struct mkv_drive_controller *controller) {
    const uint32_t sanitize = mkv_load_u32(page + 328);
    const uint32_t commands = mkv_load_u16(page + 520);
    controller->available = true;
    controller->sanitize_crypto = (sanitize & 0x1u) != 0;
    controller->sanitize_block = (sanitize & 0x2u) != 0;
    controller->sanitize_overwrite = (sanitize & 0x4u) != 0;
    controller->deallocate = (commands & 0x4u) != 0;
    controller->write_zeroes = (commands & 0x8u) != 0;
    controller->volatile_cache = (page[525] & 0x1u) != 0;
    controller->atomic_write_blocks = (uint32_t)mkv_load_u16(page + 528) + 1; /* 0 stands for 1 */
}

void mkv_drive_controller_ask(const struct mkv_drive_admin *admin,
                              struct mkv_drive_controller *controller) {
    *controller = (struct mkv_drive_controller){0};
    uint8_t *page = aligned_alloc(MKV_DRIVE_IDENTIFY_BYTES, MKV_DRIVE_IDENTIFY_BYTES);
    if (page == NULL) {
        snprintf(controller->why, sizeof controller->why, "no memory to ask the drive");
        return;
    }
    memset(page, 0, MKV_DRIVE_IDENTIFY_BYTES);
    const int result = admin->read(admin->context, OPCODE_IDENTIFY, 0, IDENTIFY_CONTROLLER, page,
                                   MKV_DRIVE_IDENTIFY_BYTES);
    if (result != 0) {
        explain(result, errno, controller->why);
    } else {
        decode_controller(page, controller);
    }
    free(page);
}

void mkv_drive_controller_read(int fd, struct mkv_drive_controller *controller) {
    const struct mkv_drive_admin admin = {.context = &fd, .read = read_by_ioctl};
    mkv_drive_controller_ask(&admin, controller);
}
