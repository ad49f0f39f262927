/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of keys: for each map of a definition its rows, and the members that they fill. What one key has to do
 * with another is no matter of tables; definition.c checks that.
 */
#include "environment/keys.h"

#include "environment/definition.h"

#define PATH_MAX_BYTES (VENV_ENVIRONMENT_PATH_MAX - 1)
#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

static const venv_config_row text_row = { .name = "text", .kind = VENV_CONFIG_STRING, .min = 1, .max = 255 };
static const venv_config_row name_row = { .name = "name", .kind = VENV_CONFIG_NAME };

/* --- disks[].network --- */

static const venv_config_row volume_rows[] = {
    { .name = "protocol", .kind = VENV_CONFIG_ENUM, .required = true, .choices = venv_disk_protocol_names,
      .help = "How it is reached: rbd (Ceph), nbd or iscsi." },
    { .name = "name", .kind = VENV_CONFIG_STRING, .min = 1, .max = 255, .required = true,
      .help = "rbd: POOL/IMAGE; nbd: the name of the export; iscsi: TARGET/LUN." },
    { .name = "hosts", .kind = VENV_CONFIG_LIST, .of = &text_row, .one_or_list = true, .max = VENV_DISK_HOSTS_MAX,
      .help = "Who serves it: HOST or HOST:PORT, an IPv6 address in brackets. One for nbd and iscsi; for rbd the monitors, or "
              "none if the node knows them." },
    { .name = "user", .kind = VENV_CONFIG_STRING, .min = 1, .max = 63,
      .help = "Who asks for it, with rbd and iscsi." },
    { .name = "secret", .kind = VENV_CONFIG_STRING, .min = 1, .max = 63,
      .help = "UUID or usage of the secret in the node's libvirt; the secret itself is never part of a definition." },
    { .name = NULL },
};
static const venv_environment_field volume_fields[] = {
    { .key = "protocol", FIELD(venv_disk_network, protocol) },
    { .key = "name", FIELD(venv_disk_network, name) },
    { .key = "user", FIELD(venv_disk_network, user) },
    { .key = "secret", FIELD(venv_disk_network, secret) },
    { .key = NULL },
};

/* --- disks[] --- */

