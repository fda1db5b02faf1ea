/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/system.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "admin/audit_endpoint.h"
#include "admin/text.h"

/* None of them holds an argument or a variable of a process. */
static const char *const files[] = {
    "/proc/version",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/pressure/cpu",
    "/proc/pressure/io",
    "/proc/pressure/memory",
    "/proc/self/limits",
    "/proc/self/status",
    "/proc/self/io",
    "/proc/self/cgroup",
    "/proc/self/mounts",
    "/proc/diskstats",
    "/proc/sys/kernel/io_uring_disabled",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/vm/nr_hugepages",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/swappiness",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    "/sys/devices/system/cpu/online",
    "/sys/devices/system/node/online",
    "/etc/os-release",
};
#define FILE_COUNT (sizeof files / sizeof files[0])

static void add_file(const char *path, json_t *read_ones, json_t *unreadable) {
    char *text = calloc(1, MKV_SYSTEM_FILE_BYTES_MAX + 1);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t bytes = 0;
    ssize_t count = fd < 0 || text == NULL ? -1 : 0;
    int number = errno;
    while (count >= 0 && bytes < MKV_SYSTEM_FILE_BYTES_MAX) {
        count = read(fd, text + bytes, MKV_SYSTEM_FILE_BYTES_MAX - bytes);
        number = errno;
        if (count <= 0) {
            break;
        }
        bytes += (size_t)count;
    }
    if (count < 0 && bytes == 0) {
        json_object_set_new(unreadable, path, json_string(strerror(number)));
    } else {
        json_t *content = json_stringn(text, strlen(text));
        json_object_set_new(read_ones, path, content == NULL ? json_string("no UTF-8") : content);
    }
    if (fd >= 0) {
        close(fd);
    }
    free(text);
}

static json_t *kernel_json(void) {
    struct utsname name;
    if (uname(&name) != 0) {
        return json_null();
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", name.sysname, "release", name.release,
                     "version", name.version, "machine", name.machine, "host", name.nodename);
}

json_t *mkv_system_json(void) {
    json_t *read_ones = json_object();
    json_t *unreadable = json_object();
    for (size_t index = 0; index < FILE_COUNT; index++) {
        add_file(files[index], read_ones, unreadable);
    }
    return json_pack("{s:o, s:I, s:I, s:o, s:o}", "kernel", kernel_json(), "cpus_online",
                     (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "page_bytes",
                     (json_int_t)sysconf(_SC_PAGESIZE), "files", read_ones, "unreadable",
                     unreadable);
}

struct mkv_admin_reply mkv_endpoint_system(const struct mkv_admin_request *request) {
    mkv_admin_request_audit(request, MKV_AUDIT_DIAGNOSTICS, "system", "ok",
                            "what the kernel says of the machine was handed out");
    return mkv_admin_reply_json(MHD_HTTP_OK, mkv_system_json());
}

struct mkv_admin_reply mkv_endpoint_host(const struct mkv_admin_request *request) {
    const struct mkv_admin_provider *provider = request->provider;
    char *body = provider->host == NULL ? NULL : provider->host(provider->context);
    if (body == NULL) {
        return mkv_admin_refuse(MHD_HTTP_SERVICE_UNAVAILABLE,
                                "the node cannot check its machine now");
    }
    return (struct mkv_admin_reply){
        .status = MHD_HTTP_OK,
        .content_type = "application/json",
        .body = body,
        .body_bytes = strlen(body),
    };
}

struct mkv_admin_reply mkv_endpoint_config(const struct mkv_admin_request *request) {
    const struct mkv_admin_provider *provider = request->provider;
    char *body = provider->config == NULL ? NULL : provider->config(provider->context);
    if (body == NULL) {
        return mkv_admin_refuse(MHD_HTTP_SERVICE_UNAVAILABLE,
                                "the node cannot show its configuration now");
    }
    return (struct mkv_admin_reply){
        .status = MHD_HTTP_OK,
        .content_type = "application/json",
        .body = body,
        .body_bytes = strlen(body),
    };
}
