/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORAGE_H
#define VENV_STORAGE_H

/**
 * @file venv/storage.h
 * @brief Storage: files and objects over many protocols, through one interface.
 *
 *                              ┌─ file:///srv/images/a
 *      venv_storage_get(url) ──┼─ https://mirror.example.org/images/a
 *      venv_storage_put(url)   ├─ davs:// ftps:// sftp:// s3://bucket/images/a
 *      venv_storage_copy(…)    └─ memory://scratch/a   mock://scratch/a
 *
 * A URL says where; a credential, named and never written into the URL, says with which secret.  Bytes
 * stream through callbacks: nothing is held whole in memory, but by the two functions that say so.
 *
 * @par URLs
 *      `scheme://[user@][host[:port]]/path[#key=value,…]`.  Reserved and non-ASCII bytes of the path are
 *      percent-encoded.  The part after `#` is for the driver and is never sent: `credential=NAME` for all,
 *      `endpoint=https://…` and `region=…` for s3, `tls=required` for ftp.  A password in a URL, a
 *      segment `.` or `..`, an encoded `/`, control characters: VENV_EINVAL.  See venv-storage(7).
 *
 * @par Where requests may go
 *      By default to hosts on public addresses, over protocols that encrypt.  What is inside (loopback,
 *      private networks, link-local) and what is plain (`http`, `ftp`) is opened with `networks` and
 *      `schemes` of venv_storage_options.  The address that is *connected to* is what counts, so no spelling
 *      of a host, no redirect and no change of a name service gets around it.
 *
 * @par Done means done
 *      A put that returned VENV_OK is complete and, with `file:`, on disk; one that failed left what was
 *      there before.  (`ftp`, `sftp` and plain `http` write in place: there use venv_storage_copy(),
 *      which writes under a temporary name, verifies, and renames.)
 *
 * @par Example
 * @code
 *      venv_storage_options options = VENV_STORAGE_OPTIONS_INIT;
 *      venv_storage *storage = NULL;
 *      venv_storage_error err = { 0 };
 *      if (venv_storage_new(&options, &storage, &err) != VENV_OK ||
 *          venv_storage_copy(storage, "file:///srv/a.img", "sftp://backup@host/a.img#credential=backup",
 *                            NULL, NULL, &err) != VENV_OK)
 *          fprintf(stderr, "%s\n", err.text);
 *      venv_storage_free(storage);
 * @endcode
 *
 * @par Threads
 *      Calls block.  A venv_storage belongs to one thread at a time; only venv_storage_cancel() may be
 *      called from another.  venv_storage_copy() reads in a thread of its own; callbacks are called in the
 *      caller's thread only.  Different storages are independent.
 */

#include <venv/common.h>

VENV_BEGIN_DECLS

#define VENV_STORAGE_URL_MAX        4096u /**< Bytes of a URL, with the terminating NUL. */
#define VENV_STORAGE_NAME_MAX       1024u /**< Bytes of one name in a list, with the terminating NUL. */
#define VENV_STORAGE_TEXT_MAX       1024u /**< Bytes of an error's text, with the terminating NUL. */
#define VENV_STORAGE_OUTPUT_MAX     2048u /**< Bytes of the other side's own words, with the terminating NUL. */
#define VENV_STORAGE_ENTRIES_MAX    1000000u /**< Entries of one directory; past it VENV_ELIMIT. */
#define VENV_STORAGE_CREDENTIALS_MAX 64u  /**< Credentials of one storage. */
#define VENV_STORAGE_REDIRECTS_MAX  3u    /**< Redirects that one request follows. */
#define VENV_STORAGE_SHA256_SIZE    32u   /**< Bytes of a SHA-256. */
#define VENV_STORAGE_SIZE_UNKNOWN   UINT64_MAX /**< As a size: not known; as the length of a range: to the end. */

/** A user of storage: settings, credentials, open connections. */
typedef struct venv_storage venv_storage;

