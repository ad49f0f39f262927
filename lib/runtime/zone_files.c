/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/zone_files.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The evaluator promises a safe name; this does not depend on it, for a path is at stake. */
static bool name_is_safe(const char *name)
{
    size_t size = strlen(name);
    if (size == 0 || size > 64)
        return false;
    for (const char *p = name; *p; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        bool inner = (*p >= '0' && *p <= '9') || *p == '_' || *p == '+' || *p == '-';
        bool slash = *p == '/' && p != name && p[1] != '/' && p[1] != '\0';
        if (!letter && !slash && !(inner && p != name))
            return false;
    }
    return true;
}

static venv_rc no_such_zone(const char *name, const char *why, venv_error *err)
{
    return venv_error_set(err, VENV_ENOENT, "no time zone '%s' (%s); is the package tzdata installed?", name, why);
}

venv_rc venv_zone_file_read(void *user, const char *name, venv_value *ret_file, venv_error *err)
{
    const char *directory = user ? (const char *)user : "/usr/share/zoneinfo";
    char path[PATH_MAX];
    struct stat st;
    if (!name_is_safe(name))
        return no_such_zone(name, "not a name", err);
    int n = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return no_such_zone(name, "its path is too long", err);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return no_such_zone(name, strerror(errno), err);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)VENV_ZONE_FILE_SIZE_MAX) {
        (void)close(fd);
        return no_such_zone(name, "not a zone file", err);
    }
    VENV_AUTO_FREE uint8_t *data = malloc((size_t)st.st_size + 1);
    size_t size = 0;
    while (data && size < (size_t)st.st_size) {
        ssize_t got = read(fd, data + size, (size_t)st.st_size - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        size += (size_t)got;
    }
    (void)close(fd);
    if (!data)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the time zone '%s'", name);
    if (size < 44 || memcmp(data, "TZif", 4) != 0) /* RFC 9636: the header has 44 bytes */
        return no_such_zone(name, "not a zone file", err);
    return venv_value_bytes(data, size, ret_file, err);
}
