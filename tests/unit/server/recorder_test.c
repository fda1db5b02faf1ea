/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder without a shard: entries go in, and the file is read back.
 */
#include "server/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/bytes.h"
#include "record/machine_codec.h"
#include "server/recorder_ring.h"

#define FILE_BYTES_MAX (32u * 1024u * 1024u)
#define ARENA_UNITS 4u
#define VOLUME 1u /* the machine */
#define NS_PER_MS 1000000u

static const char core[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct rig {
    char path[64];
    struct mkv_recorder *recorder;
    uint32_t ended_count;
    struct mkv_recorder_ended ended;
    uint8_t arena[ARENA_UNITS * MKV_UNIT_BYTES];
};

static struct rig rig;

static void on_ended(void *context, const struct mkv_recorder_ended *ended) {
    struct rig *target = context;
    target->ended = *ended;
    target->ended_count++;
}

static bool create(uint64_t bytes_max, struct mkv_backend_error *error) {
    const struct mkv_recorder_options options = {
        .path = rig.path,
        .bytes_max = bytes_max,
        .core = core,
        .program = "memkv test",
        .ended = on_ended,
        .ended_context = &rig,
    };
    return mkv_recorder_create(&options, &rig.recorder, error);
}

static struct mkv_volume_config volume_config(void) {
    return (struct mkv_volume_config){.capacity_units = 7, .drive_set = {.version = 1}};
}

static void begin(uint64_t bytes_max) {
    struct mkv_backend_error error;
    struct mkv_front_config front;
    const struct mkv_volume_config volume = volume_config();
    mkv_front_config_default(&front);
    if (!create(bytes_max, &error) ||
        !mkv_recorder_begin(rig.recorder, &front, 1, &volume, &error)) {
        fail_msg("%s", error.text);
    }
}

static int set_up(void **state) {
    (void)state;
    memset(&rig, 0, sizeof rig);
    (void)snprintf(rig.path, sizeof rig.path, "/tmp/memkv-recorder-%d", (int)getpid());
    (void)unlink(rig.path);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    (void)unlink(rig.path);
    return 0;
}

/* ---- what the file holds --------------------------------------------------------------------- */

struct stream {
    uint8_t *bytes;
    size_t count;
    size_t at;
    size_t file_bytes;
};

/* All of the file, which must be of whole chunks. */
static struct stream read_stream(void) {
    uint8_t *file = malloc(FILE_BYTES_MAX);
    struct stream stream = {.bytes = malloc(FILE_BYTES_MAX)};
    assert_non_null(file);
    assert_non_null(stream.bytes);
    FILE *in = fopen(rig.path, "rb");
    assert_non_null(in);
    stream.file_bytes = fread(file, 1, FILE_BYTES_MAX, in);
    assert_int_equal(fclose(in), 0);
    struct mkv_record_header header;
    uint32_t version;
    assert_int_equal(mkv_record_header_decode(file, &header, &version), MKV_RECORD_HEADER_GOOD);
    assert_string_equal(header.core, core);
    assert_string_equal(header.program, "memkv test");
    uint64_t number = 0;
    for (size_t at = MKV_RECORD_HEADER_BYTES; at < stream.file_bytes; number++) {
        bool damaged;
        const uint32_t bytes =
            mkv_record_chunk_open(file + at, stream.file_bytes - at, number, &damaged);
        assert_true(bytes > 0);
        memcpy(stream.bytes + stream.count, file + at + MKV_RECORD_CHUNK_HEADER_BYTES, bytes);
        stream.count += bytes;
        at += MKV_RECORD_CHUNK_HEADER_BYTES + bytes;
    }
    free(file);
    return stream;
}

/* The next entry, which must be of this kind; its fields come next. */
static struct mkv_codec next(struct stream *stream, enum mkv_record_entry kind) {
    assert_true(stream->count - stream->at >= MKV_RECORD_ENTRY_BYTES_MIN);
    const uint32_t bytes = mkv_load_u32(stream->bytes + stream->at);
    const uint8_t *entry = stream->bytes + stream->at + MKV_RECORD_LENGTH_BYTES;
    assert_true(bytes <= stream->count - stream->at - MKV_RECORD_LENGTH_BYTES);
    assert_int_equal(entry[0], kind);
    stream->at += MKV_RECORD_LENGTH_BYTES + bytes;
    return mkv_codec_reader(entry + 1, bytes - 1);
}

static void skip_configs(struct stream *stream) {
    (void)next(stream, MKV_RECORD_FRONT);
    struct mkv_codec codec = next(stream, MKV_RECORD_VOLUME);
    struct mkv_volume_config volume = {0};
    mkv_record_volume_config(&codec, &volume);
    assert_false(codec.failed);
    assert_int_equal(volume.capacity_units, 7);
}

static void expect_end(struct stream *stream, enum mkv_record_end reason) {
    struct mkv_codec codec = next(stream, MKV_RECORD_END);
    uint32_t number = 0;
    mkv_codec_u32(&codec, &number);
    assert_int_equal(number, reason);
    assert_int_equal(stream->at, stream->count);
    free(stream->bytes);
}

static void tick_input(uint64_t now_ns) {
    const struct mkv_input input = {.kind = MKV_INPUT_TICK, .now_ns = now_ns};
    mkv_recorder_input(rig.recorder, VOLUME, &input, rig.arena);
}

static struct mkv_effect meta_read(uint32_t index, uint32_t payload_bytes) {
    return (struct mkv_effect){.kind = MKV_EFFECT_DRIVE_READ,
                               .op = {index, 1},
                               .drive = {.memory = MKV_DRIVE_META,
                                         .unit_count = 2,
                                         .meta_offset = MKV_UNIT_BYTES,
                                         .payload_bytes = payload_bytes}};
}

static void completion(uint32_t index) {
    const struct mkv_input input = {.kind = MKV_INPUT_DRIVE_DONE, .drive = {.op = {index, 1}}};
    mkv_recorder_input(rig.recorder, VOLUME, &input, rig.arena);
}

/* The units of the next entry, an input of the volume; false if it has none. */
static bool input_units(struct stream *stream, uint8_t *units) {
    struct mkv_record_storage *storage = malloc(sizeof *storage);
    assert_non_null(storage);
    struct mkv_codec codec = next(stream, MKV_RECORD_INPUT);
    uint32_t machine = 0;
    struct mkv_input input;
    bool has_units = false;
    mkv_codec_u32(&codec, &machine);
    assert_int_equal(machine, VOLUME);
    mkv_record_input_read(&codec, storage, &input);
    mkv_codec_bool(&codec, &has_units);
    if (has_units) {
        uint64_t offset = 0;
        uint32_t count = 0;
        mkv_codec_u64(&codec, &offset);
        mkv_codec_u32(&codec, &count);
        assert_int_equal(offset, MKV_UNIT_BYTES);
        assert_int_equal(count, 2);
        mkv_codec_units(&codec, units, 2);
    }
    assert_false(codec.failed);
    assert_int_equal(codec.at, codec.count);
    free(storage);
    return has_units;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_recorder__calls__stand_in_the_file_in_order(void **state) {
    (void)state;
    begin(MKV_RECORDER_BYTES_MIN);
    tick_input(5);
    mkv_recorder_result(rig.recorder, VOLUME, MKV_OK);
    mkv_recorder_result(rig.recorder, VOLUME, MKV_ERR_STATE);
    const struct mkv_effect effect = {.kind = MKV_EFFECT_DRIVE_FLUSH, .op = {3, 4}};
    mkv_recorder_effects(rig.recorder, VOLUME, &effect, 1, rig.arena);
    mkv_recorder_route(rig.recorder, 0, MKV_FRONT_VOLUME_ABSENT);
    mkv_recorder_destroy(rig.recorder);
    assert_int_equal(rig.ended_count, 1);
    assert_int_equal(rig.ended.error_number, 0);
    assert_int_equal(rig.ended.reason, MKV_RECORD_END_CLOSED);
    assert_int_equal(rig.ended.inputs, 1);
    struct stat status;
    assert_int_equal(stat(rig.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(status.st_size, rig.ended.bytes);
    struct stream stream = read_stream();
    skip_configs(&stream);
    (void)next(&stream, MKV_RECORD_INPUT);
    struct mkv_codec codec = next(&stream, MKV_RECORD_RESULT); /* none for MKV_OK */
    uint32_t number = 0;
    mkv_codec_u32(&codec, &number);
    assert_int_equal(number, VOLUME);
    mkv_codec_u32(&codec, &number);
    assert_int_equal(number, MKV_ERR_STATE);
    (void)next(&stream, MKV_RECORD_EFFECTS);
    codec = next(&stream, MKV_RECORD_ROUTE);
    mkv_codec_u32(&codec, &number);
    assert_int_equal(number, 0);
    mkv_codec_u32(&codec, &number);
    assert_int_equal(number, MKV_FRONT_VOLUME_ABSENT);
    expect_end(&stream, MKV_RECORD_END_CLOSED);
}

static void test_recorder__read_of_metadata__units_come_with_its_completion(void **state) {
    (void)state;
    begin(MKV_RECORDER_BYTES_MIN);
    const struct mkv_effect reads[] = {meta_read(1, 0), meta_read(2, 100)};
    mkv_recorder_effects(rig.recorder, VOLUME, reads, 2, rig.arena);
    memset(rig.arena + MKV_UNIT_BYTES, 7, 2 * (size_t)MKV_UNIT_BYTES); /* the drive brings them */
    completion(1);
    memset(rig.arena, 0, sizeof rig.arena);
    completion(2); /* a payload: its sums are all that the volume looks at */
    completion(1); /* once only */
    mkv_recorder_destroy(rig.recorder);
    struct stream stream = read_stream();
    uint8_t units[2 * MKV_UNIT_BYTES] = {0};
    skip_configs(&stream);
    (void)next(&stream, MKV_RECORD_EFFECTS);
    assert_true(input_units(&stream, units));
    assert_int_equal(units[0], 7);
    assert_int_equal(units[sizeof units - 1], 7);
    assert_false(input_units(&stream, units));
    assert_false(input_units(&stream, units));
    expect_end(&stream, MKV_RECORD_END_CLOSED);
}

static void test_recorder__largest_size__ends_with_it(void **state) {
    (void)state;
    begin(MKV_RECORDER_BYTES_MIN);
    for (uint64_t now_ns = 0; now_ns < 200000; now_ns++) {
        tick_input(now_ns);
    }
    mkv_recorder_destroy(rig.recorder);
    assert_int_equal(rig.ended_count, 1);
    assert_int_equal(rig.ended.reason, MKV_RECORD_END_SIZE);
    struct stream stream = read_stream();
    assert_true(stream.file_bytes <= MKV_RECORDER_BYTES_MIN);
    assert_true(stream.file_bytes > MKV_RECORDER_BYTES_MIN - 1024);
    assert_int_equal(stream.file_bytes, rig.ended.bytes);
    skip_configs(&stream);
    uint64_t inputs = 0;
    while (stream.bytes[stream.at + MKV_RECORD_LENGTH_BYTES] == MKV_RECORD_INPUT) {
        (void)next(&stream, MKV_RECORD_INPUT);
        inputs++;
    }
    assert_int_equal(inputs, rig.ended.inputs);
    expect_end(&stream, MKV_RECORD_END_SIZE);
}

static void test_recorder__write_fails__whole_chunks_stay_and_callers_go_on(void **state) {
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small = {.rlim_cur = 200000, .rlim_max = before.rlim_max};
    begin(64ull * MKV_MIB);
    /* The signal that comes with it is blocked in the recorder's thread. */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (uint64_t now_ns = 0; now_ns < 300000; now_ns++) {
        tick_input(now_ns);
    }
    mkv_recorder_destroy(rig.recorder);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rig.ended_count, 1);
    assert_int_equal(rig.ended.error_number, EFBIG);
    struct stream stream = read_stream();
    assert_int_equal(stream.file_bytes, rig.ended.bytes);
    assert_int_equal(stream.file_bytes, MKV_RECORD_HEADER_BYTES + 3 * MKV_RECORD_CHUNK_BYTES);
    free(stream.bytes);
}

static void test_recorder__time__sends_what_waits(void **state) {
    (void)state;
    begin(MKV_RECORDER_BYTES_MIN);
    tick_input(1);
    mkv_recorder_tick(rig.recorder, MKV_RECORDER_SEAL_NS);
    struct stat status;
    for (uint32_t turn = 0; turn < 5000; turn++) {
        assert_int_equal(stat(rig.path, &status), 0);
        if (status.st_size > (off_t)MKV_RECORD_HEADER_BYTES) {
            break;
        }
        (void)usleep(1000);
    }
    assert_true(status.st_size > (off_t)MKV_RECORD_HEADER_BYTES);
    mkv_recorder_destroy(rig.recorder);
}

static void test_recorder__file_there__refused_and_left(void **state) {
    (void)state;
    struct mkv_backend_error error;
    FILE *out = fopen(rig.path, "w");
    assert_non_null(out);
    assert_int_equal(fputs("mine", out) >= 0, 1);
    assert_int_equal(fclose(out), 0);
    assert_false(create(MKV_RECORDER_BYTES_MIN, &error));
    assert_int_equal(error.failure, MKV_BACKEND_IO);
    assert_non_null(strstr(error.text, "exists, and a record is never written over"));
    struct stat status;
    assert_int_equal(stat(rig.path, &status), 0);
    assert_int_equal(status.st_size, 4);
}

static void test_recorder__never_begun__leaves_no_file(void **state) {
    (void)state;
    struct mkv_backend_error error;
    assert_true(create(MKV_RECORDER_BYTES_MIN, &error));
    assert_int_equal(access(rig.path, F_OK), 0);
    mkv_recorder_destroy(rig.recorder);
    assert_int_not_equal(access(rig.path, F_OK), 0);
    assert_int_equal(rig.ended_count, 0);
    mkv_recorder_destroy(NULL);
}

static void test_recorder__process_ends_itself__last_input_is_there(void **state) {
    (void)state;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        begin(MKV_RECORDER_BYTES_MIN);
        mkv_recorder_attach(rig.recorder);
        tick_input(17);
        abort();
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    struct stream stream = read_stream();
    skip_configs(&stream);
    uint8_t units[2 * MKV_UNIT_BYTES];
    assert_false(input_units(&stream, units));
    expect_end(&stream, MKV_RECORD_END_CRASH);
}

/* The descriptor that this process has of the record. */
static int record_fd(void) {
    for (int fd = 3; fd < 256; fd++) {
        char name[32];
        char path[sizeof rig.path + 16] = {0};
        (void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        if (readlink(name, path, sizeof path - 1) > 0 && strcmp(path, rig.path) == 0) {
            return fd;
        }
    }
    fail_msg("nobody has %s open", rig.path);
    return -1;
}

/* Puts all that comes out of a pipe behind what the record's file has. */
static void *fill_file(void *context) {
    const int *fd = context;
    FILE *out = fopen(rig.path, "ab");
    static uint8_t bytes[65536];
    ssize_t count;
    while ((count = read(*fd, bytes, sizeof bytes)) > 0) {
        MKV_ASSERT(fwrite(bytes, 1, (size_t)count, out) == (size_t)count);
    }
    MKV_ASSERT(fclose(out) == 0);
    return NULL;
}

static void test_recorder__disk_too_slow__ends_with_what_it_has(void **state) {
    (void)state;
    static uint8_t keys[200000];
    const struct mkv_input input = {.kind = MKV_INPUT_REQUEST,
                                    .data = keys,
                                    .data_bytes = sizeof keys,
                                    .request = {.op = MKV_OP_EXISTS}};
    begin(64ull * MKV_MIB);
    /* A disk that takes nothing: a pipe that nobody reads. */
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_true(dup2(fds[1], record_fd()) >= 0);
    assert_int_equal(close(fds[1]), 0);
    for (uint32_t turn = 0; turn < 100; turn++) {
        mkv_recorder_input(rig.recorder, MKV_RECORD_MACHINE_FRONT, &input, rig.arena);
    }
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, fill_file, &fds[0]), 0);
    mkv_recorder_destroy(rig.recorder);
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(rig.ended_count, 1);
    assert_int_equal(rig.ended.reason, MKV_RECORD_END_SLOW);
    assert_in_range(rig.ended.inputs, 80, 90);
    struct stream stream = read_stream();
    skip_configs(&stream);
    for (uint64_t index = 0; index < rig.ended.inputs; index++) {
        (void)next(&stream, MKV_RECORD_INPUT);
    }
    expect_end(&stream, MKV_RECORD_END_SLOW);
}

/* A disk that hangs: what is sealed by time takes whole chunks of the ring, and leaves room for the
 * end. */
static void test_recorder__disk_hangs_and_little_comes__ends_with_what_it_has(void **state) {
    (void)state;
    int fds[2];
    begin(64ull * MKV_MIB);
    assert_int_equal(pipe(fds), 0);
    assert_true(dup2(fds[1], record_fd()) >= 0);
    assert_int_equal(close(fds[1]), 0);
    /* The pipe itself takes some of it. */
    for (uint64_t turn = 1; turn < 8 * MKV_RECORDER_RING_CHUNKS; turn++) {
        tick_input(turn * MKV_RECORDER_SEAL_NS);
        mkv_recorder_tick(rig.recorder, turn * MKV_RECORDER_SEAL_NS);
    }
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, fill_file, &fds[0]), 0);
    mkv_recorder_destroy(rig.recorder);
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(rig.ended_count, 1);
    assert_int_equal(rig.ended.reason, MKV_RECORD_END_CLOSED);
    struct stream stream = read_stream();
    skip_configs(&stream);
    for (uint64_t index = 0; index < rig.ended.inputs; index++) {
        (void)next(&stream, MKV_RECORD_INPUT);
    }
    expect_end(&stream, MKV_RECORD_END_CLOSED);
}

