/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/profile.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "admin/audit_endpoint.h"
#include "admin/later.h"
#include "admin/symbols.h"

#define PROFILER "libprofiler.so.0"
#define BINARY "application/octet-stream"
#define TEXT "text/plain; charset=utf-8"
/* What a profile may come to: minutes of deep stacks are a few megabytes. */
#define PROFILE_BYTES_MAX (64u << 20)
#define CMDLINE_BYTES_MAX 65536u
/* A line of the answer about symbols has at most this much, and an answer so many lines. */
#define SYMBOL_LINE_BYTES 512u
#define SYMBOL_LINES_MAX 8192u

/* What gperftools exports; see its profiler.h and heap-profiler.h. */
struct profiler {
    int (*start)(const char *path);
    void (*stop)(void);
};

bool mkv_profile_peer_is_local(const struct mkv_admin_peer *peer) {
    static const char *const beginnings[] = {"127.", "[::1]:", "[::ffff:127."};
    for (size_t index = 0; index < sizeof beginnings / sizeof beginnings[0]; index++) {
        if (strncmp(peer->address, beginnings[index], strlen(beginnings[index])) == 0) {
            return true;
        }
    }
    return peer->over_socket;
}

/* Whether the peer gets profiles; else *reply says why not. */
static bool is_allowed(const struct mkv_admin_request *request, struct mkv_admin_reply *reply) {
    if (request->profiles_anywhere || mkv_profile_peer_is_local(&request->peer)) {
        return true;
    }
    *reply = mkv_admin_refuse(MHD_HTTP_FORBIDDEN,
                              "profiles are for clients on this machine; ask there, or set "
                              "admin.profiles: anywhere");
    return false;
}

/* A body of bytes that are copied. */
static struct mkv_admin_reply reply_bytes(const char *type, const void *bytes, size_t count) {
    struct mkv_admin_reply reply = {.status = MHD_HTTP_OK,
                                    .content_type = type,
                                    .body = malloc(count + 1),
                                    .body_bytes = count};
    if (reply.body != NULL) {
        memcpy(reply.body, bytes, count);
        reply.body[count] = '\0';
    }
    return reply;
}

/* ---- CPU ------------------------------------------------------------------------------------- */

/* Functions come out of the loader as pointers to data; C has no conversion between the two. */
static bool find_function(void *library, const char *name, void *function) {
    void *found = dlsym(library, name);
    memcpy(function, &found, sizeof found);
    return found != NULL;
}

/* It stays loaded, since a signal may still be on its way to it. */
static bool load_profiler(struct profiler *profiler) {
    void *library = dlopen(PROFILER, RTLD_NOW | RTLD_NODELETE);
    if (library == NULL) {
        return false;
    }
    const bool found = find_function(library, "ProfilerStart", &profiler->start) &&
                       find_function(library, "ProfilerStop", &profiler->stop);
    (void)dlclose(library);
    return found;
}

/* At its end the profiler prints a line, to where the lines of the log are. All else of us writes
 * to the descriptor and not to this stream, so nothing else goes that way meanwhile. */
static void stop_quietly(const struct profiler *profiler) {
    FILE *nowhere = fopen("/dev/null", "we");
    FILE *kept = stderr;
    stderr = nowhere == NULL ? kept : nowhere;
    profiler->stop();
    stderr = kept;
    if (nowhere != NULL) {
        (void)fclose(nowhere);
    }
}

/* What was written into a file of memory. */
static struct mkv_admin_reply read_profile(int fd) {
    const off_t end = lseek(fd, 0, SEEK_END);
    if (end <= 0 || end > (off_t)PROFILE_BYTES_MAX) {
        return mkv_admin_refuse(MHD_HTTP_INTERNAL_SERVER_ERROR,
                                "the profiler has written %jd bytes, of at most %u; ask for fewer "
                                "seconds",
                                (intmax_t)end, PROFILE_BYTES_MAX);
    }
    void *bytes = mmap(NULL, (size_t)end, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        return (struct mkv_admin_reply){0};
    }
    const struct mkv_admin_reply reply = reply_bytes(BINARY, bytes, (size_t)end);
    munmap(bytes, (size_t)end);
    return reply;
}

