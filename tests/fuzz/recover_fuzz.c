/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any drive at all is given to recovery; sim/forged_check.h says what must hold.
 *
 *   tests/corpus/recover        images that failed once
 *   tests/fixtures/format-v1    where it begins
 */
#include "sim/forged_check.h"
#include "sim/forged_edit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed) {
    struct mkv_random random;
    struct mkv_forged_image image;
    mkv_random_seed(&random, seed, MKV_CONCERN_FAULTS);
    if (mkv_random_chance(&random, 1, 32) || !mkv_forged_image_load(&image, data, size)) {
        return LLVMFuzzerMutate(data, size, size_max);
    }
    mkv_forged_edit(&image, &random);
    const size_t bytes = mkv_forged_image_save(&image, data, size_max);
    mkv_forged_image_free(&image);
    return bytes > 0 ? bytes : size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mkv_forged_image image;
    if (!mkv_forged_image_load(&image, data, size)) {
        return -1; /* nothing to keep */
    }
    mkv_forged_check(&image);
    mkv_forged_image_free(&image);
    return 0;
}
