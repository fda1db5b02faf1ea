/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records that are made here, of a volume that formats a drive which is not there: every operation
 * of it succeeds. Then something about them is changed.
 */
#include "sim/record_replay.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/bytes.h"
#include "tests/unit/sim/test.h"

#define STREAM_BYTES (1024u * 1024u)
#define EFFECTS_MAX 64u
#define QUEUE_MAX 64u
#define VOLUME 1u /* the machine */

static const char core[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* What a recording is to have that no machine did. */
enum tamper {
    TAMPER_NONE = 0,
    TAMPER_EFFECT,           /* the second batch: another generation */
    TAMPER_BYTES,            /* the first: another sum of what it names */
    TAMPER_EFFECT_GONE,      /* the second batch is not there */
    TAMPER_EFFECT_MORE,      /* one more at its end */
    TAMPER_RESULT_GONE,      /* the error of a command */
    TAMPER_RESULT,           /* another one */
    TAMPER_COMPLETION,       /* of an operation that there never was */
    TAMPER_COMPLETION_CRASH, /* and then the recorded program was gone */
    TAMPER_MACHINE,          /* an input for a machine that there is not */
    TAMPER_UNITS,            /* that are put behind the arena */
    TAMPER_KIND,             /* an entry that nobody knows */
    TAMPER_CONFIG,           /* that no machine can be made of */
};

struct recording {
    uint8_t stream[STREAM_BYTES];
    size_t count;
    uint32_t batches;
    enum tamper tamper;
    struct mkv_volume *volume;
    struct mkv_effect queue[QUEUE_MAX];
    uint32_t queue_count;
    uint64_t now_ns;
    uint64_t inputs;
};

/* ---- making ---------------------------------------------------------------------------------- */

static struct mkv_codec entry(struct recording *recording, uint8_t kind) {
    struct mkv_codec codec =
        mkv_codec_writer(recording->stream + recording->count + MKV_RECORD_LENGTH_BYTES,
                         STREAM_BYTES - recording->count - MKV_RECORD_LENGTH_BYTES);
    mkv_codec_raw(&codec, &kind, 1);
    return codec;
}

static void put(struct recording *recording, const struct mkv_codec *codec) {
    assert_false(codec->failed);
    mkv_store_u32(recording->stream + recording->count, (uint32_t)codec->at);
    recording->count += MKV_RECORD_LENGTH_BYTES + codec->at;
}

static void put_number(struct recording *recording, uint8_t kind, uint32_t machine,
                       uint32_t number) {
    struct mkv_codec codec = entry(recording, kind);
    if (kind != MKV_RECORD_END) {
        mkv_codec_u32(&codec, &machine);
    }
    mkv_codec_u32(&codec, &number);
    put(recording, &codec);
}

static struct mkv_volume_config volume_config(void) {
    struct mkv_volume_config config = {.ops_max = 8, .window_units = 4, .capacity_units = 4096};
    const struct mkv_geometry_options options = {.slots_max = 168, .ring_blocks = 8};
    assert_int_equal(mkv_geometry_plan(config.capacity_units, &options, &config.geometry), MKV_OK);
    memset(config.store_uuid.bytes, 1, 16);
    memset(config.drive_uuid.bytes, 2, 16);
    config.drive_set.version = MKV_DRIVE_SET_VERSION_FIRST;
    mkv_drive_set_add(&config.drive_set, (struct mkv_member){config.drive_uuid, 1});
    return config;
}

static void put_configs(struct recording *recording) {
    struct mkv_front_config front;
    mkv_front_config_default(&front);
    if (recording->tamper == TAMPER_CONFIG) {
        front.requests_max = 0;
    }
    struct mkv_codec codec = entry(recording, MKV_RECORD_FRONT);
    mkv_record_front_config(&codec, &front);
    put(recording, &codec);
    struct mkv_volume_config volume = volume_config();
    codec = entry(recording, MKV_RECORD_VOLUME);
    mkv_record_volume_config(&codec, &volume);
    put(recording, &codec);
}

static void put_input(struct recording *recording, uint32_t machine, const struct mkv_input *input,
                      bool has_units) {
    struct mkv_codec codec = entry(recording, MKV_RECORD_INPUT);
    mkv_codec_u32(&codec, &machine);
    mkv_record_input_write(&codec, input);
    mkv_codec_bool(&codec, &has_units);
    if (has_units) {
        uint64_t offset = 1ull << 40;
        uint32_t count = 1;
        static uint8_t unit[MKV_UNIT_BYTES];
        mkv_codec_u64(&codec, &offset);
        mkv_codec_u32(&codec, &count);
        mkv_codec_units(&codec, unit, 1);
    }
    put(recording, &codec);
    recording->inputs++;
}

static void put_effects(struct recording *recording, const struct mkv_effect *effects,
                        uint32_t count) {
    const bool changed = ++recording->batches == 2;
    if (changed && recording->tamper == TAMPER_EFFECT_GONE) {
        return;
    }
    struct mkv_codec codec = entry(recording, MKV_RECORD_EFFECTS);
    uint32_t machine = VOLUME;
    uint32_t written = count + (changed && recording->tamper == TAMPER_EFFECT_MORE);
    mkv_codec_u32(&codec, &machine);
    mkv_codec_u32(&codec, &written);
    for (uint32_t index = 0; index < written; index++) {
        struct mkv_effect effect = effects[index < count ? index : count - 1];
        if (changed && recording->tamper == TAMPER_EFFECT) {
            effect.op.generation++;
        }
        mkv_record_effect_write(&codec, &effect, mkv_volume_arena(recording->volume));
        if (recording->batches == 1 && recording->tamper == TAMPER_BYTES) {
            recording->stream[recording->count + MKV_RECORD_LENGTH_BYTES + codec.at - 1] ^= 1;
        }
    }
    put(recording, &codec);
}

/* Steps the volume and writes down what there is to write. */
static void step(struct recording *recording, const struct mkv_input *input) {
    put_input(recording, VOLUME, input, false);
    const enum mkv_err error = mkv_volume_step(recording->volume, input);
    if (error != MKV_OK && recording->tamper != TAMPER_RESULT_GONE) {
        put_number(recording, MKV_RECORD_RESULT, VOLUME,
                   (uint32_t)error + (recording->tamper == TAMPER_RESULT));
    }
    struct mkv_effect effects[EFFECTS_MAX];
    uint32_t count;
    while ((count = mkv_volume_effects(recording->volume, effects, EFFECTS_MAX)) > 0) {
        put_effects(recording, effects, count);
        for (uint32_t index = 0; index < count; index++) {
            if (effects[index].kind <= MKV_EFFECT_DRIVE_TRIM) {
                assert_true(recording->queue_count < QUEUE_MAX);
                recording->queue[recording->queue_count++] = effects[index];
            }
        }
    }
}

static void step_admin(struct recording *recording, enum mkv_admin_command command) {
    const struct mkv_input input = {
        .kind = MKV_INPUT_ADMIN, .now_ns = ++recording->now_ns, .admin = command};
    step(recording, &input);
}

static void tamper_input(struct recording *recording) {
    struct mkv_input input = {.kind = MKV_INPUT_TICK, .now_ns = ++recording->now_ns};
    if (recording->tamper == TAMPER_COMPLETION || recording->tamper == TAMPER_COMPLETION_CRASH) {
        input.kind = MKV_INPUT_DRIVE_DONE;
        input.drive.op = (struct mkv_op_id){0, 99};
        put_input(recording, VOLUME, &input, false);
    } else if (recording->tamper == TAMPER_MACHINE) {
        put_input(recording, 2, &input, false);
    } else if (recording->tamper == TAMPER_UNITS) {
        put_input(recording, VOLUME, &input, true);
    } else if (recording->tamper == TAMPER_KIND) {
        put_number(recording, 99, 0, 0);
    }
}

static void write_record(const struct recording *recording, char path[32]) {
    (void)snprintf(path, 32, "%s", "/tmp/memkv-record-XXXXXX");
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct mkv_record_header header = {.wall_ms = 1};
    memcpy(header.core, core, MKV_RECORD_CORE_BYTES);
    uint8_t bytes[MKV_RECORD_HEADER_BYTES];
    mkv_record_header_encode(&header, bytes);
    assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
    static uint8_t chunk[MKV_RECORD_CHUNK_BYTES];
    uint64_t number = 0;
    /* Small ones, so that entries are cut by them. */
    for (size_t at = 0; at < recording->count; number++) {
        const uint32_t part = (uint32_t)mkv_min_u64(100, recording->count - at);
        memcpy(chunk + MKV_RECORD_CHUNK_HEADER_BYTES, recording->stream + at, part);
        mkv_record_chunk_seal(chunk, part, number);
        const ssize_t chunk_bytes = MKV_RECORD_CHUNK_HEADER_BYTES + part;
        assert_int_equal(write(fd, chunk, (size_t)chunk_bytes), chunk_bytes);
        at += part;
    }
    assert_int_equal(close(fd), 0);
}

/* A whole recording, but for what is tampered with; returns its inputs. */
static uint64_t record(enum tamper tamper, char path[32]) {
    static struct recording recording;
    memset(&recording, 0, sizeof recording);
    recording.tamper = tamper;
    put_configs(&recording);
    const struct mkv_volume_config config = volume_config();
    const size_t bytes = mkv_volume_memory_required(&config);
    recording.volume =
        mkv_volume_init(mkv_memory_take(test_memory(), bytes, MKV_UNIT_BYTES), bytes, &config);
    put_number(&recording, MKV_RECORD_ROUTE, 0, MKV_FRONT_VOLUME_ONLINE);
    step_admin(&recording, MKV_ADMIN_FORMAT);
    step_admin(&recording, MKV_ADMIN_FORMAT); /* it is at it: an error */
    while (recording.queue_count > 0) {
        const struct mkv_input input = {.kind = MKV_INPUT_DRIVE_DONE,
                                        .now_ns = ++recording.now_ns,
                                        .drive = {.op = recording.queue[0].op}};
        recording.queue_count--;
        memmove(&recording.queue[0], &recording.queue[1],
                recording.queue_count * sizeof recording.queue[0]);
        step(&recording, &input);
    }
    tamper_input(&recording);
    put_number(&recording, MKV_RECORD_END, 0,
               tamper == TAMPER_COMPLETION_CRASH ? MKV_RECORD_END_CRASH : MKV_RECORD_END_CLOSED);
    write_record(&recording, path);
    return recording.inputs;
}

static void open_record(struct mkv_record_file *file, const char *path) {
    char error[MKV_RECORD_ERROR_BYTES];
    if (!mkv_record_file_open(file, path, core, error)) {
        fail_msg("%s", error);
    }
}

/* What comes of a recording; returns its inputs. */
static uint64_t replay(enum tamper tamper, struct mkv_replay_outcome *outcome) {
    char path[32];
    struct mkv_record_file file;
    const uint64_t inputs = record(tamper, path);
    open_record(&file, path);
    mkv_record_replay(&file, NULL, outcome);
    mkv_record_file_close(&file);
    assert_int_equal(unlink(path), 0);
    return inputs;
}

static struct mkv_replay_outcome outcome;

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_replay__what_was_recorded__equal(void **state) {
    (void)state;
    const uint64_t inputs = replay(TAMPER_NONE, &outcome);
    assert_string_equal(outcome.text, "");
    assert_int_equal(outcome.verdict, MKV_REPLAY_EQUAL);
    assert_int_equal(outcome.inputs, inputs);
    assert_int_equal(outcome.inputs_of[VOLUME], inputs);
    assert_true(outcome.effects > 4);
    assert_int_equal(outcome.machine_count, 2);
    assert_int_equal(outcome.end, MKV_RECORD_END_CLOSED);
    assert_false(outcome.cut);
    assert_false(outcome.damaged);
}

static void expect_departure(enum tamper tamper, const char *text, bool recorded, bool replayed) {
    (void)replay(tamper, &outcome);
    assert_int_equal(outcome.verdict, MKV_REPLAY_DEPARTED);
    assert_string_equal(outcome.text, text);
    assert_int_equal(outcome.has_recorded, recorded);
    assert_int_equal(outcome.has_replayed, replayed);
    assert_int_equal(outcome.machine, VOLUME);
    assert_true(outcome.input > 2);
    assert_true(outcome.input < outcome.inputs + 1);
    assert_int_equal(outcome.now_ns, outcome.input);
}

static void test_replay__effects_that_differ__named_with_their_input(void **state) {
    (void)state;
    expect_departure(TAMPER_EFFECT, "an effect is another", true, true);
    assert_int_equal(outcome.recorded.effect.op.generation,
                     outcome.replayed.effect.op.generation + 1);
    expect_departure(TAMPER_EFFECT_MORE, "an effect is missing", true, false);
    expect_departure(TAMPER_EFFECT_GONE, "an effect that was not there", false, true);
}

static void test_replay__only_the_units_of_a_write_differ__departs(void **state) {
    (void)state;
    (void)replay(TAMPER_BYTES, &outcome);
    assert_int_equal(outcome.verdict, MKV_REPLAY_DEPARTED);
    assert_int_equal(outcome.recorded.effect.op.index, outcome.replayed.effect.op.index);
    assert_int_equal(outcome.recorded.byte_count, outcome.replayed.byte_count);
}

static void test_replay__result_of_a_command_differs__departs(void **state) {
    (void)state;
    char text[128];
    (void)replay(TAMPER_RESULT_GONE, &outcome);
    assert_int_equal(outcome.verdict, MKV_REPLAY_DEPARTED);
    (void)snprintf(text, sizeof text, "the step returned %d, and 0 when recorded", MKV_ERR_STATE);
    assert_string_equal(outcome.text, text);
    assert_int_equal(outcome.input, 2);
    (void)replay(TAMPER_RESULT, &outcome);
    assert_int_equal(outcome.verdict, MKV_REPLAY_DEPARTED);
    assert_int_equal(outcome.input, 2);
}

static void test_replay__assertion__told_with_its_input(void **state) {
    (void)state;
    const uint64_t inputs = replay(TAMPER_COMPLETION, &outcome);
    assert_int_equal(outcome.verdict, MKV_REPLAY_ASSERTED);
    assert_int_equal(outcome.input, inputs);
    assert_non_null(strstr(outcome.text, "assertion failed"));
    assert_false(outcome.crashed_too);
    (void)replay(TAMPER_COMPLETION_CRASH, &outcome);
    assert_int_equal(outcome.verdict, MKV_REPLAY_ASSERTED);
    assert_true(outcome.crashed_too);
}

static void test_replay__entries_without_sense__malformed(void **state) {
    (void)state;
    static const enum tamper tampers[] = {TAMPER_MACHINE, TAMPER_UNITS, TAMPER_KIND, TAMPER_CONFIG};
    for (size_t index = 0; index < sizeof tampers / sizeof tampers[0]; index++) {
        (void)replay(tampers[index], &outcome);
        assert_int_equal(outcome.verdict, MKV_REPLAY_MALFORMED);
        assert_string_not_equal(outcome.text, "");
    }
}

static void test_replay__every_cut__equal_up_to_there(void **state) {
    (void)state;
    char path[32];
    const uint64_t inputs = record(TAMPER_NONE, path);
    struct mkv_record_file file;
    open_record(&file, path);
    const size_t whole = file.count;
    mkv_record_file_close(&file);
    uint64_t before = inputs;
    for (size_t count = whole - 1; count > MKV_RECORD_HEADER_BYTES; count -= 37) {
        assert_int_equal(truncate(path, (off_t)count), 0);
        open_record(&file, path);
        mkv_record_replay(&file, NULL, &outcome);
        mkv_record_file_close(&file);
        assert_int_equal(outcome.verdict, MKV_REPLAY_EQUAL);
        assert_int_equal(outcome.end, 0);
        assert_false(outcome.damaged);
        assert_true(outcome.inputs <= before);
        before = outcome.inputs;
        if (count < MKV_RECORD_HEADER_BYTES + 37) {
            break;
        }
    }
    assert_int_equal(before, 0);
    assert_int_equal(unlink(path), 0);
}

static void test_replay__damage__named_and_all_before_it_equal(void **state) {
    (void)state;
    char path[32];
    (void)record(TAMPER_NONE, path);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    /* The fourth chunk: 100 bytes of body each. */
    const off_t at = MKV_RECORD_HEADER_BYTES + 3 * (MKV_RECORD_CHUNK_HEADER_BYTES + 100);
    uint8_t byte = 0;
    assert_int_equal(pread(fd, &byte, 1, at + 50), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at + 50), 1);
    assert_int_equal(close(fd), 0);
    struct mkv_record_file file;
    open_record(&file, path);
    mkv_record_replay(&file, NULL, &outcome);
    mkv_record_file_close(&file);
    assert_int_equal(outcome.verdict, MKV_REPLAY_EQUAL);
    assert_true(outcome.damaged);
    assert_int_equal(outcome.chunk_number, 3);
    assert_int_equal(outcome.chunk_at, at);
    assert_int_equal(unlink(path), 0);
}

