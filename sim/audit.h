/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracles on a recovered volume: what it holds by its own account and by the drive's bytes,
 * against the reference model and against what it was before the crash.
 *
 * Oracles
 *  O1   Every key that must be there has a block whose header and payload are right.
 *  O2   No block is there that its key cannot hold.
 *  O3   The journal that recovered is a prefix of what was issued, with all that was durable
 *       (ledger.h).
 *  O4   No two blocks share a unit or a key; the table agrees with itself.
 *  O5   Slots and bytes in use are those of the blocks, and all else is free, but for slots that
 *       are retired; and those stay so.
 *  O6   What is durable in the volume, field by field, is what the journal's records say
 *       (ledger.h): when it serves, and when its process ends.
 *  O7   Epochs, sequences and generations have grown.
 *  O8   Recovered without a mutation in between, the durable state is the same.
 *
 * Not responsible for: reads through the machine (worlds do them too), effects (watch.h).
 */
#ifndef MKV_SIM_AUDIT_H
#define MKV_SIM_AUDIT_H

#include "sim/model.h"
#include "sim/node.h"

struct mkv_audit {
    struct mkv_node *node;
    const struct mkv_content *content;
    const struct mkv_model *model;
    struct mkv_faults *faults;
    uint8_t *units; /* one for each unit of the data area: taken */
    uint64_t units_total;
    bool served;  /* the figures below are of the last time it served */
    bool mutated; /* since then a mutation was asked for, or a fault has struck */
    uint64_t durable_hash;
    uint64_t present; /* bit k: it held key k when its blocks were audited last */
    uint64_t suspect; /* bit k: of a block that was struck then, it may be the one that key k has */
    struct mkv_volume_stats stats;
    uint64_t evaluations;
};

void mkv_audit_init(struct mkv_audit *audit, struct mkv_memory *memory, struct mkv_node *node,
                    const struct mkv_content *content, const struct mkv_model *model,
                    struct mkv_faults *faults);
/* The volume has begun to serve and was asked for nothing yet. Holds all oracles against it, and
 * tells the watch what there is. */
void mkv_audit_serving(struct mkv_audit *audit);
/* The volume serves and nothing is asked of it: O1, O2, O4 and O5 of its blocks. */
void mkv_audit_blocks(struct mkv_audit *audit);
/* The volume serves, whatever it does: what it counts for each tenant is what is walked (O5), and
 * what is durable of its blocks and tenants is what the journal says (O6). */
void mkv_audit_tenants(struct mkv_audit *audit);
/* Of the volumes that were audited, every key that must be there is in one, and none in two. */
void mkv_audit_present(const struct mkv_audit *audits, uint32_t count);
/* Tells the model what became of keys that a fault had struck, where that is plain. */
void mkv_audit_settle(const struct mkv_audit *audits, uint32_t count, struct mkv_model *model);

#endif
