/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks and network interfaces of a definition: what the tables of keys cannot say, because one key bears on another,
 * or a text has a form of its own (a logical volume, a host and port, a hardware or network address).
 */
#include "environment/definition.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool given(const venv_value *settings, const char *key)
{
    return venv_value_get(settings, key) != NULL;
}

/* --- disks --- */

/* The key that says where a disk's content is, by its source. `size` and `image` may be together. */
static const char *const source_keys[VENV_DISK_SOURCE__COUNT] = {
    [VENV_DISK_MADE] = "size",           [VENV_DISK_FILE] = "file",     [VENV_DISK_PARTITION] = "partition",
    [VENV_DISK_VOLUME] = "volume",       [VENV_DISK_DIRECTORY] = "directory", [VENV_DISK_NETWORK] = "network",
};

static bool take_source(const venv_value *item, venv_disk_source *ret_source)
{
    size_t count = 0;
    for (int i = 0; i < VENV_DISK_SOURCE__COUNT; i++) {
        if (!given(item, source_keys[i]) && !(i == VENV_DISK_MADE && given(item, "image")))
            continue;
        *ret_source = (venv_disk_source)i;
        count++;
    }
    return count == 1;
}

/* lvm(8), "Valid names". */
static bool volume_part_is_valid(const char *text, size_t size)
{
    if (size == 0 || text[0] == '-' || (size == 1 && text[0] == '.') || (size == 2 && text[0] == '.' && text[1] == '.'))
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("+_.-", c);
        if (!ok || c == '\0')
            return false;
    }
    return true;
}

static venv_rc take_volume(venv_environment_reading *r, const venv_value *item, venv_environment_disk *disk)
{
    venv_str text = venv_config_text(item, "volume");
    const char *slash = memchr(text.data, '/', text.size);
    size_t group = slash ? (size_t)(slash - text.data) : 0;
    if (!slash || !volume_part_is_valid(text.data, group) || !volume_part_is_valid(slash + 1, text.size - group - 1))
        return venv_environment_blame(r, "volume", VENV_EINVAL, "must be GROUP/NAME of a logical volume");
    char path[300];
    int size = snprintf(path, sizeof path, "/dev/%.*s", (int)text.size, text.data);
    disk->path = venv_arena_dup(r->arena, path, (size_t)size);
    return disk->path ? VENV_OK : venv_environment_no_memory(r);
}

/* "HOST", "HOST:PORT", "[ADDRESS]:PORT". A host is made of what names and addresses are made of. */
static bool parse_host(venv_environment_reading *r, venv_str text, const char **ret_name, uint16_t *ret_port)
{
    bool bracket = text.size && text.data[0] == '[';
    const char *name = text.data + (bracket ? 1 : 0), *end = text.data + text.size;
    const char *stop = memchr(name, bracket ? ']' : ':', (size_t)(end - name));
    if (bracket && !stop)
        return false;
    size_t size = stop ? (size_t)(stop - name) : (size_t)(end - name);
    const char *port = stop ? stop + (bracket ? 1 : 0) : end;
    unsigned number = 0;
    if (port < end) {
        if (*port++ != ':' || port == end || end - port > 5)
            return false;
        for (; port < end; port++) {
            if (*port < '0' || *port > '9')
                return false;
            number = number * 10 + (unsigned)(*port - '0');
        }
        if (number == 0 || number > 65535)
            return false;
    }
    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || (c == '-' && i) ||
              (c == ':' && bracket)))
            return false;
    }
    *ret_name = size ? venv_arena_dup(r->arena, name, size) : NULL;
    *ret_port = (uint16_t)number;
    return *ret_name != NULL;
}

static venv_rc take_network_volume(venv_environment_reading *r, const venv_value *item, venv_disk_network *network)
{
    const venv_value *settings = venv_value_get(item, "network"), *hosts = venv_value_get(settings, "hosts");
    for (size_t i = 0; i < venv_value_count(hosts); i++) {
        char key[48];
        snprintf(key, sizeof key, "network.hosts[%zu]", i);
        if (!parse_host(r, venv_value_peek_text(venv_value_at(hosts, i)), &network->hosts[i].name, &network->hosts[i].port))
            return venv_environment_blame(r, key, VENV_EINVAL, "must be HOST or HOST:PORT");
        network->host_count = i + 1;
    }
    if (network->protocol != VENV_DISK_RBD && network->host_count != 1)
        return venv_environment_blame(r, "network", VENV_EINVAL, "needs one host");
    if ((network->user == NULL) != (network->secret == NULL))
        return venv_environment_blame(r, "network", VENV_EINVAL, "needs both or none of user and secret");
    if (network->user && network->protocol == VENV_DISK_NBD)
        return venv_environment_blame(r, "network.user", VENV_EINVAL, "does not go with nbd, which asks for no secret");
    return VENV_OK;
}

