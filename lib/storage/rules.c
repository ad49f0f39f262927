/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where requests may go: schemes, hosts and addresses (threat T22). The check of an address is made for the socket
 * that is about to be connected, so that neither the spelling of a host nor a name service that changes
 * its mind gets around it.
 */
#include "storage/driver.h"

#include "net/curl.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* What is not the public internet: the special-purpose registries of IANA (RFC 6890 and its updates). */
typedef enum area { AREA_NEVER, AREA_LOOPBACK, AREA_PRIVATE } area;

static const struct {
    const char *prefix;
    unsigned bits;
    area area;
} special[] = {
    { "::ffff:0.0.0.0", 96 + 8, AREA_NEVER },          /* this network */
    { "::ffff:10.0.0.0", 96 + 8, AREA_PRIVATE },
    { "::ffff:100.64.0.0", 96 + 10, AREA_PRIVATE },    /* carrier-grade NAT */
    { "::ffff:127.0.0.0", 96 + 8, AREA_LOOPBACK },
    { "::ffff:169.254.0.0", 96 + 16, AREA_NEVER },     /* link-local; metadata services of clouds */
    { "::ffff:172.16.0.0", 96 + 12, AREA_PRIVATE },
    { "::ffff:192.0.0.0", 96 + 24, AREA_NEVER },
    { "::ffff:192.0.2.0", 96 + 24, AREA_NEVER },       /* documentation */
    { "::ffff:192.88.99.0", 96 + 24, AREA_NEVER },     /* 6to4 relays */
    { "::ffff:192.168.0.0", 96 + 16, AREA_PRIVATE },
    { "::ffff:198.18.0.0", 96 + 15, AREA_NEVER },      /* benchmarks */
    { "::ffff:198.51.100.0", 96 + 24, AREA_NEVER },
    { "::ffff:203.0.113.0", 96 + 24, AREA_NEVER },
    { "::ffff:224.0.0.0", 96 + 3, AREA_NEVER },        /* multicast, reserved, broadcast */
    { "::1", 128, AREA_LOOPBACK },
    { "::", 128, AREA_NEVER },
    { "::", 96, AREA_NEVER },                          /* IPv4-compatible */
    { "64:ff9b::", 96, AREA_NEVER },                   /* NAT64: an IPv4 address within */
    { "64:ff9b:1::", 48, AREA_NEVER },
    { "100::", 64, AREA_NEVER },
    { "2001::", 23, AREA_NEVER },                      /* Teredo, ORCHID, … */
    { "2001:db8::", 32, AREA_NEVER },
    { "2002::", 16, AREA_NEVER },                      /* 6to4: an IPv4 address within */
    { "3fff::", 20, AREA_NEVER },
    { "fc00::", 7, AREA_PRIVATE },                     /* unique local */
    { "fe80::", 10, AREA_NEVER },
    { "fec0::", 10, AREA_NEVER },
    { "ff00::", 8, AREA_NEVER },
};

static bool within(const uint8_t address[16], const uint8_t prefix[16], unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(address, prefix, whole) != 0)
        return false;
    return rest == 0 || (uint8_t)((address[whole] ^ prefix[whole]) >> (8 - rest)) == 0;
}

/* An address of a socket as 16 bytes; an IPv4 address as ::ffff:a.b.c.d. False for other families. */
static bool to_bytes(const void *address, uint8_t ret_bytes[16], bool *ret_ipv6)
{
    struct sockaddr head;
    memcpy(&head, address, sizeof head.sa_family);
    if (head.sa_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, address, sizeof ipv4);
        memset(ret_bytes, 0, 10);
        memset(ret_bytes + 10, 0xff, 2);
        memcpy(ret_bytes + 12, &ipv4.sin_addr, 4);
        *ret_ipv6 = false;
        return true;
    }
    if (head.sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 ipv6;
    memcpy(&ipv6, address, sizeof ipv6);
    memcpy(ret_bytes, &ipv6.sin6_addr, 16);
    *ret_ipv6 = true;
    return true;
}

