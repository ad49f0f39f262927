/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses and networks: `ip`, `cidr` and their functions, as cel-spec's network extension has them.
 * Text forms: RFC 4291 section 2.2 is read, RFC 5952 is written.
 */
#include "expr/standard.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX 64u

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* Four decimal numbers without leading zeros. */
static bool parse_v4(venv_str text, uint8_t bytes[4])
{
    size_t at = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned number = 0, digits = 0;
        if (i && (at >= text.size || text.data[at++] != '.'))
            return false;
        for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9' && digits < 4; at++, digits++)
            number = number * 10 + (unsigned)(text.data[at] - '0');
        if (!digits || number > 255 || (digits > 1 && text.data[at - digits] == '0'))
            return false;
        bytes[i] = (uint8_t)number;
    }
    return at == text.size;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A group of up to four digits at the front. */
static bool take_group(venv_str *text, uint16_t *ret_group)
{
    unsigned group = 0, digits = 0;
    for (int d; digits < 5 && text->size && (d = hex_digit(*text->data)) >= 0; digits++) {
        group = group << 4 | (unsigned)d;
        text->data++;
        text->size--;
    }
    *ret_group = (uint16_t)group;
    return digits > 0 && digits < 5;
}

static bool parse_v6(venv_str text, uint8_t bytes[16])
{
    uint16_t groups[8];
    unsigned count = 0, gap = 9;
    if (text.size >= 2 && text.data[0] == ':' && text.data[1] == ':') {
        gap = 0;
        text.data += 2;
        text.size -= 2;
    }
    while (text.size) {
        uint8_t v4[4];
        if (count <= 6 && memchr(text.data, '.', text.size) && !memchr(text.data, ':', text.size)) {
            if (!parse_v4(text, v4))
                return false;
            groups[count++] = (uint16_t)(v4[0] << 8 | v4[1]);
            groups[count++] = (uint16_t)(v4[2] << 8 | v4[3]);
            break;
        }
        if (count == 8 || !take_group(&text, &groups[count++]))
            return false;
        if (!text.size)
            break;
        if (*text.data != ':' || text.size == 1)
            return false;
        text.data++;
        text.size--;
        if (*text.data == ':') {
            if (gap != 9)
                return false;
            gap = count;
            text.data++;
            text.size--;
        }
    }
    if (gap == 9 ? count != 8 : count > 7)
        return false;
    memset(bytes, 0, 16);
    for (unsigned i = 0; i < count; i++) {
        unsigned at = i < gap ? i : 8 - count + i;
        bytes[2 * at] = (uint8_t)(groups[i] >> 8);
        bytes[2 * at + 1] = (uint8_t)groups[i];
    }
    return true;
}

/*
 * A zone (`%eth0`) is refused: an address means the same on every node. An IPv4 address mapped into IPv6 is
 * that IPv4 address where it is written in groups, and refused where it is written with points, as CEL's
 * network extension has it.
 */
static bool parse_address(venv_str text, expr_address *ret_address)
{
    expr_address address = { .family = 6 };
    if (text.size > TEXT_MAX)
        return false;
    if (text.size && !memchr(text.data, ':', text.size)) {
        address.family = 4;
        memcpy(address.bytes, mapped_prefix, sizeof mapped_prefix);
        if (!parse_v4(text, address.bytes + 12))
            return false;
    } else if (!text.size || !parse_v6(text, address.bytes)) {
        return false;
    } else if (!memcmp(address.bytes, mapped_prefix, sizeof mapped_prefix)) {
        address.family = 4;
        if (memchr(text.data, '.', text.size))
            return false;
    }
    address.prefix = address.family == 4 ? 32 : 128;
    *ret_address = address;
    return true;
}

static bool parse_network(venv_str text, expr_address *ret_network)
{
    const char *slash = text.size ? memchr(text.data, '/', text.size) : NULL;
    if (!slash)
        return false;
    venv_str front = { text.data, (size_t)(slash - text.data) };
    venv_str length = { slash + 1, text.size - front.size - 1 };
    unsigned bits = 0;
    if (!length.size || length.size > 3 || (length.size > 1 && *length.data == '0') || !parse_address(front, ret_network))
        return false;
    for (size_t i = 0; i < length.size; i++) {
        if (length.data[i] < '0' || length.data[i] > '9')
            return false;
        bits = bits * 10 + (unsigned)(length.data[i] - '0');
    }
    bool mapped = ret_network->family == 4 && memchr(front.data, ':', front.size);
    if (bits > ret_network->prefix || mapped)
        return false;
    ret_network->prefix = (uint8_t)bits;
    return true;
}

