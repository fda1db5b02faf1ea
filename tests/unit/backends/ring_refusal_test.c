/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "backends/ring_refusal.h"

static const struct mkv_ring_circumstances ordinary = {
    .disabled = 0,
    .group = -1,
    .seccomp = false,
    .memlock_bytes = UINT64_MAX,
    .files_max = 1024,
    .release = "6.1.0-18-amd64",
};

static void check(int error_number, struct mkv_ring_circumstances circumstances,
                  enum mkv_backend_failure failure, const char *text) {
    struct mkv_backend_error error;
    assert_false(mkv_ring_refusal(error_number, &circumstances, &error));
    assert_string_equal(error.text, text);
    assert_int_equal(error.failure, failure);
}

static void test_ring_refusal__sysctl__names_it_and_the_command(void **state) {
    (void)state;
    struct mkv_ring_circumstances circumstances = ordinary;
    circumstances.disabled = 2;
    check(EPERM, circumstances, MKV_BACKEND_PERMISSION,
          "io_uring is switched off on this machine (kernel.io_uring_disabled is 2). Run: sysctl "
          "-w kernel.io_uring_disabled=0");
    circumstances.disabled = 1;
    check(EPERM, circumstances, MKV_BACKEND_PERMISSION,
          "io_uring is kept for root on this machine (kernel.io_uring_disabled is 1). Run: sysctl "
          "-w kernel.io_uring_disabled=0");
    circumstances.group = 985;
    check(EPERM, circumstances, MKV_BACKEND_PERMISSION,
          "io_uring is kept for group 985 on this machine (kernel.io_uring_disabled is 1). Run "
          "memkv in that group, or: sysctl -w kernel.io_uring_disabled=0");
}

static void test_ring_refusal__seccomp__names_the_profile(void **state) {
    (void)state;
    struct mkv_ring_circumstances circumstances = ordinary;
    circumstances.seccomp = true;
    check(EPERM, circumstances, MKV_BACKEND_PERMISSION,
          "io_uring is refused by the seccomp filter of this process, as container runtimes set "
          "one. Allow io_uring_setup, io_uring_enter and io_uring_register in the container's "
          "seccomp profile (docker run --security-opt seccomp=PROFILE.json; Kubernetes: "
          "securityContext.seccompProfile)");
    check(ENOSYS, circumstances, MKV_BACKEND_PERMISSION,
          "io_uring is hidden by the seccomp filter of this process, as container runtimes set "
          "one. Allow io_uring_setup, io_uring_enter and io_uring_register in the container's "
          "seccomp profile (docker run --security-opt seccomp=PROFILE.json; Kubernetes: "
          "securityContext.seccompProfile)");
}

static void test_ring_refusal__policy__says_that_nothing_else_forbids_it(void **state) {
    (void)state;
    check(EPERM, ordinary, MKV_BACKEND_PERMISSION,
          "io_uring is refused by a security policy of this machine (EPERM, no seccomp filter, "
          "kernel.io_uring_disabled is not set). Allow this process to use io_uring in that policy "
          "(SELinux, AppArmor, BPF LSM)");
}

static void test_ring_refusal__kernel__names_its_release(void **state) {
    (void)state;
    check(ENOSYS, ordinary, MKV_BACKEND_UNAVAILABLE,
          "kernel 6.1.0-18-amd64 was built without io_uring. Boot a kernel 6.1 or later with "
          "CONFIG_IO_URING");
    check(EINVAL, ordinary, MKV_BACKEND_UNAVAILABLE,
          "io_uring of kernel 6.1.0-18-amd64 is too old for memkv. Boot a kernel 6.1 or later");
    check(EFAULT, ordinary, MKV_BACKEND_UNAVAILABLE,
          "io_uring_setup failed on kernel 6.1.0-18-amd64: Bad address. memkv needs io_uring of "
          "kernel 6.1 or later");
}

static void test_ring_refusal__limits__names_the_limit(void **state) {
    (void)state;
    struct mkv_ring_circumstances circumstances = ordinary;
    check(ENOMEM, circumstances, MKV_BACKEND_UNAVAILABLE,
          "io_uring found no memory for its queues, and no limit on locked memory is set. Free "
          "memory on this machine or raise the memory limit of this container");
    circumstances.memlock_bytes = 8 * MKV_MIB;
    check(ENOMEM, circumstances, MKV_BACKEND_UNAVAILABLE,
          "io_uring found no memory for its queues; this process may lock 8192 KiB. Raise the "
          "limit: LimitMEMLOCK=infinity in the unit, ulimit -l unlimited, or docker run --ulimit "
          "memlock=-1");
    check(EMFILE, circumstances, MKV_BACKEND_UNAVAILABLE,
          "io_uring needs a file descriptor and none is left (limit 1024). Raise it: "
          "LimitNOFILE=65536 in the unit, or ulimit -n 65536");
}

static void test_ring_circumstances__this_machine__are_read(void **state) {
    (void)state;
    struct mkv_ring_circumstances circumstances;
    mkv_ring_circumstances_read(&circumstances);
    assert_in_range(circumstances.disabled + 1, 0, 3);
    assert_true(circumstances.files_max > 0);
    assert_true(circumstances.release[0] >= '1' && circumstances.release[0] <= '9');
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_refusal__sysctl__names_it_and_the_command),
        cmocka_unit_test(test_ring_refusal__seccomp__names_the_profile),
        cmocka_unit_test(test_ring_refusal__policy__says_that_nothing_else_forbids_it),
        cmocka_unit_test(test_ring_refusal__kernel__names_its_release),
        cmocka_unit_test(test_ring_refusal__limits__names_the_limit),
        cmocka_unit_test(test_ring_circumstances__this_machine__are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
