/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a run as what its clients see: one line for each operation, when it ended, with what
 * it asked and what it got, between the lines of crashes, faults and events.
 *
 *         ended (ns)  took (ns)  operation
 *   life 2
 *              12345       1200  PUT_BEGIN item 3.7 key 8fa1.. length 4096 -> PUT_DONE status 0
 *                                ** power lost: 2 operations in flight, 3 units not durable
 *              99999          -  PUT_BEGIN item 4.2 key 8fa1.. length 4096 -> not answered
 *
 * Not responsible for: the log's own lines (trace_text.c), from which it is read.
 */
#ifndef MKV_SIM_TIMELINE_H
#define MKV_SIM_TIMELINE_H

#include <stdio.h>

void mkv_timeline_print(FILE *log, FILE *out);

#endif
