/* SPDX-License-Identifier: Apache-2.0 */
#include "server/start.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "record/format.h"
#include "server/heap_profile.h"
#include "server/node.h"
#include "server/start_options.h"

static bool configure(void *context, struct mkv_config *config, struct mkv_config_error *error) {
    return mkv_start_options_configure(context, environ, config, error);
}

int mkv_command_start(int argc, char **argv) {
    struct mkv_start_options options;
    struct mkv_config_error error;
    if (!mkv_start_options_parse(argc, argv, &options, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return (int)error.exit_code;
    }
    if (options.help) {
        fputs(mkv_start_help, stdout);
        return MKV_EXIT_DAEMON_DONE;
    }
    if (options.heap_profile && !mkv_heap_profile_begin(argc, argv, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return (int)error.exit_code;
    }
    /* Large, and needed until the node has its copy. */
    struct mkv_config *config = malloc(sizeof *config);
    if (config == NULL) {
        fprintf(stderr, "no memory for the configuration. Free memory on this machine\n");
        return MKV_EXIT_DAEMON_UNAVAILABLE;
    }
    enum mkv_exit_daemon exit_code = MKV_EXIT_DAEMON_DONE;
    if (mkv_start_options_configure(&options, environ, config, &error)) {
        const struct mkv_node_options node_options = {
            .dev = options.dev,
            .lost = options.lost,
            .record = options.record,
            .record_bytes_max = options.record_bytes_max,
            .core = mkv_core_archive_sha256,
            .configure = configure,
            .configure_context = &options,
        };
        exit_code = mkv_node_run(config, &node_options);
    } else {
        fprintf(stderr, "%s\n", error.message);
        exit_code = error.exit_code;
    }
    free(config);
    return (int)exit_code;
}