static const venv_config_row disk_rows[] = {
    { .name = "size", .kind = VENV_CONFIG_SIZE, .min = 1 << 20, .max = INT64_C(1) << 50,
      .help = "A disk of this size is made for each instance: an overlay on an image, which it enlarges, or an empty disk." },
    { .name = "image", .kind = VENV_CONFIG_STRING, .min = 1, .max = 80,
      .help = "NAME or NAME@VERSION: the disk is an overlay on this image." },
    { .name = "file", .kind = VENV_CONFIG_PATH, .max = PATH_MAX_BYTES,
      .help = "An image file of the node, in a directory that its agent allows." },
    { .name = "partition", .kind = VENV_CONFIG_PATH, .max = PATH_MAX_BYTES,
      .help = "A block device of the node, which its agent allows, such as /dev/sda7." },
    { .name = "volume", .kind = VENV_CONFIG_STRING, .min = 3, .max = 255,
      .help = "A logical volume of the node, GROUP/NAME; its agent allows /dev/GROUP." },
    { .name = "directory", .kind = VENV_CONFIG_PATH, .max = PATH_MAX_BYTES,
      .help = "Containers only: a directory of the node, which its agent allows." },
    { .name = "network", .kind = VENV_CONFIG_TABLE, .of = volume_rows, .help = "A volume that is reached over the network." },
    { .name = "format", .kind = VENV_CONFIG_ENUM, .choices = venv_disk_format_names,
      .help = "What it holds; it is never guessed, and no base image that it names is opened. Required with file; otherwise "
              "qcow2 for what is made, and raw." },
    { .name = "bus", .kind = VENV_CONFIG_ENUM, .choices = venv_disk_bus_names,
      .help = "How the guest sees it; by default virtio, a CD on sata, and xen with Xen." },
    { .name = "device", .kind = VENV_CONFIG_ENUM, .choices = venv_disk_device_names, .fallback = "disk",
      .help = "A CD is read only, and is not booted from." },
    { .name = "cache", .kind = VENV_CONFIG_ENUM, .choices = venv_disk_cache_names, .fallback = "default",
      .help = "How the node caches it; migration with shared disks wants none." },
    { .name = "mount", .kind = VENV_CONFIG_PATH, .max = PATH_MAX_BYTES,
      .help = "Containers only: where it is seen; / for the first by default." },
    { .name = "readonly", .kind = VENV_CONFIG_BOOL, .fallback = "false",
      .help = "The guest cannot write it, so several instances may share it." },
    { .name = "at_end", .kind = VENV_CONFIG_ENUM, .choices = venv_disk_end_names,
      .help = "What becomes of it when its instance has ended: what was made is discarded by default; what venv has not made "
              "is always kept." },
    { .name = NULL },
};
static const venv_environment_field disk_fields[] = {
    { .key = "size", FIELD(venv_environment_disk, size_bytes) },
    { .key = "image", FIELD(venv_environment_disk, image) },
    { .key = "file", FIELD(venv_environment_disk, path) },
    { .key = "partition", FIELD(venv_environment_disk, path) },
    { .key = "directory", FIELD(venv_environment_disk, path) },
    { .key = "network", FIELD(venv_environment_disk, network), .fields = volume_fields },
    { .key = "format", FIELD(venv_environment_disk, format) },
    { .key = "bus", FIELD(venv_environment_disk, bus) },
    { .key = "device", FIELD(venv_environment_disk, device) },
    { .key = "cache", FIELD(venv_environment_disk, cache) },
    { .key = "mount", FIELD(venv_environment_disk, mount), .top = true },
    { .key = "readonly", FIELD(venv_environment_disk, readonly) },
    { .key = "at_end", FIELD(venv_environment_disk, at_end) },
    { .key = NULL },
};

/* --- networks[] --- */

static const venv_config_row network_rows[] = {
    { .name = "bridge", .kind = VENV_CONFIG_STRING, .min = 1, .max = 15, .help = "A bridge of the node." },
    { .name = "network", .kind = VENV_CONFIG_STRING, .min = 1, .max = VENV_NETWORK_NAME_MAX,
      .help = "A network of the node's libvirt." },
    { .name = "user", .kind = VENV_CONFIG_BOOL,
      .help = "QEMU's own address translation: the guest reaches out, and the node as 10.0.2.2." },
    { .name = "model", .kind = VENV_CONFIG_ENUM, .choices = venv_network_model_names, .fallback = "default",
      .help = "The card that the guest sees: by default virtio, and with Xen and containers their own." },
    { .name = "mac", .kind = VENV_CONFIG_STRING, .min = 17, .max = 17,
      .help = "Hardware address, for environments of one instance; by default made from the machine's id." },
    { .name = "address", .kind = VENV_CONFIG_STRING, .min = 1, .max = 49, .fallback = "dhcp",
      .help = "dhcp, or ADDRESS/PREFIX for environments of one instance; the guest learns it through cloud_init, a container "
              "and Xen's scripts directly." },
    { .name = "gateway", .kind = VENV_CONFIG_STRING, .min = 1, .max = 45, .help = "Default gateway, with an address." },
    { .name = "dns", .kind = VENV_CONFIG_LIST, .of = &text_row, .one_or_list = true, .max = 4,
      .help = "Name servers, with an address." },
    { .name = NULL },
};
static const venv_environment_field network_fields[] = {
    { .key = "bridge", FIELD(venv_environment_network, name) },
    { .key = "network", FIELD(venv_environment_network, name) },
    { .key = "model", FIELD(venv_environment_network, model) },
    { .key = "address", FIELD(venv_environment_network, address) },
    { .key = "gateway", FIELD(venv_environment_network, gateway) },
    { .key = "dns", FIELD(venv_environment_network, dns) },
    { .key = NULL },
};