/** @name Errors @{ */

/** What kind of failure.  The word in capitals of each is what venv_storage_class_name() returns. */
typedef enum venv_storage_class {
    VENV_STORAGE_NONE = 0,             /**< No failure. */
    VENV_STORAGE_NOT_FOUND,            /**< There is no such object, directory or bucket. */
    VENV_STORAGE_EXISTS,               /**< There is one already. */
    VENV_STORAGE_PERMISSION,           /**< Known, and not allowed; or a rule of ours forbids it. */
    VENV_STORAGE_TRANSFER,             /**< Bytes stopped on their way: connection lost, I/O error. */
    VENV_STORAGE_OPERATION,            /**< Not possible with this object: a directory, not empty, too large. */
    VENV_STORAGE_PROTOCOL_MISMATCH,    /**< The other side speaks otherwise than it should. */
    VENV_STORAGE_PROTOCOL_UNSUPPORTED, /**< No driver for the scheme, or the protocol has no such operation. */
    VENV_STORAGE_UNREACHABLE,          /**< No connection: name, route, refused, service down. */
    VENV_STORAGE_INVALID,              /**< Malformed URL or argument. */
    VENV_STORAGE_INTEGRITY,            /**< The bytes are not what they should be. */
    VENV_STORAGE_TOOL_MISSING,         /**< Something is missing on this machine: a library's feature, a file of ours. */
    VENV_STORAGE_STALE_HANDLE,         /**< What was opened is gone or was replaced meanwhile. */
    VENV_STORAGE_TIMEOUT,              /**< Not in the time given. */
    VENV_STORAGE_CREDENTIAL,           /**< Login, key or certificate missing, wrong or expired. */
    VENV_STORAGE_NO_SPACE,             /**< Disk, quota or memory of the destination is full. */
    VENV_STORAGE_BUSY,                 /**< In use or overloaded: later it may work. */
    VENV_STORAGE_CANCELED,             /**< Given up on request. */
    VENV_STORAGE_CLASS__COUNT
} venv_storage_class;

/** `"NOT_FOUND"`, `"EXISTS"`, …; `"NONE"` for anything else. */
VENV_API const char *venv_storage_class_name(venv_storage_class klass);

/** Read what venv_storage_class_name() writes.  @return VENV_STORAGE_NONE if it is no class. */
VENV_API venv_storage_class venv_storage_class_parse(venv_str name);

/** One sentence for people: what the class means and what to do about it. */
VENV_API const char *venv_storage_class_explain(venv_storage_class klass);

/** The code of common.h that functions return for a class. */
VENV_API venv_rc venv_storage_class_rc(venv_storage_class klass);

/** Which side failed. */
typedef enum venv_storage_scope {
    VENV_STORAGE_LOCAL = 0,   /**< This program: arguments, memory, credentials, rules. */
    VENV_STORAGE_SOURCE,      /**< What is read. */
    VENV_STORAGE_DESTINATION, /**< What is written or changed. */
    VENV_STORAGE_BETWEEN,     /**< The transfer between the two. */
} venv_storage_scope;

/** `"local"`, `"source"`, `"destination"`, `"transfer"`. */
VENV_API const char *venv_storage_scope_name(venv_storage_scope scope);

/** When it failed. */
typedef enum venv_storage_phase {
    VENV_STORAGE_PARSE = 0,  /**< Reading the URL and the arguments. */
    VENV_STORAGE_RESOLVE,    /**< Looking up the host. */
    VENV_STORAGE_CONNECT,    /**< Connecting, with the handshake of TLS or SSH. */
    VENV_STORAGE_LOGIN,      /**< Proving who we are. */
    VENV_STORAGE_REQUEST,    /**< The operation itself, before bytes flow. */
    VENV_STORAGE_DATA,       /**< While bytes flow. */
    VENV_STORAGE_COMMIT,     /**< Making it durable or visible: sync, rename, end of upload. */
    VENV_STORAGE_VERIFY,     /**< Comparing checksums. */
    VENV_STORAGE_PHASE__COUNT
} venv_storage_phase;

