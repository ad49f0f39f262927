/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing an image to a file: what stands beside the file, in which order things happen. The chunks are the business of fill.h. */
#include "sync/fill.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME_MAX 180 /* the names beside it are longer */

struct getter {
    const venv_image_options *options;
    const char *destination;
    venv_image_format format;
    int directory, lock;
    char file[FILE_NAME_MAX + 1];
    char part[256], part_path[VENV_SYNC_PATH_MAX + 300];
    venv_repository repository;
    venv_pool *pool;
    venv_manifest manifest, old; /* `old`: of what is there */
    bool has_old, unchanged, fresh;
    uint8_t *envelope;
    size_t envelope_size;
    venv_map map;
    venv_disk target;
    venv_fill fill;
    mode_t mode;
};

static venv_rc open_place(struct getter *getter, venv_error *err)
{
    char directory[VENV_SYNC_PATH_MAX], name[256];
    const char *slash = strrchr(getter->destination, '/');
    const char *file = slash ? slash + 1 : getter->destination;
    size_t size = slash ? (size_t)(slash - getter->destination) : 0;

    if (strlen(getter->destination) >= VENV_IMAGE_PATH_MAX || !file[0] || strlen(file) > FILE_NAME_MAX ||
        strcmp(file, ".") == 0 || strcmp(file, "..") == 0)
        return venv_error_set(err, VENV_EINVAL, "'%s' cannot be a destination: it must be a file with a name of at most %d bytes",
                              getter->destination, FILE_NAME_MAX);
    if (slash)
        snprintf(directory, sizeof directory, "%.*s", size ? (int)size : 1, size ? getter->destination : "/");
    else
        snprintf(directory, sizeof directory, ".");
    snprintf(getter->file, sizeof getter->file, "%s", file);
    getter->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (getter->directory < 0)
        return venv_files_fail(err, errno, "open the directory", directory);
    struct stat st;
    getter->mode = 0644;
    if (fstatat(getter->directory, file, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode))
            return venv_error_set(err, VENV_EINVAL, "'%s' is not a regular file", getter->destination);
        getter->mode = S_ISREG(st.st_mode) ? st.st_mode & 0777 : 0644;
    }
    /* Whoever gets to the same place waits here, and finds it done. */
    snprintf(name, sizeof name, ".%s.venv-lock", file);
    getter->lock = venv_files_open(getter->directory, name, O_RDWR | O_CREAT, 0644);
    if (getter->lock < 0)
        return venv_files_fail(err, errno, "lock", getter->destination);
    while (flock(getter->lock, LOCK_EX) != 0)
        if (errno != EINTR)
            return venv_files_fail(err, errno, "lock", getter->destination);
    return VENV_OK;
}

static void read_old(struct getter *getter)
{
    char name[256];
    uint8_t *data = NULL;
    size_t size = 0;
    snprintf(name, sizeof name, ".%s.venv-manifest", getter->file);
    if (venv_files_get(getter->directory, name, VENV_MANIFEST_SIZE_MAX, &data, &size, NULL) != VENV_OK)
        return;
    getter->has_old = venv_manifest_open(&getter->repository.trust, data, size, true, &getter->old, NULL, NULL) == VENV_OK;
    free(data);
}

static venv_rc find_image(struct getter *getter, const char *reference, venv_error *err)
{
    char name[VENV_NAME_MAX + 1];
    int64_t version = 0;
    bool latest = false;
    venv_rc rc = venv_repository_resolve(&getter->repository, reference, name, &version, &latest, err);
    if (rc != VENV_OK)
        return rc;
    if (latest && getter->has_old && strcmp(getter->old.name, name) == 0 && getter->old.version > version)
        return venv_error_set(err, VENV_ECONFLICT, "the newest version of %s in '%s' is %lld, and '%s' has %lld already: the "
                              "repository was set back, or is an old copy. Ask for %s@%lld if that is meant", name,
                              getter->repository.place, (long long)version, getter->destination,
                              (long long)getter->old.version, name, (long long)version);
    return venv_repository_manifest(&getter->repository, name, version, true, &getter->manifest, NULL, &getter->envelope,
                                    &getter->envelope_size, err);
}

