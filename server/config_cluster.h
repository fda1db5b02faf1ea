/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keys of section `cluster` take: `check` of config_schema.h.
 *
 * Not responsible for: what is done with them (registration.h).
 */
#ifndef MKV_SERVER_CONFIG_CLUSTER_H
#define MKV_SERVER_CONFIG_CLUSTER_H

#include "server/config_schema.h"

/* A discovery that a node can register itself with. */
bool mkv_config_check_discovery(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]);
/* One HOST:PORT. */
bool mkv_config_check_advertise(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]);

#endif