/** `"parse"`, `"resolve"`, `"connect"`, `"login"`, `"request"`, `"data"`, `"commit"`, `"verify"`. */
VENV_API const char *venv_storage_phase_name(venv_storage_phase phase);

/** What went wrong.  A plain value; zero it before use. */
typedef struct venv_storage_error {
    venv_rc rc;                         /**< As returned. */
    venv_storage_class klass;
    venv_storage_scope scope;
    venv_storage_phase phase;
    bool retryable;                     /**< The same call may succeed later, and doing it again is safe. */
    int errnum;                         /**< errno, 0 if there is none. */
    long native;                        /**< Code of the protocol: HTTP status, FTP reply, code of libcurl; 0 if there is none. */
    venv_span retry_after;              /**< The other side asks to wait so long; 0 if it does not. */
    char protocol[16];                  /**< Scheme: `"s3"`. */
    char text[VENV_STORAGE_TEXT_MAX];   /**< One sentence: what, where, why, what to do.  No secrets. */
    char output[VENV_STORAGE_OUTPUT_MAX]; /**< The other side's own words, cut and made safe to print; may be empty. */
} venv_storage_error;

/** Bring it into the form of common.h, with a prefix `CLASS: `.  @return its code. */
VENV_API venv_rc venv_storage_error_tell(const venv_storage_error *error, venv_error *err);
/** @} */

/** @name Storage @{ */

/**
 * A secret by reference.  `user`, `secret` and `token` are references: `env:NAME` (variable of the
 * environment), `file:PATH` (first line of a file that only its owner, us or root, can read),
 * `call:NAME` (the function `secret` of the options) or, for `user` only, the text itself.
 * Looked up when they are needed, wiped from memory after; never logged.
 */
typedef struct venv_storage_credential {
    const char *name;        /**< As venv_name_is_valid(); what `#credential=NAME` says. */
    const char *for_url;     /**< The only places it is ever sent to: `https://host[:port][/path]`, `sftp://…`.  For s3 that of
                                  the endpoint.  A URL beneath it that names no credential uses it, too. */
    const char *user;        /**< Login; for s3 the access key id.  NULL: a `user@` of the URL, or none. */
    const char *secret;      /**< Password; for s3 the secret key; pass phrase of `key_file`.  May be NULL. */
    const char *token;       /**< http: bearer token; s3: session token.  May be NULL. */
    const char *key_file;    /**< sftp: private key; else of the client certificate.  May be NULL. */
    const char *certificate_file; /**< PEM of a client certificate for TLS.  May be NULL. */
    const char *ca_file;     /**< PEM of the authorities to trust for this place instead of the system's.  May be NULL. */
    const char *known_hosts; /**< sftp: file of host keys; ~/.ssh/known_hosts if NULL.  An unknown host is refused. */
} venv_storage_credential;

/** Write the secret called `name` and a NUL into `buffer`.  @return false if there is none. */
typedef bool (*venv_storage_secret_fn)(void *user, const char *name, char *buffer, size_t size);

/** When and how often to try again. */
typedef struct venv_storage_retry {
    uint32_t attempts_max; /**< With the first one; 1 tries once. */
    venv_span first;       /**< Wait before the second attempt, doubled each time… */
    venv_span max;         /**< …up to this. */
    venv_span total_max;   /**< No attempt starts later than this after the first; 0 for no such limit. */
    uint32_t jitter;       /**< Per cent of a wait that are left to chance, 0 … 100. */
} venv_storage_retry;

/** Five attempts, waits of 0.5 s to 30 s with half of it left to chance. */
#define VENV_STORAGE_RETRY_INIT { 5, { VENV_NS_PER_S / 2 }, { 30 * VENV_NS_PER_S }, { 0 }, 50 }

