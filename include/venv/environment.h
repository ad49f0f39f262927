/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_H
#define VENV_ENVIRONMENT_H

/**
 * @file venv/environment.h
 * @brief Environments: what an instance is made of, and the domain XML that libvirt starts it from.
 *
 *      YAML, CBOR                                    machine id, instance name, epoch
 *         │                                                     │
 *      venv_value ──venv_environment_from_value()──► venv_environment ──► domain XML
 *         ▲                                              │                   │ our mark is in its metadata
 *         └────────venv_environment_to_value()───────────┘                   ▼
 *                                               venv_machine_mark_parse() ◄── libvirt's metadata
 *
 * A definition is checked when it is made and never changes.  It travels as a value from the manager
 * to the agent, and is checked there again.
 *
 * @par Keys
 *      See venv-environment(5), and venv_definition for what becomes of them.  A key that is not known
 *      is an error, as a misspelt one would be.
 *
 * @par The mark
 *      Each domain that venv makes carries an element of the namespace VENV_MACHINE_MARK_NAMESPACE in its
 *      metadata.  A domain without it is counted for capacity and never touched.
 *
 * @par Example
 * @code
 *      venv_environment *environment = NULL;
 *      char *xml = NULL;
 *      if (venv_environment_from_value("class2", &value, NULL, NULL, &environment, &err) != VENV_OK)
 *          return report(&err);
 *      venv_machine_mark mark = { .epoch = 1 };
 *      …                                     // mark.id, mark.cluster, mark.instance, mark.console
 *      if (venv_environment_domain_xml(environment, &mark, NULL, &xml, &err) != VENV_OK)
 *          return report(&err);
 * @endcode
 *
 * @par Purity
 *      Nothing here opens a file, reads a clock or asks a hypervisor: that a file exists is found out
 *      by who starts the machine.
 *
 * @par Threads
 *      A definition belongs to one thread at a time (its reference count is not atomic).
 */

#include <venv/codec.h>
#include <venv/common.h>
#include <venv/expr.h>
#include <venv/value.h>

VENV_BEGIN_DECLS

/** @name Limits @{ */
#define VENV_ENVIRONMENT_VCPUS_MAX    512u                  /**< vCPUs of one instance. */
#define VENV_ENVIRONMENT_MEMORY_MIN   (UINT64_C(16) << 20)  /**< Bytes. */
#define VENV_ENVIRONMENT_MEMORY_MAX   (UINT64_C(16) << 40)  /**< Bytes. */
#define VENV_ENVIRONMENT_DISKS_MAX    16u
#define VENV_ENVIRONMENT_NETWORKS_MAX 8u
#define VENV_ENVIRONMENT_PATH_MAX     1024u                 /**< Bytes of a path, with the terminating NUL. */
#define VENV_ENVIRONMENT_CMDLINE_MAX  2048u                 /**< Bytes of a kernel command line, with the NUL. */
#define VENV_ENVIRONMENT_USER_DATA_MAX 16384u               /**< Bytes of user data inside of a definition. */
#define VENV_ENVIRONMENT_SIZE_MAX     65536u                /**< Bytes of all texts of a definition. */
#define VENV_ENVIRONMENT_CPUS_MAX     8192u                 /**< Processors of a node that can be named by `pin`. */
#define VENV_ENVIRONMENT_XML_MAX      262144u               /**< Bytes of domain XML, made or read. */
/** @} */

/** What runs the machine: libvirt's domain type. */
typedef enum venv_hypervisor_kind {
    VENV_HYPERVISOR_KVM = 0, /**< QEMU with the processor's help. */
    VENV_HYPERVISOR_QEMU,    /**< QEMU by emulation: slow, and runs anywhere. */
    VENV_HYPERVISOR_TEST,    /**< libvirt's built-in `test:///` and our `fake:`: no guest at all. */
    VENV_HYPERVISOR_XEN,     /**< Paravirtual guests of Xen. */
    VENV_HYPERVISOR_LXC,     /**< Containers of libvirt. */
    VENV_HYPERVISOR__COUNT
} venv_hypervisor_kind;

