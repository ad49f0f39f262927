/* SPDX-License-Identifier: Apache-2.0 */
/* What agent.yaml may hold, as tables. The checks, the defaults and venv-agent.yaml(5) come from here. */

#include "agent/config.h"
#include "agent/config_rows.h"

#define MS(n) ((int64_t)(n) * (VENV_NS_PER_S / 1000))
#define S(n) ((int64_t)(n) * VENV_NS_PER_S)

static const char *const property_types[] = { "int", "double", "string", "bool", "json", NULL };

static const venv_config_row group = { .name = "group", .kind = VENV_CONFIG_GROUP_NAME };
static const venv_config_row path = { .name = "path", .kind = VENV_CONFIG_PATH };
static const venv_config_row address = { .name = "address", .kind = VENV_CONFIG_STRING, .min = 1, .max = 300 };
static const venv_config_row pattern = { .name = "pattern", .kind = VENV_CONFIG_STRING, .min = 1, .max = 1024 };
static const venv_config_row argument = { .name = "argument", .kind = VENV_CONFIG_STRING, .max = 4096 };

static const venv_config_row tls_rows[] = {
    { .name = "ca", .kind = VENV_CONFIG_PATH, .required = true, .help = "Certificate of the cluster's CA (PEM)." },
    { .name = "certificate", .kind = VENV_CONFIG_PATH, .required = true,
      .help = "Certificate of this agent (PEM); the name of the agent and the cluster stand in it." },
    { .name = "key", .kind = VENV_CONFIG_PATH, .required = true,
      .help = "Private key of that certificate (PEM); readable by the agent only." },
    { .name = NULL },
};

static const venv_config_row reconnect_rows[] = {
    { .name = "first", .kind = VENV_CONFIG_SPAN, .min = MS(10), .max = S(3600), .fallback = "1s",
      .help = "The longest wait before the first new attempt; it doubles with each one that fails." },
    { .name = "max", .kind = VENV_CONFIG_SPAN, .min = MS(10), .max = S(86400), .fallback = "30s",
      .help = "The longest wait between two attempts. Each wait is drawn at random from its upper three quarters." },
    { .name = NULL },
};

static const venv_config_row images_rows[] = {
    { .name = "repository", .kind = VENV_CONFIG_STRING, .required = true, .min = 1, .max = 1024,
      .help = "The repository of images: a directory, or a URL as venv-sync takes it." },
    { .name = "trust", .kind = VENV_CONFIG_PATH, .required = true, .help = "Public keys (PEM) of those who may publish images." },
    { .name = "directory", .kind = VENV_CONFIG_PATH, .fallback = "/var/lib/venv/images",
      .help = "Where images are brought to, as NAME.raw." },
    { .name = NULL },
};