/**
 * Decide about one more attempt.  A pure function.
 *
 * @param attempt   Attempts made, 1 or more.
 * @param elapsed   Since the first attempt began.
 * @param chance    Any random number.
 * @param ret_wait  How long to wait first: never less than `error->retry_after`.
 * @return true to try again; false if the error is not retryable, or the policy has had enough.
 */
VENV_API bool venv_storage_retry_next(const venv_storage_retry *policy, const venv_storage_error *error,
                                      uint32_t attempt, venv_span elapsed, uint64_t chance, venv_span *ret_wait);

/** Settings.  Start from VENV_STORAGE_OPTIONS_INIT.  Everything is copied. */
typedef struct venv_storage_options {
    size_t size;                /**< sizeof(venv_storage_options). */
    const char *schemes;        /**< What may be used, `"file,https,http"` or `"all"`; NULL: all that encrypt, and the local ones. */
    const char *hosts;          /**< Hosts that may be spoken to: `"a.example.org,*.example.net"`; NULL for any. */
    const char *networks;       /**< Addresses that may be connected to beside the public ones: `"10.1.0.0/16,fd00::/8"`, and the
                                     words `loopback`, `private`, `any`.  NULL for none. */
    const char *const *file_roots; /**< Directories that `file:` is confined to, ended by NULL.  NULL: the whole tree.  No symbolic
                                     link is followed beneath a root. */
    const venv_storage_credential *credentials;
    size_t credential_count;
    venv_storage_secret_fn secret; /**< For references `call:…`; may be NULL. */
    void *secret_user;
    venv_span timeout;          /**< For an operation; 0 for 600 s… */
    venv_span timeout_per_mb;   /**< …and for each 10^6 bytes that it moves; 0 for 2 s. */
    venv_span connect_timeout;  /**< 0 for 30 s. */
    venv_span idle_timeout;     /**< No byte for so long ends a transfer; 0 for 60 s. */
    uint64_t size_max;          /**< Larger objects are refused; 0 for 16 TiB. */
    uint64_t memory_max;        /**< Bytes that `memory:` and `mock:` hold; 0 for 256 MiB. */
    uint64_t rate_max;          /**< Bytes a second over a network, each way; 0 for no limit. */
    venv_storage_retry retry;   /**< attempts_max 0 for VENV_STORAGE_RETRY_INIT. */
} venv_storage_options;

#define VENV_STORAGE_OPTIONS_INIT \
    { sizeof(venv_storage_options), NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, { 0 }, { 0 }, { 0 }, { 0 }, 0, 0, 0, \
      { 0, { 0 }, { 0 }, { 0 }, 0 } }

/**
 * Make a storage.  Nothing is connected yet.
 *
 * @param options  May be NULL for the defaults.
 * @param ret_storage  Owned: release with venv_storage_free().
 * @retval VENV_EINVAL  A setting or credential is malformed; the text says which.
 * @retval VENV_EUNSUPPORTED  libcurl of this machine lacks a protocol that `schemes` names.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_storage_new(const venv_storage_options *options, venv_storage **ret_storage,
                                                venv_storage_error *err);

/** Close connections, drop what `memory:` holds, wipe secrets.  Accepts NULL. */
VENV_API void venv_storage_free(venv_storage *storage);

/**
 * Make the operation that runs, and every later one, end with VENV_STORAGE_CANCELED (within a second), until
 * venv_storage_resume().  May be called from any thread.
 */
VENV_API void venv_storage_cancel(venv_storage *storage);

/** Take venv_storage_cancel() back. */
VENV_API void venv_storage_resume(venv_storage *storage);

