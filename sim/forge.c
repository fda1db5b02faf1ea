/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/forge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/front.h"
#include "sim/forge_internal.h"
#include "sim/forged_check.h"
#include "sim/forged_drive.h"
#include "sim/forged_edit.h"
#include "sim/json.h"
#include "sim/shape.h"

/* Forged copies of one drive, and operations that filled it. */
#define FORGERIES 48u
/* One seed in so many has a drive of many keys, which takes longer. */
#define BROAD_ONE_IN 16u
#define FORGERIES_BROAD 8u
#define CROWD_ONE_IN 4u
#define OPERATIONS_MAX 60u
#define KEYS 24u
#define CONFIGURATIONS 64u
#define IMAGE_BYTES_MAX ((size_t)MKV_FORGED_UNITS_MAX * (MKV_UNIT_BYTES + 8u) + 64u)
#define TENANT_FIRST 5u

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- drives ---------------------------------------------------------------------------------- */

static void ask(struct mkv_forged_drive *drive, struct mkv_message message, const char *bytes) {
    (void)mkv_forged_drive_ask(drive, &message, (const uint8_t *)bytes, (uint32_t)strlen(bytes));
}

/* One operation on what will be forged. */
static void work(struct mkv_forged_drive *drive, struct mkv_random *random, uint32_t *tenant,
                 uint32_t key_bytes_min) {
    char key[MKV_KEY_BYTES_MAX + 1];
    const uint32_t number = mkv_random_below(random, KEYS);
    const int bytes = snprintf(key, sizeof key, "%c%s/%u", 'a' + (int)(number % 3),
                               number % 2 == 0 ? "/long" : "", number);
    if ((uint32_t)bytes < key_bytes_min) {
        memset(key + bytes, 'k', key_bytes_min - (uint32_t)bytes);
        key[key_bytes_min] = 0;
    }
    const uint32_t of = mkv_random_chance(random, 1, 4) ? *tenant : MKV_TENANT_DEFAULT;
    switch (mkv_random_below(random, 16)) {
    case 0:
        key[mkv_min_u64(strlen(key), MKV_TENANT_STORED_NAME_BYTES_MAX)] = 0;
        ask(drive, (struct mkv_message){.kind = MKV_MESSAGE_TENANT, .tenant = *tenant}, key);
        break;
    case 1:
        ask(drive, (struct mkv_message){.kind = MKV_MESSAGE_TENANT_DROP, .tenant = *tenant}, "");
        *tenant += 1;
        break;
    case 2:
        mkv_forged_drive_admin(drive, MKV_ADMIN_CHECKPOINT);
        break;
    case 3:
    case 4:
        ask(drive, (struct mkv_message){.kind = MKV_MESSAGE_DELETE, .tenant = of}, key);
        break;
    case 5:
        ask(drive, (struct mkv_message){.kind = MKV_MESSAGE_SCAN, .tenant = of, .count = 9}, "");
        break;
    default:
        (void)mkv_forged_drive_put(drive, of, key,
                                   mkv_random_below(random, 4 * (uint32_t)MKV_UNIT_BYTES),
                                   (uint8_t)number);
    }
}

void mkv_forge_fit(struct mkv_geometry *geometry) {
    geometry->capacity_units =
        2 * MKV_SUPERBLOCK_SPACING_UNITS + MKV_JOURNAL_COPIES * geometry->ring_blocks +
        MKV_CHECKPOINT_SIDES * (1 + geometry->tenant_units + geometry->page_count) +
        geometry->directory_units + (uint64_t)geometry->extent_count * geometry->extent_units +
        MKV_SUPERBLOCK_SPACING_UNITS + 1;
    MKV_ASSERT(mkv_geometry_valid(geometry));
}

