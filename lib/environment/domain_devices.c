/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other devices of a domain: network interfaces, console, the guest agent's channel, a screen.
 */
#include "environment/domain_parts.h"

#include <stdio.h>
#include <string.h>

bool venv_domain_is_qemu(const venv_definition *is)
{
    return is->hypervisor == VENV_HYPERVISOR_KVM || is->hypervisor == VENV_HYPERVISOR_QEMU;
}

/* Where none is given: locally administered, the same each time for the same machine. The last bytes of a
 * version 4 id are random; 40 bits of them do not meet by accident in a network of any size. */
static void machine_mac(venv_id id, size_t index, uint8_t ret_mac[6])
{
    ret_mac[0] = 0x02;
    memcpy(ret_mac + 1, id.bytes + 11, 5);
    ret_mac[1] = (uint8_t)(ret_mac[1] ^ index);
}

const char *venv_network_mac(const venv_environment_network *network, venv_id id, size_t index, char ret_text[18])
{
    uint8_t mac[6];
    if (network->has_mac)
        memcpy(mac, network->mac, sizeof mac);
    else
        machine_mac(id, index, mac);
    snprintf(ret_text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    return ret_text;
}

static void add_address(venv_xml *xml, xmlNodePtr node, const venv_environment_network *network)
{
    const char *family = network->family == 4 ? "ipv4" : "ipv6";
    xmlNodePtr ip = venv_xml_element(xml, node, "ip");
    venv_xml_attribute(xml, ip, "address", network->address);
    venv_xml_attribute(xml, ip, "family", family);
    venv_xml_attribute_number(xml, ip, "prefix", network->prefix);
    if (!network->gateway)
        return;
    xmlNodePtr route = venv_xml_element(xml, node, "route");
    venv_xml_attribute(xml, route, "family", family);
    venv_xml_attribute(xml, route, "address", network->family == 4 ? "0.0.0.0" : "::");
    venv_xml_attribute(xml, route, "gateway", network->gateway);
}

static void add_network(const venv_domain_drawing *d, xmlNodePtr devices, size_t index)
{
    venv_xml *xml = d->xml;
    const venv_environment_network *network = &d->is->networks[index];
    const char *kind = venv_network_kind_names[network->kind];
    char text[18];
    xmlNodePtr node = venv_xml_element(xml, devices, "interface");
    venv_xml_attribute(xml, node, "type", kind);
    venv_xml_attribute(xml, venv_xml_element(xml, node, "mac"), "address", venv_network_mac(network, d->mark->id, index, text));
    if (network->kind != VENV_NETWORK_USER)
        venv_xml_attribute(xml, venv_xml_element(xml, node, "source"), kind, network->name);
    bool own = d->is->hypervisor == VENV_HYPERVISOR_XEN || d->is->hypervisor == VENV_HYPERVISOR_LXC;
    if (own && network->address)
        add_address(xml, node, network);
    venv_network_model model = network->model == VENV_NETWORK_MODEL_DEFAULT ? VENV_NETWORK_MODEL_VIRTIO : network->model;
    if (!own)
        venv_xml_attribute(xml, venv_xml_element(xml, node, "model"), "type", venv_network_model_names[model]);
}

/* A terminal for a person, and a copy of all output in a file, which a restore or a migration must not begin anew. */
static void add_console(const venv_domain_drawing *d, xmlNodePtr devices)
{
    venv_hypervisor_kind kind = d->is->hypervisor;
    bool serial = kind != VENV_HYPERVISOR_XEN && kind != VENV_HYPERVISOR_LXC;
    xmlNodePtr node = venv_xml_element(d->xml, devices, serial ? "serial" : "console");
    venv_xml_attribute(d->xml, node, "type", "pty");
    if (d->mark->console[0] && serial) {
        xmlNodePtr log = venv_xml_element(d->xml, node, "log");
        venv_xml_attribute(d->xml, log, "file", d->mark->console);
        venv_xml_attribute(d->xml, log, "append", "on");
    }
    xmlNodePtr target = venv_xml_element(d->xml, node, "target");
    if (!serial)
        venv_xml_attribute(d->xml, target, "type", kind == VENV_HYPERVISOR_XEN ? "xen" : "lxc");
    venv_xml_attribute_number(d->xml, target, "port", 0);
}

static void add_screen(const venv_domain_drawing *d, xmlNodePtr devices)
{
    venv_definition_display display = d->is->display;
    if (display == VENV_DISPLAY_NONE)
        return;
    if (display == VENV_DISPLAY_VNC || display == VENV_DISPLAY_SPICE) {
        /* A socket that libvirt makes: a port of the node would be open to everybody on it. */
        xmlNodePtr graphics = venv_xml_element(d->xml, devices, "graphics");
        venv_xml_attribute(d->xml, graphics, "type", venv_display_names[display]);
        venv_xml_attribute(d->xml, venv_xml_element(d->xml, graphics, "listen"), "type", "socket");
        xmlNodePtr input = venv_xml_element(d->xml, devices, "input");
        venv_xml_attribute(d->xml, input, "type", "tablet");
        venv_xml_attribute(d->xml, input, "bus", "virtio");
    }
    xmlNodePtr video = venv_xml_element(d->xml, devices, "video");
    venv_xml_attribute(d->xml, venv_xml_element(d->xml, video, "model"), "type", "vga");
}

/* Devices of a whole virtual machine, by QEMU or libvirt's pretence of one. */
static void add_machine_devices(const venv_domain_drawing *d, xmlNodePtr devices)
{
    venv_xml *xml = d->xml;
    xmlNodePtr usb = venv_xml_element(xml, devices, "controller");
    venv_xml_attribute(xml, usb, "type", "usb");
    venv_xml_attribute(xml, usb, "model", "none");
    if (venv_domain_is_qemu(d->is)) {
        xmlNodePtr channel = venv_xml_element(xml, devices, "channel");
        venv_xml_attribute(xml, channel, "type", "unix");
        xmlNodePtr target = venv_xml_element(xml, channel, "target");
        venv_xml_attribute(xml, target, "type", "virtio");
        venv_xml_attribute(xml, target, "name", "org.qemu.guest_agent.0");
    }
    add_screen(d, devices);
    venv_xml_attribute(xml, venv_xml_element(xml, devices, "memballoon"), "model", "virtio");
    /* Without it a small guest waits for randomness before it can speak TLS. */
    xmlNodePtr rng = venv_xml_element(xml, devices, "rng");
    venv_xml_attribute(xml, rng, "model", "virtio");
    venv_xml_attribute(xml, venv_xml_text(xml, rng, "backend", "/dev/urandom"), "model", "random");
    /* Through it a guest tells that its kernel has panicked; without it, it only hangs. */
    if (venv_domain_is_qemu(d->is) && d->is->on_crash != VENV_CRASH_FAIL)
        venv_xml_element(xml, devices, "panic");
}

void venv_domain_add_devices(const venv_domain_drawing *d, xmlNodePtr devices)
{
    for (size_t i = 0; i < d->is->network_count; i++)
        add_network(d, devices, i);
    add_console(d, devices);
    if (d->is->hypervisor != VENV_HYPERVISOR_XEN && d->is->hypervisor != VENV_HYPERVISOR_LXC)
        add_machine_devices(d, devices);
}
