/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one program: it finds the command by its name and hands the rest of the command line to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/commands.h"
#include "server/command_admin.h"
#include "server/command_auth.h"
#include "server/command_drive.h"
#include "server/command_host.h"
#include "server/command_proxy.h"
#include "server/config_show.h"
#include "server/config_text.h"
#include "server/exit_codes.h"
#include "server/setup.h"
#include "server/start.h"
#include "server/usage.h"
#include "server/version.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
};

/* In the order of the list below. */
static const struct command commands[] = {
    {"start", mkv_command_start},     {"put", memkv_command_put},
    {"get", memkv_command_get},       {"exists", memkv_command_exists},
    {"delete", memkv_command_delete}, {"session", memkv_command_session},
    {"admin", mkv_command_admin},     {"config", mkv_command_config},
    {"auth", mkv_command_auth},       {"proxy", mkv_command_proxy},
    {"drive", mkv_command_drive},     {"setup", mkv_command_setup},
    {"doctor", mkv_command_host},     {"bench", memkv_command_bench},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static const struct mkv_usage_command usage[] = {
    {"start", "[OPTIONS]", "run a node; --dev for one to try things on"},
    {"setup", "--drives PATH,...", "make a store of drives, print its configuration"},
    {"proxy", "[OPTIONS]", "serve clients of RESP from several nodes"},
    {"put", "KEY FILE", "store a file under a key"},
    {"get", "KEY [FILE]", "fetch it back"},
    {"exists", "KEY...", "whether keys are stored"},
    {"delete", "KEY...", "delete keys"},
    {"session", "NUMBER ACTION", "what becomes of the keys of a session"},
    {"admin", "status [--json]", "what a node is doing"},
    {"config", "show | check FILE", "the configuration that a start would have"},
    {"auth", "keygen", "make a key for clients"},
    {"drive", "COMMAND PATH", "see, check, mend, wipe drives that no node has"},
    {"doctor", "[--peer HOST]", "whether this host is fit for it, and what to do"},
    {"bench", "[OPTIONS]", "what a server gives this client, by block size"},
    {"help", "[COMMAND]", "this list, or the help of a command"},
    {"--version", "", "print the version"},
    {NULL, NULL, NULL},
};

static const struct command *command_of(const char *name) {
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static int refuse(const char *name) {
    const char *guess = mkv_usage_guess(usage, name);
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    mkv_config_quote(name, quoted);
    if (guess == NULL) {
        fprintf(stderr, "memkv: unknown command '%s'; memkv help lists the commands\n", quoted);
        return MKV_EXIT_CLIENT_USAGE;
    }
    fprintf(stderr, "memkv: unknown command '%s', did you mean '%s'?\n", quoted, guess);
    /* Whoever meant to start a node looks for the daemon's codes. */
    return strcmp(guess, "start") == 0 ? (int)MKV_EXIT_DAEMON_USAGE : (int)MKV_EXIT_CLIENT_USAGE;
}

static int help(const char *name) {
    if (name == NULL) {
        mkv_usage_print(usage, stdout);
        return MKV_EXIT_CLIENT_DONE;
    }
    const struct command *command = command_of(name);
    if (command == NULL) {
        return refuse(name);
    }
    char own_name[32];
    char option[] = "--help";
    snprintf(own_name, sizeof own_name, "%s", command->name);
    char *arguments[] = {own_name, option, NULL};
    return command->run(2, arguments);
}

/* Fills the places of standard descriptors that whoever started us had closed. Else the first files
 * that are opened get them, and lines of the log go to a drive. What is written to the output
 * fails, as it would have; lines for nobody go nowhere. */
static bool fill_descriptors(void) {
    static const int modes[] = {
        [STDIN_FILENO] = O_WRONLY, [STDOUT_FILENO] = O_RDONLY, [STDERR_FILENO] = O_RDWR};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", modes[fd]) != fd) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv) {
    if (!fill_descriptors()) {
        return MKV_EXIT_DAEMON_UNAVAILABLE; /* there is nowhere to say it */
    }
    if (argc < 2) {
        mkv_usage_print(usage, stderr);
        return MKV_EXIT_CLIENT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) {
        printf("memkv %s (%s)\n", mkv_version(), mkv_version_commit());
        return MKV_EXIT_CLIENT_DONE;
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        return help(argc > 2 ? argv[2] : NULL);
    }
    const struct command *command = command_of(name);
    return command == NULL ? refuse(name) : command->run(argc - 1, argv + 1);
}