/** What a driver can do: bits of venv_storage_driver_info.operations. */
typedef enum venv_storage_operation {
    VENV_STORAGE_STAT = 1u << 0,
    VENV_STORAGE_LIST = 1u << 1,
    VENV_STORAGE_MAKE_DIRECTORY = 1u << 2,
    VENV_STORAGE_GET = 1u << 3,
    VENV_STORAGE_PUT = 1u << 4,
    VENV_STORAGE_RENAME = 1u << 5,
    VENV_STORAGE_DELETE = 1u << 6,
    VENV_STORAGE_PERMISSIONS = 1u << 7,
    VENV_STORAGE_SPACE = 1u << 8,
    VENV_STORAGE_ATOMIC_PUT = 1u << 9,   /**< A put appears complete or not at all. */
    VENV_STORAGE_DIRECTORIES = 1u << 10, /**< Directories are things of their own (not so with s3). */
    VENV_STORAGE_EXCLUSIVE_PUT = 1u << 11, /**< VENV_STORAGE_PUT_NEW is decided by the other side: of two, one wins. */
} venv_storage_operation;

/** One scheme. */
typedef struct venv_storage_driver_info {
    const char *scheme;     /**< `"sftp"`. */
    const char *summary;    /**< One line for people. */
    uint32_t operations;    /**< Set of venv_storage_operation. */
    bool encrypted;         /**< What goes over the network is encrypted; true for what does not go there. */
    bool available;         /**< The libcurl of this machine has it. */
} venv_storage_driver_info;

/** The `index`th scheme, from 0.  @return false past the last. */
VENV_API bool venv_storage_driver_at(size_t index, venv_storage_driver_info *ret_info);
/** @} */

/** @name URLs @{ */

/**
 * Append a relative name to the URL of a directory: `join("s3://b/images#region=eu-1", "chunks/ab") =
 * "s3://b/images/chunks/ab#region=eu-1"`.  What a URL cannot hold is percent-encoded.
 *
 * @param name  Segments divided by `/`, plain text.  Empty segments, `.`, `..`, NUL and control characters are refused.
 * @retval VENV_EINVAL  The URL or the name is malformed.  @retval VENV_ELIMIT  It does not fit.
 */
VENV_API VENV_MUST_USE venv_rc venv_storage_join(const char *url, const char *name, char *buffer, size_t size,
                                                 venv_storage_error *err);

/** The URL of a path of this machine, made absolute against `directory` (absolute; NULL if `path` is) and encoded:
 *  `file:///a%20b`.  @retval VENV_EINVAL  @retval VENV_ELIMIT */
VENV_API VENV_MUST_USE venv_rc venv_storage_file_url(const char *directory, const char *path, char *buffer,
                                                     size_t size, venv_storage_error *err);

/** True for text that begins with `scheme:/`, so that it is meant as a URL and not as a path. */
VENV_API bool venv_storage_is_url(const char *text);

/** Check a URL as every operation does, without doing anything.  @retval VENV_EINVAL  @retval VENV_EUNSUPPORTED */
VENV_API VENV_MUST_USE venv_rc venv_storage_url_check(const char *url, venv_storage_error *err);
/** @} */

/** @name Looking @{ */

typedef enum venv_storage_kind {
    VENV_STORAGE_FILE = 0,
    VENV_STORAGE_DIRECTORY,
    VENV_STORAGE_OTHER,     /**< Symbolic link, device, …: can be listed and deleted, not read. */
} venv_storage_kind;

#define VENV_STORAGE_TAG_MAX 80 /**< Bytes of a tag, with the terminating NUL. */

/** What is known about an object. */
typedef struct venv_storage_info {
    venv_storage_kind kind;
    uint64_t size;        /**< Bytes; VENV_STORAGE_SIZE_UNKNOWN if it is not told. */
    venv_wall modified;   /**< 0 if it is not told. */
    int32_t permissions;  /**< As of chmod(2), -1 if there are none or they are not told. */
    char tag[VENV_STORAGE_TAG_MAX]; /**< Differs after a change (ETag; inode and times of a file); empty if there is none. */
} venv_storage_info;