static venv_rc check_container_disk(venv_environment_reading *r, size_t index, const venv_value *item,
                                    venv_environment_disk *disk)
{
    if (disk->source == VENV_DISK_NETWORK)
        return venv_environment_blame(r, "network", VENV_EINVAL, "does not go with a container");
    if (disk->device == VENV_DISK_IS_CDROM || given(item, "bus") || disk->cache != VENV_DISK_CACHE_DEFAULT)
        return venv_environment_blame(r, "", VENV_EINVAL, "device, bus and cache do not go with a container; it sees a folder");
    if (!disk->mount && index == 0)
        disk->mount = "/";
    if (!disk->mount)
        return venv_environment_blame(r, "", VENV_EINVAL, "needs mount: where the container sees it");
    if (index == 0 && strcmp(disk->mount, "/") != 0)
        return venv_environment_blame(r, "mount", VENV_EINVAL, "must be / for the first disk of a container");
    return VENV_OK;
}

static venv_rc check_machine_disk(venv_environment_reading *r, const venv_value *item, const venv_definition *is,
                                  venv_environment_disk *disk)
{
    bool xen = is->hypervisor == VENV_HYPERVISOR_XEN;
    if (disk->source == VENV_DISK_DIRECTORY)
        return venv_environment_blame(r, "directory", VENV_EINVAL, "goes with containers only (hypervisor: lxc)");
    if (disk->mount)
        return venv_environment_blame(r, "mount", VENV_EINVAL, "goes with containers only (hypervisor: lxc)");
    if (!given(item, "bus"))
        disk->bus = xen                                      ? VENV_DISK_XEN
                    : disk->device == VENV_DISK_IS_CDROM     ? VENV_DISK_SATA
                                                             : VENV_DISK_VIRTIO;
    if ((disk->bus == VENV_DISK_XEN) != xen)
        return venv_environment_blame(r, "bus", VENV_EINVAL, xen ? "must be xen with this hypervisor" : "xen goes with hypervisor: xen only");
    if (disk->device == VENV_DISK_IS_CDROM) {
        if (disk->bus == VENV_DISK_VIRTIO || xen)
            return venv_environment_blame(r, "device", VENV_EINVAL, "a CD is on sata, scsi or ide");
        disk->readonly = true;
    }
    if (disk->readonly && (disk->bus == VENV_DISK_SATA || disk->bus == VENV_DISK_IDE) && disk->device == VENV_DISK_IS_DISK)
        return venv_environment_blame(r, "readonly", VENV_EINVAL, "does not go with a disk on sata or ide: use virtio, or device: cdrom");
    if (xen && disk->source == VENV_DISK_NETWORK && disk->network.protocol != VENV_DISK_RBD)
        return venv_environment_blame(r, "network", VENV_EINVAL, "of Xen is rbd only");
    return VENV_OK;
}

static venv_rc take_format(venv_environment_reading *r, const venv_value *item, venv_environment_disk *disk)
{
    bool said = given(item, "format");
    if (!said && disk->source == VENV_DISK_FILE)
        return venv_environment_blame(r, "", VENV_EINVAL, "the key \"format\" is missing: raw or qcow2; it is never guessed");
    if (!said)
        disk->format = disk->source == VENV_DISK_MADE ? VENV_DISK_QCOW2 : VENV_DISK_RAW;
    if (disk->source == VENV_DISK_MADE && disk->image && disk->format != VENV_DISK_QCOW2)
        return venv_environment_blame(r, "format", VENV_EINVAL, "of an overlay on an image is qcow2");
    if (disk->source == VENV_DISK_DIRECTORY && said)
        return venv_environment_blame(r, "format", VENV_EINVAL, "is of no use with a directory");
    return VENV_OK;
}

