/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of another day, for the tests of expired ones:
 *
 *      make_certificate ca DIRECTORY CLUSTER DAYS_AGO
 *      make_certificate issue DIRECTORY ROLE NAME DAYS_AGO DAYS
 */
#include <venv/identity.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static venv_wall days_ago(const char *text)
{
    return (venv_wall){ ((int64_t)time(NULL) - strtol(text, NULL, 10) * 86400) * VENV_NS_PER_S };
}

int main(int argc, char **argv)
{
    venv_error err = { 0 };
    venv_rc rc = VENV_EINVAL;
    if (argc == 5 && strcmp(argv[1], "ca") == 0) {
        rc = venv_ca_init(argv[2], argv[3], NULL, days_ago(argv[4]), &err);
    } else if (argc == 7 && strcmp(argv[1], "issue") == 0) {
        venv_cert_options options = { .days = (uint32_t)strtoul(argv[6], NULL, 10) };
        venv_role role = venv_role_parse((venv_str){ argv[3], strlen(argv[3]) });
        rc = venv_ca_issue(argv[2], role, argv[4], NULL, &options, days_ago(argv[5]), &err);
    }
    if (rc != VENV_OK)
        fprintf(stderr, "make_certificate: %s\n", err.text);
    return rc == VENV_OK ? 0 : 1;
}