void mkv_forge_store(struct mkv_forged_drive *drive, struct mkv_forged_image *image,
                     const struct mkv_geometry *geometry) {
    struct mkv_superblock superblock = {.geometry = *geometry};
    memset(superblock.store_uuid.bytes, 0x51, sizeof superblock.store_uuid.bytes);
    memset(superblock.drive_uuid.bytes, 0xd1, sizeof superblock.drive_uuid.bytes);
    superblock.drive_set.version = MKV_DRIVE_SET_VERSION_FIRST;
    mkv_drive_set_add(&superblock.drive_set, (struct mkv_member){superblock.drive_uuid, 1});
    image->units = (uint32_t)geometry->capacity_units;
    MKV_ASSERT(image->units <= MKV_FORGED_UNITS_MAX);
    image->bytes = calloc(image->units, MKV_UNIT_BYTES);
    MKV_ASSERT(image->bytes != NULL);
    mkv_forged_drive_init(drive, image, &superblock);
    mkv_forged_drive_format(drive);
}

/* A drive of a drawn geometry, worked on, and left as a kill or a close leaves it. */
static void make_drive(struct mkv_forged_image *image, uint64_t seed, struct mkv_random *random) {
    struct mkv_shape *shape = calloc(1, sizeof *shape);
    struct mkv_forged_drive *drive = calloc(1, sizeof *drive);
    MKV_ASSERT(shape != NULL && drive != NULL);
    mkv_shape_draw(shape, seed);
    mkv_forge_store(drive, image, &shape->geometry);
    const bool opened = mkv_forged_drive_open(drive);
    MKV_ASSERT(opened);
    uint32_t tenant = TENANT_FIRST;
    const uint32_t operations = mkv_random_below(random, OPERATIONS_MAX);
    /* Of long keys few fit into a node of the directory, so that it gets several. */
    const uint32_t key_bytes_min = mkv_random_chance(random, 1, 3) ? MKV_KEY_BYTES_MAX - 24 : 0;
    for (uint32_t operation = 0; operation < operations; operation++) {
        work(drive, random, &tenant, key_bytes_min);
    }
    if (mkv_random_chance(random, 1, 4)) {
        mkv_forged_drive_admin(drive, MKV_ADMIN_CLOSE);
    }
    mkv_forged_drive_free(drive);
    free(drive);
    free(shape);
}

static void write_image(const struct mkv_forged_image *image, const char *path) {
    uint8_t *bytes = malloc(IMAGE_BYTES_MAX);
    FILE *file = fopen(path, "wb");
    const size_t size = bytes != NULL ? mkv_forged_image_save(image, bytes, IMAGE_BYTES_MAX) : 0;
    if (file == NULL || fwrite(bytes, 1, size, file) != size) {
        fprintf(stderr, "memkv-sim: cannot write %s\n", path);
    }
    if (file != NULL) {
        fclose(file);
    }
    free(bytes);
}

/* ---- configurations -------------------------------------------------------------------------- */

static uint64_t draw_figure(uint64_t old, struct mkv_random *random) {
    static const uint64_t figures[] = {0, 1, 2, 7, 8, 9, 1000, 1001, 65536, 65537, UINT32_MAX};
    switch (mkv_random_below(random, 4)) {
    case 0:
        return figures[mkv_random_below(random, sizeof figures / sizeof figures[0])];
    case 1:
        return old / (1 + mkv_random_below(random, 4));
    case 2:
        return old + mkv_random_below(random, 3) - 1;
    default:
        return mkv_random_next(random) >> mkv_random_below(random, 64);
    }
}

/* What is valid lies where it should: every region begins where the one before ends. */
static void check_geometry(const struct mkv_geometry *geometry) {
    const uint64_t data = mkv_geometry_data_start(geometry).unit;
    const struct mkv_extent last = {geometry->extent_count - 1};
    MKV_ASSERT(mkv_geometry_directory(geometry).unit + geometry->directory_units <= data);
    MKV_ASSERT(mkv_geometry_extent(geometry, last).unit + geometry->extent_units <=
               mkv_geometry_superblock(geometry->capacity_units, 2).unit);
    MKV_ASSERT(mkv_geometry_usable_units(geometry) ==
               (uint64_t)geometry->extent_count * geometry->extent_units);
}

