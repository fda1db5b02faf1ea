/* SPDX-License-Identifier: Apache-2.0 */
#include "server/command_proxy.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backends/clock.h"
#include "server/auth.h"
#include "server/log.h"
#include "server/proxy.h"
#include "server/proxy_options.h"
#include "server/signals.h"

#define NS_PER_S 1000000000ull
#define DRAIN_NS (30ull * NS_PER_S)
#define CONNECTIONS_WANTED 16384u
#define CONNECTIONS_MIN 16u
/* Descriptors beside those of clients: servers, log, ring, listeners. */
#define DESCRIPTORS_OTHER (256u)

struct run {
    struct mkv_proxy_command command;
    struct mkv_log *log;
    struct mkv_auth *auth;
    struct mkv_proxy *proxy;
    struct mkv_signals *signals;
    atomic_uint signal_count;
    _Atomic(struct mkv_proxy *) to_wake; /* NULL until there is one */
    uint64_t started_ns;
};

static void say(struct run *run, enum mkv_config_log_level level, const char *text) {
    mkv_log_write(run->log, MKV_LOG_SITE_NODE, level, mkv_log_targets[MKV_LOG_SERVER_NODE], NULL, 0,
                  "%s", text);
}

/* On the signals' thread. */
static void signalled(void *context, int number) {
    struct run *run = context;
    if (number == SIGHUP) {
        return; /* there is nothing to read again */
    }
    atomic_fetch_add_explicit(&run->signal_count, 1, memory_order_release);
    struct mkv_proxy *proxy = atomic_load_explicit(&run->to_wake, memory_order_acquire);
    if (proxy != NULL) {
        mkv_proxy_wake(proxy);
    }
}

static uint32_t signals_of(struct run *run) {
    return atomic_load_explicit(&run->signal_count, memory_order_acquire);
}

/* On the thread of the rounds. */
static void auth_failed(void *context, enum mkv_fabric_listener listener, const char *address,
                        const char *name, enum mkv_auth_failure failure) {
    struct run *run = context;
    const struct mkv_log_field fields[] = {
        {.name = "address", .text = address},
        {.name = "name", .text = name},
        {.name = "reason", .text = mkv_auth_failure_text(failure)},
    };
    (void)listener;
    mkv_log_write(run->log, MKV_LOG_SITE_AUTH, MKV_CONFIG_LOG_WARN,
                  mkv_log_targets[MKV_LOG_SERVER_AUTH], fields, 3,
                  "a client did not show who it is");
}

/* Who the clients are is decided as in a daemon, from a configuration that has nothing else. */
static bool make_auth(struct run *run, struct mkv_backend_error *error) {
    const struct mkv_auth_options options = {.failed = auth_failed, .context = run};
    struct mkv_config_error wrong;
    struct mkv_config *config = malloc(sizeof *config);
    if (config == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a configuration. Free memory on this machine");
    }
    mkv_config_defaults(config, false);
    bool done = true;
    if (run->command.auth_key_file != NULL) {
        done = mkv_config_set(config, "network.auth_key", run->command.auth_key_file,
                              "--auth-key-file", &wrong);
    }
    if (done && run->command.is_open) {
        done = mkv_config_set(config, "network.auth", "none", "--auth", &wrong);
    }
    if (!done) {
        (void)mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION, "%s", wrong.message);
    }
    done = done && mkv_auth_create(config, &options, &run->auth, error);
    mkv_config_forget(config);
    free(config);
    return done;
}

static uint32_t connections_max(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return CONNECTIONS_MIN;
    }
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    const uint64_t left =
        limit.rlim_cur > DESCRIPTORS_OTHER ? limit.rlim_cur - DESCRIPTORS_OTHER : CONNECTIONS_MIN;
    return (uint32_t)mkv_max_u64(mkv_min_u64(left, CONNECTIONS_WANTED), CONNECTIONS_MIN);
}

static bool begin(struct run *run, struct mkv_backend_error *error) {
    const struct mkv_proxy_command *command = &run->command;
    if (!mkv_signals_begin(signalled, run, &run->signals, error) || !make_auth(run, error)) {
        return false;
    }
    const struct mkv_proxy_options options = {
        .host = command->listen.host,
        .port = command->listen.port,
        .connections_max = connections_max(),
        .memory_bytes = command->memory_bytes,
        .timeout_ms = command->timeout_ms,
        .has_metrics = command->metrics != NULL,
        .durable = command->durable,
        .servers = &command->servers,
        .auth = mkv_auth_fabric(run->auth),
    };
    if (!mkv_proxy_create(&options, &run->proxy, error)) {
        return false;
    }
    atomic_store_explicit(&run->to_wake, run->proxy, memory_order_release);
    return true;
}