/* --- cloud_init, restart, scale --- */

static const venv_config_row seed_rows[] = {
    { .name = "user_data", .kind = VENV_CONFIG_STRING, .min = 1, .max = VENV_ENVIRONMENT_USER_DATA_MAX,
      .help = "User data as cloud-init knows it (it begins with #, as in #cloud-config, or with Content-Type:), or the absolute path of a file of the node, "
              "in a directory that its agent allows." },
    { .name = "network", .kind = VENV_CONFIG_ANY,
      .help = "A map: network configuration as cloud-init knows it; by default made from networks." },
    { .name = NULL },
};
static const venv_environment_field seed_fields[] = {
    { .key = "user_data", FIELD(venv_definition_seed, user_data), .lines = true },
    { .key = NULL },
};

static const venv_config_row restart_rows[] = {
    { .name = "wait", .kind = VENV_CONFIG_SPAN, .min = 0, .max = INT64_C(86400000000000), .fallback = "10s",
      .help = "Before the first time; twice as long before each further one." },
    { .name = "wait_max", .kind = VENV_CONFIG_SPAN, .min = 0, .max = INT64_C(86400000000000), .fallback = "10m",
      .help = "At most so long." },
    { .name = "times", .kind = VENV_CONFIG_INT, .min = 0, .max = 1000000, .fallback = "5",
      .help = "At most so often; then the instance has failed. 0: without end." },
    { .name = "reset", .kind = VENV_CONFIG_SPAN, .min = 0, .max = INT64_C(2592000000000000), .fallback = "1h",
      .help = "An instance that ran so long begins to count anew." },
    { .name = NULL },
};
static const venv_environment_field restart_fields[] = {
    { .key = "wait", FIELD(venv_definition_restart, wait) },
    { .key = "wait_max", FIELD(venv_definition_restart, wait_max) },
    { .key = "times", FIELD(venv_definition_restart, times) },
    { .key = "reset", FIELD(venv_definition_restart, reset) },
    { .key = NULL },
};

static const venv_config_row scale_rows[] = {
    { .name = "desired", .kind = VENV_CONFIG_EXPRESSION, .required = true,
      .help = "Expression: how many instances are wanted, rounded up. Where it is unknown nothing changes." },
    { .name = "min", .kind = VENV_CONFIG_INT, .min = 0, .max = 100000, .fallback = "0", .help = "Never fewer." },
    { .name = "max", .kind = VENV_CONFIG_INT, .min = 0, .max = 100000, .required = true, .help = "Never more." },
    { .name = "idle", .kind = VENV_CONFIG_EXPRESSION,
      .help = "Expression: whether an instance has no work; one that has is not stopped. By default none has." },
    { .name = "drain", .kind = VENV_CONFIG_LIST, .of = &text_row, .one_or_list = true, .min = 1, .max = 16,
      .help = "Command that takes an instance out of work, and its arguments, to which the instance's name is added. It is run by "
              "the agent in the instance, or, if the first item is @GROUP, by the agents of that group." },
    { .name = "undrain", .kind = VENV_CONFIG_LIST, .of = &text_row, .one_or_list = true, .min = 1, .max = 16,
      .help = "The same for a command that puts it back into work, when its draining is abandoned." },
    { .name = "by", .kind = VENV_CONFIG_ENUM, .choices = venv_scale_by_names, .fallback = "stop",
      .help = "How one too many goes: stop, or save (and it is restored when it is wanted again)." },
    { .name = "up", .kind = VENV_CONFIG_SPAN, .min = 0, .max = INT64_C(86400000000000), .fallback = "0s",
      .help = "How long more must have been wanted." },
    { .name = "down", .kind = VENV_CONFIG_SPAN, .min = 0, .max = INT64_C(86400000000000), .fallback = "5m",
      .help = "How long fewer must have been wanted." },
    { .name = "step_up", .kind = VENV_CONFIG_INT, .min = 0, .max = 100000, .fallback = "0",
      .help = "At most so many more at once; 0: as many as are wanted." },
    { .name = "step_down", .kind = VENV_CONFIG_INT, .min = 0, .max = 100000, .fallback = "0",
      .help = "At most so many fewer at once; 0: as many as are too many." },
    { .name = NULL },
};
static const venv_environment_field scale_fields[] = {
    { .key = "desired", FIELD(venv_definition_scale, desired), .lines = true },
    { .key = "min", FIELD(venv_definition_scale, min) },
    { .key = "max", FIELD(venv_definition_scale, max) },
    { .key = "idle", FIELD(venv_definition_scale, idle), .lines = true },
    { .key = "drain", FIELD(venv_definition_scale, drain) },
    { .key = "undrain", FIELD(venv_definition_scale, undrain) },
    { .key = "by", FIELD(venv_definition_scale, by) },
    { .key = "up", FIELD(venv_definition_scale, up) },
    { .key = "down", FIELD(venv_definition_scale, down) },
    { .key = "step_up", FIELD(venv_definition_scale, step_up) },
    { .key = "step_down", FIELD(venv_definition_scale, step_down) },
    { .key = NULL },
};

