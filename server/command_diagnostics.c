/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv admin diagnostics --output FILE`: what doctor reads, in a file to be sent to somebody,
 * with what doctor found, and a list of what could not be had.
 *
 *   memkv-diagnostics/manifest.json
 *   memkv-diagnostics/NODE/status.json, config.json, system.json, metrics.txt, logs.txt, ...
 *   memkv-diagnostics/NODE/doctor.json
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/doctor.h"
#include "server/command_line.h"
#include "server/command_parts.h"
#include "server/exit_codes.h"
#include "server/version.h"

#define ROOT "memkv-diagnostics"
#define NAME_BYTES 256u
/* What it says of a node is for whoever may ask the node. */
#define FILE_MODE 0600

static const char help_diagnostics[] =
    "usage: memkv admin diagnostics --output FILE [OPTIONS]\n"
    "\n"
    "Writes a bundle (tar, compressed by gzip) of what a node says of itself: configuration\n"
    "without secrets, the last log lines, metrics, status, latencies, slow requests, hot keys,\n"
    "clients, the machine (kernel, memory, limits, mounts), the head of the audit, and what\n"
    "doctor finds in it. No payload and no secret is in it; names of keys, clients and tenants\n"
    "are. What cannot be had is listed in manifest.json, and the rest is there all the same.\n"
    "\n"
    "  --output FILE       where to write; it must not exist, and is for its owner alone\n"
    "  --json              what was written as JSON\n";
static const char help_behind[] =
    "\n"
    "Exit status: 0 all is there, 1 parts are missing, 2 usage, 3 a node is not to be reached,\n"
    "4 the file cannot be written.\n";

struct bundle {
    struct archive *archive;
    int fd;
    const char *output;
    json_t *nodes; /* for the manifest */
    bool failed;
    time_t now;
};

/* Adds a file of these bytes. */
static void add(struct bundle *bundle, const char *name, const char *bytes, size_t count) {
    struct archive_entry *entry = archive_entry_new();
    if (entry == NULL || bundle->failed) {
        bundle->failed = true;
        archive_entry_free(entry);
        return;
    }
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0600);
    archive_entry_set_size(entry, (la_int64_t)count);
    archive_entry_set_mtime(entry, bundle->now, 0);
    bundle->failed = archive_write_header(bundle->archive, entry) != ARCHIVE_OK ||
                     archive_write_data(bundle->archive, bytes, count) != (la_ssize_t)count;
    archive_entry_free(entry);
}

static void add_json(struct bundle *bundle, const char *name, const json_t *object) {
    char *text = json_dumps(object, JSON_INDENT(2));
    if (text == NULL) {
        bundle->failed = true;
        return;
    }
    add(bundle, name, text, strlen(text));
    free(text);
}

/* A folder for a node: what is no letter or digit of its name becomes '_'. */
static void folder_of(const char *server, uint32_t index, char folder[NAME_BYTES]) {
    snprintf(folder, NAME_BYTES, "%u-%.128s", index + 1, server);
    for (char *at = folder; *at != '\0'; at++) {
        const bool plain = (*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') ||
                           (*at >= 'A' && *at <= 'Z') || *at == '-' || *at == '.';
        *at = plain ? *at : '_';
    }
}

static int add_node(struct bundle *bundle, const struct mkv_command_servers *servers,
                    uint32_t index) {
    char server[MKV_COMMAND_SERVER_NAME_BYTES];
    char folder[NAME_BYTES];
    char name[2 * NAME_BYTES];
    int exit_code;
    mkv_command_server_name(servers, index, server);
    folder_of(server, index, folder);
    json_t *parts = mkv_parts_ask(servers, index, &exit_code);
    for (const struct mkv_part *part = mkv_parts; part->name != NULL; part++) {
        const json_t *value = json_object_get(parts, part->name);
        snprintf(name, sizeof name, ROOT "/%s/%s.%s", folder, part->name,
                 part->text ? "txt" : "json");
        if (json_is_string(value)) {
            add(bundle, name, json_string_value(value), json_string_length(value));
        } else if (value != NULL) {
            add_json(bundle, name, value);
        }
    }
    json_t *findings = mkv_doctor_examine(parts);
    snprintf(name, sizeof name, ROOT "/%s/doctor.json", folder);
    add_json(bundle, name, findings);
    const json_t *failed = json_object_get(parts, "failed");
    const bool whole = json_object_size(failed) == 0;
    json_array_append_new(bundle->nodes, json_pack("{s:s, s:s, s:O}", "server", server, "folder",
                                                   folder, "failed", failed));
    if (exit_code == MKV_EXIT_CLIENT_DONE && !whole) {
        exit_code = MKV_EXIT_CLIENT_NOT_FOUND;
    }
    const char *part;
    json_t *why;
    json_object_foreach((json_t *)(uintptr_t)failed, part, why) {
        const char *text = json_string_value(why);
        mkv_command_admin_complain("%s: %s is not in the bundle: %s", server, part,
                                   text == NULL ? "-" : text);
    }
    json_decref(findings);
    json_decref(parts);
    return exit_code;
}

static void add_manifest(struct bundle *bundle) {
    char time_text[32];
    struct tm parts;
    json_t *meanings = json_object();
    for (const struct mkv_part *part = mkv_parts; part->name != NULL; part++) {
        json_object_set_new(meanings, part->name, json_string(part->meaning));
    }
    const bool known = gmtime_r(&bundle->now, &parts) != NULL &&
                       strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0;
    json_t *manifest = json_pack("{s:s, s:s, s:s, s:O, s:o}", "made", known ? time_text : "",
                                 "memkv", mkv_version(), "commit", mkv_version_commit(), "nodes",
                                 bundle->nodes, "files", meanings);
    add_json(bundle, ROOT "/manifest.json", manifest);
    json_decref(manifest);
}

static bool open_bundle(struct bundle *bundle, const char *output) {
    bundle->output = output;
    bundle->now = time(NULL);
    bundle->nodes = json_array();
    bundle->archive = archive_write_new();
    bundle->fd = open(output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (bundle->fd < 0) { /* what is there stays */
        mkv_command_admin_complain("diagnostics: %s cannot be made: %s; name a new file", output,
                                   strerror(errno));
        return false;
    }
    if (bundle->archive == NULL || archive_write_add_filter_gzip(bundle->archive) != ARCHIVE_OK ||
        archive_write_set_format_pax_restricted(bundle->archive) != ARCHIVE_OK ||
        archive_write_open_fd(bundle->archive, bundle->fd) != ARCHIVE_OK) {
        mkv_command_admin_complain("diagnostics: %s cannot be written: %s", output,
                                   bundle->archive == NULL ? "no memory"
                                                           : archive_error_string(bundle->archive));
        (void)unlink(output);
        return false;
    }
    return true;
}

static int write_bundle(struct bundle *bundle, const struct mkv_command_servers *servers) {
    int exit_code = MKV_EXIT_CLIENT_DONE;
    for (uint32_t index = 0; index < servers->count; index++) {
        const int code = add_node(bundle, servers, index);
        exit_code = code > exit_code ? code : exit_code;
    }
    add_manifest(bundle);
    if (archive_write_close(bundle->archive) != ARCHIVE_OK || bundle->failed) {
        const char *why = archive_error_string(bundle->archive);
        mkv_command_admin_complain("diagnostics: %s cannot be written: %s", bundle->output,
                                   why == NULL ? "no memory" : why);
        (void)unlink(bundle->output);
        return MKV_EXIT_CLIENT_SERVER_ERROR;
    }
    return exit_code;
}

int mkv_command_diagnostics(int argc, char **argv) {
    bool json = false;
    const char *output = NULL;
    struct mkv_command_line line = {
        .name = "diagnostics",
        .help = help_diagnostics,
        .help_behind = help_behind,
        .flags = {{"--output", "FILE", &output, NULL}, {"--json", NULL, NULL, &json}},
    };
    int exit_code;
    if (!mkv_command_line_parse(&line, argc, argv, &exit_code)) {
        return exit_code;
    }
    if (output == NULL) {
        mkv_command_admin_complain("diagnostics needs --output FILE, like --output node.tar.gz");
        return MKV_EXIT_CLIENT_USAGE;
    }
    struct bundle bundle = {.fd = -1};
    if (!open_bundle(&bundle, output)) {
        exit_code = MKV_EXIT_CLIENT_SERVER_ERROR;
    } else {
        exit_code = write_bundle(&bundle, &line.servers);
        if (exit_code != MKV_EXIT_CLIENT_SERVER_ERROR && json) {
            json_t *object = json_pack("{s:s, s:O}", "file", output, "nodes", bundle.nodes);
            json_dumpf(object, stdout, JSON_COMPACT);
            printf("\n");
            json_decref(object);
        } else if (exit_code != MKV_EXIT_CLIENT_SERVER_ERROR) {
            printf("%s: %zu node%s\n", output, json_array_size(bundle.nodes),
                   json_array_size(bundle.nodes) == 1 ? "" : "s");
        }
    }
    archive_write_free(bundle.archive);
    if (bundle.fd >= 0) {
        close(bundle.fd);
    }
    json_decref(bundle.nodes);
    return mkv_view_finish(exit_code);
}