static void forge_geometry(struct mkv_random *random, struct mkv_forge_report *report) {
    struct mkv_geometry_options options = {0};
    struct mkv_geometry geometry;
    uint64_t capacity = mkv_random_next(random) >> mkv_random_below(random, 64);
    uint32_t *const asked[] = {&options.ring_blocks, &options.slots_max, &options.extent_units,
                               &options.tenant_units, &options.directory_units};
    for (uint32_t option = 0; option < 5; option++) {
        if (mkv_random_chance(random, 1, 4)) {
            *asked[option] = (uint32_t)draw_figure(1024, random);
        }
    }
    report->configurations++;
    if (mkv_geometry_plan(capacity, &options, &geometry) != MKV_OK) {
        report->configurations_refused++;
        return;
    }
    MKV_ASSERT(mkv_geometry_valid(&geometry));
    check_geometry(&geometry);
    uint32_t *const figures[] = {&geometry.ring_blocks,  &geometry.tenant_units,
                                 &geometry.page_count,   &geometry.directory_units,
                                 &geometry.extent_units, &geometry.extent_count};
    for (uint32_t change = 0; change < 8; change++) {
        struct mkv_geometry before = geometry;
        uint32_t *figure = figures[mkv_random_below(random, 6)];
        *figure = (uint32_t)draw_figure(*figure, random);
        if (mkv_random_chance(random, 1, 8)) {
            geometry.capacity_units = draw_figure(geometry.capacity_units, random);
        }
        report->configurations++;
        if (mkv_geometry_valid(&geometry)) {
            check_geometry(&geometry);
        } else {
            report->configurations_refused++;
            geometry = before;
        }
    }
}

