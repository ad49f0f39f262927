/* SPDX-License-Identifier: Apache-2.0 */
/* venv-mgr. Everything that it does is venv/daemon.h. */
#include "../daemon/command_line.h"

int main(int argc, char **argv)
{
    static const daemon_program program = {
        .kind = VENV_DAEMON_MANAGER,
        .name = "venv-mgr",
        .summary = "The manager: gathers what agents report, evaluates triggers, starts and stops instances.",
        .config = "/etc/venv/manager.yaml",
    };
    return daemon_command_line(&program, argc, argv);
}
