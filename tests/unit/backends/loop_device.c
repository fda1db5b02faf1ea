/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/backends/loop_device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Another process may take the number between asking and using it. */
#define TRIES_MAX 20u

/* The device is there for as long as this has it open. */
static void hold(struct loop_device *device, int fd) {
    struct loop_info64 info;
    assert_int_equal(ioctl(fd, LOOP_GET_STATUS64, &info), 0);
    info.lo_flags |= LO_FLAGS_AUTOCLEAR;
    assert_int_equal(ioctl(fd, LOOP_SET_STATUS64, &info), 0);
    device->held_fd = fd;
}

/* Returns 0 or an error number. */
static int attach(int control, int file, struct loop_device *device) {
    for (uint32_t i = 0; i < TRIES_MAX; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0) {
            return errno;
        }
        device->number = (uint32_t)number;
        snprintf(device->path, sizeof device->path, "/dev/loop%d", number);
        int fd = open(device->path, O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            return errno;
        }
        if (ioctl(fd, LOOP_SET_FD, file) == 0) {
            hold(device, fd);
            return 0;
        }
        int error_number = errno;
        close(fd);
        if (error_number != EBUSY) {
            return error_number;
        }
    }
    return EBUSY;
}

bool loop_device_make(const char *path, struct loop_device *device) {
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) {
        print_message("skipped: no loop devices here (/dev/loop-control: %s)\n", strerror(errno));
        return false;
    }
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    int error_number = attach(control, file, device);
    close(file);
    close(control);
    if (error_number != 0) {
        print_message("skipped: no loop device to be had: %s\n", strerror(error_number));
    }
    return error_number == 0;
}

void loop_device_remove(const struct loop_device *device) {
    /* Takes effect when the last one who has it open lets go. */
    assert_int_equal(ioctl(device->held_fd, LOOP_CLR_FD), 0);
    close(device->held_fd);
}

bool loop_device_set_direct(const struct loop_device *device) {
    int fd = open(device->path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    bool direct = ioctl(fd, LOOP_SET_DIRECT_IO, 1ul) == 0;
    close(fd);
    return direct;
}

static bool set_queue(const struct loop_device *device, const char *name, const char *text) {
    char path[96];
    snprintf(path, sizeof path, "/sys/block/loop%u/queue/%s", device->number, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        print_message("skipped: %s cannot be set: %s\n", path, strerror(errno));
        return false;
    }
    bool set = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return set;
}

bool loop_device_set_cache(const struct loop_device *device, const char *text) {
    return set_queue(device, "write_cache", text);
}

bool loop_device_without_discard(const struct loop_device *device) {
    return set_queue(device, "discard_max_bytes", "0");
}
