/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of lanes, and the header of their messages.
 */
#include <string.h>

#include "core/bytes.h"
#include "wire/lane.h"

_Static_assert(MKV_LANE_CREDITS_MAX <= UINT16_MAX, "a header can give all credits back");

void mkv_lane_header_encode(const struct mkv_lane_header *header, uint8_t *bytes) {
    MKV_ASSERT(header->credits <= MKV_LANE_CREDITS_MAX);
    mkv_store_u32(bytes, header->epoch);
    mkv_store_u32(bytes + 4, header->number);
    bytes[8] = (uint8_t)header->kind;
    bytes[9] = 0;
    mkv_store_u16(bytes + 10, (uint16_t)header->credits);
    mkv_store_u32(bytes + 12, header->bytes);
}

bool mkv_lane_header_decode(const uint8_t *bytes, struct mkv_lane_header *header) {
    *header = (struct mkv_lane_header){
        .epoch = mkv_load_u32(bytes),
        .number = mkv_load_u32(bytes + 4),
        .kind = (enum mkv_lane_message)bytes[8],
        .credits = mkv_load_u16(bytes + 10),
        .bytes = mkv_load_u32(bytes + 12),
    };
    return bytes[9] == 0 && bytes[8] >= MKV_LANE_MESSAGE_STREAM &&
           bytes[8] <= MKV_LANE_MESSAGE_CLOSE;
}

const char *mkv_lane_config_problem(const struct mkv_lane_config *config) {
    if (config->message_bytes < MKV_LANE_MESSAGE_BYTES_MIN ||
        config->message_bytes > MKV_LANE_MESSAGE_BYTES_MAX) {
        return "a message has 8192 to 65536 bytes";
    }
    if (config->sends_max < MKV_LANE_SENDS_MIN || config->sends_max > MKV_LANE_SENDS_MAX) {
        return "there are 2 to 32 send slots";
    }
    if (config->credits < MKV_LANE_CREDITS_MIN || config->credits > MKV_LANE_CREDITS_MAX) {
        return "the peer has posted 4 to 64 receives";
    }
    if (config->receives < MKV_LANE_CREDITS_MIN || config->receives > MKV_LANE_CREDITS_MAX) {
        return "this side has posted 4 to 64 receives";
    }
    if (config->transfers_max > MKV_LANE_TRANSFERS_MAX) {
        return "there are at most 64 transfers at a time";
    }
    if (!config->is_server && config->transfers_max > 0) {
        return "a client transfers nothing";
    }
    if (config->reads_max > MKV_LANE_READS_MAX ||
        (config->transfers_max > 0 && config->reads_max == 0)) {
        return "there are 1 to 16 READs at a time";
    }
    if (config->probe_ns == 0 || config->silent_ns == 0 || config->drain_ns == 0) {
        return "no time may be 0";
    }
    return NULL;
}

struct reason_text {
    const char *name;
    const char *text;
};

static const struct reason_text reasons[MKV_LANE_REASON_COUNT] = {
    [MKV_LANE_REASON_NONE] = {"none", "Nothing has stopped it."},
    [MKV_LANE_REASON_CLOSED] = {"closed", "This side has closed the connection."},
    [MKV_LANE_REASON_PEER] = {"peer", "The peer has closed the connection, or it is gone."},
    [MKV_LANE_REASON_LOCAL_ERROR] =
        {"local_error",
         "This side's device refused an operation (length, protection or state of the queue pair); "
         "look at the vendor code and at the kernel's log of this host."},
    [MKV_LANE_REASON_REMOTE_ERROR] =
        {"remote_error",
         "The peer's device refused an operation: memory that is not registered (any more), a "
         "request that it does not support, or an error of its own; look at the log of the peer."},
    [MKV_LANE_REASON_RETRY_EXCEEDED] =
        {"retry_exceeded",
         "The peer does not answer any more: it is gone, or packets are lost; look at the link of "
         "both ports, the switch's counters of dropped packets, and PFC."},
    [MKV_LANE_REASON_RNR_EXCEEDED] = {"rnr_exceeded",
                                      "The peer had no receive ready, again and again; look at the "
                                      "load of the peer, and whether "
                                      "both sides are of the same release."},
    [MKV_LANE_REASON_FLUSHED] =
        {"flushed",
         "The queue pair failed and its device said nothing about the cause; look at the log of "
         "the peer and at the kernel's log of both hosts."},
    [MKV_LANE_REASON_OTHER] =
        {"other",
         "The device reported an error without a class of its own; look at the vendor code and at "
         "the kernel's log of this host."},
    [MKV_LANE_REASON_PROBE] =
        {"probe",
         "Packets of the full MTU do not come through; set the MTU of each port and switch on the "
         "way above RDMA's (4096 needs 4200), or rdma.mtu to 1024, and let UDP port 4791 pass."},
    [MKV_LANE_REASON_SILENT] =
        {"silent",
         "An operation that was posted has not completed in time; look at the link of both ports "
         "and at the kernel's log of this host, and whether its driver still answers."},
    [MKV_LANE_REASON_PROTOCOL] =
        {"protocol", "The peer sent a message that may not come; look whether both sides are of "
                     "the same release, and at what other program uses the port."},
    [MKV_LANE_REASON_PORT_DOWN] =
        {"port_down", "The port went down; look at its cable, at the switch, and at `rdma link`."},
    [MKV_LANE_REASON_DEVICE] =
        {"device", "The device failed or was removed; look at the kernel's log of this host."},
};

