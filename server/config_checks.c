/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_checks.h"

#include <stdio.h>

#include "admin/otlp.h"
#include "admin/telemetry.h"
#include "server/log_filter.h"

const char *const mkv_config_truth_words[] = {"false", "true", NULL};

bool mkv_config_check_processors(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    _Static_assert(MKV_TELEMETRY_PROBLEM_BYTES == MKV_CONFIG_PROBLEM_BYTES, "problems fit");
    struct mkv_telemetry_processor_spec specs[MKV_TELEMETRY_PROCESSORS_MAX];
    uint32_t count;
    return mkv_telemetry_processors_parse(text, specs, &count, problem);
}

bool mkv_config_check_otlp_endpoint(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    struct mkv_otlp_endpoint endpoint;
    const char *found = mkv_otlp_endpoint_parse(text, &endpoint);
    if (found != NULL) {
        snprintf(problem, MKV_CONFIG_PROBLEM_BYTES, "it %s", found);
    }
    return found == NULL;
}

bool mkv_config_check_log_level(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    _Static_assert(MKV_LOG_FILTER_PROBLEM_BYTES == MKV_CONFIG_PROBLEM_BYTES, "problems fit");
    struct mkv_log_filter filter;
    return mkv_log_filter_parse(text, &filter, problem);
}