/** `"kvm"`, `"qemu"`, `"test"`, `"xen"`, `"lxc"`. */
VENV_API const char *venv_hypervisor_kind_name(venv_hypervisor_kind kind);

/** @name What a definition says.  Texts and lists are lent for the life of the definition; NULL is "not said". @{ */

/** A list of texts. */
typedef struct venv_definition_texts {
    const char *const *items;
    size_t count;
} venv_definition_texts;

/** Where the content of a disk is. */
typedef enum venv_disk_source {
    VENV_DISK_MADE = 0,  /**< Made for the instance: an overlay on `image`, or empty if that is NULL. */
    VENV_DISK_FILE,
    VENV_DISK_PARTITION, /**< A block device. */
    VENV_DISK_VOLUME,    /**< A logical volume; its path is `/dev/GROUP/NAME`. */
    VENV_DISK_DIRECTORY, /**< Of a container. */
    VENV_DISK_NETWORK,
    VENV_DISK_SOURCE__COUNT
} venv_disk_source;

typedef enum venv_disk_format { VENV_DISK_RAW = 0, VENV_DISK_QCOW2, VENV_DISK_FORMAT__COUNT } venv_disk_format;

typedef enum venv_disk_bus {
    VENV_DISK_VIRTIO = 0,
    VENV_DISK_SATA,
    VENV_DISK_SCSI,
    VENV_DISK_IDE,
    VENV_DISK_XEN,
    VENV_DISK_BUS__COUNT
} venv_disk_bus;

typedef enum venv_disk_device { VENV_DISK_IS_DISK = 0, VENV_DISK_IS_CDROM, VENV_DISK_DEVICE__COUNT } venv_disk_device;

typedef enum venv_disk_cache {
    VENV_DISK_CACHE_DEFAULT = 0,
    VENV_DISK_CACHE_NONE,
    VENV_DISK_CACHE_WRITEBACK,
    VENV_DISK_CACHE_WRITETHROUGH,
    VENV_DISK_CACHE_DIRECTSYNC,
    VENV_DISK_CACHE__COUNT
} venv_disk_cache;

/** What happens to a disk when its instance has ended for good. */
typedef enum venv_disk_end { VENV_DISK_DISCARD = 0, VENV_DISK_KEEP, VENV_DISK_END__COUNT } venv_disk_end;

typedef enum venv_disk_protocol {
    VENV_DISK_RBD = 0,
    VENV_DISK_NBD,
    VENV_DISK_ISCSI,
    VENV_DISK_PROTOCOL__COUNT
} venv_disk_protocol;

#define VENV_DISK_HOSTS_MAX 8u

/** A volume that is reached over the network. */
typedef struct venv_disk_network {
    venv_disk_protocol protocol;
    const char *name;              /**< rbd: `POOL/IMAGE`; nbd: the export; iscsi: `IQN/LUN`. */
    struct {
        const char *name;          /**< Host name or address. */
        uint16_t port;             /**< 0: the protocol's own. */
    } hosts[VENV_DISK_HOSTS_MAX];
    size_t host_count;
    const char *user, *secret;     /**< Who asks, and the UUID or usage of libvirt's secret on the node. */
} venv_disk_network;

typedef struct venv_environment_disk {
    venv_disk_source source;
    const char *path;              /**< Of a file, partition, volume or directory; else NULL. */
    const char *image;             /**< Made: the image that it is an overlay of, `NAME@VERSION`; NULL: an empty disk. */
    uint64_t size_bytes;           /**< Made: its size; 0: that of the image. */
    venv_disk_network network;     /**< If the source is the network. */
    venv_disk_format format;       /**< Always said, never probed: a guest could write another format's header. */
    venv_disk_bus bus;
    venv_disk_device device;
    venv_disk_cache cache;
    venv_disk_end at_end;          /**< What venv has not made is always kept. */
    const char *mount;             /**< Of a container: where it is seen. */
    bool readonly;
} venv_environment_disk;

