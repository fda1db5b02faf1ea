/* SPDX-License-Identifier: Apache-2.0 */
#include "server/request_events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define LINES_BYTES 16384u

/* The lines that a logging processor would write, one behind the other. */
struct taken {
    char text[LINES_BYTES];
};

static bool wants(void *context, enum mkv_telemetry_log_level level) {
    (void)context;
    (void)level;
    return true;
}

static void write_line(void *context, enum mkv_telemetry_log_level level, const char *line) {
    struct taken *taken = context;
    (void)level;
    const size_t used = strlen(taken->text);
    snprintf(taken->text + used, sizeof taken->text - used, "%s\n", line + strlen("Telemetry: "));
}

static void warn(void *context, const char *text) {
    (void)context;
    fail_msg("%s", text);
}

static struct mkv_telemetry *create(struct taken *taken) {
    const struct mkv_telemetry_processor_spec spec = {.type = MKV_TELEMETRY_LOGGING};
    const struct mkv_telemetry_options options = {
        .queue_max = 1000,
        .processor_count = 1,
        .processors = &spec,
        .log = {.context = taken, .wants = wants, .write = write_line},
        .warn = warn,
        .context = taken,
    };
    return mkv_telemetry_create(&options);
}

static struct mkv_request_summary summary_of(enum mkv_op op) {
    return (struct mkv_request_summary){
        .connection = {4, 1},
        .serial = 7,
        .op = op,
        .status = MKV_STATUS_OK,
        .item_count = 8,
        .keys_from_memory = 2,
        .keys_from_drive = 3,
        .bytes_in = 100,
        .bytes_out = 200,
        .volume = MKV_NONE_U32,
        .received_ns = 1000000000,
        .ended_ns = 1500000000,
    };
}

static void test_events__of_every_op__start_and_end(void **state) {
    (void)state;
    static struct taken taken;
    const struct mkv_request_events events = {
        .telemetry = create(&taken), .volume_count = 2, .devices = {"d00", "d01"}};
    struct mkv_input input = {
        .kind = MKV_INPUT_REQUEST,
        .now_ns = 1000000000,
        .request = {.connection = {4, 1}, .serial = 7, .op = MKV_OP_LOOKUP, .item_count = 8},
    };
    mkv_request_events_began(&events, &input);
    static const enum mkv_op ops[] = {
        MKV_OP_LOOKUP, MKV_OP_EXISTS, MKV_OP_GET,     MKV_OP_PUT,      MKV_OP_COMMIT,
        MKV_OP_DELETE, MKV_OP_PIN,    MKV_OP_SESSION, MKV_OP_ALLOCATE, MKV_OP_UNPIN,
    };
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        struct mkv_request_summary summary = summary_of(ops[i]);
        summary.volume = ops[i] == MKV_OP_PUT ? 1 : MKV_NONE_U32;
        mkv_request_events_ended(&events, &summary, 0);
    }
    mkv_telemetry_destroy(events.telemetry);
#define HEAD " session=req-7-4 ts=1.500 metadata={\"status\":\"ok\",\"duration_s\":0.5,\"keys\":8"
    assert_string_equal(
        taken.text, "lookup START session=req-7-4 ts=1.000 metadata={\"keys\":8,\"connection\":4}\n"
                    "lookup END" HEAD ",\"found_count\":5,\"from_memory\":2,\"from_drive\":3}\n"
                    "exists END" HEAD ",\"found_count\":5,\"from_memory\":2,\"from_drive\":3}\n"
                    "retrieve END" HEAD
                    ",\"retrieved_count\":5,\"from_memory\":2,\"from_drive\":3,\"bytes_out\":200}\n"
                    "store END" HEAD ",\"stored_count\":8,\"bytes_in\":100,\"device\":\"d01\"}\n"
                    "commit END" HEAD ",\"stored_count\":8,\"bytes_in\":100}\n"
                    "delete END" HEAD "}\n"
                    "pin END" HEAD "}\n"
                    "session END" HEAD "}\n"
                    "allocate END" HEAD "}\n"
                    "unpin END" HEAD "}\n");
}

static void test_end__refused_or_dropped__says_so_and_counts_nothing(void **state) {
    (void)state;
    static struct taken taken;
    const struct mkv_request_events events = {.telemetry = create(&taken)};
    struct mkv_request_summary summary = summary_of(MKV_OP_GET);
    summary.refused = true;
    summary.status = MKV_STATUS_BUSY;
    mkv_request_events_ended(&events, &summary, 0);
    summary = summary_of(MKV_OP_PUT);
    summary.dropped = true;
    mkv_request_events_ended(&events, &summary, 0);
    summary = summary_of(MKV_OP_PUT);
    summary.status = MKV_STATUS_NO_SPACE;
    mkv_request_events_ended(&events, &summary, 0);
    mkv_telemetry_destroy(events.telemetry);
    assert_string_equal(
        taken.text,
        "retrieve END session=req-7-4 ts=1.500 metadata={\"status\":\"busy\",\"duration_s\":0.5,"
        "\"keys\":8}\n"
        "store END session=req-7-4 ts=1.500 metadata={\"status\":\"dropped\",\"duration_s\":0.5,"
        "\"keys\":8,\"bytes_in\":100}\n"
        "store END session=req-7-4 ts=1.500 metadata={\"status\":\"no_space\",\"duration_s\":0.5,"
        "\"keys\":8,\"bytes_in\":100}\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events__of_every_op__start_and_end),
        cmocka_unit_test(test_end__refused_or_dropped__says_so_and_counts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