/* Is what is there already the content that is asked for? */
static venv_rc check_destination(struct getter *getter, venv_error *err)
{
    venv_disk disk = VENV_DISK_INIT;
    venv_rc rc = VENV_OK;
    if (!getter->has_old || memcmp(getter->old.digest, getter->manifest.digest, VENV_HASH_SIZE) != 0 ||
        venv_disk_open(getter->destination, getter->format, &disk, NULL) != VENV_OK)
        return VENV_OK;
    uint64_t size = getter->manifest.size; /* a qcow2 disk is whole sectors */
    if (disk.size == (getter->format == VENV_IMAGE_QCOW2 ? (size + 511) / 512 * 512 : size)) {
        rc = venv_fill_check(&getter->fill, &disk, true, "verify", err);
        getter->unchanged = rc == VENV_OK;
        for (size_t i = 0; i < getter->manifest.chunk_count; i++) {
            getter->unchanged = getter->unchanged && getter->fill.done[i];
            getter->fill.done[i] = getter->manifest.chunks[i].hole; /* it counts only as a whole */
        }
        if (!getter->unchanged)
            getter->fill.kept = getter->fill.bytes_done = 0;
    }
    venv_disk_close(&disk);
    return rc;
}

/* On a file system that shares blocks the new file begins as the old one, for nothing. */
static bool clone_old(const struct getter *getter, int fd)
{
    if (!getter->has_old || getter->format != VENV_IMAGE_RAW)
        return false;
    int old = open(getter->destination, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool done = old >= 0 && ioctl(fd, FICLONE, old) == 0;
    if (old >= 0)
        close(old);
    return done;
}

/* Where the image has holes the file has them, too, whatever was there. */
static venv_rc punch_holes(const struct getter *getter, int fd, venv_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return venv_files_fail(err, errno, "read", getter->part_path);
    for (size_t i = 0; i < getter->manifest.chunk_count; i++) {
        const venv_chunk *chunk = &getter->manifest.chunks[i];
        if (!chunk->hole || chunk->offset >= (uint64_t)st.st_size)
            continue;
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)chunk->offset, (off_t)chunk->length) != 0)
            return ftruncate(fd, 0) == 0 ? VENV_OK : venv_files_fail(err, errno, "write", getter->part_path);
    }
    return VENV_OK;
}

static venv_rc open_part(struct getter *getter, venv_error *err)
{
    char id[VENV_ID_TEXT_SIZE];
    const char *slash = strrchr(getter->destination, '/');
    snprintf(getter->part, sizeof getter->part, ".%s.%s%s.venv-part", getter->file, venv_id_format(getter->manifest.id, id),
             getter->format == VENV_IMAGE_QCOW2 ? "q" : "");
    snprintf(getter->part_path, sizeof getter->part_path, "%.*s%s", slash ? (int)(slash - getter->destination) + 1 : 0,
             getter->destination, getter->part);
    int fd = venv_files_open(getter->directory, getter->part, O_RDWR | O_CREAT | O_EXCL, 0600);
    getter->fresh = fd >= 0;
    if (fd < 0 && errno == EEXIST)
        fd = venv_files_open(getter->directory, getter->part, O_RDWR, 0);
    if (fd < 0)
        return venv_files_fail(err, errno, "make", getter->part_path);
    if (getter->fresh && clone_old(getter, fd))
        getter->fresh = false;
    venv_rc rc = VENV_OK;
    if (!getter->fresh && getter->format == VENV_IMAGE_RAW)
        rc = punch_holes(getter, fd, err);
    if (rc != VENV_OK) {
        close(fd);
        return rc;
    }
    return venv_disk_shape(fd, getter->part_path, getter->format, &getter->manifest, &getter->target, err);
}