/* --- the whole --- */

static const venv_config_row disk_row = { .name = "disk", .kind = VENV_CONFIG_TABLE, .of = disk_rows };
static const venv_config_row network_row = { .name = "network", .kind = VENV_CONFIG_TABLE, .of = network_rows };

const venv_config_row venv_environment_rows[] = {
    { .name = "name", .kind = VENV_CONFIG_NAME,
      .help = "Its name, where the place of the definition does not say it (a file of its own, a message)." },
    { .name = "description", .kind = VENV_CONFIG_STRING, .min = 1, .max = 255, .help = "One line for people." },
    { .name = "hypervisor", .kind = VENV_CONFIG_ENUM, .choices = venv_hypervisor_kind_names, .fallback = "kvm",
      .help = "What runs it: kvm, qemu (by emulation), xen (paravirtual), lxc (a container), or test (libvirt's test driver: "
              "no guest at all)." },
    { .name = "image", .kind = VENV_CONFIG_STRING, .min = 1, .max = 80,
      .help = "NAME or NAME@VERSION: the image that the first disk is an overlay of." },
    { .name = "vcpus", .kind = VENV_CONFIG_INT, .min = 1, .max = VENV_ENVIRONMENT_VCPUS_MAX, .fallback = "1",
      .help = "Virtual processors." },
    { .name = "memory", .kind = VENV_CONFIG_SIZE, .required = true, .min = (int64_t)VENV_ENVIRONMENT_MEMORY_MIN,
      .max = (int64_t)VENV_ENVIRONMENT_MEMORY_MAX, .help = "Memory of the guest, a whole number of KiB." },
    { .name = "pin", .kind = VENV_CONFIG_ANY, .fallback = "false",
      .help = "true: each vCPU is bound to a processor of its own; or the list of processors, one for each vCPU." },
    { .name = "cpu", .kind = VENV_CONFIG_STRING, .min = 1, .max = 63,
      .help = "host-model (the default of kvm), host-passthrough, maximum (that of qemu), or a model that libvirt knows; one "
              "that all nodes have lets instances migrate among them." },
    { .name = "firmware", .kind = VENV_CONFIG_ENUM, .choices = venv_firmware_names, .fallback = "bios",
      .help = "What starts a virtual machine of kvm and qemu." },
    { .name = "kernel", .kind = VENV_CONFIG_PATH, .max = PATH_MAX_BYTES,
      .help = "Kernel to boot directly; without it the first disk is booted." },
    { .name = "initrd", .kind = VENV_CONFIG_PATH, .max = PATH_MAX_BYTES, .help = "Initial RAM disk for the kernel." },
    { .name = "cmdline", .kind = VENV_CONFIG_STRING, .min = 1, .max = VENV_ENVIRONMENT_CMDLINE_MAX - 1,
      .help = "Command line for the kernel." },
    { .name = "root", .kind = VENV_CONFIG_STRING, .min = 1, .max = 255,
      .help = "Root device of the kernel, such as /dev/xvda1; comes before cmdline as root=DEVICE." },
    { .name = "init", .kind = VENV_CONFIG_LIST, .of = &text_row, .one_or_list = true, .min = 1, .max = 32,
      .help = "Containers only: the first program, and its arguments; by default /sbin/init." },
    { .name = "clock", .kind = VENV_CONFIG_ENUM, .choices = venv_clock_names, .fallback = "utc",
      .help = "What the guest's hardware clock shows." },
    { .name = "display", .kind = VENV_CONFIG_ENUM, .choices = venv_display_names, .fallback = "none",
      .help = "screen: a graphics card that screenshots can be taken of; vnc, spice: that one can also sit at, through a socket "
              "of the node." },
    { .name = "disks", .kind = VENV_CONFIG_LIST, .of = &disk_row, .max = VENV_ENVIRONMENT_DISKS_MAX,
      .help = "Disks, in the order in which the guest sees them." },
    { .name = "networks", .kind = VENV_CONFIG_LIST, .of = &network_row, .max = VENV_ENVIRONMENT_NETWORKS_MAX,
      .help = "Network interfaces; each is one of bridge, network and user." },
    { .name = "cloud_init", .kind = VENV_CONFIG_TABLE, .of = seed_rows,
      .help = "The guest gets a seed for cloud-init with its host name; {} is enough for that." },
    { .name = "where", .kind = VENV_CONFIG_EXPRESSION, .help = "Expression over `node`: true for the nodes that may run it." },
    { .name = "prefer", .kind = VENV_CONFIG_EXPRESSION,
      .help = "Expression over `node`: a number, the node with the highest is taken; by default the fullest that fits." },
    { .name = "spread", .kind = VENV_CONFIG_ENUM, .choices = venv_spread_names, .fallback = "none",
      .help = "node, zone: the one with the fewest instances of this environment comes first, before prefer." },
    { .name = "affinity", .kind = VENV_CONFIG_LIST, .of = &name_row, .one_or_list = true, .max = 16,
      .help = "Environments: it runs only where an instance of each of them runs." },
    { .name = "anti_affinity", .kind = VENV_CONFIG_LIST, .of = &name_row, .one_or_list = true, .max = 16,
      .help = "Environments: it never runs beside an instance of one of them; its own name: one on each node." },
    { .name = "zone", .kind = VENV_CONFIG_LIST, .of = &name_row, .one_or_list = true, .max = 16,
      .help = "Zones of trust in which it may run; the manager's administrator says which node is in which." },
    { .name = "ready", .kind = VENV_CONFIG_ENUM, .choices = venv_ready_names, .fallback = "running",
      .help = "When an instance counts as started: running, its processor runs; agent, an agent of its name has joined; "
              "qemu-guest-agent, that answers in it." },
    { .name = "ready_timeout", .kind = VENV_CONFIG_SPAN, .min = 1000000000, .max = INT64_C(86400000000000), .fallback = "5m",
      .help = "One that is not ready in time is undone, and counted as failed." },
    { .name = "on_crash", .kind = VENV_CONFIG_ENUM, .choices = venv_crash_names, .fallback = "fail",
      .help = "A guest that crashed: fail, the instance has failed; restart, it is started again; stay, it is kept as it is." },
    { .name = "restart", .kind = VENV_CONFIG_TABLE, .of = restart_rows, .fallback = "{}",
      .help = "How on_crash: restart goes about it." },
    { .name = "priority", .kind = VENV_CONFIG_INT, .min = -1000, .max = 1000, .fallback = "0",
      .help = "Of two environments that want the same place, the one with the higher number is first." },
    { .name = "preempt", .kind = VENV_CONFIG_ENUM, .choices = venv_preempt_names, .fallback = "never",
      .help = "What one of higher priority may do to its instances: save or stop them." },
    { .name = "scale", .kind = VENV_CONFIG_TABLE, .of = scale_rows, .help = "How many instances there should be." },
    { .name = NULL },
};