typedef enum venv_network_kind {
    VENV_NETWORK_USER = 0, /**< QEMU's own address translation: out, and to the node as 10.0.2.2. */
    VENV_NETWORK_BRIDGE,
    VENV_NETWORK_NETWORK,  /**< One of libvirt's networks. */
    VENV_NETWORK_KIND__COUNT
} venv_network_kind;

typedef enum venv_network_model {
    VENV_NETWORK_MODEL_DEFAULT = 0, /**< virtio; Xen and containers have their own. */
    VENV_NETWORK_MODEL_VIRTIO,
    VENV_NETWORK_MODEL_E1000,
    VENV_NETWORK_MODEL_E1000E,
    VENV_NETWORK_MODEL_RTL8139,
    VENV_NETWORK_MODEL__COUNT
} venv_network_model;

#define VENV_NETWORK_NAME_MAX 63u /**< Bytes; a bridge's name is an interface's: at most 15. */

typedef struct venv_environment_network {
    venv_network_kind kind;
    const char *name;              /**< Of the bridge or network; NULL for user. */
    venv_network_model model;
    bool has_mac;
    uint8_t mac[6];
    const char *address;           /**< `ADDRESS/PREFIX`; NULL: by DHCP. */
    uint8_t family;                /**< Of the address: 4 or 6; 0: none. */
    uint8_t prefix;                /**< Bits of it. */
    const char *gateway;
    venv_definition_texts dns;
} venv_environment_network;

/** Where vCPUs run. */
typedef enum venv_definition_pin {
    VENV_PIN_NO = 0,
    VENV_PIN_ANY, /**< Each on one processor of its own; which, is chosen where it runs. */
    VENV_PIN_LIST /**< On these. */
} venv_definition_pin;

typedef enum venv_definition_firmware { VENV_FIRMWARE_BIOS = 0, VENV_FIRMWARE_EFI, VENV_FIRMWARE__COUNT } venv_definition_firmware;

typedef enum venv_definition_display {
    VENV_DISPLAY_NONE = 0,
    VENV_DISPLAY_SCREEN, /**< A graphics card that nobody watches: for screenshots. */
    VENV_DISPLAY_VNC,    /**< On a socket of the node. */
    VENV_DISPLAY_SPICE,
    VENV_DISPLAY__COUNT
} venv_definition_display;

typedef enum venv_definition_clock { VENV_CLOCK_UTC = 0, VENV_CLOCK_LOCALTIME, VENV_CLOCK__COUNT } venv_definition_clock;

/** How instances of one environment lie beside each other. */
typedef enum venv_definition_spread {
    VENV_SPREAD_NONE = 0, /**< Packed: the fullest node that fits. */
    VENV_SPREAD_NODE,     /**< The node with the fewest of them first. */
    VENV_SPREAD_ZONE,     /**< The zone with the fewest of them first. */
    VENV_SPREAD__COUNT
} venv_definition_spread;

/** When an instance counts as started. */
typedef enum venv_definition_ready {
    VENV_READY_RUNNING = 0, /**< Its processor runs. */
    VENV_READY_AGENT,       /**< An agent of the instance's name has joined. */
    VENV_READY_GUEST_AGENT, /**< The QEMU guest agent in it answers. */
    VENV_READY__COUNT
} venv_definition_ready;

typedef enum venv_definition_crash {
    VENV_CRASH_FAIL = 0, /**< The instance has failed; nothing is left of it. */
    VENV_CRASH_RESTART,  /**< Started again, with back-off. */
    VENV_CRASH_STAY,     /**< Kept as it is, for inspection. */
    VENV_CRASH__COUNT
} venv_definition_crash;

/** What one of higher priority may do to an instance that is in its way. */
typedef enum venv_definition_preempt {
    VENV_PREEMPT_NEVER = 0,
    VENV_PREEMPT_SAVE,
    VENV_PREEMPT_STOP,
    VENV_PREEMPT__COUNT
} venv_definition_preempt;

