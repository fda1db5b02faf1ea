/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel knows of priorities on an Ethernet interface (Data Center Bridging): which
 * priorities pause for each other (PFC), and which priority a packet gets by its DSCP. Asked of the
 * driver by rtnetlink, as `dcb pfc show` and `dcb app show` do.
 *
 *   RTM_GETDCB, DCB_CMD_IEEE_GET, IFNAME --> DCB_ATTR_IEEE { IEEE_PFC, IEEE_APP_TABLE { APP … } }
 *
 * Invariants
 *  I1  What a message does not hold is not known; a message that is cut, or says of lengths that
 *      are beyond its end, is read as far as it goes.
 *
 * Not responsible for: what would be right (server/host_check.h).
 */
#ifndef MKV_BACKENDS_DCB_H
#define MKV_BACKENDS_DCB_H

#include <stddef.h>

#include "core/base.h"

#define MKV_DCB_DSCP_COUNT 64u
/* In the place of a priority: no rule names this DSCP. */
#define MKV_DCB_NO_PRIORITY 0xffu

struct mkv_dcb {
    bool has_pfc;
    uint8_t pfc_priorities; /* bit i: priority i pauses */
    bool has_dscp;          /* at least one rule is by DSCP */
    uint8_t priority_of_dscp[MKV_DCB_DSCP_COUNT];
};

/* Asks the kernel. False: it has no such interface, its driver has no DCB, or this process may not
 * ask. Takes a second at most. */
__attribute__((warn_unused_result)) bool mkv_dcb_read(const char *interface, struct mkv_dcb *dcb);

/* Reads an answer, `byte_count` bytes of one netlink message. False: it is an error, or no answer
 * to this question. */
__attribute__((warn_unused_result)) bool mkv_dcb_parse(const void *message, size_t byte_count,
                                                       struct mkv_dcb *dcb);

#endif
