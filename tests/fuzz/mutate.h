/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes an image as a fuzzer wants it: few fields at a time, of units that mean something, in all
 * copies of them or in one, and mostly with the sums made right again, so that what is behind the
 * sums is met at all.
 *
 * Not responsible for: mutations of bytes that know nothing of the format; libFuzzer has those.
 */
#ifndef MKV_TESTS_FUZZ_MUTATE_H
#define MKV_TESTS_FUZZ_MUTATE_H

#include "sim/random.h"
#include "tests/fuzz/image.h"

void mutate_image(struct image *image, struct mkv_random *random);

#endif
