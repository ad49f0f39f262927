/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_IMAGE_H
#define VENV_IMAGE_H

/**
 * @file venv/image.h
 * @brief Images in versions: made from disk images, kept in a repository, brought to machines.
 *
 *      disk.raw, disk.qcow2 ── venv_image_make() ──►  REPOSITORY                       ── venv_image_get() ──► disk.raw, disk.qcow2
 *                                                     images/NAME/VERSION.manifest
 *                                                     images/NAME/ID.map
 *                                                     packs/ID.pack
 *
 * An image is called `NAME@VERSION`; versions count from 1, and `NAME@latest` (or `NAME`) is the newest.
 * Its content is cut into chunks where the content says so, not at fixed places.  The **manifest** has the
 * SHA-256 of each and is signed (Ed25519); holes and zeros are only lengths in it.  Chunks lie compressed in
 * **packs**; the **map** says where, and is not trusted.  A chunk that an older version has too is stored once,
 * and one that changed a little is stored also as the difference to what stood there before.
 *
 * @par Getting
 *      Only what is missing is read from the repository: the destination itself, files given as seeds
 *      and what an interrupted run left are used first.  Every chunk is checked against the manifest before it
 *      counts, and the destination is replaced at once when all are there: it is the old or the new
 *      image, whenever the process or the machine dies.
 *
 * @par Trust
 *      A manifest counts if it is signed by a key that is trusted; nothing else of a repository is trusted.  Who keeps
 *      an old repository can offer an old version: `NAME@latest` never goes back behind what is at the destination.
 *
 * @par Threads
 *      Calls block and use threads of their own.  Calls on different destinations and repositories are independent, also
 *      in several processes: a repository that is a directory and a destination are locked.
 *
 * @par Example
 * @code
 *      venv_image_options options = VENV_IMAGE_OPTIONS_INIT;
 *      options.repository = "/srv/images";
 *      options.trust = "/etc/venv/image.pub";
 *      venv_value report = venv_value_null();
 *      if (venv_image_get(&options, "class2@latest", "/var/lib/venv/class2.raw", VENV_IMAGE_RAW, NULL, &report, &err) != VENV_OK)
 *          …
 *      venv_value_unref(&report);
 * @endcode
 */

#include <venv/storage.h>
#include <venv/value.h>

VENV_BEGIN_DECLS

#define VENV_IMAGE_PATH_MAX 4000 /**< Bytes of a path that is given, with the terminating NUL. */
#define VENV_IMAGE_SEEDS_MAX 16  /**< Seeds of one get. */

/** The format of a file.  Always told, never guessed from its content. */
typedef enum venv_image_format {
    VENV_IMAGE_RAW = 0,
    VENV_IMAGE_QCOW2, /**< Without backing file, external data, compression, encryption and snapshots. */
} venv_image_format;

/** How far a call is.  `total` is 0 while it is not known. */
typedef struct venv_image_progress {
    const char *phase;       /**< `"read"`, `"delta"`, `"seed"`, `"fetch"`, `"write"`, `"verify"`. */
    uint64_t done, total;    /**< Bytes of the image. */
    uint64_t transferred;    /**< Bytes read from or written to the repository. */
} venv_image_progress;

/** Called now and then, in the caller's thread.  @return false to give up: the call then fails with VENV_ECANCELED. */
typedef bool (*venv_image_progress_fn)(void *user, const venv_image_progress *progress);

/** What is common to all calls.  Start from VENV_IMAGE_OPTIONS_INIT.  Nothing of it is kept. */
typedef struct venv_image_options {
    size_t size;             /**< sizeof(venv_image_options). */
    const char *repository;  /**< A directory, or the URL of one (venv/storage.h). */
    const char *key;         /**< PEM of the private key that signs; for venv_image_make(). */
    const char *trust;       /**< PEM of one or more public keys that are trusted.  NULL: that of `key`. */
    venv_storage *storage;   /**< For URLs, borrowed.  NULL: one with the defaults of venv_storage_new(). */
    unsigned threads;        /**< 0: one for each processor. */
    uint32_t chunk_mean;     /**< Mean length of a new image's chunks: a power of two from 4 KiB to 1 MiB. */
    int level;               /**< Of zstd, 1 to 19. */
    bool no_sync;            /**< Do not wait until the destination is on disk: then only a crash of the machine can harm it. */
    venv_image_progress_fn progress; /**< May be NULL. */
    void *user;
} venv_image_options;