static bool ends_in_qcow2(const char *path)
{
    size_t size = strlen(path);
    return size > 6 && strcmp(path + size - 6, ".qcow2") == 0;
}

static venv_rc add_seeds(struct getter *getter, const char *const *seeds, venv_error *err)
{
    venv_disk disk = VENV_DISK_INIT;
    venv_rc rc = VENV_OK;
    struct stat st;
    /* What is there is a seed: by its manifest if it has one, else it is read. */
    if (fstatat(getter->directory, getter->file, &st, 0) == 0 && S_ISREG(st.st_mode) &&
        venv_disk_open(getter->destination, getter->format, &disk, NULL) == VENV_OK) {
        bool known = getter->has_old && disk.size >= getter->old.size;
        rc = venv_fill_seed(&getter->fill, &disk, known ? &getter->old : NULL, err);
        if (known && getter->map.base > 0 && getter->old.version == getter->map.base &&
            strcmp(getter->old.name, getter->manifest.name) == 0)
            getter->fill.base = &getter->fill.seeds[0];
    }
    for (size_t i = 0; rc == VENV_OK && seeds && seeds[i]; i++) {
        if (i == VENV_IMAGE_SEEDS_MAX)
            return venv_error_set(err, VENV_ELIMIT, "more than %d seeds", VENV_IMAGE_SEEDS_MAX);
        rc = venv_disk_open(seeds[i], ends_in_qcow2(seeds[i]) ? VENV_IMAGE_QCOW2 : VENV_IMAGE_RAW, &disk, err);
        if (rc == VENV_OK)
            rc = venv_fill_seed(&getter->fill, &disk, NULL, err);
    }
    return rc;
}

/* Parts of other versions, from runs that were interrupted and never went on. */
static void remove_old_parts(const struct getter *getter)
{
    int fd = openat(getter->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    size_t size = strlen(getter->file);
    if (!list) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(list));) {
        const char *name = entry->d_name;
        size_t length = strlen(name), id = length - size - 12;
        bool ours = length > size + 12 && name[0] == '.' && strncmp(name + 1, getter->file, size) == 0 &&
                    name[size + 1] == '.' && strcmp(name + length - 10, ".venv-part") == 0 && (id == 36 || id == 37);
        if (ours)
            unlinkat(getter->directory, name, 0);
    }
    closedir(list);
}

static venv_rc put_in_place(struct getter *getter, venv_error *err)
{
    char name[256];
    venv_rc rc = venv_disk_write_tables(&getter->target, err);
    if (rc == VENV_OK && fchmod(getter->target.fd, getter->mode) != 0)
        rc = venv_files_fail(err, errno, "write", getter->part_path);
    if (rc == VENV_OK && !getter->options->no_sync && fsync(getter->target.fd) != 0)
        rc = venv_files_fail(err, errno, "write", getter->part_path);
    /* The note first: should we die now, it tells of a version that is on its way, and a seed is checked anyway. */
    snprintf(name, sizeof name, ".%s.venv-manifest", getter->file);
    if (rc == VENV_OK)
        rc = venv_files_put(getter->directory, name, getter->envelope, getter->envelope_size, false, err);
    if (rc == VENV_OK && renameat(getter->directory, getter->part, getter->directory, getter->file) != 0)
        rc = venv_files_fail(err, errno, "write", getter->destination);
    if (rc == VENV_OK && !getter->options->no_sync)
        rc = venv_files_sync_parent(getter->directory, getter->file, err);
    if (rc == VENV_OK)
        remove_old_parts(getter);
    return rc;
}