static size_t print_v6(const uint8_t bytes[16], char *buffer, size_t size)
{
    unsigned groups[8], best = 8, best_count = 1;
    for (unsigned i = 0; i < 8; i++)
        groups[i] = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
    for (unsigned i = 0; i < 8; i++) { /* the longest run of zeros, the first of equals */
        unsigned run = 0;
        while (i + run < 8 && !groups[i + run])
            run++;
        if (run > best_count) {
            best = i;
            best_count = run;
        }
    }
    size_t used = 0;
    for (unsigned i = 0; i < 8; i++) {
        if (i == best) {
            used += (size_t)snprintf(buffer + used, size - used, "::");
            i += best_count - 1;
            continue;
        }
        bool colon = i > 0 && i != best + best_count;
        used += (size_t)snprintf(buffer + used, size - used, "%s%x", colon ? ":" : "", groups[i]);
    }
    return used;
}

size_t venv_cel_address_print(const expr_address *address, bool network, char *buffer, size_t size)
{
    const uint8_t *b = address->bytes;
    size_t used = address->family == 4 ? (size_t)snprintf(buffer, size, "%u.%u.%u.%u", b[12], b[13], b[14], b[15])
                                       : print_v6(b, buffer, size);
    if (network)
        used += (size_t)snprintf(buffer + used, size - used, "/%u", address->prefix);
    return used;
}

/* ---- making ---- */

EXPR_FUNCTION(ip_of_text)
{
    (void)count;
    expr_address address;
    if (!parse_address(venv_text_of(&args[0]), &address))
        return venv_cel_fail_value(context, node, "this is no address (zones, and IPv4 addresses within IPv6 ones, are not allowed): ", &args[0]);
    return venv_cel_address_make(context, node, false, &address, out);
}

EXPR_FUNCTION(cidr_of_text)
{
    (void)count;
    expr_address network;
    if (!parse_network(venv_text_of(&args[0]), &network))
        return venv_cel_fail_value(context, node, "this is no network, as 10.1.0.0/16: ", &args[0]);
    return venv_cel_address_make(context, node, true, &network, out);
}

EXPR_FUNCTION(same)
{
    EXPR_UNUSED();
    *out = args[0];
    return X_OK;
}

EXPR_FUNCTION(is_ip)
{
    EXPR_UNUSED();
    expr_address address;
    *out = venv_value_bool(parse_address(venv_text_of(&args[0]), &address));
    return X_OK;
}

EXPR_FUNCTION(is_cidr)
{
    EXPR_UNUSED();
    expr_address network;
    *out = venv_value_bool(parse_network(venv_text_of(&args[0]), &network));
    return X_OK;
}

EXPR_FUNCTION(is_canonical)
{
    EXPR_UNUSED();
    expr_address address;
    char text[TEXT_MAX];
    venv_str given = venv_text_of(&args[0]);
    if (!parse_address(given, &address))
        return venv_cel_fail_value(context, node, "this is no address: ", &args[0]);
    size_t size = venv_cel_address_print(&address, false, text, sizeof text);
    *out = venv_value_bool(size == given.size && !memcmp(text, given.data, size));
    return X_OK;
}

/* ---- asking ---- */

/* The four bytes of an IPv4 address; NULL for others. */
static const uint8_t *v4_of(const expr_address *address)
{
    return memcmp(address->bytes, mapped_prefix, sizeof mapped_prefix) ? NULL : address->bytes + 12;
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
    while (size && !bytes[size - 1])
        size--;
    return size == 0;
}

static bool is_unspecified(const expr_address *a)
{
    const uint8_t *v4 = v4_of(a);
    return v4 ? all_zero(v4, 4) : all_zero(a->bytes, 16);
}

static bool is_loopback(const expr_address *a)
{
    const uint8_t *v4 = v4_of(a);
    return v4 ? v4[0] == 127 : all_zero(a->bytes, 15) && a->bytes[15] == 1;
}

static bool is_multicast(const expr_address *a)
{
    const uint8_t *v4 = v4_of(a);
    return v4 ? (v4[0] & 0xf0) == 0xe0 : a->bytes[0] == 0xff;
}

static bool is_link_local_multicast(const expr_address *a)
{
    const uint8_t *v4 = v4_of(a);
    return v4 ? v4[0] == 224 && v4[1] == 0 && v4[2] == 0 : a->bytes[0] == 0xff && (a->bytes[1] & 0x0f) == 2;
}