/* On a thread of its own. A node that stops gives what there is by then. */
static struct mkv_admin_reply take_profile(struct mkv_later *later, uint64_t seconds) {
    struct profiler profiler;
    const int fd = memfd_create("memkv-profile", MFD_CLOEXEC);
    if (fd < 0 || !load_profiler(&profiler)) {
        const int error = errno;
        if (fd >= 0) {
            close(fd);
        }
        return mkv_admin_refuse(MHD_HTTP_SERVICE_UNAVAILABLE,
                                "there is no room for a profile: %s. Free memory or descriptors",
                                strerror(error));
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct mkv_admin_reply reply;
    if (profiler.start(path) != 0) {
        (void)mkv_later_sleep(later, seconds);
        stop_quietly(&profiler);
        reply = read_profile(fd);
    } else {
        reply = mkv_admin_refuse(
            MHD_HTTP_CONFLICT, "the profiler is in use already; is CPUPROFILE set for the daemon? "
                               "Start it without");
    }
    close(fd);
    return reply;
}

struct mkv_admin_reply mkv_endpoint_profile(const struct mkv_admin_request *request) {
    struct mkv_admin_reply reply = {0};
    uint64_t seconds;
    struct profiler profiler;
    if (!is_allowed(request, &reply)) {
        return reply;
    }
    if (!mkv_admin_request_number(request, "seconds", 1, MKV_PROFILE_SECONDS_MAX,
                                  MKV_PROFILE_SECONDS_DEFAULT, &seconds)) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST, "seconds is a number from 1 to %u",
                                MKV_PROFILE_SECONDS_MAX);
    }
    if (!load_profiler(&profiler)) {
        return mkv_admin_refuse(MHD_HTTP_NOT_IMPLEMENTED,
                                "the CPU profiler is not installed: %s. Debian has it in "
                                "libgoogle-perftools4; the daemon need not be started again",
                                PROFILER);
    }
    if (!mkv_later_take(request->later, take_profile, seconds)) {
        return mkv_admin_refuse(MHD_HTTP_CONFLICT,
                                "a profile is being taken already, or the node stops; ask again "
                                "when it is done");
    }
    mkv_admin_request_audit(request, MKV_AUDIT_PROFILE, "cpu", "ok", "%u seconds",
                            (unsigned)seconds);
    reply.later = request->later;
    return reply;
}

/* ---- heap ------------------------------------------------------------------------------------ */

struct mkv_admin_reply mkv_endpoint_heap(const struct mkv_admin_request *request) {
    struct mkv_admin_reply reply = {0};
    int (*is_running)(void);
    char *(*get)(void);
    if (!is_allowed(request, &reply)) {
        return reply;
    }
    if (!find_function(RTLD_DEFAULT, "IsHeapProfilerRunning", &is_running) ||
        !find_function(RTLD_DEFAULT, "GetHeapProfile", &get) || is_running() == 0) {
        return mkv_admin_refuse(MHD_HTTP_CONFLICT,
                                "this node does not keep account of its heap; start it with memkv "
                                "start --heap-profile, which makes every allocation slower");
    }
    char *profile = get();
    if (profile != NULL) {
        mkv_admin_request_audit(request, MKV_AUDIT_PROFILE, "heap", "ok", "who holds memory");
        reply = reply_bytes(TEXT, profile, strlen(profile));
        free(profile);
    }
    return reply;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* A line for each address of "0x1+0x2+0x3". */
static struct mkv_admin_reply name_all(const struct mkv_symbols *symbols, const char *list) {
    char *text = NULL;
    size_t text_bytes = 0;
    FILE *out = open_memstream(&text, &text_bytes);
    if (out == NULL) {
        return (struct mkv_admin_reply){0};
    }
    uint32_t lines = 0;
    for (const char *at = list; *at != '\0' && lines < SYMBOL_LINES_MAX; lines++) {
        char *end;
        const uint64_t address = strtoull(at, &end, 16);
        if (end == at) {
            break;
        }
        const char *name = mkv_symbols_find(symbols, (uintptr_t)address);
        if (name != NULL) {
            fprintf(out, "0x%" PRIx64 "\t%.*s\n", address, (int)SYMBOL_LINE_BYTES, name);
        }
        at = *end == '+' ? end + 1 : end;
    }
    if (fclose(out) != 0) {
        free(text);
        return (struct mkv_admin_reply){0};
    }
    return (struct mkv_admin_reply){
        .status = MHD_HTTP_OK, .content_type = TEXT, .body = text, .body_bytes = text_bytes};
}

struct mkv_admin_reply mkv_endpoint_symbol(const struct mkv_admin_request *request) {
    struct mkv_admin_reply reply = {0};
    if (!is_allowed(request, &reply)) {
        return reply;
    }
    struct mkv_symbols *symbols = mkv_symbols_open();
    if (symbols == NULL) {
        return reply;
    }
    if (request->body_bytes > 0) {
        reply = name_all(symbols, request->body);
    } else {
        char text[64];
        snprintf(text, sizeof text, "num_symbols: %zu\n", mkv_symbols_count(symbols));
        reply = mkv_admin_reply_text(MHD_HTTP_OK, text);
    }
    mkv_symbols_close(symbols);
    return reply;
}

struct mkv_admin_reply mkv_endpoint_cmdline(const struct mkv_admin_request *request) {
    struct mkv_admin_reply reply = {0};
    if (!is_allowed(request, &reply)) {
        return reply;
    }
    const int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    char *text = malloc(CMDLINE_BYTES_MAX);
    const ssize_t count = fd < 0 || text == NULL ? -1 : read(fd, text, CMDLINE_BYTES_MAX);
    if (fd >= 0) {
        close(fd);
    }
    if (count < 0) {
        free(text);
        return reply;
    }
    /* A line for each word, where the kernel has a NUL behind each. */
    for (ssize_t index = 0; index < count; index++) {
        text[index] = text[index] == '\0' ? '\n' : text[index];
    }
    reply = reply_bytes(TEXT, text, (size_t)count);
    free(text);
    return reply;
}
