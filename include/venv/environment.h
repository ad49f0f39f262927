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
 *      `name hypervisor vcpus memory kernel initrd cmdline disks networks where prefer ready priority`,
 *      see venv-environment(5).  A key that is not known is an error, as a misspelt one would be.
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
 *      if (venv_environment_domain_xml(environment, &mark, &xml, &err) != VENV_OK)
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
#define VENV_ENVIRONMENT_XML_MAX      262144u               /**< Bytes of domain XML, made or read. */
/** @} */

/** What runs the machine: libvirt's domain type. */
typedef enum venv_hypervisor_kind {
    VENV_HYPERVISOR_KVM = 0, /**< QEMU with the processor's help. */
    VENV_HYPERVISOR_QEMU,    /**< QEMU by emulation: slow, and runs anywhere. */
    VENV_HYPERVISOR_TEST,    /**< libvirt's built-in `test:///` and our `fake:`: no guest at all. */
    VENV_HYPERVISOR__COUNT
} venv_hypervisor_kind;

/** `"kvm"`, `"qemu"`, `"test"`. */
VENV_API const char *venv_hypervisor_kind_name(venv_hypervisor_kind kind);

/** A definition.  Immutable, reference counted. */
typedef struct venv_environment venv_environment;

/** @name Definition @{ */

/**
 * Make a definition.
 *
 * @param name         As venv_name_is_valid().  NULL: the value has it under `name`.
 * @param value        A map with the keys above.  Not consumed.
 * @param mark         Where the value stands in its file (venv/codec.h), for errors.  NULL if it is from no file.
 * @param expressions  Compile `where` and `prefer` against it; it has a variable `node`.
 *                     NULL: they are kept as text, unchecked (an agent does not evaluate them).
 * @param ret_environment  Owned: release with venv_environment_unref().
 * @param err          Says which key is wrong, what was expected, and where in the file, if the value is from one.
 * @retval VENV_OK
 * @retval VENV_EINVAL  Unknown, missing or malformed key, or an expression that does not compile.
 * @retval VENV_EKIND   A key's value is of the wrong kind.
 * @retval VENV_ERANGE  A number is out of its bounds.
 * @retval VENV_ELIMIT  Too many disks or networks, too long a text.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_environment_from_value(const char *name, const venv_value *value,
                                                           const venv_mark *mark,
                                                           venv_expr_env *expressions,
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

/** @name What it says.  Texts are lent for the life of the definition. @{ */
VENV_API const char *venv_environment_name(const venv_environment *environment);
VENV_API venv_hypervisor_kind venv_environment_hypervisor(const venv_environment *environment);
VENV_API uint32_t venv_environment_vcpus(const venv_environment *environment);
VENV_API uint64_t venv_environment_memory_bytes(const venv_environment *environment);
VENV_API int32_t venv_environment_priority(const venv_environment *environment);
/** The compiled `where` / `prefer`; NULL if there is none, or it was not compiled. */
VENV_API const venv_expr *venv_environment_where(const venv_environment *environment);
VENV_API const venv_expr *venv_environment_prefer(const venv_environment *environment);
/** @} */

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

/** File `index` that the machine needs (kernel, initrd, disks), lent; NULL past the end. */
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

/**
 * Make libvirt's domain XML.
 *
 * Made as a tree: no character of any field can change its structure.
 *
 * @param mark     Who it is.  `environment` of it is not read.
 * @param ret_xml  Owned: free().
 * @retval VENV_OK
 * @retval VENV_EINVAL  A name of the mark is malformed, its id is none, or the console is no absolute path.
 * @retval VENV_ELIMIT  Longer than VENV_ENVIRONMENT_XML_MAX.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_environment_domain_xml(const venv_environment *environment,
                                                           const venv_machine_mark *mark, char **ret_xml,
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