static bool is_link_local_unicast(const expr_address *a)
{
    const uint8_t *v4 = v4_of(a);
    return v4 ? v4[0] == 169 && v4[1] == 254 : a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

static bool is_global_unicast(const expr_address *a)
{
    const uint8_t *v4 = v4_of(a);
    bool broadcast = v4 && v4[0] == 255 && v4[1] == 255 && v4[2] == 255 && v4[3] == 255;
    return !broadcast && !is_unspecified(a) && !is_loopback(a) && !is_multicast(a) && !is_link_local_unicast(a);
}

#define QUESTION(name)                                                                                               \
    EXPR_FUNCTION(ask_##name)                                                                                        \
    {                                                                                                                \
        EXPR_UNUSED();                                                                                               \
        *out = venv_value_bool(is_##name(venv_cel_address_of(&args[0])));                                                \
        return X_OK;                                                                                                 \
    }

QUESTION(unspecified)
QUESTION(loopback)
QUESTION(global_unicast)
QUESTION(link_local_multicast)
QUESTION(link_local_unicast)

EXPR_FUNCTION(family)
{
    EXPR_UNUSED();
    *out = venv_value_int(venv_cel_address_of(&args[0])->family);
    return X_OK;
}

EXPR_FUNCTION(prefix_length)
{
    EXPR_UNUSED();
    *out = venv_value_int(venv_cel_address_of(&args[0])->prefix);
    return X_OK;
}

EXPR_FUNCTION(ip_of_cidr)
{
    (void)count;
    expr_address address = *venv_cel_address_of(&args[0]);
    address.prefix = address.family == 4 ? 32 : 128;
    return venv_cel_address_make(context, node, false, &address, out);
}

/* Bits of the prefix, counted over all 16 bytes. */
static unsigned prefix_bits(const expr_address *network)
{
    return network->family == 4 ? 96u + network->prefix : network->prefix;
}

static void mask_host(expr_address *network)
{
    unsigned bits = prefix_bits(network);
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = bits > 8 * i ? bits - 8 * i : 0;
        if (kept < 8)
            network->bytes[i] &= (uint8_t)(0xff00u >> kept);
    }
}

EXPR_FUNCTION(masked)
{
    (void)count;
    expr_address network = *venv_cel_address_of(&args[0]);
    mask_host(&network);
    return venv_cel_address_make(context, node, true, &network, out);
}

static bool contains(const expr_address *network, const expr_address *inner)
{
    expr_address a = *network, b = *inner;
    if (a.family != b.family || prefix_bits(&b) < prefix_bits(&a))
        return false;
    b.prefix = a.prefix;
    mask_host(&a);
    mask_host(&b);
    return !memcmp(a.bytes, b.bytes, 16);
}

static int contains_value(xctx *context, const xnode *node, const venv_value *args, bool network, venv_value *out)
{
    expr_address inner;
    if (args[1].w.kind == VENV_STRING) {
        venv_str text = venv_text_of(&args[1]);
        if (!(network ? parse_network(text, &inner) : parse_address(text, &inner)))
            return venv_cel_fail_value(context, node, network ? "this is no network: " : "this is no address: ", &args[1]);
    } else {
        inner = *venv_cel_address_of(&args[1]);
    }
    *out = venv_value_bool(contains(venv_cel_address_of(&args[0]), &inner));
    return X_OK;
}

EXPR_FUNCTION(contains_ip)
{
    (void)count;
    return contains_value(context, node, args, false, out);
}

EXPR_FUNCTION(contains_cidr)
{
    (void)count;
    return contains_value(context, node, args, true, out);
}

const expr_row venv_cel_network_rows[] = {
    { "ip(string) -> ip", ip_of_text },
    { "ip(ip) -> ip", same },
    { "ip(cidr) -> ip", ip_of_cidr },
    { "cidr(string) -> cidr", cidr_of_text },
    { "cidr(cidr) -> cidr", same },
    { "isIP(string) -> bool", is_ip },
    { "isCIDR(string) -> bool", is_cidr },
    { "ip.isCanonical(string) -> bool", is_canonical },
    { "net.IP.family() -> int", family },
    { "net.IP.isUnspecified() -> bool", ask_unspecified },
    { "net.IP.isLoopback() -> bool", ask_loopback },
    { "net.IP.isGlobalUnicast() -> bool", ask_global_unicast },
    { "net.IP.isLinkLocalMulticast() -> bool", ask_link_local_multicast },
    { "net.IP.isLinkLocalUnicast() -> bool", ask_link_local_unicast },
    { "net.CIDR.ip() -> ip", ip_of_cidr },
    { "net.CIDR.masked() -> cidr", masked },
    { "net.CIDR.prefixLength() -> int", prefix_length },
    { "net.CIDR.containsIP(ip) -> bool", contains_ip },
    { "net.CIDR.containsIP(string) -> bool", contains_ip },
    { "net.CIDR.containsCIDR(cidr) -> bool", contains_cidr },
    { "net.CIDR.containsCIDR(string) -> bool", contains_cidr },
    { NULL, NULL },
};