/* Is it in a subnet of one of our own interfaces? */
static bool is_own(const uint8_t bytes[16])
{
    struct ifaddrs *list = NULL;
    bool own = false;
    if (getifaddrs(&list) != 0)
        return true; /* not known: the careful answer */
    for (const struct ifaddrs *one = list; one && !own; one = one->ifa_next) {
        uint8_t address[16], mask[16];
        bool address_ipv6, mask_ipv6;
        if (!one->ifa_addr || !one->ifa_netmask || !to_bytes(one->ifa_addr, address, &address_ipv6) ||
            !to_bytes(one->ifa_netmask, mask, &mask_ipv6))
            continue;
        if (!mask_ipv6)
            memset(mask, 0xff, 12);
        bool any = false;
        own = true;
        for (unsigned i = 0; i < 16 && own; i++) {
            own = ((address[i] ^ bytes[i]) & mask[i]) == 0;
            any = any || mask[i];
        }
        own = own && any;
    }
    freeifaddrs(list);
    return own;
}

bool venv_storage_rules_allow_address(const venv_storage_settings *settings, const void *address)
{
    uint8_t bytes[16], prefix[16];
    bool ipv6 = false;
    if (!to_bytes(address, bytes, &ipv6))
        return false;
    /* An IPv4 address in the clothes of IPv6 has no honest use here. */
    static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };
    if (ipv6 && within(bytes, mapped, 96))
        return false;
    if (settings->any_network)
        return true;
    for (size_t i = 0; i < settings->network_count; i++)
        if (within(bytes, settings->networks[i].bytes, settings->networks[i].bits))
            return true;
    for (size_t i = 0; i < VENV_COUNT_OF(special); i++) {
        if (inet_pton(AF_INET6, special[i].prefix, prefix) != 1 || !within(bytes, prefix, special[i].bits))
            continue;
        return (special[i].area == AREA_LOOPBACK && settings->loopback) ||
            (special[i].area == AREA_PRIVATE && settings->private_networks);
    }
    return settings->private_networks || !is_own(bytes);
}

/* --- reading the rules --------------------------------------------------------------------------------- */

static venv_rc malformed(venv_storage_error *err, const char *what, const char *text, size_t size)
{
    return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "%s: `%.*s` is malformed or unknown", what,
                             (int)(size < 80 ? size : 80), text);
}

static bool word_is(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && memcmp(text, word, size) == 0;
}

static venv_rc read_network(venv_storage_settings *settings, const char *text, size_t size, venv_storage_error *err)
{
    char copy[64];
    venv_storage_network network = { .bits = 128 };
    if (word_is(text, size, "loopback")) {
        settings->loopback = true;
        return VENV_OK;
    }
    if (word_is(text, size, "private")) {
        settings->private_networks = true;
        return VENV_OK;
    }
    if (word_is(text, size, "any")) {
        settings->any_network = true;
        return VENV_OK;
    }
    if (size >= sizeof copy || settings->network_count >= VENV_STORAGE_NETWORKS_MAX)
        return malformed(err, "networks", text, size);
    memcpy(copy, text, size);
    copy[size] = 0;
    char *slash = strchr(copy, '/');
    if (slash)
        *slash++ = 0;
    bool ipv6 = strchr(copy, ':') != NULL;
    unsigned bits_max = ipv6 ? 128 : 32, bits = bits_max;
    if (slash) {
        char *end = NULL;
        unsigned long number = strtoul(slash, &end, 10);
        if (!*slash || *slash == '-' || *slash == '+' || *end || number > bits_max)
            return malformed(err, "networks", text, size);
        bits = (unsigned)number;
    }
    if (ipv6 ? inet_pton(AF_INET6, copy, network.bytes) != 1 : inet_pton(AF_INET, copy, network.bytes + 12) != 1)
        return malformed(err, "networks", text, size);
    if (!ipv6)
        memset(network.bytes + 10, 0xff, 2);
    network.bits = ipv6 ? bits : bits + 96;
    settings->networks[settings->network_count++] = network;
    return VENV_OK;
}

