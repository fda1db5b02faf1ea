/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/lane_canary.h"

#ifdef MKV_CANARIES

struct canary_text {
    const char *name;
    const char *description;
};

#define AT(canary) [(canary)-MKV_LANE_CANARY_FIRST]

static const struct canary_text texts[MKV_LANE_CANARY_COUNT] = {
    AT(MKV_LANE_CANARY_COMPLETES_ALL_POSTED) =
        {"lane-completes-all-posted",
         "A completion counts for all that is posted, and not only for what was before it."},
    AT(MKV_LANE_CANARY_SLOT_FREE_WHEN_SENT) =
        {"lane-slot-free-when-sent",
         "A send slot is free when its message is handed out, before it has completed."},
    AT(MKV_LANE_CANARY_FREE_WHEN_STOPPED) =
        {"lane-free-when-stopped",
         "A lane that stops says of what is posted that it has failed, before it has completed."},
    AT(MKV_LANE_CANARY_DRAINED_WHILE_POSTED) =
        {"lane-drained-while-posted",
         "A lane is drained when its queue pair has stopped, whatever is still posted."},
    AT(MKV_LANE_CANARY_LAST_RECEIVE_NOT_AWAITED) =
        {"lane-last-receive-not-awaited",
         "A lane whose receives are of a shared queue is drained before the last one has come."},
    AT(MKV_LANE_CANARY_EXPOSURE_ENDS_EARLY) =
        {"lane-exposure-ends-early",
         "Exposed memory is its owner's again while the queue pair can still receive."},
    AT(MKV_LANE_CANARY_OTHER_EXPOSURE_ENDS) =
        {"lane-other-exposure-ends",
         "The answer of a request ends the exposure of the one that has waited longest."},
    AT(MKV_LANE_CANARY_FLUSHED_IS_OK) = {"lane-flushed-is-ok",
                                         "A transfer that was flushed counts as done."},
    AT(MKV_LANE_CANARY_WITHDRAWN_IS_LOST) =
        {"lane-withdrawn-is-lost",
         "Of a transfer that was not handed out when the lane stopped no end is told."},
    AT(MKV_LANE_CANARY_CREDIT_COUNTED_TWICE) =
        {"lane-credit-counted-twice",
         "A message of the lane's own is given back twice: when it came, and with the next."},
    AT(MKV_LANE_CANARY_LAST_CREDIT_USED) = {"lane-last-credit-used",
                                            "The last credit is used for a message of the stream."},
    AT(MKV_LANE_CANARY_CREDIT_KEPT) =
        {"lane-credit-kept",
         "Credits are given back by messages of the stream only, and not by one of their own."},
    AT(MKV_LANE_CANARY_READS_UNBOUNDED) =
        {"lane-reads-unbounded", "There is room for a READ whatever the peer can answer at once."},
    AT(MKV_LANE_CANARY_EPOCH_UNCHECKED) =
        {"lane-epoch-unchecked", "A message of another connection is taken for one of this."},
    AT(MKV_LANE_CANARY_CHAIN_END_UNSIGNALED) =
        {"lane-chain-end-unsignaled",
         "The last work request of a chain is not signalled where others were not long ago."},
    AT(MKV_LANE_CANARY_HAS_MORE_AT_END) =
        {"lane-has-more-at-end", "The last work request of a chain says that another one follows."},
    AT(MKV_LANE_CANARY_STOPS_TWICE) = {"lane-stops-twice",
                                       "A failure behind the first one stops the lane again."},
    AT(MKV_LANE_CANARY_NUMBER_UNCHECKED) =
        {"lane-number-unchecked", "A message is taken for the next one, whatever its number."},
    AT(MKV_LANE_CANARY_PROBE_SMALL) = {"lane-probe-small",
                                       "The probe and its answer fit in one small packet."},
    AT(MKV_LANE_CANARY_SILENCE_UNNOTICED) =
        {"lane-silence-unnoticed", "A lane whose work requests do not complete goes on waiting."},
    AT(MKV_LANE_CANARY_LATER_FAILURE_DECIDES) =
        {"lane-later-failure-decides",
         "The reason of a lane that stops becomes that of a later failure, its consequence."},
    AT(MKV_LANE_CANARY_PACKET_NUMBER_KEPT) =
        {"lane-packet-number-kept",
         "Every queue pair numbers its packets from the same number on, as the one before it did."},
    AT(MKV_LANE_CANARY_PATH_ENDS_LANE) =
        {"lane-path-ends-lane",
         "A lane stops where its queue pair goes over to another path, as if its port were down."},
    AT(MKV_LANE_CANARY_STOP_LEAVES_PAIR) = {"lane-stop-leaves-pair",
                                            "A lane that stops has its queue pair in its error "
                                            "state alone, where the peer may write."},
};

const char *mkv_lane_canary_name(unsigned canary) {
    MKV_ASSERT(canary >= MKV_LANE_CANARY_FIRST);
    MKV_ASSERT(canary < MKV_LANE_CANARY_END);
    return texts[canary - MKV_LANE_CANARY_FIRST].name;
}

const char *mkv_lane_canary_description(unsigned canary) {
    MKV_ASSERT(canary >= MKV_LANE_CANARY_FIRST);
    MKV_ASSERT(canary < MKV_LANE_CANARY_END);
    return texts[canary - MKV_LANE_CANARY_FIRST].description;
}

#endif