const char *mkv_lane_reason_name(enum mkv_lane_reason reason) {
    MKV_ASSERT(reason < MKV_LANE_REASON_COUNT);
    return reasons[reason].name;
}

const char *mkv_lane_reason_text(enum mkv_lane_reason reason) {
    MKV_ASSERT(reason < MKV_LANE_REASON_COUNT);
    return reasons[reason].text;
}

const char *mkv_lane_fault_text(enum mkv_lane_fault fault) {
    static const char *const texts[MKV_LANE_FAULT_COUNT] = {
        [MKV_LANE_FAULT_NONE] = "that nothing is wrong with",
        [MKV_LANE_FAULT_HEADER] = "without a header of a lane",
        [MKV_LANE_FAULT_EPOCH] = "of another connection",
        [MKV_LANE_FAULT_NUMBER] = "out of sequence",
        [MKV_LANE_FAULT_LENGTH] = "of a length that it does not say or may not have",
        [MKV_LANE_FAULT_TURN] = "of a kind whose turn it is not",
        [MKV_LANE_FAULT_CREDIT] = "without credit, or giving back credits that were not used",
        [MKV_LANE_FAULT_PROBE] = "to probe the path whose bytes have changed on the way",
    };
    MKV_ASSERT(fault < MKV_LANE_FAULT_COUNT);
    return texts[fault];
}

enum mkv_lane_reason mkv_lane_reason_of(enum mkv_lane_status status) {
    static const enum mkv_lane_reason reason_of[MKV_LANE_STATUS_COUNT] = {
        [MKV_LANE_SUCCESS] = MKV_LANE_REASON_NONE,
        [MKV_LANE_LOCAL_LENGTH] = MKV_LANE_REASON_LOCAL_ERROR,
        [MKV_LANE_LOCAL_OPERATION] = MKV_LANE_REASON_LOCAL_ERROR,
        [MKV_LANE_LOCAL_PROTECTION] = MKV_LANE_REASON_LOCAL_ERROR,
        [MKV_LANE_LOCAL_ACCESS] = MKV_LANE_REASON_LOCAL_ERROR,
        [MKV_LANE_FLUSHED] = MKV_LANE_REASON_FLUSHED,
        [MKV_LANE_MEMORY_WINDOW] = MKV_LANE_REASON_LOCAL_ERROR,
        [MKV_LANE_BAD_RESPONSE] = MKV_LANE_REASON_REMOTE_ERROR,
        [MKV_LANE_REMOTE_INVALID_REQUEST] = MKV_LANE_REASON_REMOTE_ERROR,
        [MKV_LANE_REMOTE_ACCESS] = MKV_LANE_REASON_REMOTE_ERROR,
        [MKV_LANE_REMOTE_OPERATION] = MKV_LANE_REASON_REMOTE_ERROR,
        [MKV_LANE_RETRY_EXCEEDED] = MKV_LANE_REASON_RETRY_EXCEEDED,
        [MKV_LANE_RNR_RETRY_EXCEEDED] = MKV_LANE_REASON_RNR_EXCEEDED,
        [MKV_LANE_FATAL] = MKV_LANE_REASON_OTHER,
        [MKV_LANE_GENERAL] = MKV_LANE_REASON_OTHER,
    };
    MKV_ASSERT(status < MKV_LANE_STATUS_COUNT);
    return reason_of[status];
}
