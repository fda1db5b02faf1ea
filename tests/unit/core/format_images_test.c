/* SPDX-License-Identifier: Apache-2.0 */
/*
 * O14: drives that were written in format version 1 open, with every block as it was put. The
 * images and what each must hold are files of tests/fixtures/format-v1; the README there tells
 * their form. This program made them: it does so when it is given a folder.
 *
 * Payloads follow from their seeds as volume_rig.c fills them.
 */
#include "core/bytes.h"
#include "core/hash.h"
#include "core/manifest.h"
#include "core/superblock.h"
#include "tests/unit/core/test.h"
#include "tests/unit/core/vectors.h"
#include "tests/unit/core/volume_rig.h"

#define FOLDER "tests/fixtures/format-v1"
#define MAGIC "memkvimg"
#define MAGIC_BYTES 8u
#define DRIVE_BYTES (RIG_UNITS * (uint32_t)MKV_UNIT_BYTES)
/* So many zeros end a piece. */
#define PIECE_GAP_BYTES 16u
#define NAMES_MAX 512u
#define KEY_BYTES_MAX 32
#define RING_BLOCKS 16u
#define BATCH 5u
#define GONE 6u
/* Extents of eight units; a slot of five wastes least of two of them, one of three nothing of
 * three.
 */
#define SMALL_EXTENT_UNITS 8u
#define WIDE_BYTES (3u * MKV_UNIT_BYTES + 100u)
#define SPANNED_BYTES (MKV_UNIT_BYTES + 50u)

/* ---- what a drive must hold ------------------------------------------------------------------ */

enum expected_kind {
    EXPECT_ABSENT,
    EXPECT_BLOCK,
    EXPECT_MANIFEST
};

struct expected {
    enum expected_kind kind;
    uint32_t tenant;
    char key[KEY_BYTES_MAX];
    uint32_t length;
    uint32_t seed;
};

struct image {
    struct rig *rig;
    struct expected names[NAMES_MAX];
    uint32_t name_count;
    char batch[KEY_BYTES_MAX]; /* the name of tenant BATCH; empty: there is none */
    uint32_t retired;
};

static struct expected *expect(struct image *image, enum expected_kind kind, uint32_t tenant,
                               const char *key) {
    struct expected *name = &image->names[0];
    while (name < image->names + image->name_count &&
           (name->tenant != tenant || strcmp(name->key, key) != 0)) {
        name++;
    }
    if (name == image->names + image->name_count) {
        assert_true(image->name_count < NAMES_MAX);
        image->name_count++;
        name->tenant = tenant;
        snprintf(name->key, sizeof name->key, "%s", key);
    }
    name->kind = kind;
    return name;
}

static struct mkv_manifest manifest_of(uint32_t seed) {
    return (struct mkv_manifest){
        .length = 100000u + seed,
        .root = {{(uint8_t)seed, 7}},
        .segment_bytes = 65536,
        .segment_count = 2,
        .id = 0x1234567800000000ull + seed,
    };
}

static void check_manifest(struct rig *rig, const struct expected *name) {
    const struct mkv_manifest expected = manifest_of(name->seed);
    struct mkv_manifest found;
    rig->answer_count = 0;
    rig_find(rig, name->key);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->flags, MKV_BLOCK_MANIFEST);
    rig_read(rig, rig_last(rig)->volume_op, 1, 0, 0);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->data_bytes, MKV_MANIFEST_BYTES);
    assert_true(mkv_manifest_decode(rig->answer_data[rig->answer_count - 1], &found));
    assert_int_equal(found.length, expected.length);
    assert_true(mkv_root_equal(found.root, expected.root));
    assert_int_equal(found.segment_bytes, expected.segment_bytes);
    assert_int_equal(found.segment_count, expected.segment_count);
    assert_int_equal(found.id, expected.id);
}