typedef enum venv_definition_scale_by { VENV_SCALE_BY_STOP = 0, VENV_SCALE_BY_SAVE, VENV_SCALE_BY__COUNT } venv_definition_scale_by;

/** How a crashed instance is started again. */
typedef struct venv_definition_restart {
    venv_span wait;     /**< Before the first time; twice as long each time after that … */
    venv_span wait_max; /**< … up to this. */
    uint32_t times;     /**< At most, then it has failed; 0: without end. */
    venv_span reset;    /**< One that ran this long begins anew with the first. */
} venv_definition_restart;

/** How many instances there should be. */
typedef struct venv_definition_scale {
    bool given;
    const char *desired;         /**< Expression: how many are wanted. */
    uint32_t min, max;
    const char *idle;            /**< Expression: whether an instance has no work. */
    venv_definition_texts drain; /**< Command that takes an instance out of work, and its arguments; before them `@GROUP`, or nothing. */
    venv_definition_texts undrain; /**< The same, to put it back into work. */
    venv_definition_scale_by by; /**< How one too many goes. */
    venv_span up, down;          /**< How long more, or fewer, must have been wanted before it is acted upon. */
    uint32_t step_up, step_down; /**< At most so many at once; 0: no such limit. */
} venv_definition_scale;

/** A seed for cloud-init (its NoCloud source). */
typedef struct venv_definition_seed {
    bool given;
    const char *user_data;       /**< The text itself, or NULL. */
    const char *user_data_file;  /**< A file of the node that has it, or NULL. */
    const venv_value *network;   /**< A map: cloud-init's network configuration; NULL: made from the interfaces. */
} venv_definition_seed;

/** Everything that a definition says. */
typedef struct venv_definition {
    const char *name, *description;
    const char *image;           /**< `NAME@VERSION`; the first disk is an overlay of it. */
    venv_hypervisor_kind hypervisor;
    venv_definition_firmware firmware;
    const char *cpu;             /**< Processor model; NULL: what fits the hypervisor. */
    uint32_t vcpus;
    uint64_t memory_bytes;       /**< Whole KiB. */
    venv_definition_pin pin;
    const uint32_t *pin_cpus;    /**< VENV_PIN_LIST: one for each vCPU. */
    const char *kernel, *initrd, *cmdline, *root;
    venv_definition_texts init;  /**< Of a container: the program, and its arguments. */
    venv_definition_clock clock;
    venv_definition_display display;
    const venv_environment_disk *disks;
    size_t disk_count;
    const venv_environment_network *networks;
    size_t network_count;
    venv_definition_seed cloud_init;
    const char *where, *prefer;  /**< As text. */
    venv_definition_spread spread;
    venv_definition_texts affinity, anti_affinity; /**< Names of environments. */
    venv_definition_texts zone;  /**< Zones of trust in which it may run; none: any. */
    venv_definition_ready ready;
    venv_span ready_timeout;
    venv_definition_crash on_crash;
    venv_definition_restart restart;
    int32_t priority;
    venv_definition_preempt preempt;
    venv_definition_scale scale;
} venv_definition;
/** @} */

/** A definition.  Immutable, reference counted. */
typedef struct venv_environment venv_environment;

/** @name Definition @{ */

/** What the expressions of a definition may use.  NULL: that expression is kept as text, unchecked. */
typedef struct venv_environment_words {
    venv_expr_env *place; /**< For `where` and `prefer`: has a variable `node`. */
    venv_expr_env *scale; /**< For `scale.desired`. */
    venv_expr_env *idle;  /**< For `scale.idle`. */
} venv_environment_words;

