/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identities as URIs, and random bytes. Certificates are in certificate.c and issue.c, connections
 * in tls_context.c and tls.c.
 */
#include "identity/openssl.h"

#include <openssl/rand.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

const char *venv_identity_format(const venv_identity *identity, char ret_uri[VENV_IDENTITY_URI_MAX])
{
    snprintf(ret_uri, VENV_IDENTITY_URI_MAX, "venv://%s/%s/%s", identity->cluster, venv_role_name(identity->role),
             identity->name);
    return ret_uri;
}

/* The bytes up to the next slash (or the end), and step over it. */
static venv_str next_part(venv_str *rest)
{
    const char *slash = rest->size > 0 ? memchr(rest->data, '/', rest->size) : NULL;
    venv_str part = { rest->data, slash ? (size_t)(slash - rest->data) : rest->size };
    size_t step = slash ? part.size + 1 : part.size;
    *rest = (venv_str){ rest->data + step, rest->size - step };
    return part;
}

bool venv_identity_parse(venv_str uri, venv_identity *ret_identity)
{
    static const char scheme[] = "venv://";
    venv_identity identity = { 0 };

    if (uri.size < sizeof scheme - 1 || memcmp(uri.data, scheme, sizeof scheme - 1) != 0)
        return false;
    venv_str rest = { uri.data + sizeof scheme - 1, uri.size - (sizeof scheme - 1) };
    venv_str cluster = next_part(&rest), role = next_part(&rest), name = rest;
    identity.role = venv_role_parse(role);
    if (identity.role == VENV_ROLE_NONE || !venv_name_is_valid(cluster) || !venv_name_is_valid(name))
        return false;
    memcpy(identity.cluster, cluster.data, cluster.size);
    memcpy(identity.name, name.data, name.size);
    *ret_identity = identity;
    return true;
}

venv_rc venv_identity_random(void *data, size_t size, venv_error *err)
{
    if (size > INT_MAX || RAND_bytes(data, (int)size) != 1)
        return venv_openssl_fail(err, VENV_EIO, "no random bytes can be had");
    return VENV_OK;
}

venv_rc venv_identity_random_id(venv_id *ret_id, venv_error *err)
{
    venv_id id;
    venv_rc rc = venv_identity_random(id.bytes, sizeof id.bytes, err);
    if (rc != VENV_OK)
        return rc;
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40); /* version 4 */
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80); /* variant of RFC 9562 */
    *ret_id = id;
    return VENV_OK;
}