static void forge_front(struct mkv_random *random, struct mkv_forge_report *report) {
    struct mkv_front_config config;
    mkv_front_config_default(&config);
    uint32_t *const figures[] = {
        &config.volume_count,          &config.connections_max,
        &config.requests_max,          &config.requests_per_connection_max,
        &config.items_per_request_max, &config.items_max,
        &config.segmented_max,         &config.volume_ops_max,
        &config.slab_unit_count,       &config.slab_share_reads,
        &config.key_bytes_max,         &config.slab_units_per_connection_max,
        &config.block_bytes_max,       &config.memory_blocks_max,
        &config.members[0].weight,
    };
    const uint32_t changes = mkv_random_between(random, 1, 2);
    for (uint32_t change = 0; change < changes; change++) {
        uint32_t *figure = figures[mkv_random_below(random, sizeof figures / sizeof figures[0])];
        *figure = (uint32_t)draw_figure(*figure, random);
    }
    if (mkv_random_chance(random, 1, 8)) {
        config.value_bytes_max = draw_figure(config.value_bytes_max, random);
        config.transfer_grace_ns = draw_figure(0, random);
    }
    report->configurations++;
    const char *fault = mkv_front_config_fault(&config);
    if (fault != NULL) {
        MKV_ASSERT(fault[0] != 0);
        report->configurations_refused++;
    } else {
        MKV_ASSERT(mkv_front_memory_required(&config) > 0);
    }
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void forge_seed(uint64_t seed, struct mkv_forged_image *forged,
                       struct mkv_forged_image *kept, struct mkv_forge_report *report) {
    struct mkv_random random;
    struct mkv_forged_image image;
    mkv_random_seed(&random, seed, MKV_CONCERN_FAULTS);
    const bool is_broad = seed % BROAD_ONE_IN == 0;
    if (is_broad) {
        mkv_forge_broad(&random, &image);
    } else {
        make_drive(&image, seed, &random);
    }
    const size_t bytes = (size_t)image.units * MKV_UNIT_BYTES;
    for (uint32_t forgery = 0; forgery < (is_broad ? FORGERIES_BROAD : FORGERIES); forgery++) {
        forged->units = image.units;
        memcpy(forged->bytes, image.bytes, bytes);
        mkv_forged_edit(forged, &random);
        kept->units = image.units;
        memcpy(kept->bytes, forged->bytes, bytes);
        mkv_forged_check(forged);
        report->drives++;
    }
    mkv_forged_image_free(&image);
    for (uint32_t turn = 0; turn < CONFIGURATIONS; turn++) {
        forge_geometry(&random, report);
        forge_front(&random, report);
    }
    mkv_forge_requests(&random, report);
    mkv_forge_volumes(&random, report);
    mkv_forge_admin(&random, seed, report);
    mkv_forge_sets(&random, report);
    if (seed % CROWD_ONE_IN == 0) {
        mkv_forge_crowd(&random, report);
    }
    report->seeds++;
}

void mkv_forge_run(uint64_t seed, double seconds, struct mkv_forge_report *report) {
    static struct mkv_trap trap; /* what setjmp must not lose */
    struct mkv_forged_image forged = {.bytes = malloc((size_t)MKV_FORGED_UNITS_MAX * 4096)};
    struct mkv_forged_image kept = {.bytes = malloc((size_t)MKV_FORGED_UNITS_MAX * 4096)};
    MKV_ASSERT(forged.bytes != NULL && kept.bytes != NULL);
    *report = (struct mkv_forge_report){0};
    const double began_s = now_s();
    mkv_trap_set(&trap);
    if (setjmp(trap.jump) == 0) {
        do {
            forge_seed(seed + report->seeds, &forged, &kept, report);
        } while (now_s() - began_s < seconds);
    } else {
        report->failed = true;
        report->failure = trap.failure;
        report->failure.seed = seed + report->seeds;
        snprintf(report->image, sizeof report->image, "memkv-sim-%llu.img",
                 (unsigned long long)report->failure.seed);
        write_image(&kept, report->image);
    }
    mkv_trap_set(NULL);
    report->seconds = now_s() - began_s;
    mkv_forged_image_free(&forged);
    mkv_forged_image_free(&kept);
}

static void print_report(const struct mkv_forge_report *report) {
    struct mkv_json json = {.out = stdout};
    char oracle[16];
    mkv_json_open(&json, NULL, '{');
    mkv_json_u64(&json, "seeds", report->seeds);
    mkv_json_number(&json, "seconds", report->seconds);
    mkv_json_u64(&json, "drives", report->drives);
    mkv_json_u64(&json, "configurations", report->configurations);
    mkv_json_u64(&json, "configurations_refused", report->configurations_refused);
    mkv_json_u64(&json, "requests", report->requests);
    mkv_json_open(&json, "failures", '[');
    if (report->failed) {
        mkv_json_open(&json, NULL, '{');
        mkv_json_u64(&json, "seed", report->failure.seed);
        mkv_json_text(&json, "oracle", mkv_oracle_name(report->failure.oracle, oracle));
        mkv_json_text(&json, "text", report->failure.text);
        mkv_json_text(&json, "image", report->image);
        mkv_json_close(&json, '}');
    }
    mkv_json_close(&json, ']');
    mkv_json_close(&json, '}');
    fputc('\n', stdout);
}

int mkv_forge_command(uint64_t seed, double seconds, bool as_json) {
    struct mkv_forge_report report;
    mkv_forge_run(seed, seconds, &report);
    if (as_json) {
        print_report(&report);
        return report.failed ? 1 : 0;
    }
    printf("%llu seeds from %llu in %.1f s: %llu forged drives recovered or refused, "
           "%llu configurations, %llu of them refused, %llu requests\n",
           (unsigned long long)report.seeds, (unsigned long long)seed, report.seconds,
           (unsigned long long)report.drives, (unsigned long long)report.configurations,
           (unsigned long long)report.configurations_refused, (unsigned long long)report.requests);
    if (report.failed) {
        printf("FAILED seed %llu: %s\n       the drive is in %s; memkv-sim forge --seed %llu\n",
               (unsigned long long)report.failure.seed, report.failure.text, report.image,
               (unsigned long long)report.failure.seed);
    }
    return report.failed ? 1 : 0;
}
