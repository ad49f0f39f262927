/* SPDX-License-Identifier: Apache-2.0 */
/* The verb dump: the manager's flight recorder into a file. */
#include "venvctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_whole(venvctl *app, int fd, const char *path, venv_str data)
{
    while (data.size > 0) {
        ssize_t n = write(fd, data.data, data.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            app_say(app, "%s: %s", path, strerror(errno));
            return EXIT_FAILED;
        }
        data.data += n;
        data.size -= (size_t)n;
    }
    return EXIT_DONE;
}

static int write_file(venvctl *app, const char *path, venv_str data)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) {
        app_say(app, "%s: %s", path, errno == ELOOP ? "it is a symbolic link: what the record holds is not written where that points to"
                                                    : strerror(errno));
        return EXIT_FAILED;
    }
    /* One that was there may belong to others, or be readable by them. */
    if (fstat(fd, &st) != 0 || (S_ISREG(st.st_mode) && (fchmod(fd, 0600) != 0 || ftruncate(fd, 0) != 0))) {
        app_say(app, "%s: %s", path, strerror(errno));
        (void)close(fd);
        return EXIT_FAILED;
    }
    int code = write_whole(app, fd, path, data);
    if (close(fd) != 0 && code == EXIT_DONE) {
        app_say(app, "%s: %s", path, strerror(errno));
        code = EXIT_FAILED;
    }
    return code;
}

static int print_done(venvctl *app, const char *path, size_t size)
{
    venv_error err = { 0 };
    venv_value done = venv_value_null();
    venv_map_builder map;
    if (!app_has(app, OPTION_JSON)) {
        if (!app_has(app, OPTION_QUIET))
            fprintf(app->out, "%s: %zu bytes\n", path, size);
        return EXIT_DONE;
    }
    venv_map_init(&map);
    venv_map_put_z(&map, "file", path);
    venv_map_put(&map, "size", venv_value_uint(size));
    if (venv_map_take(&map, &done, &err) != VENV_OK)
        return app_fail(app, &err);
    int code = print_json(app, &done);
    venv_value_unref(&done);
    return code;
}

int run_dump(venvctl *app)
{
    char own[VENV_NAME_MAX + 32];
    venv_value data = venv_value_null();
    venv_error err = { 0 };
    int code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    if (venv_client_dump(app->client, &data, &err) != VENV_OK)
        return app_fail(app, &err);
    (void)snprintf(own, sizeof own, "venv-%s.record", venv_client_manager(app->client));
    const char *path = app->argument_count > 0 ? app->arguments[0] : own;
    venv_str bytes = venv_value_peek_text(&data);
    if (strcmp(path, "-") == 0)
        code = write_whole(app, STDOUT_FILENO, "standard output", bytes);
    else
        code = write_file(app, path, bytes);
    if (code == EXIT_DONE && strcmp(path, "-") != 0)
        code = print_done(app, path, bytes.size);
    venv_value_unref(&data);
    return code;
}
