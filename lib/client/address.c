/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of managers as people write them. */
#include "client/address.h"

#include <stdio.h>
#include <string.h>

static bool host_is_valid(const char *host, size_t size)
{
    if (size == 0)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = host[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == '_' || c == ':' || c == '%';
        if (!fine)
            return false;
    }
    return true;
}

static bool port_parse(const char *text, char ret_port[6])
{
    unsigned number = 0;
    size_t size = strlen(text);
    if (size == 0 || size > 5)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    if (number == 0 || number > 65535)
        return false;
    (void)snprintf(ret_port, 6, "%u", number);
    return true;
}

venv_rc venv_address_parse(const char *text, venv_address *ret_address, venv_error *err)
{
    venv_address address = { .port = "" };
    const char *host = text, *port = NULL;
    size_t size = strlen(text);
    if (text[0] == '[') {
        const char *end = strchr(text, ']');
        host = text + 1;
        size = end ? (size_t)(end - host) : 0;
        if (end && end[1] == ':')
            port = end + 2;
        else if (!end || end[1] != 0)
            size = 0;
    } else {
        const char *colon = strchr(text, ':');
        if (colon && !strchr(colon + 1, ':')) { /* with two or more it is a bare IPv6 address */
            size = (size_t)(colon - text);
            port = colon + 1;
        }
    }
    (void)snprintf(address.port, sizeof address.port, "%d", VENV_CLIENT_PORT);
    if (size >= sizeof address.host || !host_is_valid(host, size) || (port && !port_parse(port, address.port)))
        return venv_error_set(err, VENV_EINVAL,
                              "\"%s\" is no address of a manager; HOST:PORT, HOST or [IPv6]:PORT is expected, "
                              "with a port from 1 to 65535", text);
    memcpy(address.host, host, size);
    address.host[size] = 0;
    *ret_address = address;
    return VENV_OK;
}
