/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/config_files.h"

#include "base/cleanup.h"

#include <venv/daemon.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What has been read, to read nothing twice. */
typedef struct seen_file {
    dev_t device;
    ino_t inode;
} seen_file;

typedef struct reading {
    venv_config_files files;
    seen_file seen[VENV_CONFIG_FILES_MAX];
    venv_error *err;
} reading;

static venv_rc fail_errno(reading *r, const char *path)
{
    int number = errno;
    venv_rc rc = venv_error_set(r->err, number == ENOENT || number == ENOTDIR ? VENV_ENOENT : VENV_EIO,
                                "cannot read the configuration: %s", strerror(number));
    venv_error_at(r->err, path, 0, 0);
    return rc;
}

static venv_rc fail_file(reading *r, venv_rc rc, const char *path, const char *text)
{
    (void)venv_error_set(r->err, rc, "%s", text);
    venv_error_at(r->err, path, 0, 0);
    return rc;
}

static venv_rc check_file(reading *r, const char *path, const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return fail_file(r, VENV_EINVAL, path, "it is not a plain file");
    if (st->st_mode & S_IWOTH)
        return fail_file(r, VENV_EDENIED, path, "anybody may write this file, and it says what is run: chmod o-w");
    if (st->st_size > (off_t)VENV_CONFIG_FILE_SIZE_MAX)
        return fail_file(r, VENV_ELIMIT, path, "a configuration file has at most 1 MiB");
    return VENV_OK;
}

static bool was_seen(const reading *r, const struct stat *st)
{
    for (size_t i = 0; i < r->files.count; i++) {
        if (r->seen[i].device == st->st_dev && r->seen[i].inode == st->st_ino)
            return true;
    }
    return false;
}

/* All bytes of `fd`, which has `size` now. A file that grows meanwhile is cut at the limit by the parser. */
static venv_rc read_all(reading *r, int fd, const char *path, venv_config_file *file)
{
    size_t capacity = VENV_CONFIG_FILE_SIZE_MAX + 1, size = 0;
    VENV_AUTO_FREE char *text = malloc(capacity + 1);
    if (!text)
        return fail_file(r, VENV_ENOMEM, path, "out of memory");
    while (size < capacity) {
        ssize_t got = read(fd, text + size, capacity - size);
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(r, path);
        size += (size_t)got;
    }
    if (size == capacity)
        return fail_file(r, VENV_ELIMIT, path, "a configuration file has at most 1 MiB");
    text[size] = '\0';
    char *fitting = realloc(text, size + 1);
    file->text = fitting ? fitting : text;
    file->size = size;
    text = NULL;
    return VENV_OK;
}

/* Read and parse one more file, unless it was read before. */
static venv_rc add_file(reading *r, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return fail_errno(r, path);
    venv_rc rc = fstat(fd, &st) == 0 ? check_file(r, path, &st) : fail_errno(r, path);
    if (rc != VENV_OK || was_seen(r, &st)) {
        (void)close(fd);
        return rc;
    }
    if (r->files.count == VENV_CONFIG_FILES_MAX) {
        (void)close(fd);
        return fail_file(r, VENV_ELIMIT, path, "the configuration has more than 256 files");
    }
    venv_config_file *file = &r->files.items[r->files.count];
    *file = (venv_config_file){ .path = strdup(path), .value = venv_value_null() };
    r->seen[r->files.count++] = (seen_file){ .device = st.st_dev, .inode = st.st_ino };
    rc = file->path ? read_all(r, fd, path, file) : fail_file(r, VENV_ENOMEM, path, "out of memory");
    (void)close(fd);
    if (rc != VENV_OK)
        return rc;
    return venv_yaml_parse(file->text, file->size, path, &file->value, &file->marks, r->err);
}

/* The pattern as a path: relative ones are below the main file's folder. */
static bool absolute(const char *main_path, venv_str pattern, char ret_path[PATH_MAX])
{
    const char *slash = strrchr(main_path, '/');
    int folder = pattern.size > 0 && pattern.data[0] == '/' ? 0 : slash ? (int)(slash - main_path) + 1 : 0;
    int n = snprintf(ret_path, PATH_MAX, "%.*s%.*s", folder, main_path, (int)pattern.size, pattern.data);
    return n > 0 && n < PATH_MAX && strlen(ret_path) == (size_t)n;
}