/**
 * Look at one object.
 * @retval VENV_OK
 * @retval VENV_ENOENT       NOT_FOUND
 * @retval VENV_EDENIED      PERMISSION, CREDENTIAL
 * @retval VENV_EUNREACHABLE  @retval VENV_ETIMEDOUT  @retval VENV_EINVAL  @retval VENV_EUNSUPPORTED  and so on, as
 *         venv_storage_class_rc() says: so with every function below.
 */
VENV_API VENV_MUST_USE venv_rc venv_storage_stat(venv_storage *storage, const char *url,
                                                 venv_storage_info *ret_info, venv_storage_error *err);

/** Is it there?  That it could not be asked is a failure, not a "no". */
VENV_API VENV_MUST_USE venv_rc venv_storage_exists(venv_storage *storage, const char *url, bool *ret_exists,
                                                   venv_storage_error *err);

/** Called for each entry.  @return false to stop: the call then fails with VENV_STORAGE_CANCELED. */
typedef bool (*venv_storage_entry_fn)(void *user, const char *name, const venv_storage_info *info);

/**
 * List a directory, without what is beneath its directories, in no order.
 *
 * Names that could not stand in a path (with `/` or control characters, `.`, `..`) are left out.
 * With s3 a prefix is a directory, and one that nothing is beneath is NOT_FOUND.
 */
VENV_API VENV_MUST_USE venv_rc venv_storage_list(venv_storage *storage, const char *url,
                                                 venv_storage_entry_fn entry, void *user, venv_storage_error *err);

/** SHA-256 of an object, by reading it. */
VENV_API VENV_MUST_USE venv_rc venv_storage_checksum(venv_storage *storage, const char *url,
                                                     uint8_t ret_sha256[VENV_STORAGE_SHA256_SIZE],
                                                     venv_storage_error *err);

/** Bytes in all and bytes free where a URL is; VENV_STORAGE_SIZE_UNKNOWN for what is not told. */
VENV_API VENV_MUST_USE venv_rc venv_storage_space(venv_storage *storage, const char *url, uint64_t *ret_total,
                                                  uint64_t *ret_free, venv_storage_error *err);
/** @} */

/** @name Reading and writing @{ */

/** Take bytes.  @return false to stop: the call then fails with VENV_STORAGE_CANCELED. */
typedef bool (*venv_storage_sink_fn)(void *user, const void *data, size_t size);

/** Give up to `size` bytes, 0 at the end, -1 to stop: the call then fails with VENV_STORAGE_CANCELED. */
typedef int64_t (*venv_storage_source_fn)(void *user, void *buffer, size_t size);

/**
 * Read an object, or a part of it.
 *
 * A connection that breaks is made again and the rest is asked for (by the policy of the options), if the
 * object is still the same; the sink never sees a byte twice.  A range that begins at the end is empty;
 * one that ends past it is cut; one that begins past it is VENV_ERANGE.
 *
 * @param offset  First byte.
 * @param length  Bytes wanted; VENV_STORAGE_SIZE_UNKNOWN for all from there.
 */
VENV_API VENV_MUST_USE venv_rc venv_storage_get(venv_storage *storage, const char *url, uint64_t offset,
                                                uint64_t length, venv_storage_sink_fn sink, void *user,
                                                venv_storage_error *err);

/** Read a whole object of at most `size_max` bytes into memory; `*ret_data` is freed with free().
 *  It has a NUL after its end.  @retval VENV_ELIMIT  It is larger. */
VENV_API VENV_MUST_USE venv_rc venv_storage_get_bytes(venv_storage *storage, const char *url, size_t size_max,
                                                      uint8_t **ret_data, size_t *ret_size,
                                                      venv_storage_error *err);

/** How to put: a set of these. */
typedef enum venv_storage_put_flag {
    VENV_STORAGE_PUT_NEW = 1u << 0,     /**< Fail with EXISTS where there is an object already. */
    VENV_STORAGE_PUT_PARENTS = 1u << 1, /**< Make missing directories. */
} venv_storage_put_flag;

