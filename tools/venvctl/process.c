/* SPDX-License-Identifier: Apache-2.0 */
/* The process of venvctl and of venvctl-connect: its clock, its streams, its exit code. */
#include "venvctl.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

int venvctl_process(venvctl *app, int argc, char **argv)
{
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    app->out = stdout;
    app->err = stderr;
    app->out_is_terminal = isatty(STDOUT_FILENO) == 1;
    app->now.ns = (int64_t)now.tv_sec * VENV_NS_PER_S + now.tv_nsec;
    int code = app_main(app, argc - 1, argv + 1);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("venvctl: standard output");
        if (code == EXIT_DONE)
            code = EXIT_FAILED;
    }
    return code;
}
