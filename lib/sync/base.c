/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions of images that machines stand on: DIRECTORY/NAME@VERSION.DIGEST.raw. A file appears there under its name when every chunk of
 * it was checked against the signed manifest, and is not written any more. What is there is found without the repository.
 */
#include "sync/repository.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGEST_SIZE   (2 * VENV_HASH_SIZE)
#define BASE_NAME_MAX (VENV_NAME_MAX + 1 + 20 + 1 + DIGEST_SIZE + 4 + 1)
#define INCOMING      "incoming-"

typedef struct base {
    const venv_image_options *options;
    const char *directory;
    int fd;
    char name[VENV_NAME_MAX + 1];
    int64_t version;
    bool latest;
    char file[BASE_NAME_MAX], newest[BASE_NAME_MAX]; /* of this version; the newest there is: both may be empty */
    int64_t newest_version;
    int64_t fetched;
} base;

/* NAME@VERSION.DIGEST.raw of this image? */
static bool parse_file(const char *file, const char *name, int64_t *ret_version)
{
    size_t size = strlen(name);
    char *end = NULL;
    if (strncmp(file, name, size) != 0 || file[size] != '@')
        return false;
    const char *digits = file + size + 1;
    if (*digits < '1' || *digits > '9')
        return false;
    errno = 0;
    long long version = strtoll(digits, &end, 10);
    if (errno != 0 || *end != '.' || strspn(end + 1, "0123456789abcdef") != DIGEST_SIZE || strcmp(end + 1 + DIGEST_SIZE, ".raw") != 0)
        return false;
    *ret_version = version;
    return true;
}