/* Every block has the right bytes, and there is no other one. */
static void check_all(const struct image *image) {
    struct rig *rig = image->rig;
    uint32_t blocks = 0;
    for (uint32_t index = 0; index < image->name_count; index++) {
        const struct expected *name = &image->names[index];
        rig->tenant = name->tenant;
        rig->answer_count = 0;
        switch (name->kind) {
        case EXPECT_ABSENT:
            assert_int_equal(rig_exists(rig, name->key), MKV_STATUS_NOT_FOUND);
            break;
        case EXPECT_BLOCK:
            assert_int_equal(rig_get(rig, name->key, 0, 0, name->seed), MKV_STATUS_OK);
            assert_int_equal(rig_last(rig)->bytes, name->length);
            blocks++;
            break;
        case EXPECT_MANIFEST:
            check_manifest(rig, name);
            blocks++;
            break;
        }
    }
    rig->tenant = MKV_TENANT_DEFAULT;
    mkv_volume_check(rig->volume);
    const struct mkv_volume_stats stats = rig_stats(rig);
    assert_int_equal(stats.state, MKV_VOLUME_SERVING);
    assert_int_equal(stats.blocks, blocks);
    assert_int_equal(stats.slots_retired, image->retired);
    assert_int_equal(stats.tenants, image->batch[0] != 0 ? 2 : 1);
    assert_null(rig_event(rig, MKV_EVENT_CAME_UP_EMPTY));
}

/* ---- files ----------------------------------------------------------------------------------- */

static void read_exactly(FILE *file, void *target, size_t bytes) {
    assert_int_equal(fread(target, 1, bytes, file), bytes);
}

static void load_drive(struct rig *rig, const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s.img", FOLDER, name);
    FILE *file = vectors_open(path);
    uint8_t head[MAGIC_BYTES + 4];
    read_exactly(file, head, sizeof head);
    assert_memory_equal(head, MAGIC, MAGIC_BYTES);
    assert_int_equal(mkv_load_u32(head + MAGIC_BYTES), RIG_UNITS);
    memset(rig->drive, 0, DRIVE_BYTES);
    while (fread(head, 1, 8, file) == 8) {
        const uint32_t offset = mkv_load_u32(head);
        const uint32_t bytes = mkv_load_u32(head + 4);
        assert_true((uint64_t)offset + bytes <= DRIVE_BYTES);
        read_exactly(file, rig->drive + offset, bytes);
    }
    assert_true(feof(file));
    fclose(file);
}

static void load_expected(struct image *image, const char *name) {
    char path[256];
    char line[256];
    snprintf(path, sizeof path, "%s/%s.txt", FOLDER, name);
    FILE *file = vectors_open(path);
    while (fgets(line, sizeof line, file) != NULL) {
        uint32_t tenant = 0;
        char key[KEY_BYTES_MAX];
        uint32_t length = 0;
        uint32_t seed = 0;
        if (sscanf(line, "block %u %31s %u %u", &tenant, key, &length, &seed) == 4) {
            struct expected *block = expect(image, EXPECT_BLOCK, tenant, key);
            block->length = length;
            block->seed = seed;
        } else if (sscanf(line, "manifest %u %31s %u", &tenant, key, &seed) == 3) {
            expect(image, EXPECT_MANIFEST, tenant, key)->seed = seed;
        } else if (sscanf(line, "absent %u %31s", &tenant, key) == 2) {
            expect(image, EXPECT_ABSENT, tenant, key);
        } else if (sscanf(line, "tenant %u %31s", &tenant, image->batch) == 2) {
            assert_int_equal(tenant, BATCH);
        } else if (sscanf(line, "retired %u", &image->retired) != 1) {
            fail_msg("%s has a line that says nothing: %s", path, line);
        }
    }
    fclose(file);
    assert_true(image->name_count > 0);
}