#define VENV_IMAGE_OPTIONS_INIT \
    { sizeof(venv_image_options), NULL, NULL, NULL, NULL, 0, 65536, 3, false, NULL, NULL }

/**
 * Make a pair of keys (Ed25519, PEM): `path` with mode 0600, and `path` with `.pub` at its end instead of `.key`, or added.
 * @retval VENV_EEXIST  One of the files is there.  @retval VENV_EIO  @retval VENV_ENOSPACE  @retval VENV_EDENIED
 */
VENV_API VENV_MUST_USE venv_rc venv_image_key_make(const char *path, venv_error *err);

/**
 * Publish a new version of an image.  The repository is made if it is an absent directory.
 *
 * Where the content is that of the newest version and `version` is 0, nothing is published, and the report says so.
 *
 * @param path        The image: a file, or a block device.  It must not change meanwhile.
 * @param version     0: one more than the newest.
 * @param ret_report  A map: `name version digest size chunks data new_chunks new_bytes deltas stored unchanged`.
 * @retval VENV_EINVAL       A name, number or the image is malformed.
 * @retval VENV_ENOENT       No such image or key.
 * @retval VENV_EDENIED      The image reaches beyond itself (backing file); or a file may not be read or written.
 * @retval VENV_EUNSUPPORTED A feature of qcow2 that is not read here.
 * @retval VENV_EEXIST       There is this version.
 * @retval VENV_ECONFLICT    There is a newer version than `version`; or the image changed while it was read.
 * @retval VENV_ENOSPACE  @retval VENV_EIO  @retval VENV_ELIMIT  @retval VENV_ENOMEM  @retval VENV_ECANCELED
 */
VENV_API VENV_MUST_USE venv_rc venv_image_make(const venv_image_options *options, const char *path, venv_image_format format,
                                               const char *name, int64_t version, venv_value *ret_report, venv_error *err);

/**
 * Bring an image to a file.
 *
 * What is read of the repository is only what neither the file that is there, nor an interrupted run, nor a seed has.
 *
 * @param reference   `NAME`, `NAME@latest`, `NAME@VERSION`.
 * @param destination The file, replaced at once.  Beside it stand `.FILE.venv-manifest`, `.FILE.venv-lock` and, while it runs or after it was interrupted,
 *                    `.FILE.ID.venv-part`.
 * @param seeds       Other files that may have some of the content, raw, or qcow2 if their name ends so; ended by NULL; may be NULL.
 * @param ret_report  A map: `name version digest size fetched received chunks_kept chunks_seeded chunks_fetched deltas broken unchanged`.
 * @retval VENV_ENOENT     No such image, version or repository.
 * @retval VENV_EDENIED    The manifest is not signed by a key that is trusted.
 * @retval VENV_ECONFLICT  `latest` is older than what the destination has.
 * @retval VENV_EPROTO     A chunk of the repository is broken; what is right is kept for the next run.
 * @retval VENV_EINVAL  @retval VENV_ENOSPACE  @retval VENV_EIO  @retval VENV_ELIMIT  @retval VENV_ENOMEM  @retval VENV_ECANCELED
 */
VENV_API VENV_MUST_USE venv_rc venv_image_get(const venv_image_options *options, const char *reference,
                                              const char *destination, venv_image_format format, const char *const *seeds,
                                              venv_value *ret_report, venv_error *err);

