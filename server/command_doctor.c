/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv admin doctor`: asks a node for all it can say, and shows what is wrong with it and with
 * its machine.
 */
#include <stdio.h>
#include <string.h>

#include "admin/doctor.h"
#include "server/command_line.h"
#include "server/command_parts.h"
#include "server/exit_codes.h"
#include "server/host_check.h"

static const char help_doctor[] =
    "usage: memkv admin doctor [OPTIONS]\n"
    "\n"
    "Asks a node for all that it can say of itself and lists what is wrong, gravest first, each\n"
    "with its evidence and what to do; and has it check the machine that it runs on, as memkv\n"
    "doctor does: each check is pass, warn or fail. docs/doctor.md has all findings and checks.\n"
    "\n"
    "  --json              {\"server\", \"findings\", \"host\"}; of several nodes one a line\n";
static const char help_behind[] = "\n"
                                  "Exit status: 0 nothing critical, 1 something is critical or a "
                                  "check failed, 2 usage, 3 a node\n"
                                  "is not to be reached, 4 server error.\n";

static int worst_of(const json_t *findings, const json_t *host) {
    const char *severity =
        json_string_value(json_object_get(json_array_get(findings, 0), "severity"));
    const bool is_critical =
        severity != NULL && strcmp(severity, mkv_doctor_severities[MKV_DOCTOR_CRITICAL]) == 0;
    return is_critical || json_integer_value(json_object_get(host, "failed")) > 0
               ? MKV_EXIT_CLIENT_NOT_FOUND
               : MKV_EXIT_CLIENT_DONE;
}

static int examine(const struct mkv_command_servers *servers, uint32_t index, bool json) {
    char where[MKV_COMMAND_SERVER_NAME_BYTES];
    int exit_code;
    mkv_command_server_name(servers, index, where);
    json_t *parts = mkv_parts_ask(servers, index, &exit_code);
    if (exit_code != MKV_EXIT_CLIENT_DONE) {
        const char *why =
            json_string_value(json_object_get(json_object_get(parts, "failed"), "status"));
        fflush(stdout);
        mkv_command_admin_complain("%s: %s", where, why == NULL ? "no answer" : why);
        json_decref(parts);
        return exit_code;
    }
    json_t *findings = mkv_doctor_examine(parts);
    /* A node of an older release checks nothing, and a finding says that it was not asked. */
    json_t *host = json_object_get(parts, "host");
    if (json) {
        json_t *object =
            json_pack("{s:s, s:O, s:O?}", "server", where, "findings", findings, "host", host);
        json_dumpf(object, stdout, JSON_COMPACT);
        printf("\n");
        json_decref(object);
    } else {
        struct mkv_text text = {0};
        if (servers->count > 1) {
            mkv_text_format(&text, "%s# %s\n", index == 0 ? "" : "\n", where);
        }
        mkv_doctor_text(findings, &text);
        if (host != NULL) {
            mkv_text_string(&text, "\n");
            mkv_host_text(host, &text);
        }
        fputs(text.failed ? "no memory for this text\n" : text.bytes, stdout);
        mkv_text_free(&text);
    }
    exit_code = worst_of(findings, host);
    json_decref(findings);
    json_decref(parts);
    return exit_code;
}

int mkv_command_doctor(int argc, char **argv) {
    bool json = false;
    struct mkv_command_line line = {
        .name = "doctor",
        .help = help_doctor,
        .help_behind = help_behind,
        .flags = {{"--json", NULL, NULL, &json}},
    };
    int exit_code;
    if (!mkv_command_line_parse(&line, argc, argv, &exit_code)) {
        return exit_code;
    }
    exit_code = MKV_EXIT_CLIENT_DONE;
    for (uint32_t index = 0; index < line.servers.count; index++) {
        const int code = examine(&line.servers, index, json);
        exit_code = code > exit_code ? code : exit_code;
    }
    return mkv_view_finish(exit_code);
}
