/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv admin drive list` and `memkv admin drive show NAME`.
 */
#include "server/command_drive_view.h"
#include "admin/drives.h"
#include "server/command_view.h"

#define END                                                                                        \
    { .title = NULL }

static const struct mkv_view list_view = {
    .name = "drive list",
    .meaning = "the drives: state, what is wrong, fill, latencies",
    .help =
        "Lists the drives of a node. FAILURE is the class of what is wrong with one: io_error,\n"
        "timeout, gone, read_only, shrunk or foreign. QUEUE is operations in flight. P99 is of\n"
        "the last minute, in microseconds.\n",
    .path = "/v1/drives",
    .shape = {.rows = "drives",
              .columns = {{"DRIVE", "device_id", MKV_TABLE_TEXT},
                          {"STATE", "state", MKV_TABLE_TEXT},
                          {"SINCE", "state_since", MKV_TABLE_TEXT},
                          {"FAILURE", "failure", MKV_TABLE_TEXT},
                          {"USED", "used_bytes", MKV_TABLE_BYTES},
                          {"USABLE", "usable_bytes", MKV_TABLE_BYTES},
                          {"READ P99", "read_p99_us", MKV_TABLE_COUNT},
                          {"WRITE P99", "write_p99_us", MKV_TABLE_COUNT},
                          {"QUEUE", "queue_depth", MKV_TABLE_COUNT},
                          {"ERRORS", "errors", MKV_TABLE_COUNT},
                          {"MODEL", "model", MKV_TABLE_TEXT},
                          {"SERIAL", "serial", MKV_TABLE_TEXT},
                          {"PATH", "path", MKV_TABLE_TEXT},
                          END}},
};

static const struct mkv_view show_view = {
    .name = "drive show",
    .meaning = "all that is known of one drive, and what to do",
    .help =
        "Shows one drive: its state and since when, what is wrong with it, its last error, its\n"
        "latencies beside those of its siblings (the median of the other drives) over the last\n"
        "minute, and what to do.\n",
    .path = "/v1/drives/",
    .operand = "NAME",
    .form = MKV_VIEW_OWN,
    .show = mkv_drive_text,
};

int mkv_command_admin_drive_list(int argc, char **argv) {
    return mkv_view_run(&list_view, argc, argv);
}

int mkv_command_admin_drive_show(int argc, char **argv) {
    return mkv_view_run(&show_view, argc, argv);
}
