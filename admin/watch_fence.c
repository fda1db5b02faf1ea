/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/watch_fence.h"

uint32_t mkv_watch_fence_look(struct mkv_watch_fence *fence,
                              const struct mkv_admin_snapshot *snapshot, const uint64_t *slow_ns,
                              uint64_t now_ns) {
    const bool serves = snapshot->state == MKV_ADMIN_NODE_SERVING;
    uint32_t found = MKV_NONE_U32;
    if (fence->after_ns == 0 || !serves || snapshot->drive_count < 2 || now_ns < fence->again_ns) {
        return MKV_NONE_U32;
    }
    for (uint32_t index = 0; index < snapshot->drive_count; index++) {
        const enum mkv_drive_state state = snapshot->drives[index].state;
        if (state == MKV_DRIVE_STATE_ONLINE) {
            continue;
        }
        if (state != MKV_DRIVE_STATE_SLOW || found != MKV_NONE_U32) {
            return MKV_NONE_U32;
        }
        found = index;
    }
    if (found == MKV_NONE_U32 || slow_ns[found] < fence->after_ns) {
        return MKV_NONE_U32;
    }
    fence->again_ns = now_ns + MKV_WATCH_FENCE_PAUSE_NS;
    return found;
}
