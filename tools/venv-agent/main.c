/* SPDX-License-Identifier: Apache-2.0 */
/* venv-agent. Everything that it does is venv/daemon.h. */
#include "../daemon/command_line.h"

int main(int argc, char **argv)
{
    static const daemon_program program = {
        .kind = VENV_DAEMON_AGENT,
        .name = "venv-agent",
        .summary = "The agent of a node: samples its properties, runs allowed commands and its machines.",
        .config = "/etc/venv/agent.yaml",
    };
    return daemon_command_line(&program, argc, argv);
}
