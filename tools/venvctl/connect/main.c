/* SPDX-License-Identifier: Apache-2.0 */
/* venvctl-connect: what venvctl becomes for --connect. The same command line, the same exit codes; see connect.h. */
#include "connect.h"

#include <string.h>

int connect_run(venvctl *app, char *const *argv)
{
    static const struct {
        const char *verb;
        int (*run)(venvctl *app);
    } verbs[] = {
        { "status", connect_status },   { "list", connect_list },       { "show", connect_show },     { "start", connect_start },
        { "stop", connect_change },     { "destroy", connect_change },  { "pause", connect_change },  { "resume", connect_change },
        { "save", connect_change },     { "restore", connect_change },  { "reboot", connect_change }, { "migrate", connect_change },
    };
    (void)argv;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].verb, app->verb->name) == 0)
            return verbs[i].run(app);
    return app_usage(app, "\"%s\" needs a manager: it cannot be done with --connect", app->verb->name);
}

int main(int argc, char **argv)
{
    static venvctl app; /* large, zeroed */
    return venvctl_process(&app, argc, argv);
}
