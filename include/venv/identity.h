/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_IDENTITY_H
#define VENV_IDENTITY_H

/**
 * @file venv/identity.h
 * @brief Who is who in a cluster: its certificate authority, certificates, and TLS between peers.
 *
 * A cluster has one **certificate authority** (CA).  It signs a certificate for each manager, agent and
 * user, and the identity is a URI in it, never a word in a message:
 *
 *      venv://CLUSTER/ROLE/NAME            venv://perugia/agent/node07
 *
 *      peer's bytes ──► venv_tls_feed() ──► venv_tls_read()   ──► plain bytes
 *      to the peer  ◄── venv_tls_output() ◄── venv_tls_write() ◄── plain bytes
 *
 * @par Shape
 *      A directory of certificates holds `ca.crt`, `ca.key` and, for each peer, `ROLE-NAME.crt` and
 *      `ROLE-NAME.key`.  All are PEM.  Keys are P-256 or Ed25519 and have mode 0600.
 *
 * @par What a connection always does
 *      TLS 1.3 only; both sides show a certificate; only the cluster's CA is trusted, the system's
 *      store is never looked at; clients talk to managers only and managers to agents and users only;
 *      no tickets, no resumption, no 0-RTT.  No option, variable or build switch turns any of it off.
 *
 * @par Purity
 *      Time is an argument, also for the validity of certificates.  The functions on files read and
 *      write files; a venv_tls does no input or output: it turns bytes into bytes.
 *
 * @par Example
 * @code
 *      venv_tls_context *context = NULL;
 *      venv_tls_files files = { .ca = "ca.crt", .certificate = "agent-node07.crt", .key = "agent-node07.key" };
 *      if (venv_tls_context_new(VENV_TLS_CLIENT, &files, &context, &err) != VENV_OK)
 *          return report(&err);
 * @endcode
 *
 * @par Threads
 *      A context is immutable and may be shared.  A venv_tls belongs to one thread at a time.
 */

#include <venv/common.h>

VENV_BEGIN_DECLS

#define VENV_IDENTITY_URI_MAX 160 /**< Bytes of an identity as a URI, with the terminating NUL. */
#define VENV_CERT_HOST_COUNT_MAX 16 /**< Host names and addresses in one certificate. */
#define VENV_CERT_DAYS_MAX 3652 /**< Longest life of a certificate: ten years. */
#define VENV_CERT_DAYS_DEFAULT 365 /**< Life of a certificate when nothing is said. */
#define VENV_CERT_PATH_MAX 4096 /**< Bytes of a path, with the terminating NUL. */

/** Who a peer is. */
typedef struct venv_identity {
    char cluster[VENV_NAME_MAX + 1];
    venv_role role;
    char name[VENV_NAME_MAX + 1];
} venv_identity;

/**
 * Write `venv://CLUSTER/ROLE/NAME`.
 * @return `ret_uri`.
 */
VENV_API const char *venv_identity_format(const venv_identity *identity,
                                          char ret_uri[VENV_IDENTITY_URI_MAX]);

/** Read a URI of that form, strictly.  @return false if it is anything else. */
VENV_API bool venv_identity_parse(venv_str uri, venv_identity *ret_identity);

/**
 * Fill memory with random bytes that are fit for keys, from the operating system.
 * @retval VENV_EIO  There is no source of randomness.
 */
VENV_API VENV_MUST_USE venv_rc venv_identity_random(void *data, size_t size, venv_error *err);

/** A random id (version 4 of RFC 9562) that is fit to be unguessable. */
VENV_API VENV_MUST_USE venv_rc venv_identity_random_id(venv_id *ret_id, venv_error *err);

/** @name Certificates @{ */

typedef enum venv_key_kind {
    VENV_KEY_P256 = 0, /**< ECDSA on NIST P-256. */
    VENV_KEY_ED25519,
} venv_key_kind;

/** How to make a CA or a certificate.  Zeroed fields mean the default. */
typedef struct venv_cert_options {
    venv_key_kind key;
    uint32_t days;            /**< Life; 0: ten years for a CA, else VENV_CERT_DAYS_DEFAULT but not beyond the CA's end. */
    const char *const *hosts; /**< DNS names and addresses to add, for tools that look at them; managers only. */
    size_t host_count;
    bool replace;             /**< Overwrite what is there. */
} venv_cert_options;

/** What is in a certificate, for people and for reminders. */
typedef struct venv_cert_info {
    venv_identity identity; /**< Role VENV_ROLE_NONE and an empty name for a CA. */
    bool is_ca;
    venv_wall not_before, not_after;
    char serial[41];        /**< Hexadecimal. */
    char fingerprint[96];   /**< SHA-256 over the certificate, `AB:CD:…`. */
    char key[16];           /**< `"P-256"`, `"Ed25519"` or another. */
    char hosts[512];        /**< DNS names and addresses, separated by spaces; cut at the limit. */
} venv_cert_info;

