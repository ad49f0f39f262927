/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TESTS_RUNTIME_PKI_H
#define VENV_TESTS_RUNTIME_PKI_H

/* A cluster's certificates in a temporary folder, for tests of connections. */

#include <venv/identity.h>

typedef struct test_pki {
    char folder[64];
} test_pki;

/* Makes the CA of the cluster "test". Asserts on failure. */
void test_pki_init(test_pki *pki);
/* A context for this peer, whose certificate is made now. */
venv_tls_context *test_pki_context(const test_pki *pki, venv_role role, const char *name);
void test_pki_fini(test_pki *pki);

#endif