/**
 * Write an object.
 *
 * @param size    Bytes that the source will give, or VENV_STORAGE_SIZE_UNKNOWN.  Another number is VENV_STORAGE_INVALID.
 * @param flags   Set of venv_storage_put_flag.
 */
VENV_API VENV_MUST_USE venv_rc venv_storage_put(venv_storage *storage, const char *url, uint64_t size,
                                                uint32_t flags, venv_storage_source_fn source, void *user,
                                                venv_storage_error *err);

/** Write an object from memory.  Tried again by the policy of the options. */
VENV_API VENV_MUST_USE venv_rc venv_storage_put_bytes(venv_storage *storage, const char *url, const void *data,
                                                      size_t size, uint32_t flags, venv_storage_error *err);

/** Called now and then while a copy runs.  @return false to stop. */
typedef bool (*venv_storage_progress_fn)(void *user, uint64_t done, uint64_t total);

/** How to copy.  Start from VENV_STORAGE_COPY_INIT. */
typedef struct venv_storage_copy_options {
    size_t size;                   /**< sizeof(venv_storage_copy_options). */
    uint32_t flags;                /**< Set of venv_storage_put_flag. */
    const uint8_t *sha256;         /**< What the source must be; NULL if it is not known. */
    venv_storage_progress_fn progress; /**< May be NULL.  `total` may be VENV_STORAGE_SIZE_UNKNOWN. */
    void *user;
} venv_storage_copy_options;

#define VENV_STORAGE_COPY_INIT { sizeof(venv_storage_copy_options), 0, NULL, NULL, NULL }

/** What was copied. */
typedef struct venv_storage_copied {
    uint64_t size;
    uint32_t attempts; /**< 1 if all went well. */
    uint8_t sha256[VENV_STORAGE_SHA256_SIZE];
} venv_storage_copied;

/**
 * Copy an object from anywhere to anywhere.
 *
 * Streams to a temporary name beside the destination (`.NAME.HEX.venv-part`), reads that back and
 * compares SHA-256, then renames: the destination is the old or the new, whole.  After a failure the temporary
 * is deleted, if the other side still answers.  Where there is no rename (plain `http`) the destination is
 * written in place, read back and compared.
 *
 * @param options     May be NULL.
 * @param ret_copied  May be NULL.
 * @retval VENV_EIO   INTEGRITY: what arrived is not what was sent, or the source is not `sha256`.
 */
VENV_API VENV_MUST_USE venv_rc venv_storage_copy(venv_storage *storage, const char *from_url, const char *to_url,
                                                 const venv_storage_copy_options *options,
                                                 venv_storage_copied *ret_copied, venv_storage_error *err);
/** @} */

/** @name Changing @{ */

/** Make a directory; one that is there already is a success.  @param parents  Make those above it, too. */
VENV_API VENV_MUST_USE venv_rc venv_storage_make_directory(venv_storage *storage, const char *url, bool parents,
                                                           venv_storage_error *err);

/**
 * Rename an object within one place (same scheme, host, port, credential; for s3 the same bucket).
 *
 * @param replace  Replace a file that is there; else it is EXISTS.
 */
VENV_API VENV_MUST_USE venv_rc venv_storage_rename(venv_storage *storage, const char *from_url,
                                                   const char *to_url, bool replace, venv_storage_error *err);

/** Delete a file or an empty directory.  @retval VENV_ENOENT  It was not there.  @retval VENV_ECONFLICT  Not empty. */
VENV_API VENV_MUST_USE venv_rc venv_storage_delete(venv_storage *storage, const char *url,
                                                   venv_storage_error *err);

/** Set permissions as chmod(2) does, 0 … 0777. */
VENV_API VENV_MUST_USE venv_rc venv_storage_set_permissions(venv_storage *storage, const char *url,
                                                            uint32_t permissions, venv_storage_error *err);
/** @} */

VENV_END_DECLS
#endif /* VENV_STORAGE_H */