/**
 * Make a cluster's CA: `ca.key` and `ca.crt` in `directory`, which is made with mode 0700 if it is absent.
 *
 * The files are complete or absent, and on disk when it returns.
 *
 * @param options  May be NULL.
 * @param now      Validity begins one hour before it, for clocks that differ.
 * @retval VENV_EINVAL  The name of the cluster is malformed, or an option out of its bounds.
 * @retval VENV_EEXIST  There is a CA already, and `options->replace` is false.
 * @retval VENV_EIO  @retval VENV_ENOSPACE  With the path and the system's reason.
 */
VENV_API VENV_MUST_USE venv_rc venv_ca_init(const char *directory, const char *cluster,
                                            const venv_cert_options *options, venv_wall now,
                                            venv_error *err);

/**
 * Make a key and a certificate for a peer, signed by the CA in `directory`: `ROLE-NAME.key` and `ROLE-NAME.crt`.
 *
 * @param output   Directory for the two files; NULL: beside the CA.
 * @param options  May be NULL.
 * @retval VENV_EINVAL  The name is malformed, the role none, or an option out of its bounds.
 * @retval VENV_ENOENT  There is no CA in `directory`.
 * @retval VENV_EEXIST  There is such a file, and `options->replace` is false.
 * @retval VENV_ERANGE  It would outlive the CA, or the CA is expired at `now`.
 * @retval VENV_EIO  @retval VENV_ENOSPACE  With the path and the system's reason.
 */
VENV_API VENV_MUST_USE venv_rc venv_ca_issue(const char *directory, venv_role role, const char *name,
                                             const char *output, const venv_cert_options *options,
                                             venv_wall now, venv_error *err);

/**
 * Path of a file that venv_ca_issue() makes: `DIRECTORY/ROLE-NAME.SUFFIX` (`crt` or `key`).
 * @return `ret_path`; empty if it does not fit.
 */
VENV_API const char *venv_cert_path(const char *directory, venv_role role, const char *name,
                                    const char *suffix, char ret_path[VENV_CERT_PATH_MAX]);

/**
 * Read a certificate from a PEM file.  Its signature is not checked.
 * @retval VENV_ENOENT  No such file.
 * @retval VENV_EINVAL  Not a certificate, or its identity is malformed.
 * @retval VENV_EIO
 */
VENV_API VENV_MUST_USE venv_rc venv_cert_read(const char *path, venv_cert_info *ret_info, venv_error *err);

/** @} */

/** @name TLS as a machine from bytes to bytes @{ */

#define VENV_TLS_OUTPUT_MAX (32u << 20)    /**< Bytes for the peer that may wait in one venv_tls. */
#define VENV_TLS_PLAIN_MAX (1u << 20)      /**< Plain bytes that may wait to be read. */
#define VENV_TLS_HANDSHAKE_MAX (128u << 10) /**< Bytes that a peer may send before it is known. */

typedef enum venv_tls_side {
    VENV_TLS_CLIENT = 0, /**< An agent or a user; demands that the peer is a manager. */
    VENV_TLS_SERVER,     /**< A manager; demands that the peer is an agent or a user. */
} venv_tls_side;

/** Paths of PEM files. */
typedef struct venv_tls_files {
    const char *ca, *certificate, *key;
} venv_tls_files;

/** Our certificate and key, whom to trust, and all settings. */
typedef struct venv_tls_context venv_tls_context;

/**
 * Read the files and check that they fit together: the key belongs to the certificate, the certificate is
 * signed by the CA and is of a role that may be on this side (dates are checked at each connection).
 *
 * @param[out] ret_context  Owned: release with venv_tls_context_free().
 * @retval VENV_ENOENT   A file is missing.
 * @retval VENV_EDENIED  The key's file can be read by others (mode 0600 is right; 0640 if root owns it), or not by us.
 * @retval VENV_EINVAL   A file is not what it should be, or they do not fit together.
 * @retval VENV_EIO  @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_tls_context_new(venv_tls_side side, const venv_tls_files *files,
                                                    venv_tls_context **ret_context, venv_error *err);

/** Release.  Connections made from it go on.  Accepts NULL. */
VENV_API void venv_tls_context_free(venv_tls_context *context);

/** Our own certificate.  Borrowed while the context lives. */
VENV_API const venv_cert_info *venv_tls_context_peek_own(const venv_tls_context *context);

