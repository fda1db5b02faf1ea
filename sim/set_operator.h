/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operator of the set world has given up by his words. A word keeps some drives and says
 * that others are lost; from then on those that it keeps form a set that needs none of the others.
 * If he then goes on with a drive that he had called lost, he takes that word back, and gives up
 * what it kept: both sides open without the other, and no drive of one side alone can say that the
 * other went on. So it is he who has to remember it; the drive set cannot (core/drive_set.h).
 *
 *     word 1   keeps 1, 2   lost 0      given up: 0
 *     word 2   keeps 0      lost 1, 2   given up: 1, 2   word 1 is taken back
 *     word 3   keeps 2      lost 1      given up: 0, 1   word 2 is taken back, and with it drive 0
 *
 * Invariants
 *  I1  What a word keeps, or is served, is not given up.
 *
 * Not responsible for: whether he speaks, nor about which drives (set_world.c).
 */
#ifndef MKV_SIM_SET_OPERATOR_H
#define MKV_SIM_SET_OPERATOR_H

#include <stdbool.h>
#include <stdint.h>

#define MKV_SET_OPERATOR_DRIVES_MAX 8u

/* Zeros before the first word. Sets of drives are bits. */
struct mkv_set_operator {
    uint32_t given_up;
    uint32_t kept_against[MKV_SET_OPERATOR_DRIVES_MAX]; /* by the last word that it is lost */
};

void mkv_set_operator_says(struct mkv_set_operator *word, uint32_t kept, uint32_t lost);
void mkv_set_operator_served(struct mkv_set_operator *word, uint32_t drives);
/* Whether he has given up all of these. */
bool mkv_set_operator_gave_up(const struct mkv_set_operator *word, uint32_t drives);

#endif
