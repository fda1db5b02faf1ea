/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* More than the line of /proc/self/stat takes. */
#define STAT_BYTES 2048u
/* Descriptors that are counted before giving up. */
#define DESCRIPTORS_MAX (1u << 22)

static bool read_file(const char *path, char *target, size_t target_bytes) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const ssize_t count = read(fd, target, target_bytes - 1);
    close(fd);
    if (count <= 0) {
        return false;
    }
    target[count] = '\0';
    return true;
}

/* The wall clock at boot, from which the kernel counts the start of processes. */
static uint64_t boot_time_s(void) {
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL) {
        return 0;
    }
    uint64_t seconds = 0;
    char line[STAT_BYTES];
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "btime %" SCNu64, &seconds) == 1) {
            break;
        }
    }
    fclose(file);
    return seconds;
}

static void read_stat(struct mkv_admin_process *process) {
    char line[STAT_BYTES];
    if (!read_file("/proc/self/stat", line, sizeof line)) {
        return;
    }
    /* The name of the program stands in brackets and may hold anything, brackets too. */
    const char *behind_name = strrchr(line, ')');
    uint64_t user = 0;
    uint64_t system = 0;
    uint64_t start = 0;
    uint64_t virtual_bytes = 0;
    uint64_t resident_pages = 0;
    if (behind_name == NULL ||
        sscanf(behind_name + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
               " %*d %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64 " %" SCNu64,
               &user, &system, &start, &virtual_bytes, &resident_pages) != 5) {
        return;
    }
    const double ticks = (double)sysconf(_SC_CLK_TCK);
    process->cpu_s = (double)(user + system) / ticks;
    process->start_time_s = (double)boot_time_s() + (double)start / ticks;
    process->virtual_bytes = virtual_bytes;
    process->resident_bytes = resident_pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t count_fds(void) {
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        return 0;
    }
    uint64_t count = 0;
    const struct dirent *entry;
    while (count < DESCRIPTORS_MAX && (entry = readdir(folder)) != NULL) {
        count += entry->d_name[0] == '.' ? 0 : 1;
    }
    closedir(folder);
    return count > 0 ? count - 1 : 0; /* without the one that reads the folder */
}

void mkv_admin_process_read(struct mkv_admin_process *process) {
    *process = (struct mkv_admin_process){0};
    read_stat(process);
    process->open_fds = count_fds();
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        process->max_fds = (uint64_t)limit.rlim_cur;
    }
}