/** Why a connection failed.  The text of the error says it in words; this is for counting and for tests. */
typedef enum venv_tls_fault {
    VENV_TLS_FAULT_NONE = 0,
    VENV_TLS_FAULT_NO_CERTIFICATE, /**< The peer showed none. */
    VENV_TLS_FAULT_OTHER_CA,       /**< Signed by somebody else, or by nobody but itself. */
    VENV_TLS_FAULT_EXPIRED,
    VENV_TLS_FAULT_NOT_YET_VALID,
    VENV_TLS_FAULT_WEAK_KEY,       /**< A key or signature that is too weak or of a kind that we do not use. */
    VENV_TLS_FAULT_PURPOSE,        /**< The certificate is not for this side of a connection. */
    VENV_TLS_FAULT_IDENTITY,       /**< No identity, two, or a malformed one. */
    VENV_TLS_FAULT_CLUSTER,        /**< Another cluster. */
    VENV_TLS_FAULT_ROLE,           /**< A role that may not be on the other side. */
    VENV_TLS_FAULT_CERTIFICATE,    /**< Any other fault of the peer's certificate. */
    VENV_TLS_FAULT_VERSION,        /**< The peer does not speak TLS 1.3, or none of our algorithms. */
    VENV_TLS_FAULT_NOT_TLS,        /**< What it sent is not TLS. */
    VENV_TLS_FAULT_PROTOCOL,       /**< It was TLS, and then broke the protocol. */
    VENV_TLS_FAULT_REFUSED,        /**< The peer refused *us*, with an alert. */
    VENV_TLS_FAULT_CUT,            /**< The connection ended without a farewell. */
    VENV_TLS_FAULT_LIMIT,          /**< Too many bytes before it was known, or too many waiting. */
    VENV_TLS_FAULT_INTERNAL,       /**< Out of memory or a defect. */
} venv_tls_fault;

/** Stable lower-case name, for example `"wrong-role"`. */
VENV_API const char *venv_tls_fault_name(venv_tls_fault fault);

typedef enum venv_tls_state {
    VENV_TLS_HANDSHAKE = 0,
    VENV_TLS_OPEN,   /**< The peer is known.  **A client** may still be refused by the manager: only what it
                          reads proves that it was let in (a property of TLS 1.3). */
    VENV_TLS_ENDED,  /**< The peer said farewell; what it sent before can be read. */
    VENV_TLS_FAILED, /**< See venv_tls_fault_of(). */
} venv_tls_state;

/** One connection. */
typedef struct venv_tls venv_tls;

/**
 * Begin a connection.  A client has bytes to send at once.
 *
 * @param now      The wall clock for the validity of the peer's certificate.
 * @param address  For error texts, for example `"192.0.2.7:40112"`; copied; may be NULL.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_tls_new(const venv_tls_context *context, venv_wall now,
                                            const char *address, venv_tls **ret_tls, venv_error *err);

/** Release.  Accepts NULL. */
VENV_API void venv_tls_free(venv_tls *tls);

VENV_API venv_tls_state venv_tls_state_of(const venv_tls *tls);
VENV_API venv_tls_fault venv_tls_fault_of(const venv_tls *tls);

/** Who the peer is.  Borrowed while `tls` lives; NULL before the handshake is done and after it failed. */
VENV_API const venv_identity *venv_tls_peek_peer(const venv_tls *tls);

/**
 * Take bytes from the peer, all of them.  Look at the state, the output and what can be read after each call.
 *
 * On failure there may still be output (an alert that tells the peer why): send it, then close.  Failures
 * stick: every later call returns the same.
 *
 * @retval VENV_EDENIED       The peer is not who may be there.
 * @retval VENV_EPROTO        Not TLS, another version, or a broken stream.
 * @retval VENV_EUNREACHABLE  The peer refused us, and says why.
 * @retval VENV_ELIMIT        VENV_TLS_HANDSHAKE_MAX, or more than VENV_TLS_PLAIN_MAX are waiting to be read.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_tls_feed(venv_tls *tls, const void *data, size_t size, venv_error *err);

/**
 * The peer's bytes have ended (end of file, reset).
 * @retval VENV_OK            It had said farewell.
 * @retval VENV_EUNREACHABLE  It had not: what came last may be cut.
 */
VENV_API VENV_MUST_USE venv_rc venv_tls_feed_end(venv_tls *tls, venv_error *err);

/** Plain bytes that are waiting.  Borrowed until the next call on `tls`. */
VENV_API venv_str venv_tls_peek(const venv_tls *tls);
/** Remove bytes at the front of what venv_tls_peek() shows. */
VENV_API void venv_tls_drop(venv_tls *tls, size_t size);
/** Copy and remove up to `size` plain bytes.  @return How many; 0 if none wait. */
VENV_API size_t venv_tls_read(venv_tls *tls, void *data, size_t size);

/**
 * Encrypt bytes for the peer: all, or none on failure.
 * @retval VENV_ECONFLICT  The connection is not open.
 * @retval VENV_ELIMIT     More than VENV_TLS_OUTPUT_MAX would wait; the connection is as it was.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_tls_write(venv_tls *tls, const void *data, size_t size, venv_error *err);

/** Say farewell.  There is output afterwards. */
VENV_API void venv_tls_close(venv_tls *tls);

/** Encrypted bytes to send.  Borrowed until the next call on `tls`. */
VENV_API venv_str venv_tls_output(const venv_tls *tls);
/** They were sent: remove `size` bytes at the front. */
VENV_API void venv_tls_drop_output(venv_tls *tls, size_t size);
/** Hand all of the output over: `malloc`ed bytes that the caller frees, NULL if there is none. */
VENV_API uint8_t *venv_tls_take_output(venv_tls *tls, size_t *ret_size);

/** @} */

VENV_END_DECLS
#endif /* VENV_IDENTITY_H */
