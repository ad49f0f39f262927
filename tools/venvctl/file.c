/* SPDX-License-Identifier: Apache-2.0 */
/* What verbs read: files of YAML that somebody wrote, the system's data of time zones, times. */
#include "venvctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define YAML_SIZE_MAX  ((size_t)1 << 20)
#define ZONE_SIZE_MAX  65536 /* bytes of a TZif file */
#define ZONE_DIRECTORY "/usr/share/zoneinfo"

static venv_rc read_whole(const char *path, size_t size_max, char **ret_text, size_t *ret_size, venv_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return venv_error_set(err, errno == ENOENT ? VENV_ENOENT : VENV_EIO, "%s: %s", path, strerror(errno));
    char *text = malloc(size_max + 1);
    size_t size = 0;
    ssize_t got = 1;
    while (text && got != 0 && size <= size_max) {
        got = read(fd, text + size, size_max + 1 - size);
        if (got < 0 && errno != EINTR)
            break;
        size += got > 0 ? (size_t)got : 0;
    }
    int error = errno;
    (void)close(fd);
    venv_rc rc = VENV_OK;
    if (!text)
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory");
    else if (got < 0)
        rc = venv_error_set(err, VENV_EIO, "%s: %s", path, strerror(error));
    else if (size > size_max)
        rc = venv_error_set(err, VENV_ELIMIT, "%s: larger than %zu bytes", path, size_max);
    if (rc != VENV_OK) {
        free(text);
        return rc;
    }
    *ret_text = text;
    *ret_size = size;
    return VENV_OK;
}

/* The names that arrive are safe below a directory (venv/expr.h). */
venv_rc app_read_zone(void *user, const char *name, venv_value *ret_file, venv_error *err)
{
    (void)user;
    char path[512];
    char *data = NULL;
    size_t size = 0;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", ZONE_DIRECTORY, name) >= sizeof path)
        return venv_error_set(err, VENV_ENOENT, "no time zone \"%s\"", name);
    venv_rc rc = read_whole(path, ZONE_SIZE_MAX, &data, &size, err);
    if (rc != VENV_OK)
        return venv_error_set(err, VENV_ENOENT, "no time zone \"%s\" in %s", name, ZONE_DIRECTORY);
    rc = venv_value_bytes(data, size, ret_file, err);
    free(data);
    return rc;
}

int app_read_text(venvctl *app, const char *path, size_t size_max, venv_value *ret_text)
{
    venv_error err = { 0 };
    char *text = NULL;
    size_t size = 0;
    venv_rc rc = read_whole(path, size_max, &text, &size, &err);
    if (rc == VENV_OK)
        rc = venv_value_bytes(text, size, ret_text, &err);
    free(text);
    return rc == VENV_OK ? EXIT_DONE : app_fail(app, &err);
}

int app_read_yaml(venvctl *app, const char *path, venv_value *ret_value, venv_yaml_marks **ret_marks)
{
    venv_error err = { 0 };
    char *text = NULL;
    size_t size = 0;
    venv_rc rc = read_whole(path, YAML_SIZE_MAX, &text, &size, &err);
    if (rc != VENV_OK)
        return app_fail(app, &err);
    rc = venv_yaml_parse(text, size, path, ret_value, ret_marks, &err);
    free(text);
    if (rc == VENV_OK)
        return EXIT_DONE;
    (void)app_fail(app, &err);
    return EXIT_USAGE;
}

bool app_parse_time(venv_str text, venv_wall *ret_wall)
{
    char copy[32];
    struct tm parts = { 0 };
    if (text.size >= sizeof copy || text.size == 0)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    const char *end = strptime(copy, "%Y-%m-%dT%H:%M:%S", &parts);
    if (!end || (strcmp(end, "") != 0 && strcmp(end, "Z") != 0))
        return false;
    ret_wall->ns = (int64_t)timegm(&parts) * VENV_NS_PER_S;
    return true;
}