static void tell_ready(struct run *run) {
    const struct mkv_proxy_command *command = &run->command;
    char address[MKV_CONFIG_ADDRESS_TEXT_BYTES];
    char text[256];
    mkv_config_address_format(&command->listen, address);
    snprintf(text, sizeof text, "clients connect at %s; values of up to %llu MiB", address,
             (unsigned long long)(mkv_proxy_value_bytes_max(run->proxy) / MKV_MIB));
    say(run, MKV_CONFIG_LOG_INFO, text);
    if (!mkv_config_address_is_loopback(&command->listen) && command->is_open) {
        snprintf(text, sizeof text,
                 "--auth none: everybody who reaches %s may read, write and delete all keys",
                 address);
        say(run, MKV_CONFIG_LOG_WARN, text);
    } else if (!mkv_config_address_is_loopback(&command->listen) &&
               command->auth_key_file == NULL) {
        say(run, MKV_CONFIG_LOG_WARN,
            "protected mode: there is no key, so clients of this machine alone are served. Give "
            "--auth-key-file (memkv auth keygen makes one)");
    }
    snprintf(text, sizeof text, "ready in %.1f s",
             (double)(mkv_clock_monotonic_ns() - run->started_ns) / (double)NS_PER_S);
    say(run, MKV_CONFIG_LOG_INFO, text);
}

static void serve(struct run *run) {
    while (signals_of(run) == 0) {
        mkv_proxy_round(run->proxy);
    }
    say(run, MKV_CONFIG_LOG_INFO, "stopping: commands in flight are finished");
    mkv_proxy_drain(run->proxy);
    const uint64_t until_ns = mkv_clock_monotonic_ns() + DRAIN_NS;
    bool is_stopped = false;
    while (!mkv_proxy_is_idle(run->proxy)) {
        mkv_proxy_round(run->proxy);
        if (!is_stopped && (signals_of(run) > 1 || mkv_clock_monotonic_ns() >= until_ns)) {
            is_stopped = true;
            mkv_proxy_stop(run->proxy);
        }
    }
}

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

static int run_proxy(struct run *run) {
    struct mkv_backend_error error = {0};
    int exit_code = MKV_EXIT_DAEMON_DONE;
    if (begin(run, &error)) {
        tell_ready(run);
        serve(run);
        say(run, MKV_CONFIG_LOG_INFO, "stopped");
    } else {
        say(run, MKV_CONFIG_LOG_ERROR, error.text);
        exit_code = exit_code_of(error.failure);
    }
    /* The signals' thread may wake the proxy. */
    mkv_signals_end(run->signals);
    mkv_proxy_destroy(run->proxy);
    mkv_auth_destroy(run->auth);
    return exit_code;
}

int mkv_command_proxy(int argc, char **argv) {
    struct run run = {.started_ns = mkv_clock_monotonic_ns()};
    struct mkv_config_error error;
    if (!mkv_proxy_options_parse(argc, argv, &run.command, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return (int)error.exit_code;
    }
    if (run.command.help) {
        fputs(mkv_proxy_help, stdout);
        return MKV_EXIT_DAEMON_DONE;
    }
    /* Before there is another thread. */
    if (run.command.metrics != NULL &&
        setenv("MEMKV_PROMETHEUS_BIND", run.command.metrics, 1) != 0) {
        fprintf(stderr,
                "memkv proxy: no memory for the environment. Free memory on this machine\n");
        return MKV_EXIT_DAEMON_UNAVAILABLE;
    }
    run.log = mkv_log_create(STDERR_FILENO, MKV_CONFIG_LOG_INFO, run.command.log_format);
    if (run.log == NULL) {
        fprintf(stderr, "memkv proxy: no memory for the log. Free memory on this machine\n");
        return MKV_EXIT_DAEMON_UNAVAILABLE;
    }
    const int exit_code = run_proxy(&run);
    mkv_log_destroy(run.log);
    return exit_code;
}
