/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/show.h"

#include <inttypes.h>

static void show_failure(const struct mkv_bundle *bundle, FILE *out) {
    char oracle[16];
    fprintf(out, "%s fired: %s\n", mkv_oracle_name(bundle->oracle, oracle), bundle->text);
    if (bundle->canary[0] != 0) {
        fprintf(out, "with the planted bug %s\n", bundle->canary);
    }
    fprintf(out,
            "after %" PRIu64 " turns of clients; seed %" PRIu64 ", decisions %" PRIu64
            ", trace %016" PRIx64 "\n",
            bundle->operations, bundle->seed, bundle->shape.seed, bundle->trace_hash);
}

static void show_drive(const struct mkv_shape *shape, FILE *out) {
    static const char *const discards[] = {"zeros", "what they held", "either", "anything"};
    const struct mkv_geometry *geometry = &shape->geometry;
    const struct mkv_drive_profile *profile = &shape->profile;
    fprintf(out,
            "world %s: %u drives of %" PRIu64 " units; a ring of %" PRIu64 " blocks, %" PRIu64
            " pages, a directory of %" PRIu64 " units, %" PRIu64 " extents of %" PRIu64 "\n",
            mkv_world_name(shape->world), shape->volume_count, (uint64_t)geometry->capacity_units,
            (uint64_t)geometry->ring_blocks, (uint64_t)geometry->page_count,
            (uint64_t)geometry->directory_units, (uint64_t)geometry->extent_count,
            (uint64_t)geometry->extent_units);
    fprintf(out, "drive: %s cache, tears at %u bytes", profile->volatile_cache ? "volatile" : "no",
            profile->tear_bytes);
    if (profile->atomic_units > 0) {
        fprintf(out, ", whole up to %u units", profile->atomic_units);
    }
    fprintf(out, ", reads %u ns, writes %u, flushes %u at most; trimmed units hold %s\n",
            profile->read_ns, profile->write_ns, profile->flush_ns, discards[profile->discard]);
}

static void show_faults(const struct mkv_fault_plan *plan, FILE *out) {
    const char *before = "faults: ";
    for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        if ((plan->mask >> fault & 1u) != 0) {
            fprintf(out, "%s%s (one in %u)", before, mkv_fault_info((enum mkv_fault)fault)->name,
                    plan->one_in[fault]);
            before = ", ";
        }
    }
    fputs(plan->mask == 0 ? "faults: none" : "", out);
    fprintf(out, "; promised: %s\n", mkv_promise_name(mkv_promise_of(plan->mask)));
}

static void show_clients(const struct mkv_shape *shape, FILE *out) {
    fprintf(out, "clients: %u at a time on %u keys", shape->clients, shape->key_count);
    if (shape->colliding > 0) {
        fprintf(out, ", %u of one tag", shape->colliding);
    }
    fprintf(out, ", values of up to %u bytes%s%s%s%s\n", shape->length_max,
            shape->tenants ? ", two tenants" : "", shape->eviction ? ", blocks make room" : "",
            shape->share_expiry > 0 ? ", some expire" : "",
            shape->share_lease > 0 ? ", some are leased" : "");
    fprintf(out, "  weights: put %u, get %u, exists %u, delete %u, list %u, tenant %u\n",
            shape->weight_put, shape->weight_get, shape->weight_exists, shape->weight_delete,
            shape->weight_list, shape->weight_tenant);
}

static void show_lanes(const struct mkv_shape *shape, FILE *out) {
    fprintf(
        out,
        "world %s: %u clients, each with %u requests at a time of up to %u bytes; of 1024 turns "
        "%u close the connection\n",
        mkv_world_name(shape->world), shape->connections, shape->clients, shape->length_max,
        shape->share_close);
    fprintf(out,
            "lanes: messages of %u bytes, %u send slots, %u receives, %u transfers at a time, of "
            "them %u READs\n",
            shape->lane_message_bytes, shape->lane_sends, shape->lane_receives,
            shape->lane_transfers, shape->lane_reads);
    fprintf(out, "  weights: put %u, get %u, echo %u; %u turns, faults of a moment: %u at most\n",
            shape->weight_put, shape->weight_get, shape->weight_exists, shape->lane_turns,
            shape->crashes_max);
}

static void show_crashes(const struct mkv_shape *shape, FILE *out) {
    fprintf(out,
            "crashes: %u at most, within %u inputs and effects; of 16, %u kill the process, and of "
            "16 recoveries %u are cut\n",
            shape->crashes_max, shape->crash_span, shape->share_kill, shape->share_cut);
}

static void show_left_out(const struct mkv_shape *shape, FILE *out) {
    uint32_t skipped = 0;
    for (uint32_t turn = 0; turn < MKV_SHAPE_SKIP_MAX; turn++) {
        skipped += (shape->turns_skipped[turn / 64] >> turn % 64 & 1u) != 0;
    }
    if (shape->turns_max > 0) {
        fprintf(out, "left out: %u turns of clients, and all from turn %u on\n", skipped,
                shape->turns_max);
    }
}

void mkv_bundle_show(const struct mkv_bundle *bundle, FILE *out) {
    const struct mkv_shape *shape = &bundle->shape;
    show_failure(bundle, out);
    if (shape->world == MKV_WORLD_LANES) {
        show_lanes(shape, out);
        show_faults(&shape->faults, out);
    } else {
        show_drive(shape, out);
        show_faults(&shape->faults, out);
        show_clients(shape, out);
        show_crashes(shape, out);
    }
    show_left_out(shape, out);
}