static venv_rc look(base *b, venv_error *err)
{
    int fd = openat(b->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (!list) {
        venv_rc rc = venv_files_fail(err, errno, "list", b->directory);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    b->file[0] = b->newest[0] = '\0';
    b->newest_version = 0;
    for (struct dirent *entry; (entry = readdir(list));) {
        int64_t version;
        if (!parse_file(entry->d_name, b->name, &version))
            continue;
        if (version == b->version)
            snprintf(b->file, sizeof b->file, "%.*s", BASE_NAME_MAX - 1, entry->d_name);
        if (version > b->newest_version) {
            b->newest_version = version;
            snprintf(b->newest, sizeof b->newest, "%.*s", BASE_NAME_MAX - 1, entry->d_name);
        }
    }
    closedir(list);
    return VENV_OK;
}

static venv_rc open_directory(base *b, venv_error *err)
{
    struct stat st;
    if (mkdir(b->directory, 0755) != 0 && errno != EEXIST)
        return venv_files_fail(err, errno, "make the directory", b->directory);
    b->fd = open(b->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (b->fd < 0 || fstat(b->fd, &st) != 0)
        return venv_files_fail(err, errno, "open the directory", b->directory);
    if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022) != 0)
        return venv_error_set(err, VENV_EDENIED, "the directory '%s' can be written by others: machines cannot stand on what is in it", b->directory);
    return VENV_OK;
}

/* Which version? Where the repository of `latest` cannot be reached, the newest that is here. */
static venv_rc resolve(base *b, const char *reference, venv_error *err)
{
    venv_repository repository = { .directory = -1, .lock = -1 };
    const char *at = strchr(reference, '@');
    bool exact = at && strcmp(at + 1, "latest") != 0;
    venv_error why = { 0 };
    if (exact) /* without the repository */
        return venv_repository_resolve(&repository, reference, b->name, &b->version, &b->latest, err);
    venv_str name = { reference, at ? (size_t)(at - reference) : strlen(reference) };
    if (!venv_name_is_valid(name))
        return venv_error_set(err, VENV_EINVAL, "'%s' is not the name of an image", reference);
    memcpy(b->name, name.data, name.size);
    venv_rc rc = look(b, err);
    if (rc != VENV_OK)
        return rc;
    rc = venv_repository_open(b->options, false, VENV_REPOSITORY_SHARED, &repository, &why);
    if (rc == VENV_OK) {
        rc = venv_repository_resolve(&repository, reference, b->name, &b->version, &b->latest, &why);
        venv_repository_close(&repository);
    }
    if (rc != VENV_OK && rc != VENV_ENOMEM && b->newest_version > 0) {
        b->version = b->newest_version;
        return VENV_OK;
    }
    if (rc == VENV_OK && b->newest_version > b->version)
        rc = venv_error_set(&why, VENV_ECONFLICT, "the newest version of %s in '%s' is %lld, and %lld is here already: the repository was set "
                            "back, or is an old copy. Ask for %s@%lld if that is meant", b->name, b->options->repository, (long long)b->version,
                            (long long)b->newest_version, b->name, (long long)b->version);
    if (rc != VENV_OK && err)
        *err = why;
    return rc;
}

static venv_rc put_in_place(base *b, const char *incoming, const venv_value *report, venv_error *err)
{
    venv_str digest = venv_value_get_text(report, "digest");
    if (digest.size != DIGEST_SIZE)
        return venv_error_set(err, VENV_EIO, "the image %s@%lld has no digest", b->name, (long long)b->version);
    snprintf(b->file, sizeof b->file, "%s@%lld.%.*s.raw", b->name, (long long)b->version, (int)digest.size, digest.data);
    if (fchmodat(b->fd, incoming, 0444, 0) != 0 || renameat(b->fd, incoming, b->fd, b->file) != 0)
        return venv_files_fail(err, errno, "write", b->file);
    return venv_files_sync_parent(b->fd, b->file, err);
}

static venv_rc fetch(base *b, venv_error *err)
{
    char reference[VENV_NAME_MAX + 32], path[VENV_IMAGE_PATH_MAX], seed[VENV_IMAGE_PATH_MAX], incoming[BASE_NAME_MAX];
    const char *seeds[2] = { NULL, NULL };
    venv_value report = venv_value_null();
    snprintf(reference, sizeof reference, "%s@%lld", b->name, (long long)b->version);
    snprintf(incoming, sizeof incoming, INCOMING "%s", b->name);
    if (snprintf(path, sizeof path, "%s/%s", b->directory, incoming) >= (int)sizeof path ||
        snprintf(seed, sizeof seed, "%s/%s", b->directory, b->newest) >= (int)sizeof seed)
        return venv_error_set(err, VENV_ELIMIT, "the path '%s' is too long", b->directory);
    if (b->newest[0])
        seeds[0] = seed;
    venv_rc rc = venv_image_get(b->options, reference, path, VENV_IMAGE_RAW, seeds, &report, err);
    if (rc == VENV_OK)
        rc = put_in_place(b, incoming, &report, err);
    b->fetched = venv_value_get_int(&report, "received", 0);
    venv_value_unref(&report);
    return rc;
}

static venv_rc tell(const base *b, venv_value *ret_report, venv_error *err)
{
    struct stat st;
    char path[VENV_IMAGE_PATH_MAX];
    venv_map_builder map;
    const char *digest = strchr(strchr(b->file, '@'), '.') + 1;
    if (fstatat(b->fd, b->file, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return venv_files_fail(err, errno, "look at", b->file);
    if (snprintf(path, sizeof path, "%s/%s", b->directory, b->file) >= (int)sizeof path)
        return venv_error_set(err, VENV_ELIMIT, "the path '%s' is too long", b->directory);
    venv_map_init(&map);
    venv_map_put_z(&map, "name", b->name);
    venv_map_put(&map, "version", venv_value_int(b->version));
    venv_map_put_text(&map, "digest", digest, DIGEST_SIZE);
    venv_map_put(&map, "size", venv_value_int(st.st_size));
    venv_map_put_z(&map, "path", path);
    venv_map_put(&map, "received", venv_value_int(b->fetched));
    return venv_map_take(&map, ret_report, err);
}

venv_rc venv_image_base(const venv_image_options *options, const char *reference, const char *directory, venv_value *ret_report, venv_error *err)
{
    base b = { .options = options, .directory = directory, .fd = -1 };
    venv_rc rc = open_directory(&b, err);
    if (rc == VENV_OK)
        rc = resolve(&b, reference, err);
    if (rc == VENV_OK)
        rc = look(&b, err);
    if (rc == VENV_OK && !b.file[0])
        rc = fetch(&b, err);
    if (rc == VENV_OK)
        rc = tell(&b, ret_report, err);
    if (b.fd >= 0)
        close(b.fd);
    return rc;
}
