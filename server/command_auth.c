/* SPDX-License-Identifier: Apache-2.0 */
#include "server/command_auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/exit_codes.h"
#include "wire/native_auth.h"

/* The digits, a newline. */
#define LINE_BYTES (2u * MKV_NATIVE_KEY_BYTES + 1u)

static const char help_text[] =
    "usage: memkv auth keygen [--output FILE]\n"
    "\n"
    "Makes a key for clients: 256 random bits as 64 hexadecimal digits, on standard output\n"
    "or in FILE, which must not be there yet and which its owner alone may read. The server\n"
    "takes the file as network.auth_key or in auth.keys, libmemkv and the commands take the\n"
    "digits as MEMKV_AUTH_KEY: docs/security.md.\n"
    "\n"
    "  --output FILE  write it there, with mode 0600, and print nothing\n"
    "  -h, --help     this text\n"
    "\n"
    "Exit status: 0 done, 64 usage, 74 the file cannot be written, 77 no permission.\n";

static int complain(const char *what) {
    fprintf(stderr, "memkv auth: %s; see memkv auth --help\n", what);
    return MKV_EXIT_DAEMON_USAGE;
}

static bool make(char line[LINE_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    uint8_t key[MKV_NATIVE_KEY_BYTES];
    if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key) {
        return false;
    }
    for (size_t i = 0; i < sizeof key; i++) {
        line[2 * i] = digits[key[i] >> 4];
        line[2 * i + 1] = digits[key[i] & 15u];
    }
    line[LINE_BYTES - 1] = '\n';
    explicit_bzero(key, sizeof key);
    return true;
}

static int fail_file(const char *path, const char *what, int number) {
    fprintf(stderr, "memkv auth keygen: %s %s: %s\n", path, what, strerror(number));
    return number == EACCES || number == EPERM ? (int)MKV_EXIT_DAEMON_PERMISSION
                                               : (int)MKV_EXIT_DAEMON_IO;
}

static int write_file(const char *path, const char line[LINE_BYTES]) {
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST) {
        fprintf(stderr,
                "memkv auth keygen: %s is there already and is left as it is; name another file\n",
                path);
        return MKV_EXIT_DAEMON_IO;
    }
    if (fd < 0) {
        return fail_file(path, "cannot be made", errno);
    }
    /* A umask may take the owner's own rights, too. */
    const bool done = fchmod(fd, 0600) == 0 && write(fd, line, LINE_BYTES) == (ssize_t)LINE_BYTES &&
                      fsync(fd) == 0;
    const int number = errno;
    close(fd);
    if (!done) {
        (void)unlink(path);
        return fail_file(path, "cannot be written", number);
    }
    return MKV_EXIT_DAEMON_DONE;
}

int mkv_command_auth(int argc, char **argv) {
    const char *output = NULL;
    if (argc < 2) {
        fputs(help_text, stderr);
        return MKV_EXIT_DAEMON_USAGE;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help_text, stdout);
            return MKV_EXIT_DAEMON_DONE;
        }
    }
    if (strcmp(argv[1], "keygen") != 0) {
        return complain("it has keygen");
    }
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--output") != 0) {
            return complain("keygen takes --output FILE and nothing else");
        }
        if (i + 1 == argc || argv[i + 1][0] == '\0' || output != NULL) {
            return complain("--output takes one FILE");
        }
        output = argv[++i];
    }
    char line[LINE_BYTES];
    if (!make(line)) {
        fprintf(stderr, "memkv auth keygen: the kernel gives no random bytes: %s\n",
                strerror(errno));
        return MKV_EXIT_DAEMON_UNAVAILABLE;
    }
    int exit_code = MKV_EXIT_DAEMON_DONE;
    if (output != NULL) {
        exit_code = write_file(output, line);
    } else if (fwrite(line, 1, LINE_BYTES, stdout) != LINE_BYTES || fflush(stdout) != 0) {
        exit_code = fail_file("standard output", "cannot be written", errno);
    }
    explicit_bzero(line, sizeof line);
    return exit_code;
}
