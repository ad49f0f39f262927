/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/pki.h"

#include <dirent.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static venv_wall wall_now(void)
{
    return (venv_wall){ (int64_t)time(NULL) * VENV_NS_PER_S };
}

void test_pki_init(test_pki *pki)
{
    venv_error err = { 0 };
    (void)snprintf(pki->folder, sizeof pki->folder, "/tmp/venv-runtime.XXXXXX");
    assert_non_null(mkdtemp(pki->folder));
    if (venv_ca_init(pki->folder, "test", NULL, wall_now(), &err) != VENV_OK)
        fail_msg("%s", err.text);
}

venv_tls_context *test_pki_context(const test_pki *pki, venv_role role, const char *name)
{
    char ca[VENV_CERT_PATH_MAX], certificate[VENV_CERT_PATH_MAX], key[VENV_CERT_PATH_MAX];
    venv_cert_options options = { .replace = true };
    venv_tls_context *context = NULL;
    venv_error err = { 0 };
    if (venv_ca_issue(pki->folder, role, name, NULL, &options, wall_now(), &err) != VENV_OK)
        fail_msg("%s", err.text);
    (void)snprintf(ca, sizeof ca, "%s/ca.crt", pki->folder);
    venv_tls_files files = { .ca = ca,
                             .certificate = venv_cert_path(pki->folder, role, name, "crt", certificate),
                             .key = venv_cert_path(pki->folder, role, name, "key", key) };
    if (venv_tls_context_new(role == VENV_ROLE_MANAGER ? VENV_TLS_SERVER : VENV_TLS_CLIENT, &files, &context, &err) != VENV_OK)
        fail_msg("%s", err.text);
    return context;
}

void test_pki_fini(test_pki *pki)
{
    DIR *folder = opendir(pki->folder);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s", pki->folder, entry->d_name);
        (void)unlink(path);
    }
    (void)closedir(folder);
    (void)rmdir(pki->folder);
}