static venv_rc take_disk(venv_environment_reading *r, size_t index, const venv_value *item, const venv_definition *is,
                         venv_environment_disk *disk)
{
    venv_rc rc = VENV_OK;
    if (disk->image && !venv_environment_image_check((venv_str){ disk->image, strlen(disk->image) }))
        return venv_environment_blame(r, "image", VENV_EINVAL, "must be NAME, NAME@latest or NAME@VERSION");
    if (disk->size_bytes & 511)
        return venv_environment_blame(r, "size", VENV_ERANGE, "must be a multiple of 512 bytes");
    if (disk->source == VENV_DISK_VOLUME)
        rc = take_volume(r, item, disk);
    else if (disk->source == VENV_DISK_NETWORK)
        rc = take_network_volume(r, item, &disk->network);
    if (rc == VENV_OK)
        rc = take_format(r, item, disk);
    if (rc == VENV_OK)
        rc = is->hypervisor == VENV_HYPERVISOR_LXC ? check_container_disk(r, index, item, disk)
                                                   : check_machine_disk(r, item, is, disk);
    if (rc != VENV_OK || disk->source == VENV_DISK_MADE)
        return rc;
    if (given(item, "at_end") && disk->at_end == VENV_DISK_DISCARD)
        return venv_environment_blame(r, "at_end", VENV_EINVAL, "must be keep: venv removes only what it has made for the instance");
    disk->at_end = VENV_DISK_KEEP;
    return VENV_OK;
}

/* The image of the whole definition: under the first disk that is made and has none of its own, or a disk before all
 * others. `*ret_before`: how many were put before (none or one). */
static void place_image(venv_environment_disk *disks, venv_definition *is, size_t *ret_before)
{
    size_t at = 0;
    while (at < is->disk_count && !(disks[at].source == VENV_DISK_MADE && !disks[at].image))
        at++;
    *ret_before = at == is->disk_count;
    if (*ret_before) {
        memmove(disks + 1, disks, is->disk_count * sizeof *disks);
        disks[0] = (venv_environment_disk){ .format = VENV_DISK_QCOW2 };
        disks[0].bus = is->hypervisor == VENV_HYPERVISOR_XEN ? VENV_DISK_XEN : VENV_DISK_VIRTIO;
        disks[0].mount = is->hypervisor == VENV_HYPERVISOR_LXC ? "/" : NULL;
        is->disk_count++;
        at = 0;
    }
    disks[at].image = is->image;
}

venv_rc venv_environment_take_disks(venv_environment_reading *r, const venv_value *settings, venv_definition *is)
{
    const venv_value *list = venv_config_get(settings, "disks");
    size_t count = is->disk_count, before = 0;
    /* The tables filled an array of exactly as many; one more may come before them. */
    venv_environment_disk *disks = venv_arena_alloc(r->arena, (count + 1) * sizeof *disks);
    if (!disks)
        return venv_environment_no_memory(r);
    if (count)
        memcpy(disks, is->disks, count * sizeof *disks);
    is->disks = disks;
    for (size_t i = 0; i < count; i++) {
        snprintf(r->path, sizeof r->path, "disks[%zu]", i);
        if (!take_source(venv_value_at(list, i), &disks[i].source))
            return venv_environment_blame(r, "", VENV_EINVAL,
                                          "must have one of size (or image), file, partition, volume, directory and network");
    }
    r->path[0] = '\0';
    if (is->image && !venv_environment_image_check((venv_str){ is->image, strlen(is->image) }))
        return venv_environment_blame(r, "image", VENV_EINVAL, "must be NAME, NAME@latest or NAME@VERSION");
    if (is->image)
        place_image(disks, is, &before);
    for (size_t i = 0; i < count; i++) {
        snprintf(r->path, sizeof r->path, "disks[%zu]", i);
        venv_rc rc = take_disk(r, i + before, venv_value_at(list, i), is, &disks[i + before]);
        if (rc != VENV_OK)
            return rc;
    }
    r->path[0] = '\0';
    if (is->disk_count > VENV_ENVIRONMENT_DISKS_MAX)
        return venv_environment_blame(r, "image", VENV_ELIMIT, "would be a disk more than 16");
    return VENV_OK;
}

/* --- network interfaces --- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "52:54:00:12:34:56", of one station (not a group), not all zero. */
static bool parse_mac(venv_str text, uint8_t ret_mac[6])
{
    uint8_t mac[6], any = 0;
    if (text.size != 17)
        return false;
    for (size_t i = 0; i < 6; i++) {
        int high = hex_digit(text.data[3 * i]), low = hex_digit(text.data[3 * i + 1]);
        if (high < 0 || low < 0 || (i < 5 && text.data[3 * i + 2] != ':'))
            return false;
        mac[i] = (uint8_t)(high << 4 | low);
        any |= mac[i];
    }
    if (!any || (mac[0] & 1))
        return false;
    memcpy(ret_mac, mac, sizeof mac);
    return true;
}

/* 4 or 6; 0: no address. */
static uint8_t family_of(const char *text)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, text, bytes) == 1 ? 4 : inet_pton(AF_INET6, text, bytes) == 1 ? 6 : 0;
}