/* The rig gets the geometry and the uuids that the drive's superblock has, as the daemon does. */
static struct mkv_superblock adopt_superblock(struct rig *rig) {
    uint8_t *units = malloc((size_t)MKV_SUPERBLOCK_COPIES * MKV_UNIT_BYTES);
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        memcpy(units + (size_t)copy * MKV_UNIT_BYTES,
               rig_unit(rig, mkv_geometry_superblock(RIG_UNITS, copy)), MKV_UNIT_BYTES);
    }
    struct mkv_superblock_choice choice;
    mkv_superblock_choose(units, 0, &choice);
    free(units);
    assert_int_equal(choice.err, MKV_OK);
    assert_int_equal(choice.superblock.version, 1);
    rig->config.geometry = choice.superblock.geometry;
    rig->config.store_uuid = choice.superblock.store_uuid;
    rig->config.drive_uuid = choice.superblock.drive_uuid;
    free(rig->memory);
    rig->memory_bytes = mkv_volume_memory_required(&rig->config);
    rig->memory =
        aligned_alloc(MKV_UNIT_BYTES, mkv_round_up_u64(rig->memory_bytes, MKV_UNIT_BYTES));
    return choice.superblock;
}

static struct image *image_load(const char *name, struct mkv_superblock *superblock) {
    struct image *image = calloc(1, sizeof *image);
    assert_non_null(image);
    image->rig = rig_create_raw(0, 0, 0);
    load_drive(image->rig, name);
    load_expected(image, name);
    *superblock = adopt_superblock(image->rig);
    return image;
}

static void image_free(struct image *image) {
    rig_destroy(image->rig);
    free(image);
}

static void save_drive(const struct rig *rig, FILE *file) {
    uint8_t head[MAGIC_BYTES + 4];
    memcpy(head, MAGIC, MAGIC_BYTES);
    mkv_store_u32(head + MAGIC_BYTES, RIG_UNITS);
    fwrite(head, 1, sizeof head, file);
    uint32_t at = 0;
    while (at < DRIVE_BYTES) {
        if (rig->drive[at] == 0) {
            at++;
            continue;
        }
        uint32_t end = at;
        for (uint32_t next = at; next < DRIVE_BYTES && next - end < PIECE_GAP_BYTES; next++) {
            end = rig->drive[next] != 0 ? next + 1 : end;
        }
        mkv_store_u32(head, at);
        mkv_store_u32(head + 4, end - at);
        fwrite(head, 1, 8, file);
        fwrite(rig->drive + at, 1, end - at, file);
        at = end;
    }
}

static void save_expected(const struct image *image, FILE *file) {
    for (uint32_t index = 0; index < image->name_count; index++) {
        const struct expected *name = &image->names[index];
        switch (name->kind) {
        case EXPECT_ABSENT:
            fprintf(file, "absent %u %s\n", name->tenant, name->key);
            break;
        case EXPECT_BLOCK:
            fprintf(file, "block %u %s %u %u\n", name->tenant, name->key, name->length, name->seed);
            break;
        case EXPECT_MANIFEST:
            fprintf(file, "manifest %u %s %u\n", name->tenant, name->key, name->seed);
            break;
        }
    }
    if (image->batch[0] != 0) {
        fprintf(file, "tenant %u %s\n", BATCH, image->batch);
    }
    fprintf(file, "retired %u\n", image->retired);
}

/* ---- how they were made ---------------------------------------------------------------------- */

static void put(struct image *image, uint32_t tenant, const char *key, uint32_t length,
                uint32_t seed, uint32_t flags) {
    image->rig->tenant = tenant;
    assert_int_equal(rig_put(image->rig, key, length, seed, flags), MKV_STATUS_OK);
    struct expected *block = expect(image, EXPECT_BLOCK, tenant, key);
    block->length = length;
    block->seed = seed;
}

static void remove_block(struct image *image, uint32_t tenant, const char *key) {
    image->rig->tenant = tenant;
    assert_int_equal(rig_remove(image->rig, key), MKV_STATUS_OK);
    expect(image, EXPECT_ABSENT, tenant, key);
}

