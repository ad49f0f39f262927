/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What texts of a definition may be, and the words for its choices.
 */
#include "base/text.h"
#include "environment/definition.h"

#include <string.h>

const char *const venv_hypervisor_kind_names[VENV_HYPERVISOR__COUNT + 1] = {
    [VENV_HYPERVISOR_KVM] = "kvm",
    [VENV_HYPERVISOR_QEMU] = "qemu",
    [VENV_HYPERVISOR_TEST] = "test",
    [VENV_HYPERVISOR_XEN] = "xen",
    [VENV_HYPERVISOR_LXC] = "lxc",
};

const char *const venv_disk_protocol_names[VENV_DISK_PROTOCOL__COUNT + 1] = {
    [VENV_DISK_RBD] = "rbd",
    [VENV_DISK_NBD] = "nbd",
    [VENV_DISK_ISCSI] = "iscsi",
};

const char *const venv_disk_format_names[VENV_DISK_FORMAT__COUNT + 1] = {
    [VENV_DISK_RAW] = "raw",
    [VENV_DISK_QCOW2] = "qcow2",
};

const char *const venv_disk_bus_names[VENV_DISK_BUS__COUNT + 1] = {
    [VENV_DISK_VIRTIO] = "virtio",
    [VENV_DISK_SATA] = "sata",
    [VENV_DISK_SCSI] = "scsi",
    [VENV_DISK_IDE] = "ide",
    [VENV_DISK_XEN] = "xen",
};

const char *const venv_disk_device_names[VENV_DISK_DEVICE__COUNT + 1] = {
    [VENV_DISK_IS_DISK] = "disk",
    [VENV_DISK_IS_CDROM] = "cdrom",
};

const char *const venv_disk_cache_names[VENV_DISK_CACHE__COUNT + 1] = {
    [VENV_DISK_CACHE_DEFAULT] = "default",
    [VENV_DISK_CACHE_NONE] = "none",
    [VENV_DISK_CACHE_WRITEBACK] = "writeback",
    [VENV_DISK_CACHE_WRITETHROUGH] = "writethrough",
    [VENV_DISK_CACHE_DIRECTSYNC] = "directsync",
};

const char *const venv_disk_end_names[VENV_DISK_END__COUNT + 1] = {
    [VENV_DISK_DISCARD] = "discard",
    [VENV_DISK_KEEP] = "keep",
};

const char *const venv_network_kind_names[VENV_NETWORK_KIND__COUNT + 1] = {
    [VENV_NETWORK_USER] = "user",
    [VENV_NETWORK_BRIDGE] = "bridge",
    [VENV_NETWORK_NETWORK] = "network",
};

const char *const venv_network_model_names[VENV_NETWORK_MODEL__COUNT + 1] = {
    [VENV_NETWORK_MODEL_DEFAULT] = "default",
    [VENV_NETWORK_MODEL_VIRTIO] = "virtio",
    [VENV_NETWORK_MODEL_E1000] = "e1000",
    [VENV_NETWORK_MODEL_E1000E] = "e1000e",
    [VENV_NETWORK_MODEL_RTL8139] = "rtl8139",
};

const char *const venv_firmware_names[VENV_FIRMWARE__COUNT + 1] = {
    [VENV_FIRMWARE_BIOS] = "bios",
    [VENV_FIRMWARE_EFI] = "efi",
};

const char *const venv_display_names[VENV_DISPLAY__COUNT + 1] = {
    [VENV_DISPLAY_NONE] = "none",
    [VENV_DISPLAY_SCREEN] = "screen",
    [VENV_DISPLAY_VNC] = "vnc",
    [VENV_DISPLAY_SPICE] = "spice",
};

const char *const venv_clock_names[VENV_CLOCK__COUNT + 1] = {
    [VENV_CLOCK_UTC] = "utc",
    [VENV_CLOCK_LOCALTIME] = "localtime",
};

const char *const venv_spread_names[VENV_SPREAD__COUNT + 1] = {
    [VENV_SPREAD_NONE] = "none",
    [VENV_SPREAD_NODE] = "node",
    [VENV_SPREAD_ZONE] = "zone",
};

const char *const venv_ready_names[VENV_READY__COUNT + 1] = {
    [VENV_READY_RUNNING] = "running",
    [VENV_READY_AGENT] = "agent",
    [VENV_READY_GUEST_AGENT] = "qemu-guest-agent",
};

const char *const venv_crash_names[VENV_CRASH__COUNT + 1] = {
    [VENV_CRASH_FAIL] = "fail",
    [VENV_CRASH_RESTART] = "restart",
    [VENV_CRASH_STAY] = "stay",
};

const char *const venv_preempt_names[VENV_PREEMPT__COUNT + 1] = {
    [VENV_PREEMPT_NEVER] = "never",
    [VENV_PREEMPT_SAVE] = "save",
    [VENV_PREEMPT_STOP] = "stop",
};

const char *const venv_scale_by_names[VENV_SCALE_BY__COUNT + 1] = {
    [VENV_SCALE_BY_STOP] = "stop",
    [VENV_SCALE_BY_SAVE] = "save",
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

bool venv_environment_text_check(venv_str text, size_t size_max, bool lines)
{
    if (text.size == 0 || text.size > size_max)
        return false;
    for (size_t at = 0; at < text.size;) {
        uint32_t point;
        size_t step = venv_utf8_decode(text.data + at, text.size - at, &point);
        if (step == 0 || !(point_is_allowed(point) || (lines && (point == '\n' || point == '\t' || point == '\r'))))
            return false;
        at += step;
    }
    return true;
}

bool venv_environment_image_check(venv_str reference)
{
    const char *at = memchr(reference.data, '@', reference.size);
    size_t size = at ? (size_t)(at - reference.data) : reference.size;
    if (!venv_name_is_valid((venv_str){ reference.data, size }))
        return false;
    if (!at)
        return true;
    const char *version = at + 1;
    size_t left = reference.size - size - 1;
    if (left == 6 && memcmp(version, "latest", 6) == 0)
        return true;
    if (left == 0 || left > 9 || version[0] == '0')
        return false;
    for (size_t i = 0; i < left; i++)
        if (version[i] < '0' || version[i] > '9')
            return false;
    return true;
}

bool venv_environment_path_check(venv_str path)
{
    if (!venv_environment_text_check(path, VENV_ENVIRONMENT_PATH_MAX - 1, false) || path.data[0] != '/')
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