static venv_rc fill_part(struct getter *getter, const char *const *seeds, venv_error *err)
{
    venv_rc rc = venv_repository_map(&getter->repository, &getter->manifest, &getter->map, err);
    if (rc == VENV_OK)
        rc = open_part(getter, err);
    if (rc != VENV_OK)
        return rc;
    getter->fill.map = &getter->map;
    getter->fill.target = &getter->target;
    if (!getter->fresh)
        rc = venv_fill_check(&getter->fill, &getter->target, false, "verify", err);
    if (rc == VENV_OK)
        rc = add_seeds(getter, seeds, err);
    if (rc == VENV_OK)
        rc = venv_fill_copy(&getter->fill, err);
    if (rc == VENV_OK)
        rc = venv_fill_fetch(&getter->fill, err);
    return rc == VENV_OK ? put_in_place(getter, err) : rc;
}

static venv_rc get(struct getter *getter, const char *reference, const char *const *seeds, venv_error *err)
{
    venv_rc rc = venv_repository_open(getter->options, false, VENV_REPOSITORY_SHARED, &getter->repository, err);
    if (rc == VENV_OK)
        rc = open_place(getter, err);
    if (rc != VENV_OK)
        return rc;
    read_old(getter);
    rc = find_image(getter, reference, err);
    if (rc == VENV_OK)
        rc = venv_pool_new(getter->options->threads, &getter->pool, err);
    if (rc != VENV_OK)
        return rc;
    getter->fill = (venv_fill){ .options = getter->options, .repository = &getter->repository, .pool = getter->pool,
                                .manifest = &getter->manifest };
    rc = venv_fill_init(&getter->fill, err);
    if (rc == VENV_OK)
        rc = check_destination(getter, err);
    return rc == VENV_OK && !getter->unchanged ? fill_part(getter, seeds, err) : rc;
}

static venv_rc report(const struct getter *getter, venv_value *ret_report, venv_error *err)
{
    const venv_fill *fill = &getter->fill;
    char digest[2 * VENV_HASH_SIZE + 1];
    venv_map_builder map;
    for (unsigned i = 0; i < VENV_HASH_SIZE; i++)
        snprintf(digest + 2 * i, 3, "%02x", getter->manifest.digest[i]);
    venv_map_init(&map);
    venv_map_put_z(&map, "name", getter->manifest.name);
    venv_map_put(&map, "version", venv_value_int(getter->manifest.version));
    venv_map_put_z(&map, "digest", digest);
    venv_map_put(&map, "size", venv_value_int((int64_t)getter->manifest.size));
    venv_map_put(&map, "received", venv_value_int((int64_t)getter->repository.transferred));
    venv_map_put(&map, "chunks_kept", venv_value_int((int64_t)fill->kept));
    venv_map_put(&map, "chunks_seeded", venv_value_int((int64_t)fill->copied));
    venv_map_put(&map, "chunks_fetched", venv_value_int((int64_t)fill->fetched));
    venv_map_put(&map, "deltas", venv_value_int((int64_t)fill->deltas));
    venv_map_put(&map, "unchanged", venv_value_bool(getter->unchanged));
    return venv_map_take(&map, ret_report, err);
}

venv_rc venv_image_get(const venv_image_options *options, const char *reference, const char *destination,
                       venv_image_format format, const char *const *seeds, venv_value *ret_report, venv_error *err)
{
    struct getter getter = { .options = options, .destination = destination, .format = format, .directory = -1, .lock = -1,
                             .repository = { .directory = -1, .lock = -1 }, .target = VENV_DISK_INIT };
    venv_rc rc = get(&getter, reference, seeds, err);
    if (rc == VENV_OK)
        rc = report(&getter, ret_report, err);
    if (getter.fill.workers)
        venv_fill_fini(&getter.fill);
    venv_disk_close(&getter.target);
    venv_pool_free(getter.pool);
    venv_manifest_fini(&getter.manifest);
    venv_manifest_fini(&getter.old);
    venv_map_fini_all(&getter.map);
    free(getter.envelope);
    venv_repository_close(&getter.repository);
    if (getter.lock >= 0)
        close(getter.lock);
    if (getter.directory >= 0)
        close(getter.directory);
    return rc;
}
