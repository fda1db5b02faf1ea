/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the faults that end a conversation. */
#include "backends/fabric.h"

struct fault_words {
    const char *name;
    const char *text; /* NULL: mkv_native_error_text has the sentence */
};

static const struct fault_words words[MKV_FABRIC_FAULT_COUNT] = {
    [MKV_NATIVE_OK] = {"none", NULL},
    [MKV_NATIVE_BAD_MAGIC] = {"bad_magic", NULL},
    [MKV_NATIVE_BAD_VERSION] = {"bad_version", NULL},
    [MKV_NATIVE_BAD_CHECKSUM] = {"bad_checksum", NULL},
    [MKV_NATIVE_BAD_OP] = {"bad_op", NULL},
    [MKV_NATIVE_BAD_FLAGS] = {"bad_flags", NULL},
    [MKV_NATIVE_BAD_ITEM_COUNT] = {"bad_item_count", NULL},
    [MKV_NATIVE_BAD_BODY_BYTES] = {"bad_body_bytes", NULL},
    [MKV_NATIVE_BAD_PAYLOAD_BYTES] = {"bad_payload_bytes", NULL},
    [MKV_NATIVE_BAD_KEY_BYTES] = {"bad_key_bytes", NULL},
    [MKV_NATIVE_BAD_LENGTH] = {"bad_length", NULL},
    [MKV_NATIVE_BAD_ITEM_FLAGS] = {"bad_item_flags", NULL},
    [MKV_NATIVE_BAD_STATUS] = {"bad_status", NULL},
    [MKV_NATIVE_BAD_LIMIT] = {"bad_limit", NULL},
    [MKV_NATIVE_NOT_ZERO] = {"not_zero", NULL},
    [MKV_NATIVE_BAD_TENANT] = {"bad_tenant", NULL},
    [MKV_NATIVE_BAD_SECONDS] = {"bad_seconds", NULL},
    [MKV_NATIVE_BAD_SESSION] = {"bad_session", NULL},
    [MKV_NATIVE_BAD_TRACE] = {"bad_trace", NULL},
    [MKV_NATIVE_BAD_KEY_ID] = {"bad_key_id", NULL},
    [MKV_NATIVE_BAD_LANE] = {"bad_lane", NULL},
    [MKV_FABRIC_FAULT_NO_HELLO] = {"no_hello", "the first frame of a connection must be HELLO"},
    [MKV_FABRIC_FAULT_HELLO_TWICE] = {"hello_twice", "HELLO comes once, at the start"},
    [MKV_FABRIC_FAULT_NOT_A_REQUEST] = {"not_a_request",
                                        "READY frames and answers come from servers only"},
    [MKV_FABRIC_FAULT_ABOVE_LIMIT] = {"above_limit",
                                      "items, body or inline payload exceed the limits of the "
                                      "HELLO answer"},
    [MKV_FABRIC_FAULT_REQUEST_ID] = {"request_id",
                                     "the request id names a request that is in flight"},
    [MKV_FABRIC_FAULT_REQUESTS] = {"requests",
                                   "more requests are in flight than the HELLO answer allows"},
    [MKV_FABRIC_FAULT_DATA_UNASKED] = {"data_unasked", "DATA came that no READY asked for"},
    [MKV_FABRIC_FAULT_DATA_MISMATCH] = {"data_mismatch",
                                        "DATA is not what the oldest READY asked for: request id, "
                                        "item, offset or bytes differ"},
    [MKV_FABRIC_FAULT_SILENT] = {"silent", "no HELLO came in time"},
    [MKV_FABRIC_FAULT_TENANTS] = {"tenants",
                                  "there is no room for another tenant: drop one that is not used "
                                  "any more"},
    [MKV_FABRIC_FAULT_STALLED] = {"stalled", "the client stopped in the middle of a transfer"},
    [MKV_FABRIC_FAULT_KEY_MISSING] = {"key_missing",
                                      "this server serves holders of a key alone: set "
                                      "MEMKV_AUTH_KEY, or the client's option auth_key"},
    [MKV_FABRIC_FAULT_KEY_WRONG] = {"key_wrong",
                                    "authentication failed: the server has no such key id, the key "
                                    "is out of date, or it is another key"},
    [MKV_FABRIC_FAULT_KEY_UNASKED] = {"key_unasked",
                                      "this server has no key, so it cannot prove that it has "
                                      "yours: leave the key out, or set network.auth_key there"},
    [MKV_FABRIC_FAULT_AUTH_FIRST] = {"auth_first",
                                     "AUTH comes right behind a HELLO that names a key"},
    [MKV_FABRIC_FAULT_KEY_TENANT] = {"key_tenant", "the key has no right to this tenant"},
    [MKV_FABRIC_FAULT_WINDOW] = {"window",
                                 "a place outside of the window, or a WINDOW that is not due"},
    [MKV_FABRIC_FAULT_RDMA] = {"rdma",
                               "CONNECT, TAKEN or memory for RDMA that this connection was not "
                               "granted, or that is not due"},
    [MKV_FABRIC_FAULT_TLS] = {"tls",
                              "this port speaks TLS: give the client the certificate that it is "
                              "to trust (memkv: --tls-ca FILE, MEMKV_TLS_CA)"},
    [MKV_FABRIC_FAULT_DATA_ROOT] = {"data_root",
                                    "a payload came that does not have the root that its DATA "
                                    "names: look at the network and memory of both machines"},
};

const char *mkv_fabric_fault_name(uint32_t fault) {
    MKV_ASSERT(fault < MKV_FABRIC_FAULT_COUNT);
    MKV_ASSERT(words[fault].name != NULL);
    return words[fault].name;
}

const char *mkv_fabric_fault_text(uint32_t fault) {
    MKV_ASSERT(fault < MKV_FABRIC_FAULT_COUNT);
    const char *text = words[fault].text;
    return text != NULL ? text : mkv_native_error_text((enum mkv_native_error)fault);
}

enum mkv_status mkv_fabric_fault_status(uint32_t fault) {
    const bool is_of_keys =
        fault == MKV_FABRIC_FAULT_KEY_MISSING || fault == MKV_FABRIC_FAULT_KEY_WRONG ||
        fault == MKV_FABRIC_FAULT_KEY_UNASKED || fault == MKV_FABRIC_FAULT_KEY_TENANT;
    return is_of_keys ? MKV_STATUS_FORBIDDEN : MKV_STATUS_INVALID;
}
