/* SPDX-License-Identifier: Apache-2.0 */
/* venvctl: what people and cron jobs talk to a manager with. What it does is in process.c, app.c and the files of the verbs. */
#include "venvctl.h"

int main(int argc, char **argv)
{
    static venvctl app; /* large, zeroed */
    return venvctl_process(&app, argc, argv);
}