/* ---- the ring by itself ---------------------------------------------------------------------- */

static void drained(void *context) {
    (void)context;
}

/* Reads all that comes out of a pipe, behind a moment. */
static void *empty_pipe(void *context) {
    const int *fd = context;
    static uint8_t bytes[65536];
    (void)usleep(20000);
    ssize_t count;
    while ((count = read(*fd, bytes, sizeof bytes)) > 0) {
        MKV_MAYBE(count < (ssize_t)sizeof bytes);
    }
    return NULL;
}

static void test_ring__nobody_takes_its_bytes__room_ends_and_comes_back(void **state) {
    (void)state;
    static uint8_t bytes[MKV_RECORD_BODY_BYTES_MAX];
    struct mkv_recorder_ring ring = {.drained = drained};
    struct mkv_backend_error error;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_true(mkv_recorder_ring_start(&ring, fds[1], 0, &error));
    const uint64_t room = mkv_recorder_ring_room(&ring);
    assert_int_equal(room, MKV_RECORDER_RING_CHUNKS * MKV_RECORD_BODY_BYTES_MAX);
    uint64_t taken = 0;
    while (mkv_recorder_ring_room(&ring) >= sizeof bytes) {
        mkv_recorder_ring_append(&ring, bytes, sizeof bytes);
        taken++;
    }
    /* The pipe has less than two chunks. */
    assert_true(taken >= MKV_RECORDER_RING_CHUNKS);
    assert_true(taken <= MKV_RECORDER_RING_CHUNKS + 2);
    assert_int_equal(mkv_recorder_ring_bytes(&ring, 10),
                     taken * MKV_RECORD_CHUNK_BYTES + MKV_RECORD_CHUNK_HEADER_BYTES + 10);
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, empty_pipe, &fds[0]), 0);
    mkv_recorder_ring_finish(&ring);
    mkv_recorder_ring_end(&ring);
    assert_int_equal(ring.written, taken);
    assert_int_equal(ring.file_bytes, taken * MKV_RECORD_CHUNK_BYTES);
    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_int_equal(close(fds[0]), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_recorder__calls__stand_in_the_file_in_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_recorder__read_of_metadata__units_come_with_its_completion, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recorder__largest_size__ends_with_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_recorder__write_fails__whole_chunks_stay_and_callers_go_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recorder__disk_too_slow__ends_with_what_it_has, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_recorder__disk_hangs_and_little_comes__ends_with_what_it_has, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recorder__time__sends_what_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recorder__file_there__refused_and_left, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_recorder__never_begun__leaves_no_file, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_recorder__process_ends_itself__last_input_is_there,
                                        set_up, tear_down),
        cmocka_unit_test(test_ring__nobody_takes_its_bytes__room_ends_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