/* "ADDRESS/PREFIX" cut in two. */
static venv_rc take_address(venv_environment_reading *r, venv_environment_network *network)
{
    char text[64];
    snprintf(text, sizeof text, "%s", network->address);
    char *slash = strchr(text, '/');
    unsigned prefix = 0;
    if (slash) {
        *slash = '\0';
        for (const char *c = slash + 1; *c && prefix <= 128; c++)
            prefix = *c >= '0' && *c <= '9' ? prefix * 10 + (unsigned)(*c - '0') : 999;
    }
    network->family = family_of(text);
    if (!network->family || prefix == 0 || prefix > (network->family == 4 ? 32u : 128u))
        return venv_environment_blame(r, "address", VENV_EINVAL, "must be dhcp, or ADDRESS/PREFIX such as 10.1.0.7/24");
    network->prefix = (uint8_t)prefix;
    if (network->gateway && family_of(network->gateway) != network->family)
        return venv_environment_blame(r, "gateway", VENV_EINVAL, "must be an address of the same kind as address");
    for (size_t i = 0; i < network->dns.count; i++)
        if (!family_of(network->dns.items[i]))
            return venv_environment_blame(r, "dns", VENV_EINVAL, "must be addresses");
    network->address = venv_arena_dup(r->arena, text, strlen(text));
    return network->address ? VENV_OK : venv_environment_no_memory(r);
}

static venv_rc take_network_name(venv_environment_reading *r, const venv_value *item, venv_environment_network *network)
{
    bool bridge = given(item, "bridge"), name = given(item, "network"), user = venv_config_bool(item, "user");
    if (bridge + name + user != 1)
        return venv_environment_blame(r, "", VENV_EINVAL, "must have one of bridge: NAME, network: NAME, and user: true");
    network->kind = user ? VENV_NETWORK_USER : bridge ? VENV_NETWORK_BRIDGE : VENV_NETWORK_NETWORK;
    if (network->name && strpbrk(network->name, "/ "))
        return venv_environment_blame(r, bridge ? "bridge" : "network", VENV_EINVAL,
                                      "must be a name without spaces, '/' and control characters");
    return VENV_OK;
}

static venv_rc take_network(venv_environment_reading *r, const venv_value *item, const venv_definition *is,
                            venv_environment_network *network)
{
    venv_rc rc = take_network_name(r, item, network);
    if (rc != VENV_OK)
        return rc;
    bool own = is->hypervisor == VENV_HYPERVISOR_XEN || is->hypervisor == VENV_HYPERVISOR_LXC;
    if (own && network->kind == VENV_NETWORK_USER)
        return venv_environment_blame(r, "user", VENV_EINVAL, "is QEMU's; use bridge or network");
    if (own && network->model != VENV_NETWORK_MODEL_DEFAULT)
        return venv_environment_blame(r, "model", VENV_EINVAL, "goes with kvm and qemu only");
    network->has_mac = given(item, "mac");
    if (network->has_mac && !parse_mac(venv_config_text(item, "mac"), network->mac))
        return venv_environment_blame(r, "mac", VENV_EINVAL, "must be the hardware address of one station, such as 52:54:00:12:34:56");
    if (strcmp(network->address, "dhcp") == 0) {
        network->address = NULL;
        if (network->gateway || network->dns.count)
            return venv_environment_blame(r, "", VENV_EINVAL, "gateway and dns go with an address; with dhcp they come from there");
        return VENV_OK;
    }
    if (!own && !is->cloud_init.given)
        return venv_environment_blame(r, "address", VENV_EINVAL, "needs cloud_init, through which the guest learns it");
    return take_address(r, network);
}

venv_rc venv_environment_take_networks(venv_environment_reading *r, const venv_value *settings, venv_definition *is)
{
    const venv_value *list = venv_config_get(settings, "networks");
    venv_environment_network *networks = venv_arena_alloc(r->arena, (is->network_count + 1) * sizeof *networks);
    if (!networks)
        return venv_environment_no_memory(r);
    if (is->network_count)
        memcpy(networks, is->networks, is->network_count * sizeof *networks);
    is->networks = networks;
    for (size_t i = 0; i < is->network_count; i++) {
        snprintf(r->path, sizeof r->path, "networks[%zu]", i);
        venv_rc rc = take_network(r, venv_value_at(list, i), is, &networks[i]);
        if (rc != VENV_OK)
            return rc;
    }
    r->path[0] = '\0';
    return VENV_OK;
}
