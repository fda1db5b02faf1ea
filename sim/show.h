/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a bundle holds, in words.
 *
 * Not responsible for: running it.
 */
#ifndef MKV_SIM_SHOW_H
#define MKV_SIM_SHOW_H

#include "sim/bundle.h"

void mkv_bundle_show(const struct mkv_bundle *bundle, FILE *out);

#endif