/**
 * Have a version of an image that machines can stand on: a file that is complete, checked, and never written again.
 *
 * It is `DIRECTORY/NAME@VERSION.DIGEST.raw`, read-only.  One that is there is found at once and without the repository; where that of
 * `latest` cannot be asked, the newest version that is there is taken.
 *
 * @param directory   Made if it is absent; nobody but its owner may write it.
 * @param ret_report  A map: `name version digest size path received`.
 * @retval VENV_ENOENT     No such image, version or repository.
 * @retval VENV_EDENIED    The manifest is not signed by a key that is trusted; or others may write to the directory.
 * @retval VENV_ECONFLICT  `latest` is older than what is there.
 * @retval VENV_EPROTO  @retval VENV_EINVAL  @retval VENV_ENOSPACE  @retval VENV_EIO  @retval VENV_ELIMIT  @retval VENV_ENOMEM  @retval VENV_ECANCELED
 */
VENV_API VENV_MUST_USE venv_rc venv_image_base(const venv_image_options *options, const char *reference, const char *directory,
                                               venv_value *ret_report, venv_error *err);

/**
 * What is in a repository.
 * @param name      Only this image; NULL for all.
 * @param ret_list  A list of maps: `name version digest size data chunks created signed`.
 * @retval VENV_ENOENT  No such repository, or no image `name`.  @retval VENV_EIO  @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_image_list(const venv_image_options *options, const char *name, venv_value *ret_list,
                                               venv_error *err);

/**
 * How much of `newer` is not in `older`.
 * @param ret_report  A map: `older newer bytes chunks fetch full`: new bytes and chunks, and what a get reads with and without `older`.
 * @retval VENV_ENOENT  @retval VENV_EDENIED  @retval VENV_EIO  @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_image_diff(const venv_image_options *options, const char *older, const char *newer,
                                               venv_value *ret_report, venv_error *err);

/**
 * Read all chunks of a repository, or of one image, and check them; replace what is broken where a source has it.
 *
 * @param reference   NULL: everything.
 * @param sources     Files (raw, or qcow2 if their name ends so) to take right chunks from, ended by NULL.  NULL: only look.
 * @param ret_report  A map: `images chunks bytes broken repaired problems` (a list of texts, at most 100).
 * @retval VENV_OK      Also if something is broken: look at `broken - repaired`.
 * @retval VENV_ENOENT  @retval VENV_EDENIED  @retval VENV_EIO  @retval VENV_ENOMEM  @retval VENV_ECANCELED
 */
VENV_API VENV_MUST_USE venv_rc venv_image_verify(const venv_image_options *options, const char *reference,
                                                 const char *const *sources, venv_value *ret_report, venv_error *err);

/**
 * Check a file against an image.
 * @param ret_report  As of venv_image_verify().
 */
VENV_API VENV_MUST_USE venv_rc venv_image_verify_file(const venv_image_options *options, const char *reference,
                                                      const char *path, venv_image_format format, venv_value *ret_report,
                                                      venv_error *err);

/** What venv_image_gc() may take. */
typedef struct venv_image_gc_options {
    size_t size;       /**< sizeof(venv_image_gc_options). */
    uint32_t keep;     /**< Versions of each image that stay, the newest; 0: all. */
    venv_span grace;   /**< What nothing uses is deleted when it was seen so for this long: transfers that run may still need it. */
    bool dry_run;      /**< Only say what would be deleted. */
} venv_image_gc_options;

/** All versions stay; a day of grace. */
#define VENV_IMAGE_GC_OPTIONS_INIT { sizeof(venv_image_gc_options), 0, { 86400 * VENV_NS_PER_S }, false }

/**
 * Delete packs that no manifest uses, and what interrupted runs left.  Only for a repository that is a directory.
 *
 * A manifest counts whoever signed it, and where one cannot be read nothing is deleted.
 *
 * @param ret_report  A map: `versions_deleted packs_deleted bytes_deleted packs_waiting packs_used`.
 * @retval VENV_ECONFLICT     Somebody publishes, verifies or gets from the directory just now.
 * @retval VENV_EINVAL        A manifest or map is unreadable: nothing was deleted.
 * @retval VENV_EUNSUPPORTED  The repository is a URL.  @retval VENV_ENOENT  @retval VENV_EIO  @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_image_gc(const venv_image_options *options, const venv_image_gc_options *gc,
                                             venv_value *ret_report, venv_error *err);

VENV_END_DECLS
#endif /* VENV_IMAGE_H */