static void put_manifest(struct image *image, const char *key, uint32_t seed) {
    struct rig *rig = image->rig;
    const struct mkv_manifest manifest = manifest_of(seed);
    uint8_t payload[MKV_MANIFEST_BYTES];
    uint64_t sum;
    mkv_manifest_encode(&manifest, payload);
    mkv_chunk_sums(payload, sizeof payload, &sum);
    rig->tenant = MKV_TENANT_DEFAULT;
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE,
                              .data = (const uint8_t *)key,
                              .data_bytes = (uint32_t)strlen(key)};
    input.message = (struct mkv_message){.kind = MKV_MESSAGE_PUT_BEGIN,
                                         .data_bytes = input.data_bytes,
                                         .length = sizeof payload,
                                         .flags = MKV_BLOCK_MANIFEST,
                                         .root = mkv_root_of_sums(sizeof payload, &sum)};
    rig_step(rig, &input);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    input = (struct mkv_input){
        .kind = MKV_INPUT_MESSAGE, .data = payload, .data_bytes = sizeof payload};
    input.message = (struct mkv_message){.kind = MKV_MESSAGE_PUT_WRITE,
                                         .volume_op = rig_last(rig)->volume_op,
                                         .data_bytes = sizeof payload};
    rig_step(rig, &input);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    expect(image, EXPECT_MANIFEST, MKV_TENANT_DEFAULT, key)->seed = seed;
}

static void put_begun(struct image *image, const char *key, uint32_t length, uint32_t seed) {
    struct rig *rig = image->rig;
    rig->tenant = MKV_TENANT_DEFAULT;
    rig_put_begin(rig, key, length, seed, 0);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, length, seed);
    assert_int_equal(rig->queue_count, 1);
    expect(image, EXPECT_ABSENT, MKV_TENANT_DEFAULT, key);
}