/* An error that the include line is to blame for, if the file itself is missing. */
static venv_rc blame_include(reading *r, venv_rc rc, const char *path, const venv_mark *mark)
{
    if (rc != VENV_ENOENT)
        return rc;
    (void)venv_error_set(r->err, rc, "there is no file '%s' to include; a pattern such as *.yaml may match none", path);
    (void)venv_mark_blame(mark, r->err);
    return rc;
}

static venv_rc include_one(reading *r, venv_str pattern, const venv_mark *mark)
{
    char path[PATH_MAX];
    glob_t found;
    if (pattern.size == 0 || !absolute(r->files.items[0].path, pattern, path)) {
        (void)venv_error_set(r->err, VENV_EINVAL, "include: expected the name of a file or a pattern such as conf.d/*.yaml");
        return venv_mark_blame(mark, r->err);
    }
    if (!strpbrk(path, "*?["))
        return blame_include(r, add_file(r, path), path, mark);
    int failed = glob(path, 0, NULL, &found);
    if (failed == GLOB_NOMATCH)
        return VENV_OK;
    if (failed != 0) {
        (void)venv_error_set(r->err, VENV_EIO, "include: cannot expand '%s'", path);
        return venv_mark_blame(mark, r->err);
    }
    venv_rc rc = VENV_OK;
    for (size_t i = 0; i < found.gl_pathc && rc == VENV_OK; i++)
        rc = blame_include(r, add_file(r, found.gl_pathv[i]), found.gl_pathv[i], mark);
    globfree(&found);
    return rc;
}

static venv_rc include_all(reading *r)
{
    const venv_value *root = &r->files.items[0].value;
    const venv_mark *root_mark = venv_yaml_marks_root(r->files.items[0].marks);
    const venv_value *list = venv_value_get(root, "include");
    const venv_mark *mark = venv_mark_get(root_mark, root, "include");
    if (!list || venv_value_kind(list) == VENV_NULL)
        return VENV_OK;
    if (venv_value_kind(list) == VENV_STRING)
        return include_one(r, venv_value_peek_text(list), mark);
    if (venv_value_kind(list) != VENV_LIST) {
        (void)venv_error_set(r->err, VENV_EKIND, "include: expected a list of files, as in [conf.d/*.yaml]");
        return venv_mark_blame(mark, r->err);
    }
    for (size_t i = 0; i < venv_value_count(list); i++) {
        const venv_value *item = venv_value_at(list, i);
        if (venv_value_kind(item) != VENV_STRING) {
            (void)venv_error_set(r->err, VENV_EKIND, "include: expected the name of a file, as text");
            return venv_mark_blame(venv_mark_at(mark, i), r->err);
        }
        venv_rc rc = include_one(r, venv_value_peek_text(item), venv_mark_at(mark, i));
        if (rc != VENV_OK)
            return rc;
    }
    return VENV_OK;
}

venv_rc venv_config_files_read(const char *path, venv_config_files *ret_files, venv_error *err)
{
    VENV_AUTO_FREE reading *r = calloc(1, sizeof *r);
    if (r)
        r->files.items = calloc(VENV_CONFIG_FILES_MAX, sizeof *r->files.items);
    if (!r || !r->files.items)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the configuration");
    r->err = err;
    venv_rc rc = add_file(r, path);
    if (rc == VENV_OK)
        rc = include_all(r);
    if (rc != VENV_OK) {
        venv_config_files_fini(&r->files);
        return rc;
    }
    *ret_files = r->files;
    return VENV_OK;
}

void venv_config_files_fini(venv_config_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].path);
        free(files->items[i].text);
        venv_value_unref(&files->items[i].value);
        venv_yaml_marks_free(files->items[i].marks);
    }
    free(files->items);
    *files = (venv_config_files){ .items = NULL, .count = 0 };
}
