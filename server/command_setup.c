/* SPDX-License-Identifier: Apache-2.0 */
/* `memkv setup`: the command around setup.h. */
#include <stdio.h>
#include <stdlib.h>

#include "server/setup.h"

static int exit_code_of(enum mkv_backend_failure failure) {
    switch (failure) {
    case MKV_BACKEND_OK:
        return MKV_EXIT_DAEMON_DONE;
    case MKV_BACKEND_IO:
        return MKV_EXIT_DAEMON_IO;
    case MKV_BACKEND_PERMISSION:
        return MKV_EXIT_DAEMON_PERMISSION;
    case MKV_BACKEND_CONFIGURATION:
        return MKV_EXIT_DAEMON_CONFIGURATION;
    case MKV_BACKEND_UNAVAILABLE:
        break;
    }
    return MKV_EXIT_DAEMON_UNAVAILABLE;
}

static int set_up(const struct mkv_setup_options *options) {
    const struct mkv_setup_run_options run = {
        .options = options,
        .roots = &mkv_drive_roots_kernel,
        .log = stderr,
    };
    struct mkv_backend_error error = {0};
    struct mkv_text yaml = {0};
    int exit_code = MKV_EXIT_DAEMON_DONE;
    if (!mkv_setup_run(&run, &yaml, &error)) {
        fprintf(stderr, "memkv setup: %s\n", error.text);
        exit_code = exit_code_of(error.failure);
    } else if (fputs(yaml.bytes, stdout) < 0 || fflush(stdout) != 0) {
        fprintf(stderr, "memkv setup: the configuration cannot be written to standard output. The "
                        "drives are formatted; run it again with --idempotent\n");
        exit_code = MKV_EXIT_DAEMON_IO;
    } else {
        fprintf(stderr, "memkv setup: done; keep what stands on standard output in a file, and "
                        "run: memkv start --config FILE\n");
    }
    mkv_text_free(&yaml);
    return exit_code;
}

int mkv_command_setup(int argc, char **argv) {
    struct mkv_config_error error = {0};
    struct mkv_setup_options *options = malloc(sizeof *options);
    int exit_code = MKV_EXIT_DAEMON_DONE;
    if (options == NULL) {
        fprintf(stderr, "no memory for the list of drives. Free memory on this machine\n");
        return MKV_EXIT_DAEMON_UNAVAILABLE;
    }
    if (!mkv_setup_options_parse(argc, argv, options, &error)) {
        fprintf(stderr, "%s\n", error.message);
        exit_code = (int)error.exit_code;
    } else if (options->help) {
        fputs(mkv_setup_help, stdout);
    } else if (options->path_count == 0) {
        mkv_setup_list(&mkv_drive_roots_kernel, stderr);
    } else {
        exit_code = set_up(options);
    }
    free(options);
    return exit_code;
}