const venv_environment_field venv_environment_fields[] = {
    { .key = "description", FIELD(venv_definition, description) },
    { .key = "hypervisor", FIELD(venv_definition, hypervisor) },
    { .key = "image", FIELD(venv_definition, image) },
    { .key = "vcpus", FIELD(venv_definition, vcpus) },
    { .key = "memory", FIELD(venv_definition, memory_bytes) },
    { .key = "cpu", FIELD(venv_definition, cpu) },
    { .key = "firmware", FIELD(venv_definition, firmware) },
    { .key = "kernel", FIELD(venv_definition, kernel) },
    { .key = "initrd", FIELD(venv_definition, initrd) },
    { .key = "cmdline", FIELD(venv_definition, cmdline) },
    { .key = "root", FIELD(venv_definition, root) },
    { .key = "init", FIELD(venv_definition, init) },
    { .key = "clock", FIELD(venv_definition, clock) },
    { .key = "display", FIELD(venv_definition, display) },
    { .key = "disks", .offset = offsetof(venv_definition, disks), .size = sizeof(venv_environment_disk),
      .count_offset = offsetof(venv_definition, disk_count), .fields = disk_fields },
    { .key = "networks", .offset = offsetof(venv_definition, networks), .size = sizeof(venv_environment_network),
      .count_offset = offsetof(venv_definition, network_count), .fields = network_fields },
    { .key = "cloud_init", FIELD(venv_definition, cloud_init), .given = true, .fields = seed_fields },
    { .key = "where", FIELD(venv_definition, where), .lines = true },
    { .key = "prefer", FIELD(venv_definition, prefer), .lines = true },
    { .key = "spread", FIELD(venv_definition, spread) },
    { .key = "affinity", FIELD(venv_definition, affinity) },
    { .key = "anti_affinity", FIELD(venv_definition, anti_affinity) },
    { .key = "zone", FIELD(venv_definition, zone) },
    { .key = "ready", FIELD(venv_definition, ready) },
    { .key = "ready_timeout", FIELD(venv_definition, ready_timeout) },
    { .key = "on_crash", FIELD(venv_definition, on_crash) },
    { .key = "restart", FIELD(venv_definition, restart), .fields = restart_fields },
    { .key = "priority", FIELD(venv_definition, priority) },
    { .key = "preempt", FIELD(venv_definition, preempt) },
    { .key = "scale", FIELD(venv_definition, scale), .given = true, .fields = scale_fields },
    { .key = NULL },
};

#define DEVICE_REASON                                                                                                     \
    "is refused: a device of the node ties the instance to that node (it could not be moved, saved or restored elsewhere), " \
    "and gives the guest the node's memory bus; use disks and networks"
#define RAW_REASON "is refused: options past the definition could undo every check of it"

const venv_environment_refusal venv_environment_refusals[] = {
    { "host_devices", DEVICE_REASON }, { "hostdevs", DEVICE_REASON }, { "hostdev", DEVICE_REASON },
    { "devices", DEVICE_REASON },      { "pci", DEVICE_REASON },      { "usb", DEVICE_REASON },
    { "qemu", RAW_REASON },            { "xml", RAW_REASON },         { "args", RAW_REASON },
    { NULL, NULL },
};
