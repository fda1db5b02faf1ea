/* SPDX-License-Identifier: Apache-2.0 */
#include "server/setup_options.h"

#include <stdio.h>
#include <string.h>

#include "server/config_text.h"
#include "server/size.h"

#define COMMAND "memkv setup"

const char mkv_setup_help[] =
    "usage: memkv setup --drives PATH[=SIZE][,PATH[=SIZE]...] [--rdma DEVICE]\n"
    "                   [--force | --idempotent]\n"
    "       memkv setup\n"
    "\n"
    "Makes a store of drives: checks each of them, formats them, and prints on standard output\n"
    "a configuration for memkv start --config. What it finds and does it says on standard\n"
    "error. Nothing is written before all drives have been found good. Without options it\n"
    "lists this machine's drives and RDMA ports, and writes nothing.\n"
    "\n"
    "  --drives PATH   the drives of the store: block devices, or files; with =SIZE, as in\n"
    "                  /data/store.memkv=64GiB, a file that is made if it is not there. A drive\n"
    "                  is refused that is mounted, partitioned, in use as swap or by LVM, RAID\n"
    "                  or dm-crypt, read-only, too small, or not empty\n"
    "  --rdma DEVICE   have clients connect at the address of this RDMA device's RoCE v2 port,\n"
    "                  and refuse to start without it\n"
    "  --force         format drives that hold a store of memkv, too: its blocks are lost. It\n"
    "                  never goes over anything else, nor over a drive in use\n"
    "  --idempotent    leave drives that are this store's already as they are, and print the\n"
    "                  same configuration again\n"
    "  -h, --help      this text\n"
    "\n"
    "Memory: half of the machine's for the index of these drives and the memory tier, in huge\n"
    "pages: docs/sizing.md.\n"
    "\n"
    "Exit status: 0 done, 64 usage, 69 a drive is in use, not there, or memory does not do, 74\n"
    "reading or writing failed, 77 no permission, 78 a drive is refused for what it is.\n";

static bool refuse(struct mkv_config_error *error, const char *text) {
    return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND, "%s", text);
}

static bool refuse_unknown(const char *argument, struct mkv_config_error *error) {
    static const char *const names[] = {"--drives", "--rdma", "--force", "--idempotent", "--help"};
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    mkv_config_quote(argument, quoted);
    if (argument[0] != '-') {
        return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                               "unexpected argument '%s'; drives go behind --drives, with commas "
                               "between them",
                               quoted);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (mkv_config_is_slip(argument, names[i])) {
            return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                                   "unknown option '%s', did you mean '%s'?", quoted, names[i]);
        }
    }
    return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                           "unknown option '%s'; see memkv setup --help", quoted);
}

/* ---- --drives ------------------------------------------------------------------------------- */

/* Takes "=SIZE" from the end of a path. A path may hold a '=' of its own, before another '/'. */
static bool take_size(struct mkv_setup_path *path, struct mkv_config_error *error) {
    char *equals = strrchr(path->path, '=');
    if (equals == NULL || strchr(equals, '/') != NULL) {
        return true;
    }
    const enum mkv_size_problem problem = mkv_size_parse(equals + 1, &path->size_bytes);
    if (problem != MKV_SIZE_OK) {
        char explanation[MKV_SIZE_EXPLANATION_BYTES];
        char quoted[MKV_CONFIG_QUOTE_BYTES];
        mkv_config_quote(equals + 1, quoted);
        mkv_size_explain(problem, equals + 1, explanation);
        return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND, "--drives: '%s' %s", quoted,
                               explanation);
    }
    *equals = '\0';
    if (path->size_bytes == 0 || path->path[0] == '\0') {
        return refuse(error, "--drives: a file to be made takes a path and a size: "
                             "/data/store.memkv=64GiB");
    }
    return true;
}

static bool take_paths(const char *list, struct mkv_setup_options *options,
                       struct mkv_config_error *error) {
    while (true) {
        const size_t bytes = strcspn(list, ",");
        if (options->path_count == MKV_CONFIG_DRIVES_MAX) {
            return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                                   "--drives names more than %u drives", MKV_CONFIG_DRIVES_MAX);
        }
        struct mkv_setup_path *path = &options->paths[options->path_count];
        if (bytes == 0 || bytes >= sizeof path->path) {
            return refuse(error, bytes == 0 ? "--drives: a path is empty; write PATH,PATH without "
                                              "spaces between them"
                                            : "--drives: a path is too long");
        }
        snprintf(path->path, sizeof path->path, "%.*s", (int)bytes, list);
        options->path_count++;
        if (!take_size(path, error)) {
            return false;
        }
        if (list[bytes] == '\0') {
            return true;
        }
        list += bytes + 1;
    }
}

/* ---- the line ------------------------------------------------------------------------------- */

/* The value behind "NAME=" or in the next argument; NULL with a refusal when there is none. */
static const char *value_of(int argc, char *const *argv, int *index, const char *name,
                            struct mkv_config_error *error) {
    const char *value = argv[*index] + strlen(name);
    if (*value == '=') {
        value++;
    } else if (*index + 1 < argc) {
        (*index)++;
        value = argv[*index];
    }
    if (*value == '\0') {
        (void)mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND, "%s needs a value: %s %s",
                              name, name,
                              strcmp(name, "--rdma") == 0 ? "DEVICE" : "PATH[,PATH...]");
        return NULL;
    }
    return value;
}

static bool is_option(const char *argument, const char *name) {
    const size_t bytes = strlen(name);
    return strncmp(argument, name, bytes) == 0 &&
           (argument[bytes] == '\0' || argument[bytes] == '=');
}

static bool take_switch(bool *value, const char *name, struct mkv_config_error *error) {
    if (*value) {
        return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                               "%s is given twice; give it once", name);
    }
    *value = true;
    return true;
}

static bool take(int argc, char *const *argv, int *index, struct mkv_setup_options *options,
                 struct mkv_config_error *error) {
    const char *argument = argv[*index];
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
        options->help = true;
        return true;
    }
    if (strcmp(argument, "--force") == 0) {
        return take_switch(&options->force, argument, error);
    }
    if (strcmp(argument, "--idempotent") == 0) {
        return take_switch(&options->idempotent, argument, error);
    }
    if (is_option(argument, "--drives")) {
        if (options->path_count > 0) {
            return refuse(error, "--drives is given twice; write all drives in one: "
                                 "--drives PATH,PATH");
        }
        const char *list = value_of(argc, argv, index, "--drives", error);
        return list != NULL && take_paths(list, options, error);
    }
    if (is_option(argument, "--rdma")) {
        if (options->rdma != NULL) {
            return refuse(error, "--rdma is given twice; give it once");
        }
        options->rdma = value_of(argc, argv, index, "--rdma", error);
        return options->rdma != NULL;
    }
    return refuse_unknown(argument, error);
}

bool mkv_setup_options_parse(int argc, char *const *argv, struct mkv_setup_options *options,
                             struct mkv_config_error *error) {
    memset(options, 0, sizeof *options);
    for (int index = 1; index < argc && !options->help; index++) {
        if (!take(argc, argv, &index, options, error)) {
            return false;
        }
    }
    if (options->help) {
        return true;
    }
    if (options->force && options->idempotent) {
        return refuse(error, "--force formats the drives of a store anew and --idempotent leaves "
                             "them as they are; give one of them");
    }
    if (options->path_count == 0 && (options->force || options->idempotent || options->rdma)) {
        return refuse(error, "--drives is missing; memkv setup alone lists the drives that there "
                             "are");
    }
    return true;
}
