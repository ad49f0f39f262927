/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --connect: venvctl becomes venvctl-connect, which has libvirt in it. So whoever talks to a manager does not wait for libvirt to load.
 */
#include "venvctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Beside this program, as it is where it was built; or where it is installed, below the same prefix. */
static const char *const places[] = { "venvctl-connect", "../libexec/venv/venvctl-connect" };

int connect_run(venvctl *app, char *const *argv)
{
    char self[2048], path[sizeof self + 64];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (size <= 0) {
        app_say(app, "/proc/self/exe: %s; --connect needs it to find its other half", strerror(size < 0 ? errno : ENOENT));
        return EXIT_FAILED;
    }
    self[size] = 0;
    *(strrchr(self, '/') + 1) = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s", self, places[i]);
        (void)execv(path, argv - 1); /* the name of the program stands before the words */
        if (errno != ENOENT) {
            app_say(app, "%s: %s", path, strerror(errno));
            return EXIT_FAILED;
        }
    }
    app_say(app, "venvctl-connect is neither beside %s nor in ../libexec/venv: install the whole of venv", self);
    return EXIT_FAILED;
}
