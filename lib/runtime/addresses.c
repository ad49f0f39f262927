/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/addresses.h"

#include <venv/message.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

venv_rc venv_address_split(const char *text, char ret_host[VENV_HOST_MAX], char ret_port[VENV_PORT_TEXT_MAX], venv_error *err)
{
    const char *host = text, *end, *port = NULL;
    if (*text == '[') {
        host = text + 1;
        end = strchr(host, ']');
        if (!end || (end[1] != '\0' && end[1] != ':'))
            return venv_error_set(err, VENV_EINVAL, "address '%s' is malformed: write [ADDRESS]:PORT", text);
        if (end[1] == ':')
            port = end + 2;
    } else {
        end = strrchr(text, ':');
        if (end && strchr(text, ':') != end)
            return venv_error_set(err, VENV_EINVAL, "address '%s' is ambiguous: write IPv6 as [ADDRESS]:PORT", text);
        if (end)
            port = end + 1;
        else
            end = text + strlen(text);
    }
    char *port_end = NULL;
    long number = port ? strtol(port, &port_end, 10) : VENV_PROTOCOL_PORT;
    if (port && (*port < '0' || *port > '9' || *port_end || number > 65535))
        return venv_error_set(err, VENV_EINVAL, "address '%s': the port must be a number from 0 to 65535", text);
    if ((size_t)(end - host) >= VENV_HOST_MAX)
        return venv_error_set(err, VENV_ERANGE, "address '%s': the host is too long", text);
    memcpy(ret_host, host, (size_t)(end - host));
    ret_host[end - host] = '\0';
    (void)snprintf(ret_port, VENV_PORT_TEXT_MAX, "%d", (int)number);
    return VENV_OK;
}

/* IPv4 seen through an IPv6 socket is IPv4. */
static bool as_ipv4(const struct sockaddr *address, struct in_addr *ret_ip)
{
    if (address->sa_family == AF_INET) {
        *ret_ip = ((const struct sockaddr_in *)(const void *)address)->sin_addr;
        return true;
    }
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
    if (address->sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        return false;
    memcpy(ret_ip, &six->sin6_addr.s6_addr[12], sizeof *ret_ip);
    return true;
}

void venv_address_print(const struct sockaddr *address, char ret_text[VENV_ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN];
    struct in_addr ip;
    if (as_ipv4(address, &ip)) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
        (void)snprintf(ret_text, VENV_ADDRESS_TEXT_MAX, "%s:%u", inet_ntop(AF_INET, &ip, host, sizeof host),
                       (unsigned)ntohs(four->sin_port)); /* sin6_port is at the same place */
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
        (void)snprintf(ret_text, VENV_ADDRESS_TEXT_MAX, "[%s]:%u",
                       inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host), (unsigned)ntohs(six->sin6_port));
    } else {
        (void)snprintf(ret_text, VENV_ADDRESS_TEXT_MAX, "unknown");
    }
}

void venv_address_source(const struct sockaddr *address, char ret_text[VENV_ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN];
    struct in_addr ip;
    if (as_ipv4(address, &ip)) {
        (void)snprintf(ret_text, VENV_ADDRESS_TEXT_MAX, "%s", inet_ntop(AF_INET, &ip, host, sizeof host));
    } else if (address->sa_family == AF_INET6) {
        struct in6_addr net = ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        memset(&net.s6_addr[8], 0, 8);
        (void)snprintf(ret_text, VENV_ADDRESS_TEXT_MAX, "%s/64", inet_ntop(AF_INET6, &net, host, sizeof host));
    } else {
        (void)snprintf(ret_text, VENV_ADDRESS_TEXT_MAX, "unknown");
    }
}
