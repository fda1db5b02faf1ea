/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/admin/test.h"

static void test_process_read__this_process__its_figures(void **state) {
    (void)state;
    struct mkv_admin_process process;
    mkv_admin_process_read(&process);
    assert_true(process.resident_bytes >= 100u * 1024);
    assert_true(process.virtual_bytes >= process.resident_bytes);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(process.max_fds == limit.rlim_cur);
    /* The start is counted from the boot in whole seconds. */
    const double now = (double)time(NULL);
    assert_true(process.start_time_s <= now + 2);
    assert_true(process.start_time_s > now - 3600);
}

static void test_process_read__one_more_descriptor__one_more(void **state) {
    (void)state;
    struct mkv_admin_process before;
    struct mkv_admin_process after;
    mkv_admin_process_read(&before);
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    mkv_admin_process_read(&after);
    close(fd);
    assert_true(before.open_fds >= 3);
    assert_int_equal(after.open_fds, before.open_fds + 1);
}

static void test_process_read__work__more_cpu_time(void **state) {
    (void)state;
    struct mkv_admin_process before;
    mkv_admin_process_read(&before);
    struct mkv_admin_process after = before;
    for (uint32_t round = 0; round < 1000000 && after.cpu_s <= before.cpu_s; round++) {
        mkv_admin_process_read(&after);
    }
    assert_true(after.cpu_s > before.cpu_s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_process_read__this_process__its_figures),
        cmocka_unit_test(test_process_read__one_more_descriptor__one_more),
        cmocka_unit_test(test_process_read__work__more_cpu_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
