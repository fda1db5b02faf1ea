/* SPDX-License-Identifier: Apache-2.0 */
/* What the model knows of a key, without changing it. */
#include "sim/failure.h"
#include "sim/model.h"

bool mkv_model_version(const struct mkv_model *model, uint32_t key, uint32_t index,
                       uint32_t *version) {
    MKV_ASSERT(key < model->key_count);
    const struct mkv_model_key *state = &model->keys[key];
    uint32_t distinct = 0;
    for (uint32_t world = 0; world < state->world_count; world++) {
        bool seen = false;
        for (uint32_t earlier = 0; earlier < world && !seen; earlier++) {
            seen = state->worlds[earlier].version == state->worlds[world].version;
        }
        if (!seen && distinct++ == index) {
            *version = state->worlds[world].version;
            return true;
        }
    }
    return false;
}

bool mkv_model_allows(const struct mkv_model *model, uint32_t key, uint32_t version) {
    MKV_ASSERT(key < model->key_count);
    const struct mkv_model_key *state = &model->keys[key];
    if (version == MKV_MODEL_ABSENT && state->lossy) {
        return true;
    }
    for (uint32_t world = 0; world < state->world_count; world++) {
        if (state->worlds[world].version == version) {
            return true;
        }
    }
    return false;
}

bool mkv_model_unpersisted(const struct mkv_model *model, uint32_t key) {
    MKV_ASSERT(key < model->key_count);
    const struct mkv_model_key *state = &model->keys[key];
    for (uint32_t world = 0; world < state->world_count; world++) {
        if (state->worlds[world].unpersisted != 0) {
            return true;
        }
    }
    return false;
}

void mkv_model_told_expiry(struct mkv_model *model, uint32_t key, uint32_t op, uint32_t expiry_s) {
    MKV_ASSERT(key < model->key_count);
    const struct mkv_model_key *state = &model->keys[key];
    MKV_ASSERT(state->ops[op].kind == MKV_MODEL_READ);
    if (model->lying || state->ops[op].overlapped || state->lossy) {
        return; /* it may be of any put beside it */
    }
    bool known = false;
    bool present = false;
    for (uint32_t world = 0; world < state->world_count; world++) {
        const bool holds = state->worlds[world].version != MKV_MODEL_ABSENT;
        present = present || holds;
        known = known || (holds && state->worlds[world].expiry_s == expiry_s);
    }
    model->evaluations++;
    if (present && !known) {
        mkv_fail(MKV_ORACLE_DURABLE, "a read was told that key %u expires at %u, which it does not",
                 key, expiry_s);
    }
}
