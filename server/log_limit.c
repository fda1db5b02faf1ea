/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log_limit.h"

#define NS_PER_S 1000000000ull

/* A start has a few lines for each of up to 64 drives. What may repeat as long as a fault lasts has
 * a minute's window, so that an hour of it can be read. Lines of single requests, which nobody sees
 * who has not asked for them, come by the thousand. Who tells of dropped events keeps to one line a
 * second, and a last one at the end: were that the bound here too, one line that comes late would
 * take the place of the next, and its number would be lost. */
const struct mkv_log_site_limit mkv_log_site_limits[MKV_LOG_SITE_COUNT] = {
    [MKV_LOG_SITE_NODE] = {"node", 10, 1},
    [MKV_LOG_SITE_STEP] = {"step", 32, 1},
    [MKV_LOG_SITE_REFUSAL] = {"refusal", 128, 1},
    [MKV_LOG_SITE_DRIVE] = {"drive", 512, 60},
    [MKV_LOG_SITE_DRIVE_ERROR] = {"drive_error", 5, 60},
    [MKV_LOG_SITE_CHECKPOINT] = {"checkpoint", 100, 1},
    [MKV_LOG_SITE_REPAIR] = {"repair", 256, 60},
    [MKV_LOG_SITE_DIRECTORY] = {"directory", 5, 60},
    [MKV_LOG_SITE_QUARANTINE] = {"quarantine", 5, 60},
    [MKV_LOG_SITE_TENANT] = {"tenant", 10, 60},
    [MKV_LOG_SITE_WARNING] = {"warning", 256, 60},
    [MKV_LOG_SITE_LOG] = {"log", 10, 60},
    [MKV_LOG_SITE_SUMS] = {"sums", 10, 5},
    [MKV_LOG_SITE_REQUEST] = {"request", 1000, 1},
    [MKV_LOG_SITE_CONNECTION] = {"connection", 100, 1},
    [MKV_LOG_SITE_ADMIN] = {"admin", 10, 10},
    [MKV_LOG_SITE_TELEMETRY] = {"telemetry", 1000, 1},
    [MKV_LOG_SITE_DROPS] = {"drops", 10, 1},
    [MKV_LOG_SITE_AUTH] = {"auth", 5, 60},
    [MKV_LOG_SITE_RDMA] = {"rdma", 64, 60},
    [MKV_LOG_SITE_LANE] = {"lane", 10, 60},
};

bool mkv_log_limit_admit(struct mkv_log_limit *limit, const struct mkv_log_site_limit *bounds,
                         uint64_t now_ns, uint64_t *suppressed) {
    *suppressed = 0;
    uint_fast64_t start_ns = atomic_load_explicit(&limit->window_start_ns, memory_order_relaxed);
    if (now_ns >= start_ns + bounds->window_s * NS_PER_S &&
        atomic_compare_exchange_strong(&limit->window_start_ns, &start_ns, now_ns)) {
        /* A line that another thread admits at this very moment counts for either window. */
        atomic_store_explicit(&limit->lines, 0, memory_order_relaxed);
    }
    /* Looked at first: a place that is full for days must not count to the number's end. */
    if (atomic_load_explicit(&limit->lines, memory_order_relaxed) >= bounds->lines_max ||
        atomic_fetch_add_explicit(&limit->lines, 1, memory_order_relaxed) >= bounds->lines_max) {
        atomic_fetch_add_explicit(&limit->suppressed, 1, memory_order_relaxed);
        return false;
    }
    if (atomic_load_explicit(&limit->suppressed, memory_order_relaxed) > 0) {
        *suppressed = atomic_exchange(&limit->suppressed, 0);
    }
    return true;
}

uint64_t mkv_log_limit_settle(struct mkv_log_limit *limit, const struct mkv_log_site_limit *bounds,
                              uint64_t now_ns) {
    const uint64_t start_ns = atomic_load_explicit(&limit->window_start_ns, memory_order_relaxed);
    if (now_ns < start_ns + bounds->window_s * NS_PER_S ||
        atomic_load_explicit(&limit->suppressed, memory_order_relaxed) == 0) {
        return 0;
    }
    return atomic_exchange(&limit->suppressed, 0);
}
