/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt's errors in our words, by one table. What is not in it is VENV_EIO: libvirt or the system failed.
 */
#include "virt/libvirt_parts.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>

typedef struct error_row {
    int code; /* a virErrorNumber */
    venv_rc rc;
} error_row;

static const error_row error_rows[] = {
    { VIR_ERR_NO_MEMORY, VENV_ENOMEM },
    { VIR_ERR_NO_SUPPORT, VENV_EUNSUPPORTED },
    { VIR_ERR_CONFIG_UNSUPPORTED, VENV_EUNSUPPORTED },
    { VIR_ERR_ARGUMENT_UNSUPPORTED, VENV_EUNSUPPORTED },
    { VIR_ERR_OPERATION_UNSUPPORTED, VENV_EUNSUPPORTED },
    { VIR_ERR_NO_CONNECT, VENV_EUNREACHABLE },
    { VIR_ERR_INVALID_CONN, VENV_EUNREACHABLE },
    { VIR_ERR_NO_DOMAIN, VENV_ENOENT },
    { VIR_ERR_NO_DOMAIN_METADATA, VENV_ENOENT },
    { VIR_ERR_DOM_EXIST, VENV_EEXIST },
    { VIR_ERR_XML_ERROR, VENV_EINVAL },
    { VIR_ERR_XML_DETAIL, VENV_EINVAL },
    { VIR_ERR_XML_INVALID_SCHEMA, VENV_EINVAL },
    { VIR_ERR_INVALID_ARG, VENV_EINVAL },
    { VIR_ERR_OS_TYPE, VENV_EUNSUPPORTED },
    { VIR_ERR_OPERATION_INVALID, VENV_ECONFLICT },
    { VIR_ERR_OPERATION_DENIED, VENV_EDENIED },
    { VIR_ERR_AUTH_FAILED, VENV_EDENIED },
    { VIR_ERR_AUTH_UNAVAILABLE, VENV_EDENIED },
    { VIR_ERR_AUTH_CANCELLED, VENV_EDENIED },
    { VIR_ERR_ACCESS_DENIED, VENV_EDENIED },
    { VIR_ERR_OPERATION_TIMEOUT, VENV_ETIMEDOUT },
    { VIR_ERR_AGENT_UNRESPONSIVE, VENV_ETIMEDOUT },
    { VIR_ERR_AGENT_UNSYNCED, VENV_ETIMEDOUT },
    { VIR_ERR_OPERATION_ABORTED, VENV_ECANCELED },
};

static venv_rc look_up(const virError *error)
{
    for (size_t i = 0; i < VENV_COUNT_OF(error_rows); i++)
        if (error_rows[i].code == error->code)
            return error_rows[i].rc;
    return VENV_EIO;
}

venv_rc venv_libvirt_error(virConnectPtr conn, venv_libvirt_inbox *inbox, bool changes, const char *what,
                           venv_error *err)
{
    const virError *error = virGetLastError();
    /* Copied: the next call of libvirt, a harmless one included, forgets it. */
    char text[VENV_ERROR_TEXT_MAX];
    snprintf(text, sizeof text, "%s", error && error->message ? error->message : "no reason was given");
    venv_rc rc = error ? look_up(error) : VENV_EIO;
    if (!conn) {
        /* Opening. A socket that is not there, or refuses, is an error of the system in the RPC part. */
        if (error && (error->code == VIR_ERR_SYSTEM_ERROR || error->domain == VIR_FROM_RPC))
            rc = error->int1 == EACCES ? VENV_EDENIED : VENV_EUNREACHABLE;
        return venv_error_set(err, rc, "%s: %s", what, text);
    }
    /* Losing the connection shows as any of several errors; whether it lives is the better question.
     * A call that was refused because it was dead already has done nothing. */
    bool dead = venv_libvirt_inbox_is_closed(inbox) || virConnectIsAlive(conn) == 0;
    if (dead || rc == VENV_EUNREACHABLE)
        rc = changes ? VENV_EUNKNOWN : VENV_EUNREACHABLE;
    return venv_error_set(err, rc, "%s: %s", what, text);
}
