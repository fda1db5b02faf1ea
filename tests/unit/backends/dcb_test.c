/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/dcb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/dcbnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define MESSAGE_BYTES 1024u
#define ATTRIBUTE_HEAD_BYTES sizeof(struct nlattr)
#define MESSAGE_HEAD_BYTES sizeof(struct nlmsghdr)

/* Netlink pads to words; its own macros mix signs. */
static size_t align(size_t bytes) {
    return (bytes + NLMSG_ALIGNTO - 1) & ~(size_t)(NLMSG_ALIGNTO - 1);
}

struct message {
    uint8_t bytes[MESSAGE_BYTES];
    size_t byte_count;
};

/* An attribute with content; returns where it begins, for `close_nest`. */
static size_t add(struct message *message, uint16_t type, const void *content, size_t bytes) {
    const size_t begin = message->byte_count;
    const struct nlattr head = {.nla_len = (uint16_t)(ATTRIBUTE_HEAD_BYTES + bytes),
                                .nla_type = type};
    memcpy(message->bytes + begin, &head, sizeof head);
    if (bytes > 0) {
        memcpy(message->bytes + begin + ATTRIBUTE_HEAD_BYTES, content, bytes);
    }
    message->byte_count += align(ATTRIBUTE_HEAD_BYTES + bytes);
    assert_true(message->byte_count <= MESSAGE_BYTES);
    return begin;
}

static void close_nest(struct message *message, size_t begin) {
    const uint16_t bytes = (uint16_t)(message->byte_count - begin);
    memcpy(message->bytes + begin, &bytes, sizeof bytes);
}

static void finish(struct message *message, uint16_t type, uint8_t command) {
    const struct nlmsghdr head = {.nlmsg_len = (uint32_t)message->byte_count, .nlmsg_type = type};
    const struct dcbmsg dcb = {.cmd = command};
    memcpy(message->bytes, &head, sizeof head);
    memcpy(message->bytes + MESSAGE_HEAD_BYTES, &dcb, sizeof dcb);
}

/* As a driver answers that pauses for priority 3 and has rules by DSCP and by EtherType. */
static void make(struct message *message) {
    static const struct dcb_app apps[] = {
        {.selector = IEEE_8021QAZ_APP_SEL_ETHERTYPE, .priority = 6, .protocol = 26},
        {.selector = IEEE_8021QAZ_APP_SEL_DSCP, .priority = 3, .protocol = 26},
        {.selector = IEEE_8021QAZ_APP_SEL_DSCP, .priority = 6, .protocol = 48},
    };
    const struct ieee_pfc pfc = {.pfc_cap = 8, .pfc_en = 1u << 3};
    memset(message, 0, sizeof *message);
    message->byte_count = MESSAGE_HEAD_BYTES + align(sizeof(struct dcbmsg));
    (void)add(message, DCB_ATTR_IFNAME, "ens1", 5);
    const size_t ieee = add(message, DCB_ATTR_IEEE | NLA_F_NESTED, NULL, 0);
    (void)add(message, DCB_ATTR_IEEE_PFC, &pfc, sizeof pfc);
    const size_t table = add(message, DCB_ATTR_IEEE_APP_TABLE, NULL, 0);
    for (size_t i = 0; i < sizeof apps / sizeof apps[0]; i++) {
        (void)add(message, DCB_ATTR_IEEE_APP, &apps[i], sizeof apps[i]);
    }
    close_nest(message, table);
    close_nest(message, ieee);
    const uint16_t nested = DCB_ATTR_IEEE | NLA_F_NESTED;
    memcpy(message->bytes + ieee + sizeof(uint16_t), &nested, sizeof nested);
    finish(message, RTM_GETDCB, DCB_CMD_IEEE_GET);
}

static void test_parse__pfc_and_rules__as_told(void **state) {
    (void)state;
    struct message message;
    struct mkv_dcb dcb;
    make(&message);
    assert_true(mkv_dcb_parse(message.bytes, message.byte_count, &dcb));
    assert_true(dcb.has_pfc);
    assert_int_equal(dcb.pfc_priorities, 1u << 3);
    assert_true(dcb.has_dscp);
    assert_int_equal(dcb.priority_of_dscp[26], 3);
    assert_int_equal(dcb.priority_of_dscp[48], 6);
    assert_int_equal(dcb.priority_of_dscp[0], MKV_DCB_NO_PRIORITY);
}

static void test_parse__no_rules__not_known(void **state) {
    (void)state;
    struct message message = {.byte_count = MESSAGE_HEAD_BYTES + align(sizeof(struct dcbmsg))};
    struct mkv_dcb dcb;
    (void)add(&message, DCB_ATTR_IEEE, NULL, 0);
    finish(&message, RTM_GETDCB, DCB_CMD_IEEE_GET);
    assert_true(mkv_dcb_parse(message.bytes, message.byte_count, &dcb));
    assert_false(dcb.has_pfc);
    assert_false(dcb.has_dscp);
}

static void test_parse__errors_and_other_messages__refused(void **state) {
    (void)state;
    struct message message;
    struct mkv_dcb dcb;
    make(&message);
    finish(&message, NLMSG_ERROR, DCB_CMD_IEEE_GET);
    assert_false(mkv_dcb_parse(message.bytes, message.byte_count, &dcb));
    finish(&message, RTM_GETDCB, DCB_CMD_GSTATE);
    assert_false(mkv_dcb_parse(message.bytes, message.byte_count, &dcb));
}

static void test_parse__cut_anywhere__never_reads_beyond(void **state) {
    (void)state;
    struct message message;
    make(&message);
    for (size_t bytes = 0; bytes < message.byte_count; bytes++) {
        uint8_t copy[MESSAGE_BYTES];
        struct mkv_dcb dcb;
        /* The bytes behind the end would be a rule for DSCP 0. */
        memset(copy, 0xff, sizeof copy);
        memcpy(copy, message.bytes, bytes);
        const bool is_read = mkv_dcb_parse(copy, bytes, &dcb);
        assert_true(is_read || !dcb.has_dscp);
        assert_int_equal(dcb.priority_of_dscp[0], MKV_DCB_NO_PRIORITY);
    }
}

static void test_parse__lengths_beyond_the_end__ignored(void **state) {
    (void)state;
    struct message message;
    struct mkv_dcb dcb;
    make(&message);
    const size_t first = MESSAGE_HEAD_BYTES + align(sizeof(struct dcbmsg));
    for (uint16_t length = 0; length < 5; length++) {
        const uint16_t wrong[] = {0, 1, 3, 60000, UINT16_MAX};
        memcpy(message.bytes + first, &wrong[length], sizeof wrong[length]);
        assert_false(mkv_dcb_parse(message.bytes, message.byte_count, &dcb));
    }
}

static void test_read__no_such_interface_or_no_dcb__false(void **state) {
    (void)state;
    struct mkv_dcb dcb;
    assert_false(mkv_dcb_read("no-such-name-0", &dcb));
    assert_false(mkv_dcb_read("a-name-that-no-interface-can-have", &dcb));
    assert_false(mkv_dcb_read("lo", &dcb));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__pfc_and_rules__as_told),
        cmocka_unit_test(test_parse__no_rules__not_known),
        cmocka_unit_test(test_parse__errors_and_other_messages__refused),
        cmocka_unit_test(test_parse__cut_anywhere__never_reads_beyond),
        cmocka_unit_test(test_parse__lengths_beyond_the_end__ignored),
        cmocka_unit_test(test_read__no_such_interface_or_no_dcb__false),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
