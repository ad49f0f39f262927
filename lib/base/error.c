/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as values: filling, placing and printing them. Nothing here is kept between calls.
 */
#include <venv/common.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const rc_names[] = {
    [-VENV_OK] = "ok",
    [-VENV_EINVAL] = "invalid",
    [-VENV_ENOMEM] = "out-of-memory",
    [-VENV_ENOENT] = "not-found",
    [-VENV_EEXIST] = "exists",
    [-VENV_EKIND] = "wrong-kind",
    [-VENV_ERANGE] = "out-of-range",
    [-VENV_ELIMIT] = "over-limit",
    [-VENV_EDENIED] = "denied",
    [-VENV_EUNREACHABLE] = "unreachable",
    [-VENV_ETIMEDOUT] = "timed-out",
    [-VENV_EUNKNOWN] = "unknown",
    [-VENV_ECONFLICT] = "conflict",
    [-VENV_EUNSUPPORTED] = "unsupported",
    [-VENV_EIO] = "io",
    [-VENV_ENOSPACE] = "no-space",
    [-VENV_EPROTO] = "protocol",
    [-VENV_ECANCELED] = "canceled",
    [-VENV_EINTERNAL] = "internal",
};

const char *venv_rc_name(venv_rc rc)
{
    size_t index = (size_t)-(int)rc;
    return rc <= 0 && index < sizeof rc_names / sizeof rc_names[0] ? rc_names[index] : "internal";
}