/**
 * Make a definition.
 *
 * @param name         As venv_name_is_valid().  NULL: the value has it under `name`.
 * @param value        A map.  Not consumed.
 * @param mark         Where the value stands in its file (venv/codec.h), for errors.  NULL if it is from no file.
 * @param words        What the expressions are compiled against.  NULL: they are kept as text, unchecked
 *                     (an agent does not evaluate them).
 * @param ret_environment  Owned: release with venv_environment_unref().
 * @param err          Says which key is wrong, what was expected, and where in the file, if the value is from one.
 * @retval VENV_OK
 * @retval VENV_EINVAL  Unknown, missing or malformed key, or an expression that does not compile.
 * @retval VENV_EKIND   A key's value is of the wrong kind.
 * @retval VENV_ERANGE  A number is out of its bounds.
 * @retval VENV_EDENIED A key that asks for a device of the node; the error says why there is none.
 * @retval VENV_ELIMIT  Too many disks or networks, too long a text.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_environment_from_value(const char *name, const venv_value *value,
                                                           const venv_mark *mark,
                                                           const venv_environment_words *words,
                                                           venv_environment **ret_environment,
                                                           venv_error *err);

/** An expression environment with the one variable `node`, for programs that have no other.
 *  @param ret_env  Owned: release with venv_expr_env_unref(). */
VENV_API VENV_MUST_USE venv_rc venv_environment_expr_env(venv_expr_env **ret_env, venv_error *err);

/** One more reference.  @return `environment`. */
VENV_API venv_environment *venv_environment_ref(venv_environment *environment);

/** Drop one reference.  Accepts NULL.  @return NULL. */
VENV_API venv_environment *venv_environment_unref(venv_environment *environment);

/**
 * The definition as a map, such that venv_environment_from_value() of it gives an equal one.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_environment_to_value(const venv_environment *environment,
                                                         venv_value *ret_value, venv_error *err);

/** Same name and same content. */
VENV_API bool venv_environment_equal(const venv_environment *a, const venv_environment *b);

/**
 * What is different between two definitions.
 * @param from, to  NULL: there is none, and all keys of the other are told.
 * @param ret_list  A list of maps `{key, from?, to?}`, with keys such as `disks[0].size`; empty if they are equal.  Owned.
 * @retval VENV_OK
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_environment_difference(const venv_environment *from, const venv_environment *to,
                                                           venv_value *ret_list, venv_error *err);

/** Everything it says, lent for the life of the definition. */
VENV_API const venv_definition *venv_environment_peek(const venv_environment *environment);

/** @name Parts of it, for short. @{ */
VENV_API const char *venv_environment_name(const venv_environment *environment);
VENV_API venv_hypervisor_kind venv_environment_hypervisor(const venv_environment *environment);
VENV_API uint32_t venv_environment_vcpus(const venv_environment *environment);
VENV_API uint64_t venv_environment_memory_bytes(const venv_environment *environment);
VENV_API int32_t venv_environment_priority(const venv_environment *environment);
/** The compiled `where` / `prefer`; NULL if there is none, or it was not compiled. */
VENV_API const venv_expr *venv_environment_where(const venv_environment *environment);
VENV_API const venv_expr *venv_environment_prefer(const venv_environment *environment);
/** The compiled `scale.desired` / `scale.idle`, likewise. */
VENV_API const venv_expr *venv_environment_desired(const venv_environment *environment);
VENV_API const venv_expr *venv_environment_idle(const venv_environment *environment);
/** @} */

/**
 * Make a definition out of what others wrote: a configuration of Xen's `xl` or `xm`, which is parsed and never executed, or
 * libvirt's domain XML.
 *
 * @param file      Name for errors.  May be NULL.
 * @param name      Of the environment; NULL: made from the name in the text.
 * @param ret_yaml  A map `environments` with the definition, and comments on each thing that was not carried over; where it
 *                  cannot be applied as it is, its first line says why.  Owned: free().
 * @retval VENV_OK
 * @retval VENV_EINVAL  It is neither; the error says what was expected where.
 * @retval VENV_ELIMIT  Longer than VENV_ENVIRONMENT_XML_MAX, or too much in it.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_environment_import(const char *text, size_t size, const char *file, const char *name,
                                                       char **ret_yaml, venv_error *err);

/**
 * Check that each file of the definition lies in one of the directories.
 *
 * The check is on the text: paths are absolute and have no empty, `.` or `..` part.  Symbolic links
 * inside the directories are their owner's business.
 *
 * @param directories  Absolute paths.
 * @retval VENV_OK
 * @retval VENV_EDENIED  A file lies elsewhere; the error names the file and the directories.
 */
