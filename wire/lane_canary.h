/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The planted bugs of the lane, beside those of the core (core/canary.h): each takes out one clause
 * of wire/lane.h, and the simulator must find what that costs. They exist only in the archive built
 * with MKV_CANARIES.
 *
 * Not responsible for: switching one on, nor for finding it (sim/).
 */
#ifndef MKV_WIRE_LANE_CANARY_H
#define MKV_WIRE_LANE_CANARY_H

#include "core/base.h"

/* Numbers of their own, far from the core's. */
#define MKV_LANE_CANARY_FIRST 0x1000

enum mkv_lane_canary {
    MKV_LANE_CANARY_COMPLETES_ALL_POSTED = MKV_LANE_CANARY_FIRST,
    MKV_LANE_CANARY_SLOT_FREE_WHEN_SENT,
    MKV_LANE_CANARY_FREE_WHEN_STOPPED,
    MKV_LANE_CANARY_DRAINED_WHILE_POSTED,
    MKV_LANE_CANARY_LAST_RECEIVE_NOT_AWAITED,
    MKV_LANE_CANARY_EXPOSURE_ENDS_EARLY,
    MKV_LANE_CANARY_OTHER_EXPOSURE_ENDS,
    MKV_LANE_CANARY_FLUSHED_IS_OK,
    MKV_LANE_CANARY_WITHDRAWN_IS_LOST,
    MKV_LANE_CANARY_CREDIT_COUNTED_TWICE,
    MKV_LANE_CANARY_LAST_CREDIT_USED,
    MKV_LANE_CANARY_CREDIT_KEPT,
    MKV_LANE_CANARY_READS_UNBOUNDED,
    MKV_LANE_CANARY_EPOCH_UNCHECKED,
    MKV_LANE_CANARY_CHAIN_END_UNSIGNALED,
    MKV_LANE_CANARY_HAS_MORE_AT_END,
    MKV_LANE_CANARY_STOPS_TWICE,
    MKV_LANE_CANARY_NUMBER_UNCHECKED,
    MKV_LANE_CANARY_PROBE_SMALL,
    MKV_LANE_CANARY_SILENCE_UNNOTICED,
    MKV_LANE_CANARY_LATER_FAILURE_DECIDES,
    MKV_LANE_CANARY_PACKET_NUMBER_KEPT,
    MKV_LANE_CANARY_PATH_ENDS_LANE,
    MKV_LANE_CANARY_STOP_LEAVES_PAIR,
    MKV_LANE_CANARY_END
};
#define MKV_LANE_CANARY_COUNT (MKV_LANE_CANARY_END - MKV_LANE_CANARY_FIRST)

#ifdef MKV_CANARIES
/* The name by which memkv-sim reports and selects it, such as "lane-exposure-ends-early". */
const char *mkv_lane_canary_name(unsigned canary);
/* One sentence: what the lane then does wrong. */
const char *mkv_lane_canary_description(unsigned canary);
#endif

#endif
