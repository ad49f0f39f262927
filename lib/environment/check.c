/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What texts of a definition may be, and the words for its choices.
 */
#include "base/text.h"
#include "environment/definition.h"

#include <string.h>

const char *const venv_disk_format_names[VENV_DISK_FORMAT__COUNT + 1] = {
    [VENV_DISK_RAW] = "raw",
    [VENV_DISK_QCOW2] = "qcow2",
};

const char *const venv_disk_bus_names[VENV_DISK_BUS__COUNT + 1] = {
    [VENV_DISK_VIRTIO] = "virtio",
    [VENV_DISK_SATA] = "sata",
};

const char *const venv_network_kind_names[VENV_NETWORK_KIND__COUNT + 1] = {
    [VENV_NETWORK_USER] = "user",
    [VENV_NETWORK_BRIDGE] = "bridge",
    [VENV_NETWORK_NETWORK] = "network",
};

const char *const venv_hypervisor_kind_names[VENV_HYPERVISOR__COUNT + 1] = {
    [VENV_HYPERVISOR_KVM] = "kvm",
    [VENV_HYPERVISOR_QEMU] = "qemu",
    [VENV_HYPERVISOR_TEST] = "test",
};

const char *venv_hypervisor_kind_name(venv_hypervisor_kind kind)
{
    return (unsigned)kind < VENV_HYPERVISOR__COUNT ? venv_hypervisor_kind_names[kind] : "unknown";
}

/* XML 1.0, section 2.2, less its white space and the control characters of C1. */
static bool point_is_allowed(uint32_t point)
{
    return point >= 0x20 && !(point >= 0x7f && point <= 0x9f) && point != 0xfffe && point != 0xffff;
}

bool venv_environment_text_check(venv_str text, size_t size_max)
{
    if (text.size == 0 || text.size > size_max)
        return false;
    for (size_t at = 0; at < text.size;) {
        uint32_t point;
        size_t step = venv_utf8_decode(text.data + at, text.size - at, &point);
        if (step == 0 || !point_is_allowed(point))
            return false;
        at += step;
    }
    return true;
}

bool venv_environment_path_check(venv_str path)
{
    if (!venv_environment_text_check(path, VENV_ENVIRONMENT_PATH_MAX - 1) || path.data[0] != '/')
        return false;
    for (size_t begin = 1; begin <= path.size;) {
        const char *slash = memchr(path.data + begin, '/', path.size - begin);
        size_t end = slash ? (size_t)(slash - path.data) : path.size;
        size_t size = end - begin;
        if (size == 0 || (size == 1 && path.data[begin] == '.') ||
            (size == 2 && path.data[begin] == '.' && path.data[begin + 1] == '.'))
            return false;
        begin = end + 1;
    }
    return true;
}