static void checkpoint(struct image *image) {
    assert_int_equal(rig_admin(image->rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
    rig_settle(image->rig);
}

static void put_few(struct image *image) {
    put(image, MKV_TENANT_DEFAULT, "tiny", 28, 3, 0);
    put(image, MKV_TENANT_DEFAULT, "deleted", 100, 10, 0);
    remove_block(image, MKV_TENANT_DEFAULT, "deleted");
    put(image, MKV_TENANT_DEFAULT, "replaced", 100, 11, 0);
    put(image, MKV_TENANT_DEFAULT, "replaced", 200, 12, MKV_PUT_REPLACE);
}

/* Blocks of every kind, and of two tenants; one more tenant came and went. */
static void put_many(struct image *image) {
    struct rig *rig = image->rig;
    put_few(image);
    assert_int_equal(rig_tenant(rig, BATCH, "batch"), MKV_STATUS_OK);
    snprintf(image->batch, sizeof image->batch, "batch");
    assert_int_equal(rig_tenant(rig, GONE, "gone"), MKV_STATUS_OK);
    put(image, GONE, "of-gone", 300, 1, 0);
    put(image, MKV_TENANT_DEFAULT, "empty", 0, 2, 0);
    put(image, MKV_TENANT_DEFAULT, "inline", 2048, 4, 0);
    put(image, MKV_TENANT_DEFAULT, "unit", 2049, 5, 0);
    put(image, BATCH, "unit", 2100, 6, 0);
    put(image, BATCH, "other", SPANNED_BYTES, 7, 0);
    put(image, MKV_TENANT_DEFAULT, "segment", 700, 8, MKV_BLOCK_SEGMENT);
    put_manifest(image, "manifest", 9);
    rig_tenant_drop_begin(rig, GONE);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    expect(image, EXPECT_ABSENT, GONE, "of-gone");
}

/* A slot that cannot be written is retired by a record of its own, one that cannot be read by the
 * DROP of its block. */
static void retire_two(struct image *image) {
    struct rig *rig = image->rig;
    put_begun(image, "unwritten", 2100, 13);
    rig_complete(rig, 0, MKV_IO_MEDIUM);
    rig_settle(rig);
    put(image, MKV_TENANT_DEFAULT, "unreadable", 2100, 14, 0);
    rig_find(rig, "unreadable");
    rig_read(rig, rig_last(rig)->volume_op, 1, 0, 0);
    rig_complete(rig, 0, MKV_IO_MEDIUM);
    rig_settle(rig);
    expect(image, EXPECT_ABSENT, MKV_TENANT_DEFAULT, "unreadable");
    image->retired += 2;
    assert_int_equal(rig_stats(rig).slots_retired, image->retired);
}

/* Closed in order: everything is in a checkpoint. One block has two chunks. */
static void make_closed(struct image *image) {
    put_many(image);
    put(image, MKV_TENANT_DEFAULT, "chunks", 66000, 15, 0);
    assert_int_equal(rig_admin(image->rig, MKV_ADMIN_CLOSE), MKV_OK);
    rig_settle(image->rig);
    assert_int_equal(rig_stats(image->rig).state, MKV_VOLUME_CLOSED);
}

static const char *filler(uint32_t number) {
    static char key[KEY_BYTES_MAX];
    snprintf(key, sizeof key, "filler%u", number);
    return key;
}

/* Fills the drive with small blocks, takes extents for them from a class that became empty, and
 * deletes most of them again. */
static void fill_up(struct image *image) {
    struct rig *rig = image->rig;
    put(image, MKV_TENANT_DEFAULT, "wide", WIDE_BYTES, 16, 0);
    uint32_t count = 0;
    while (rig_put(rig, filler(count), 10, count, 0) == MKV_STATUS_OK) {
        expect(image, EXPECT_BLOCK, MKV_TENANT_DEFAULT, filler(count))->length = 10;
        expect(image, EXPECT_BLOCK, MKV_TENANT_DEFAULT, filler(count))->seed = count;
        count++;
    }
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_NO_SPACE);
    expect(image, EXPECT_ABSENT, MKV_TENANT_DEFAULT, filler(count));
    assert_int_equal(rig_stats(rig).extents_given_back_total, 0);
    remove_block(image, MKV_TENANT_DEFAULT, "wide");
    put(image, MKV_TENANT_DEFAULT, filler(count), 10, count, 0);
    assert_true(rig_stats(rig).extents_given_back_total > 0);
    for (uint32_t number = 30; number <= count; number++) {
        remove_block(image, MKV_TENANT_DEFAULT, filler(number));
    }
}

/* Killed at rest, in its third opening: the ring went round, some of everything is in a checkpoint
 * and some in the journal. */
static void make_killed(struct image *image) {
    struct rig *rig = image->rig;
    put_many(image);
    assert_true(rig_stats(rig).extents_given_spanned_total > 0);
    fill_up(image);
    assert_true(rig_stats(rig).journal_head > 2ull * rig->config.geometry.ring_blocks);
    rig_reopen(rig);
    retire_two(image);
    rig_reopen(rig);
    put(image, MKV_TENANT_DEFAULT, "spanned", SPANNED_BYTES, 17, 0);
    checkpoint(image);
    retire_two(image);
    remove_block(image, BATCH, "other");
    put(image, MKV_TENANT_DEFAULT, "last", 1000, 18, 0);
}

/* Killed while a journal block was in one copy of the ring only, and a slot was written that no
 * record names. */
static void make_torn(struct image *image) {
    struct rig *rig = image->rig;
    put_few(image);
    put_begun(image, "half-recorded", 500, 19);
    while (rig->queue[0].kind != MKV_EFFECT_DRIVE_WRITE ||
           rig_in_flight(rig, rig->queue[0].kind) != 2) {
        rig_complete(rig, 0, MKV_IO_OK);
        assert_true(rig->queue_count > 0);
    }
    rig_complete(rig, 1, MKV_IO_OK); /* the second copy, and never the first */
    struct expected *block = expect(image, EXPECT_BLOCK, MKV_TENANT_DEFAULT, "half-recorded");
    block->length = 500;
    block->seed = 19;
}

/* Killed while the superblock was written that names a new checkpoint: the copies differ. */
static void make_flip(struct image *image) {
    struct rig *rig = image->rig;
    put_few(image);
    checkpoint(image);
    put(image, MKV_TENANT_DEFAULT, "behind", 900, 20, 0);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
    for (uint32_t turn = 0;; turn++) {
        assert_true(turn < RIG_QUEUE_MAX);
        if (rig->queue_count == 0) {
            rig_tick(rig, 0);
            continue;
        }
        const struct mkv_effect effect = rig->queue[0];
        rig_complete(rig, 0, MKV_IO_OK);
        if (effect.kind == MKV_EFFECT_DRIVE_WRITE && effect.drive.lba.unit == 0) {
            return;
        }
    }
}

struct maker {
    const char *name;
    uint32_t slots_max;
    uint32_t extent_units;
    void (*make)(struct image *image);
};
static const struct maker makers[] = {
    {"closed", 16 * MKV_PAGE_SLOTS, 96, make_closed},
    /* So many pages that there are few extents. */
    {"killed", 850 * MKV_PAGE_SLOTS, SMALL_EXTENT_UNITS, make_killed},
    {"torn", 16 * MKV_PAGE_SLOTS, 96, make_torn},
    {"flip", 16 * MKV_PAGE_SLOTS, 96, make_flip},
};
#define MAKERS (sizeof makers / sizeof makers[0])

static FILE *create(const char *folder, const char *name, const char *ending) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fail_msg("Cannot write %s.", path);
    }
    return file;
}