VENV_API VENV_MUST_USE venv_rc venv_environment_check_files(const venv_environment *environment,
                                                            const char *const *directories,
                                                            size_t count, venv_error *err);

/** File `index` that must be on the node (kernel, initrd, files, partitions, volumes and directories of disks, user
 *  data), lent; NULL past the end.  Disks that are made for the instance are not among them. */
VENV_API const char *venv_environment_file(const venv_environment *environment, size_t index);
/** @} */

/** @name The mark and the domain @{ */

#define VENV_MACHINE_MARK_NAMESPACE "urn:venv:machine:1" /**< XML namespace of our element in a domain's metadata. */
#define VENV_MACHINE_MARK_PREFIX    "venv"               /**< Its prefix; only the namespace counts when reading. */
#define VENV_DOMAIN_PREFIX  "venv-"              /**< A domain is named `venv-INSTANCE`. */

/** Who a domain is. */
typedef struct venv_machine_mark {
    venv_id id;                          /**< Of the machine: the UUID of the domain. */
    char cluster[VENV_NAME_MAX + 1];     /**< Whose it is: another cluster's machines are foreign. */
    char instance[VENV_NAME_MAX + 1];
    char environment[VENV_NAME_MAX + 1]; /**< Filled from the definition when XML is made. */
    uint64_t epoch;                      /**< Of its placement: grows with each one. */
    char console[VENV_ENVIRONMENT_PATH_MAX]; /**< File that gets the serial console's output; empty for none. */
} venv_machine_mark;

/** What was made or chosen for one instance on its node.  All of it is lent, and every path is absolute. */
typedef struct venv_domain_files {
    struct {
        const char *path;             /**< The file that was made, in the disk's format. */
        const char *base;             /**< The file that it is an overlay of, or NULL. */
        venv_disk_format base_format;
    } disks[VENV_ENVIRONMENT_DISKS_MAX]; /**< For the disks whose source is VENV_DISK_MADE; others are not looked at. */
    const char *seed;                 /**< The image of cloud-init's CD, or NULL. */
    const uint32_t *cpus;             /**< VENV_PIN_ANY: the processor of each vCPU, or NULL to leave it to the node. */
} venv_domain_files;

/**
 * Make libvirt's domain XML.
 *
 * Made as a tree: no character of any field can change its structure.
 *
 * @param mark     Who it is.  `environment` of it is not read.
 * @param files    What was made for it; NULL where the definition needs nothing made.
 * @param ret_xml  Owned: free().
 * @retval VENV_OK
 * @retval VENV_EINVAL  A name of the mark is malformed, its id is none, the console is no absolute path, or a file
 *                      that the definition needs is not in `files`.
 * @retval VENV_ELIMIT  Longer than VENV_ENVIRONMENT_XML_MAX.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_environment_domain_xml(const venv_environment *environment,
                                                           const venv_machine_mark *mark,
                                                           const venv_domain_files *files, char **ret_xml,
                                                           venv_error *err);

/**
 * Read our mark from XML: our element alone, as libvirt gives a domain's metadata, or a whole domain.
 *
 * `ret_mark->id` is set only from a whole domain; metadata alone does not have it.
 *
 * @retval VENV_OK
 * @retval VENV_ENOENT  It is XML and has no mark of ours.
 * @retval VENV_EINVAL  It is no XML, has a DOCTYPE, or the mark is malformed.
 * @retval VENV_ELIMIT  Longer than VENV_ENVIRONMENT_XML_MAX.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_mark_parse(const char *xml, size_t size, venv_machine_mark *ret_mark,
                                               venv_error *err);
/** @} */

VENV_END_DECLS
#endif /* VENV_ENVIRONMENT_H */