static venv_rc read_scheme(venv_storage_settings *settings, const char *text, size_t size, venv_storage_error *err)
{
    const venv_storage_scheme *scheme;
    bool known = word_is(text, size, "all");
    for (size_t i = 0; (scheme = venv_storage_scheme_at(i)) != NULL; i++) {
        bool named = word_is(text, size, scheme->name);
        if (named && scheme->curl_protocol && !venv_net_curl_has(scheme->curl_protocol))
            return venv_storage_fail(err, VENV_STORAGE_TOOL_MISSING, VENV_STORAGE_PARSE,
                                     "schemes: the libcurl of this machine has no %s", scheme->name);
        if (named || word_is(text, size, "all"))
            settings->schemes |= UINT64_C(1) << i;
        known = known || named;
    }
    return known ? VENV_OK : malformed(err, "schemes", text, size);
}

static venv_rc read_host(venv_storage_settings *settings, const char *text, size_t size, venv_storage_error *err)
{
    (void)settings;
    for (size_t i = 0; i < size; i++) {
        bool star = i == 0 && text[0] == '*' && size > 2 && text[1] == '.';
        if (!star && (text[i] == '*' || (unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f))
            return malformed(err, "hosts", text, size);
    }
    return VENV_OK;
}

static venv_rc each_word(venv_storage_settings *settings, const char *list, venv_storage_error *err,
                         venv_rc (*read)(venv_storage_settings *, const char *, size_t, venv_storage_error *))
{
    for (const char *at = list; at && *at;) {
        at += strspn(at, ", ");
        size_t size = strcspn(at, ", ");
        if (size == 0)
            break;
        venv_rc rc = read(settings, at, size, err);
        if (rc != VENV_OK)
            return rc;
        at += size;
    }
    return VENV_OK;
}

venv_rc venv_storage_rules_init(venv_storage_settings *settings, venv_storage_error *err)
{
    const venv_storage_options *options = &settings->options;
    const venv_storage_scheme *scheme;
    for (size_t i = 0; !options->schemes && (scheme = venv_storage_scheme_at(i)) != NULL; i++)
        if (scheme->encrypted)
            settings->schemes |= UINT64_C(1) << i;
    venv_rc rc = each_word(settings, options->schemes, err, read_scheme);
    if (rc == VENV_OK)
        rc = each_word(settings, options->networks, err, read_network);
    if (rc == VENV_OK)
        rc = each_word(settings, options->hosts, err, read_host);
    return rc;
}

static bool host_is_listed(const char *list, const char *host)
{
    size_t host_size = strlen(host);
    while (host_size > 0 && host[host_size - 1] == '.')
        host_size--;
    for (const char *at = list; *at;) {
        at += strspn(at, ", ");
        size_t size = strcspn(at, ", ");
        if (size > 1 && at[0] == '*') {
            if (host_size > size - 1 && strncasecmp(host + host_size - (size - 1), at + 1, size - 1) == 0)
                return true;
        } else if (size == host_size && size > 0 && strncasecmp(host, at, size) == 0) {
            return true;
        }
        at += size;
    }
    return false;
}

venv_rc venv_storage_rules_check_url(const venv_storage_settings *settings, const venv_storage_url *url,
                                     venv_storage_error *err)
{
    const venv_storage_scheme *scheme;
    for (size_t i = 0; (scheme = venv_storage_scheme_at(i)) != NULL; i++) {
        if (strcmp(scheme->name, url->scheme) != 0)
            continue;
        char tls[16] = "";
        bool encrypted = venv_storage_url_setting(url, "tls", tls, sizeof tls) && strcmp(tls, "required") == 0;
        if (!(settings->schemes >> i & 1) && !(encrypted && !settings->options.schemes))
            return venv_storage_fail(err, VENV_STORAGE_PERMISSION, VENV_STORAGE_PARSE,
                                     "%s is not among the schemes that may be used%s", scheme->name,
                                     scheme->encrypted ? "" : "; it is not encrypted: allow it only where that is known");
        if (scheme->curl_protocol && settings->hosts && strcmp(url->scheme, "s3") != 0 &&
            !host_is_listed(settings->hosts, url->host))
            return venv_storage_fail(err, VENV_STORAGE_PERMISSION, VENV_STORAGE_PARSE,
                                     "%s is not among the hosts that may be used", url->host);
        return VENV_OK;
    }
    return venv_storage_fail(err, VENV_STORAGE_PROTOCOL_UNSUPPORTED, VENV_STORAGE_PARSE, "no driver for %s", url->scheme);
}
