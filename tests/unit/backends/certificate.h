/* SPDX-License-Identifier: Apache-2.0 */
/* Self-signed certificates for tests, as PEM files in a temporary directory. */
#ifndef MKV_TESTS_BACKENDS_CERTIFICATE_H
#define MKV_TESTS_BACKENDS_CERTIFICATE_H

/* Writes a certificate for `name` (also for 127.0.0.1), which signs itself, and its key (mode
 * 0600). Fails the test when it cannot. */
void certificate_make(const char *name, const char *certificate_path, const char *key_path);

#endif
