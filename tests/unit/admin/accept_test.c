/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/accept.h"

#include "tests/unit/admin/test.h"

static void test_accept__what_scrapers_send__the_format_they_prefer(void **state) {
    (void)state;
    static const struct {
        const char *accept;
        enum mkv_exposition_format format;
    } cases[] = {
        /* Prometheus 2.42, 2.53 and 3.0. */
        {"application/openmetrics-text;version=1.0.0,"
         "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,"
         "*/*;q=0.1",
         MKV_EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text;version=1.0.0;q=0.5,"
         "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,"
         "*/*;q=0.2",
         MKV_EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
         "application/openmetrics-text;version=0.0.1;q=0.4,"
         "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,"
         "/*;q=0.1",
         MKV_EXPOSITION_OPENMETRICS},
        /* One that wants protobuf most, which there is none of. */
        {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
         "encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.6,"
         "text/plain;version=0.0.4;q=0.5",
         MKV_EXPOSITION_OPENMETRICS},
        {"", MKV_EXPOSITION_TEXT},
        {"*/*", MKV_EXPOSITION_TEXT},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", MKV_EXPOSITION_TEXT},
        {"text/plain", MKV_EXPOSITION_TEXT},
        {"application/openmetrics-text", MKV_EXPOSITION_OPENMETRICS},
        {" Application/OpenMetrics-Text ; Version = \"1.0.0\" ", MKV_EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text;version=0.0.1", MKV_EXPOSITION_TEXT},
        {"application/openmetrics-text;version=2.0.0", MKV_EXPOSITION_TEXT},
        {"application/openmetrics-text;q=0", MKV_EXPOSITION_TEXT},
        {"application/openmetrics-text;q=0.000", MKV_EXPOSITION_TEXT},
        {"application/openmetrics-text;q=0.001", MKV_EXPOSITION_OPENMETRICS},
        {"application/openmetrics-text;q=0.3,text/plain;q=0.4", MKV_EXPOSITION_TEXT},
        {"text/*;q=0.4,application/openmetrics-text;q=0.3", MKV_EXPOSITION_TEXT},
        {"text/plain;q=0.4,application/openmetrics-text;q=0.4", MKV_EXPOSITION_OPENMETRICS},
        {"application/openmetrics-textile", MKV_EXPOSITION_TEXT},
    };
    for (size_t place = 0; place < sizeof cases / sizeof cases[0]; place++) {
        if (mkv_accept_format(cases[place].accept) != cases[place].format) {
            fail_msg("another format for '%s'", cases[place].accept);
        }
    }
}

static void test_accept__no_header_of_rfc_9110__text(void **state) {
    (void)state;
    static const char *const cases[] = {
        ",",
        ";",
        ",;,;q=1,=,",
        "application/openmetrics-text;q",
        "application/openmetrics-text;q=",
        "application/openmetrics-text;q=2",
        "application/openmetrics-text;q=1.001",
        "application/openmetrics-text;q=-1",
        "application/openmetrics-text;q=0.5555",
        "application/openmetrics-text;q=high",
        "application/openmetrics-text;version=\"",
        "\"application/openmetrics-text\"",
    };
    for (size_t place = 0; place < sizeof cases / sizeof cases[0]; place++) {
        if (mkv_accept_format(cases[place]) != MKV_EXPOSITION_TEXT) {
            fail_msg("OpenMetrics for '%s'", cases[place]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept__what_scrapers_send__the_format_they_prefer),
        cmocka_unit_test(test_accept__no_header_of_rfc_9110__text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