static const venv_config_row agent_rows[] = {
    { .name = "manager", .kind = VENV_CONFIG_LIST, .required = true, .one_or_list = true, .of = &address, .min = 1,
      .max = VENV_AGENT_MANAGERS_MAX,
      .help = "Where the manager listens, HOST or HOST:PORT (port 7420 if it is left out). "
              "Of a list the next one is tried when one cannot be reached, or refuses; an agent is connected to one manager at a time." },
    { .name = "tls", .kind = VENV_CONFIG_TABLE, .required = true, .of = tls_rows, .help = "Keys and certificates." },
    { .name = "name", .kind = VENV_CONFIG_NAME, .help = "Name of the agent. It must equal the one in the certificate, and may be left out." },
    { .name = "cluster", .kind = VENV_CONFIG_NAME, .help = "Name of the cluster. It must equal the one in the certificate, and may be left out." },
    { .name = "groups", .kind = VENV_CONFIG_LIST, .one_or_list = true, .of = &group, .max = VENV_AGENT_GROUPS_MAX,
      .fallback = "[default]", .help = "Groups that the agent joins. A group that nobody is in yet is made by joining it." },
    { .name = "sample_every", .kind = VENV_CONFIG_SPAN, .min = MS(10), .max = S(3600), .fallback = "1s",
      .help = "The tick: properties are sampled every so many of them." },
    { .name = "commands", .kind = VENV_CONFIG_LIST, .one_or_list = true, .of = &path, .max = VENV_AGENT_DIRS_MAX,
      .fallback = "[/usr/lib/venv/commands, /etc/venv/commands]",
      .help = "Directories of allowed commands. What is executable in them may be run by its name, and nothing else." },
    { .name = "hypervisor", .kind = VENV_CONFIG_STRING, .min = 1, .max = 512, .fallback = "none",
      .help = "What starts machines here: a URI of libvirt such as qemu:///system, `fake:` (in memory, for tests), or `none`." },
    { .name = "migrate_uri", .kind = VENV_CONFIG_STRING, .min = 1, .max = 512,
      .help = "How the hypervisor of another node is reached from here, with {node} for its name: qemu+tls://{node}/system. "
              "If it is left out, no machine migrates away from this node." },
    { .name = "images", .kind = VENV_CONFIG_TABLE, .of = images_rows, .help = "Where images come from; if it is left out, sync is refused." },
    { .name = "paths", .kind = VENV_CONFIG_LIST, .one_or_list = true, .of = &path, .max = VENV_AGENT_DIRS_MAX,
      .fallback = "[/var/lib/venv/images]",
      .help = "Directories from which environments may take kernels, initrds and disks. A definition that names another is refused." },
    { .name = "machines_dir", .kind = VENV_CONFIG_PATH, .fallback = "/var/lib/venv/machines",
      .help = "Directory for the disks that are made for machines, a folder for each, and in `kept` what is kept when they are over. Only its owner may write it." },
    { .name = "state_dir", .kind = VENV_CONFIG_PATH, .fallback = "/var/lib/venv/agent", .help = "Directory for what the agent must know again after it was killed: which requests it has begun. It must outlive a restart of the agent; an agent that finds the file in it damaged does not start." },
    { .name = "console_dir", .kind = VENV_CONFIG_PATH,
      .help = "Directory for the output of guests' serial consoles, a file INSTANCE.log for each; `console` in state_dir if it is left out." },
    { .name = "saves_dir", .kind = VENV_CONFIG_PATH,
      .help = "Directory for the memories of saved instances and for checkpoints, the same path on all nodes between which saved ones move; "
              "the hypervisor writes to it, the agent renames in it. `saves` in state_dir if it is left out." },
    { .name = "saves_shared", .kind = VENV_CONFIG_BOOL, .fallback = "false",
      .help = "The other nodes see the same saves_dir (a network file system): a saved instance goes on elsewhere without a copy." },
    { .name = "heartbeat", .kind = VENV_CONFIG_SPAN, .min = MS(100), .max = S(600), .fallback = "5s",
      .help = "Time between heartbeats. What the manager asks for when it lets the agent in comes first." },
    { .name = "timeout", .kind = VENV_CONFIG_SPAN, .min = MS(300), .max = S(3600), .fallback = "15s",
      .help = "The connection is given up after this long without a sign that both sides hear each other." },
    { .name = "welcome_within", .kind = VENV_CONFIG_SPAN, .min = MS(100), .max = S(600), .fallback = "5s",
      .help = "The manager must have answered the first message by then." },
    { .name = "reconnect", .kind = VENV_CONFIG_TABLE, .of = reconnect_rows, .fallback = "{}", .help = "Waits between attempts to reach a manager." },
    { .name = "push_every", .kind = VENV_CONFIG_SPAN, .min = MS(1), .max = S(3600), .fallback = "200ms",
      .help = "The shortest time between two messages with changed values; changes in between travel together." },
    { .name = "refresh", .kind = VENV_CONFIG_SPAN, .min = MS(100), .max = S(86400), .fallback = "30s",
      .help = "A value that was sampled again and did not change is told again after this long, so that its age is known." },
    { .name = "machines_every", .kind = VENV_CONFIG_SPAN, .min = MS(100), .max = S(3600), .fallback = "15s",
      .help = "The hypervisor is asked for its machines at least this often, besides when it reports a change." },
    { .name = "command_timeout", .kind = VENV_CONFIG_SPAN, .min = MS(10), .max = S(86400), .fallback = "60s",
      .help = "Time for a command that the manager asks for without saying how long it may take." },
    { .name = "command_timeout_max", .kind = VENV_CONFIG_SPAN, .min = MS(10), .max = S(86400), .fallback = "1h",
      .help = "The longest time that may be asked for." },
    { .name = "commands_at_once", .kind = VENV_CONFIG_INT, .min = 1, .max = 32, .fallback = "4",
      .help = "Commands that run at once to sample properties; the others wait. As many again may run for the manager." },
    { .name = NULL },
};

static const venv_config_row property_rows[] = {
    { .name = "command", .kind = VENV_CONFIG_LIST, .one_or_list = true, .of = &argument, .min = 1, .max = VENV_PROPERTY_ARGS_MAX + 1,
      .help = "Name of an allowed command, and its arguments. What it prints is the value." },
    { .name = "builtin", .kind = VENV_CONFIG_LIST, .one_or_list = true, .of = &argument, .min = 1, .max = 2,
      .help = "Name of a built-in property, and its argument; for a second one of its kind, as [diskfree, /srv]." },
    { .name = "type", .kind = VENV_CONFIG_ENUM, .choices = property_types, .help = "What the value is. Required with `command`." },
    { .name = "unit", .kind = VENV_CONFIG_STRING, .max = VENV_UNIT_MAX, .help = "Unit of the value, for people." },
    { .name = "every", .kind = VENV_CONFIG_INT, .min = -1, .max = VENV_PROPERTY_EVERY_MAX, .unit = "ticks",
      .help = "Interval: -1 never (only when it is asked for), 0 once, n every n ticks. Required with `command`." },
    { .name = "timeout", .kind = VENV_CONFIG_SPAN, .min = MS(10), .max = S(86400), .fallback = "5s",
      .help = "How long one sampling may take; a command is ended then, with everything that it started." },
    { .name = NULL },
};

static const venv_config_row property = { .name = "property", .kind = VENV_CONFIG_TABLE, .of = property_rows };

static const venv_config_row included_rows[] = {
    { .name = "properties", .kind = VENV_CONFIG_MAP, .keys = VENV_CONFIG_STRING, .of = &property, .max = VENV_PROPERTY_COUNT_MAX,
      .fallback = "{}", .help = "Properties by their labels." },
    { .name = NULL },
};

static const venv_config_row main_rows[] = {
    { .name = "agent", .kind = VENV_CONFIG_TABLE, .required = true, .of = agent_rows, .help = "The agent itself." },
    { .name = "include", .kind = VENV_CONFIG_LIST, .one_or_list = true, .of = &pattern, .max = 256, .fallback = "[]",
      .help = "Files with further properties: paths, or patterns with `*`; relative ones to this file." },
    { .name = "properties", .kind = VENV_CONFIG_MAP, .keys = VENV_CONFIG_STRING, .of = &property, .max = VENV_PROPERTY_COUNT_MAX,
      .fallback = "{}", .help = "Properties by their labels, besides the built-in ones. One with the label of a built-in takes its place." },
    { .name = NULL },
};

const venv_config_row *venv_agent_config_rows(void)
{
    return main_rows;
}

const venv_config_row *venv_agent_config_included_rows(void)
{
    return included_rows;
}