static void test_record_file__not_for_this_program__refused(void **state) {
    (void)state;
    char path[32];
    char error[MKV_RECORD_ERROR_BYTES];
    struct mkv_record_file file;
    (void)record(TAMPER_NONE, path);
    assert_true(mkv_record_file_is(path));
    assert_false(mkv_record_file_open(&file, path, "another", error));
    assert_non_null(strstr(error, "with another build of the core (0123456789ab...)"));
    assert_int_equal(truncate(path, 100), 0);
    assert_false(mkv_record_file_open(&file, path, core, error));
    assert_non_null(strstr(error, "is damaged or cut off"));
    assert_int_equal(truncate(path, 0), 0);
    assert_false(mkv_record_file_is(path));
    assert_false(mkv_record_file_open(&file, path, core, error));
    assert_non_null(strstr(error, "it is empty"));
    assert_int_equal(unlink(path), 0);
    assert_false(mkv_record_file_is(path));
    assert_false(mkv_record_file_open(&file, path, core, error));
    assert_non_null(strstr(error, "No such file"));
}

static void test_print__input_and_effect__as_lines(void **state) {
    (void)state;
    char path[32];
    char text[512] = {0};
    (void)record(TAMPER_NONE, path);
    struct mkv_record_file file;
    open_record(&file, path);
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    assert_true(mkv_record_replay_print_input(&file, 1, out));
    assert_false(mkv_record_replay_print_input(&file, 1000000, out));
    (void)replay(TAMPER_EFFECT, &outcome);
    mkv_record_replay_print_effect(&outcome.recorded, VOLUME, 5, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "           1  volume 0 -> ADMIN FORMAT\n"));
    assert_non_null(strstr(text, "           5  volume 0 <- DRIVE_"));
    mkv_record_file_close(&file);
    assert_int_equal(unlink(path), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay__what_was_recorded__equal),
        cmocka_unit_test(test_replay__effects_that_differ__named_with_their_input),
        cmocka_unit_test(test_replay__only_the_units_of_a_write_differ__departs),
        cmocka_unit_test(test_replay__result_of_a_command_differs__departs),
        cmocka_unit_test(test_replay__assertion__told_with_its_input),
        cmocka_unit_test(test_replay__entries_without_sense__malformed),
        cmocka_unit_test(test_replay__every_cut__equal_up_to_there),
        cmocka_unit_test(test_replay__damage__named_and_all_before_it_equal),
        cmocka_unit_test(test_record_file__not_for_this_program__refused),
        cmocka_unit_test(test_print__input_and_effect__as_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