static void write_images(void **state) {
    assert_int_equal(MKV_FORMAT_VERSION,
                     1); /* those of another version have a folder of their own */
    for (size_t index = 0; index < MAKERS; index++) {
        struct image *image = calloc(1, sizeof *image);
        assert_non_null(image);
        image->rig =
            rig_create_raw(RING_BLOCKS, makers[index].slots_max, makers[index].extent_units);
        assert_int_equal(rig_admin(image->rig, MKV_ADMIN_FORMAT), MKV_OK);
        rig_settle(image->rig);
        rig_reopen(image->rig);
        makers[index].make(image);
        FILE *file = create(*state, makers[index].name, "img");
        save_drive(image->rig, file);
        assert_int_equal(fclose(file), 0);
        file = create(*state, makers[index].name, "txt");
        save_expected(image, file);
        assert_int_equal(fclose(file), 0);
        image_free(image);
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_format_images__each__opens_with_every_block(void **state) {
    (void)state;
    for (size_t index = 0; index < MAKERS; index++) {
        print_message("%s\n", makers[index].name);
        struct mkv_superblock superblock;
        struct image *image = image_load(makers[index].name, &superblock);
        rig_reopen(image->rig);
        assert_int_equal(rig_stats(image->rig).epoch, superblock.epoch + 1);
        check_all(image);
        image_free(image);
    }
}

static void test_format_images__each__goes_on_and_opens_again(void **state) {
    (void)state;
    for (size_t index = 0; index < MAKERS; index++) {
        struct mkv_superblock superblock;
        struct image *image = image_load(makers[index].name, &superblock);
        rig_reopen(image->rig);
        for (uint32_t turn = 0; turn < 40; turn++) {
            put(image, MKV_TENANT_DEFAULT, "new", 3000 + turn, turn, MKV_PUT_REPLACE);
        }
        rig_reopen(image->rig);
        check_all(image);
        image_free(image);
    }
}

static void test_format_images__states__are_those_the_names_say(void **state) {
    (void)state;
    struct mkv_superblock superblock;
    struct image *image = image_load("closed", &superblock);
    assert_true((superblock.flags & MKV_SUPERBLOCK_CLEAN) != 0);
    rig_reopen(image->rig);
    assert_int_equal(rig_stats(image->rig).recovery_entries, 0);
    image_free(image);

    image = image_load("killed", &superblock);
    assert_int_equal(superblock.flags & MKV_SUPERBLOCK_CLEAN, 0);
    assert_int_equal(image->retired, 4);
    rig_reopen(image->rig);
    assert_true(rig_stats(image->rig).recovery_entries > 0);
    image_free(image);

    image = image_load("torn", &superblock);
    rig_reopen(image->rig);
    assert_int_equal(rig_stats(image->rig).journal_copy_repairs_total, 1);
    image_free(image);

    image = image_load("flip", &superblock);
    rig_reopen(image->rig);
    assert_int_equal(rig_stats(image->rig).superblock_repairs_total, 1);
    image_free(image);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        const struct CMUnitTest writer[] = {cmocka_unit_test_prestate(write_images, argv[1])};
        return cmocka_run_group_tests_name("write", writer, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format_images__each__opens_with_every_block),
        cmocka_unit_test(test_format_images__each__goes_on_and_opens_again),
        cmocka_unit_test(test_format_images__states__are_those_the_names_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
