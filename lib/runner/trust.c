/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking a path with suspicion.
 */
#include "runner/trust.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static venv_rc fail(venv_error *err, const char *path)
{
    int error = errno;
    venv_rc rc = error == ENOENT || error == ENOTDIR ? VENV_ENOENT
                 : error == EACCES || error == ELOOP ? VENV_EDENIED
                 : error == ENOMEM                   ? VENV_ENOMEM : VENV_EIO;
    return venv_error_set(err, rc, "%s: %s", path, strerror(error));
}

/* Where a part of the path stands. What holds an executable is as important as that itself. */
typedef enum position {
    ON_THE_WAY,
    HOLDER,
    LAST,
} position;

static position position_of(const char *rest, venv_trust_kind kind)
{
    const char *slash = strchr(rest, '/');
    if (!slash && rest[0] == '\0')
        return LAST;
    return kind == VENV_TRUST_EXECUTABLE && !slash ? HOLDER : ON_THE_WAY;
}

/* What is open as `fd` stands at `path`. */
static venv_rc check(int fd, const char *path, position where, venv_trust_kind kind, venv_error *err)
{
    bool last = where == LAST;
    struct stat st;

    if (fstat(fd, &st) != 0)
        return fail(err, path);
    bool wants_directory = !last || kind == VENV_TRUST_DIRECTORY;
    if (wants_directory ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
        return venv_error_set(err, VENV_EKIND, "%s is not a %s", path, wants_directory ? "directory" : "regular file");
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return venv_error_set(err, VENV_EDENIED, "%s belongs to user %u; it must belong to root%s", path,
                              (unsigned)st.st_uid, geteuid() == 0 ? "" : " or to the user of this program");
    bool sticky = where == ON_THE_WAY && (st.st_mode & S_ISVTX) != 0;
    if ((st.st_mode & 022) != 0 && !sticky)
        return venv_error_set(err, VENV_EDENIED, "%s can be written by others than its owner (mode %04o); chmod go-w it",
                              path, (unsigned)(st.st_mode & 07777));
    if (!wants_directory && (st.st_mode & 0111) == 0)
        return venv_error_set(err, VENV_EDENIED, "%s is not executable; chmod +x it", path);
    return VENV_OK;
}

/* `path` is absolute, without links, "." and "..". It is cut and mended on the way, for the texts. */
static venv_rc walk(char *path, venv_trust_kind kind, int *ret_fd, venv_error *err)
{
    int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, "/");
    char *part = path + 1;
    venv_rc rc = check(fd, "/", position_of(part, kind), kind, err);

    while (rc == VENV_OK && *part) {
        char *slash = strchr(part, '/'), *rest = slash ? slash + 1 : part + strlen(part);
        if (slash)
            *slash = '\0';
        int next = openat(fd, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0) {
            rc = fail(err, path);
        } else {
            close(fd);
            fd = next;
            rc = check(fd, path, position_of(rest, kind), kind, err);
        }
        if (slash)
            *slash = '/';
        part = rest;
    }
    if (rc != VENV_OK) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return VENV_OK;
}

venv_rc venv_trust_open(const char *path, venv_trust_kind kind, int *ret_fd, venv_error *err)
{
    VENV_AUTO_FREE char *resolved = realpath(path, NULL);
    if (!resolved)
        return fail(err, path);
    /* Whoever changes a link after this meets O_NOFOLLOW; what is opened is what was checked. */
    return walk(resolved, kind, ret_fd, err);
}
