/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two tables of venvctl: its options, and its verbs. Help, completion and the lists of venvctl(1)
 * are made from them; nothing here runs.
 */
#include "venvctl.h"

#include <string.h>

const option_row option_rows[OPTION__END] = {
    [OPTION_CONFIG] = { "config", 0, "FILE", false, false, WORDS_FILE,
        "Read this instead of ~/.config/venv/client.yaml or /etc/venv/client.yaml." },
    [OPTION_MANAGER] = { "manager", 0, "HOST:PORT", false, true, WORDS_NONE,
        "Ask this manager instead of those in the configuration; may be given again, they are tried in turn." },
    [OPTION_TLS] = { "tls", 0, "DIR", false, false, WORDS_DIRECTORY,
        "Take ca.crt, user-NAME.crt and user-NAME.key from this directory." },
    [OPTION_USER] = { "user", 0, "NAME", false, false, WORDS_NONE, "With --tls: this user, where the directory has several." },
    [OPTION_CONNECT] = { "connect", 0, "URI", false, false, WORDS_NONE,
        "Ask no manager, but this hypervisor of libvirt, as qemu:///system; see WITHOUT A MANAGER." },
    [OPTION_JSON] = { "json", 0, NULL, false, false, WORDS_NONE, "Print JSON, with the keys that venvctl(1) lists." },
    [OPTION_QUIET] = { "quiet", 'q', NULL, false, false, WORDS_NONE,
        "Print less: only names in lists, nothing where something was done." },
    [OPTION_TIMEOUT] = { "timeout", 0, "TIME", false, false, WORDS_NONE,
        "Give up after this time, as 30s or 5m (30s; with --wait 5m)." },
    [OPTION_HELP] = { "help", 'h', NULL, false, false, WORDS_NONE, "Print help, for the verb if there is one." },
    [OPTION_VERSION] = { "version", 0, NULL, false, false, WORDS_NONE, "Print the version." },
    [OPTION_COUNT] = { "count", 'n', "N", false, false, WORDS_NONE, "So many instances (start: 1; stop --environment: all)." },
    [OPTION_NODE] = { "node", 0, "NODE", false, false, WORDS_AGENT, "On this node and no other." },
    [OPTION_WAIT] = { "wait", 0, "STATE", true, false, WORDS_STATE,
        "Wait until every instance is in this state (running after start, stopped after stop)." },
    [OPTION_DRY_RUN] = { "dry-run", 0, NULL, false, false, WORDS_NONE, "Only say what would be done." },
    [OPTION_ID] = { "id", 0, "UUID", false, false, WORDS_NONE,
        "Ask under this id: asking twice under the same id does the thing once." },
    [OPTION_ENVIRONMENT] = { "environment", 'e', "ENV", false, false, WORDS_ENVIRONMENT, "Instances of this environment." },
    [OPTION_FORCE] = { "force", 0, NULL, false, false, WORDS_NONE, "Power off at once, without asking the guest." },
    [OPTION_WHERE] = { "where", 'w', "EXPR", false, false, WORDS_NONE,
        "Of the agents of TARGET those for which this expression is true, such as 'agent.p.load1 > 4.0'; see TARGETS." },
    [OPTION_GRACE] = { "grace", 0, "TIME", false, false, WORDS_NONE, "Time that the guest has to shut down." },
    [OPTION_FOLLOW] = { "follow", 'f', NULL, false, false, WORDS_NONE, "Go on with what happens from now on." },
    [OPTION_SINCE] = { "since", 0, "REV|TIME", false, false, WORDS_NONE,
        "Events: all after this revision; 0: all that are kept. Replay and history: so far back (7d), or from this time (2026-11-22T18:30:00Z)." },
    [OPTION_LAST] = { "last", 0, "N", false, false, WORDS_NONE, "The last N events of the past (100)." },
    [OPTION_CLUSTER] = { "cluster", 0, "NAME", false, false, WORDS_NONE, "Name of the cluster, part of every identity; with --connect: whose machines are looked at (default)." },
    [OPTION_DIR] = { "dir", 0, "DIR", false, false, WORDS_DIRECTORY, "Directory of the CA (the current one)." },
    [OPTION_OUT] = { "out", 0, "DIR", false, false, WORDS_DIRECTORY,
        "Directory for the certificate and its key, and a copy of ca.crt (that of the CA)." },
    [OPTION_DAYS] = { "days", 0, "N", false, false, WORDS_NONE, "Days that the certificate is valid (365; of a CA ten years)." },
    [OPTION_KEY] = { "key", 0, "KIND", false, false, WORDS_KEY, "p256 (what there is if nothing is said) or ed25519." },
    [OPTION_REPLACE] = { "replace", 0, NULL, false, false, WORDS_NONE, "Overwrite what is there." },
    [OPTION_HOSTS] = { "hosts", 0, "NAME,...", false, false, WORDS_NONE,
        "For a manager: DNS names and addresses to put into the certificate, for tools that look at them." },
    [OPTION_VARS] = { "vars", 0, "FILE", false, false, WORDS_FILE, "A YAML map of the variables." },
    [OPTION_CHECK] = { "check", 0, NULL, false, false, WORDS_NONE, "Only parse and check; print the type." },
    [OPTION_AST] = { "ast", 0, NULL, false, false, WORDS_NONE, "Print the syntax tree." },
    [OPTION_AGENT] = { "agent", 0, "NAME", false, false, WORDS_AGENT, "In the context of this agent, where a trigger is evaluated for agents." },
    [OPTION_WHY] = { "why", 0, "TEXT", false, false, WORDS_NONE, "A reason, for those who look at it later." },
    [OPTION_UNTIL] = { "until", 0, "TIME", false, false, WORDS_NONE, "Until so long ago (1h), or this time (now)." },
    [OPTION_STATE] = { "state", 0, "DIR", false, false, WORDS_DIRECTORY, "Read the history in this folder of a manager's state; no manager is asked." },
    [OPTION_BOOT] = { "boot", 0, "TIME", false, false, WORDS_NONE, "From start to running, where no recorded instance tells it (1m)." },
    [OPTION_TICK] = { "tick", 0, "TIME", false, false, WORDS_NONE, "Length of a tick, the unit of `every` (that of the manager; with --state 1s)." },
    [OPTION_TO] = { "to", 0, "NODE|URI", false, false, WORDS_AGENT,
        "To this node (migrate: the one that fits best; restore: where it was saved). With --connect: to this hypervisor, as the one that is left reaches it." },
    [OPTION_BANDWIDTH] = { "bandwidth", 0, "SIZE", false, false, WORDS_NONE, "Not more than this much a second, as 50MiB." },
    [OPTION_COPY_DISKS] = { "copy-disks", 0, NULL, false, false, WORDS_NONE,
        "Copy the disks that the guest writes to; without it both nodes must reach them." },
    [OPTION_AUTO_CONVERGE] = { "auto-converge", 0, NULL, false, false, WORDS_NONE,
        "Slow the guest down if it changes its memory faster than that is carried." },
    [OPTION_EXPLAIN] = { "explain", 0, NULL, false, false, WORDS_NONE, "Also the value of each part of the expression; of a replay, for each firing, with the samples." },
    [OPTION_DRAIN] = { "drain", 0, "TIME", true, false, WORDS_NONE,
        "First take it out of work, and stop it when it is idle; with --drain=TIME it is stopped after this time with the work it has." },
    [OPTION_ABANDON] = { "abandon", 0, NULL, false, false, WORDS_NONE, "Stop nothing: what is being drained goes back to work." },
    [OPTION_BY] = { "by", 0, "HOW", false, false, WORDS_DRAIN,
        "How the instances of the node leave: migrate, stop or save; none (if nothing is said): they stay until somebody ends or moves them." },
    [OPTION_FILE] = { "file", 'f', "FILE", false, false, WORDS_FILE, "The environments are defined in this file (start: with --connect)." },
    [OPTION_NAME] = { "name", 0, "NAME", false, false, WORDS_NONE,
        "With --connect: the instance is called so; one that runs already is left alone." },
    [OPTION_COST] = { "cost", 0, NULL, false, false, WORDS_NONE, "Print the estimated cost and, if it runs, what it took." },
};

const verb_row verb_rows[] = {
    { .name = "status", .arguments = "", .summary = "Show the state of the whole, in short.",
      .json = "An object: `manager` (`name`, `cluster`, `version`, `boot`, `since`, `wall`, `tick`), `agents` "
              "(`connected`, `known`), "
              "`groups`, `environments`, `instances` (`total`, and the number in each state), `triggers` (`total`, "
              "`firing`, `failing`), `actions` (`open`), `revision` of the log of events.",
      .example = "venvctl status", .run = run_status },
    { .name = "list", .arguments = "KIND", .summary = "List the agents, groups, environments, instances, triggers, actions, proposals or breakers.",
      .text = "KIND is one of agents, groups, environments, instances, triggers, actions, proposals and breakers. There is always a line of "
              "titles, also in a pipe; with --quiet there is none, and only the names are printed, one a line.",
      .json = "An array of objects, sorted by name.\n"
              "agents: `name`, `state` (connected; suspect: silent or cut off for a while; lost: for long), `since`, "
              "`heard`, `groups`, `address`, `program`, `properties`, "
              "`instances`, `hypervisor`, `reachable` (whether the hypervisor could be asked), `breaker` (open or half-open, if it is).\n"
              "groups: `name`, `agents` (their names), `connected`.\n"
              "environments: `name`, `version`, `files` (the manager's files define it), `hypervisor`, `vcpus`, `memory` (bytes), `image`, `instances`, `running`, `breaker`.\n"
              "instances: `name`, `id`, `environment`, `state`, `since` (in this state), `node`, `reason`, "
              "`epoch`, `made`, `by`.\n"
              "triggers: `name`, `element`, `mode`, `state`, `since`, `fired` (times), `last_fired`, `when`, `at`, `zone`, `next` (the next time of `at`), `error`, "
              "`enabled`; of one that is disabled `disabled` (when), `disabled_by`, `disabled_why`.\n"
              "actions: `id`, `kind`, `subject`, `state`, `made`, `by`, `ended`, `rc`, `error`.\n"
              "proposals: `id`, `trigger`, `element`, `state` (open, applied, rejected, expired), `made`, `expires`, `why`, `summary`, `repeats` "
              "(firings while it was open), `recovered` (since when its reason is over), `ended`, `by`, `reason`, `firing`.\n"
              "breakers: `name` (environment/NAME or node/NAME), `state` (closed, open, half-open), `since`, `failures`, `opened` (times in a "
              "row), `retry` (when a trial is let through), `trial` (an instance), `reason` (the last failure).",
      .example = "venvctl list instances --json | python3 -m json.tool",
      .least = 1, .most = 1, .words = { WORDS_PLURAL }, .run = run_list },
    { .name = "show", .arguments = "KIND NAME", .summary = "Show everything about one thing.",
      .text = "KIND is one of agent, group, environment, instance, trigger, action, proposal and breaker. An action or proposal is named by its id, "
              "or the first eight or more characters of it.",
      .json = "An object: the keys that list gives, and more.",
      .example = "venvctl show instance class2-1",
      .least = 2, .most = 2, .words = { WORDS_SINGULAR, WORDS_NAMED }, .run = run_show },
    { .name = "start", .arguments = "ENV", .summary = "Start instances of an environment.",
      .text = "The manager chooses the nodes, unless one is named. Without --wait the answer comes when the "
              "start is on the manager's disk; it is carried out whatever happens to this program.",
      .json = "An object: `id` (of the request), `action`, `instances` (as in list); of a dry run `dry_run`, "
              "`instances` with the nodes "
              "they would be on, and `placement`: for each node, why it may not run one.",
      .example = "venvctl start class2 --count 4 --wait --timeout 2m",
      .least = 1, .most = 1,
      .options = { OPTION_COUNT, OPTION_NODE, OPTION_WAIT, OPTION_DRY_RUN, OPTION_ID, OPTION_FILE, OPTION_NAME },
      .words = { WORDS_ENVIRONMENT }, .run = run_start },
    { .name = "stop", .arguments = "INSTANCE | --environment ENV", .summary = "Stop an instance, or those of an environment.",
      .text = "The guest is asked to shut down, and powered off after the grace time. With --environment all of "
              "its instances are stopped, or --count of them.\n\n"
              "With --drain the command `scale.drain` of its definition takes it out of work first, and it is stopped when `scale.idle` is "
              "true; without these it is idle at once. Until its node has been told to shut it down, --abandon takes that back.",
      .json = "An object: `id` (of the request), `action`, `instances` (as in list), `dry_run` if it was one.",
      .example = "venvctl stop class2-1 --wait",
      .least = 0, .most = 1,
      .options = { OPTION_ENVIRONMENT, OPTION_COUNT, OPTION_DRAIN, OPTION_ABANDON, OPTION_FORCE, OPTION_GRACE, OPTION_WAIT, OPTION_DRY_RUN, OPTION_ID },
      .words = { WORDS_INSTANCE }, .run = run_stop },
    { .name = "pause", .arguments = "INSTANCE | --environment ENV", .summary = "Freeze an instance, or those of an environment.",
      .text = "The guest stands still and keeps its memory, until resume. With --environment all of its instances that run are paused, or --count of them.",
      .json = "An object: `id` (of the request), `action`, `instances` (as in list), `dry_run` if it was one.",
      .example = "venvctl pause class2-1 --wait",
      .least = 0, .most = 1,
      .options = { OPTION_ENVIRONMENT, OPTION_COUNT, OPTION_WAIT, OPTION_DRY_RUN, OPTION_ID },
      .words = { WORDS_INSTANCE }, .run = run_change },
    { .name = "resume", .arguments = "INSTANCE | --environment ENV", .summary = "Let a paused instance go on.",
      .text = "With --environment all of its instances that are paused go on, or --count of them.",
      .json = "An object: `id` (of the request), `action`, `instances` (as in list), `dry_run` if it was one.",
      .example = "venvctl resume class2-1",
      .least = 0, .most = 1,
      .options = { OPTION_ENVIRONMENT, OPTION_COUNT, OPTION_WAIT, OPTION_DRY_RUN, OPTION_ID },
      .words = { WORDS_INSTANCE }, .run = run_change },
    { .name = "save", .arguments = "INSTANCE | --environment ENV", .summary = "Write the memory of an instance to a file of its node, and end the machine.",
      .text = "A saved instance takes no processor and no memory, and goes on where it was with restore. With --environment all of its instances that run are saved, or --count of them, the youngest first.",
      .json = "An object: `id` (of the request), `action`, `instances` (as in list), `dry_run` if it was one.",
      .example = "venvctl save --environment class2 --wait",
      .least = 0, .most = 1,
      .options = { OPTION_ENVIRONMENT, OPTION_COUNT, OPTION_WAIT, OPTION_DRY_RUN, OPTION_ID },
      .words = { WORDS_INSTANCE }, .run = run_change },
    { .name = "restore", .arguments = "INSTANCE | --environment ENV", .summary = "Let a saved instance go on, where it was saved or on another node.",
      .text = "With --to its memory is moved first: by its name where the agents share their saves_dir, else it is copied. With --environment all of its "
              "instances that are saved go on, or --count of them.",
      .json = "An object: `id` (of the request), `action`, `instances` (as in list), `dry_run` if it was one.",
      .example = "venvctl restore class2-1 --to node08 --wait",
      .least = 0, .most = 1,
      .options = { OPTION_ENVIRONMENT, OPTION_COUNT, OPTION_TO, OPTION_WAIT, OPTION_DRY_RUN, OPTION_ID },
      .words = { WORDS_INSTANCE }, .run = run_change },
    { .name = "destroy", .arguments = "INSTANCE | --environment ENV", .summary = "Power off an instance at once, and remove it.",
      .text = "The guest is not asked; what it has not written is lost. It is stop --force. A saved instance loses its memory.",
      .json = "An object: `id` (of the request), `action`, `instances` (as in list), `dry_run` if it was one.",
      .example = "venvctl destroy class2-1",
      .least = 0, .most = 1,
      .options = { OPTION_ENVIRONMENT, OPTION_COUNT, OPTION_WAIT, OPTION_DRY_RUN, OPTION_ID },
      .words = { WORDS_INSTANCE }, .run = run_change },
    { .name = "migrate", .arguments = "INSTANCE | --environment ENV", .summary = "Move a running instance to another node while it runs.",
      .text = "Without --to (or --node, which says the same) it goes to the node that fits best. Its disks must be reachable from both nodes, unless they "
              "are copied, and the agent of its node must have migrate_uri set. With --wait how far it is is shown on a terminal. With --timeout a "
              "guest that has not moved by then stays where it is, and the reason says what it would have taken. "
              "\"venvctl cancel\" ends a migration.",
      .json = "An object: `id` (of the request), `action`, `instances` (as in list), `dry_run` if it was one.",
      .example = "venvctl migrate class2-1 --to node08 --bandwidth 50MiB --timeout 5m --wait",
      .least = 0, .most = 1,
      .options = { OPTION_ENVIRONMENT, OPTION_COUNT, OPTION_TO, OPTION_NODE, OPTION_BANDWIDTH, OPTION_COPY_DISKS, OPTION_AUTO_CONVERGE, OPTION_WAIT,
                   OPTION_DRY_RUN, OPTION_ID },
      .words = { WORDS_INSTANCE }, .run = run_change },
    { .name = "reboot", .arguments = "INSTANCE | --environment ENV", .summary = "Start the system of an instance anew.",
      .text = "The guest's power button is pressed, and it is reset if it has not gone down within the grace time (1m). The instance stays "
              "what it is, with its disks; what was in its memory is lost. --force resets at once.",
      .json = "An object: `id` (of the request), `action`, `instances` (as in list), `dry_run` if it was one.",
      .example = "venvctl reboot class2-1 --grace 2m --wait",
      .least = 0, .most = 1,
      .options = { OPTION_ENVIRONMENT, OPTION_COUNT, OPTION_FORCE, OPTION_GRACE, OPTION_WAIT, OPTION_DRY_RUN, OPTION_ID },
      .words = { WORDS_INSTANCE }, .run = run_change },
    { .name = "checkpoint", .arguments = "INSTANCE | --environment ENV", .summary = "Keep what an instance is now, and let it go on.",
      .text = "Its memory and the disks that it writes to, of one moment, are kept in saves_dir of its agent, in place of the checkpoint before. "
              "It stands still meanwhile, for some seconds. revert goes back to it.",
      .json = "An object: `id` (of the request), `action`, `instances` (as in list), `dry_run` if it was one.",
      .example = "venvctl checkpoint class2-1 --wait",
      .least = 0, .most = 1,
      .options = { OPTION_ENVIRONMENT, OPTION_COUNT, OPTION_WAIT, OPTION_DRY_RUN, OPTION_ID },
      .words = { WORDS_INSTANCE }, .run = run_change },
    { .name = "revert", .arguments = "INSTANCE | --environment ENV", .summary = "Go back to the last checkpoint of an instance.",
      .text = "What the guest did since then is lost, on its disks, too.",
      .json = "An object: `id` (of the request), `action`, `instances` (as in list), `dry_run` if it was one.",
      .example = "venvctl revert class2-1 --wait",
      .least = 0, .most = 1,
      .options = { OPTION_ENVIRONMENT, OPTION_COUNT, OPTION_WAIT, OPTION_DRY_RUN, OPTION_ID },
      .words = { WORDS_INSTANCE }, .run = run_change },
    { .name = "cancel", .arguments = "INSTANCE", .summary = "End the migration or save of an instance that is under way.",
      .text = "The instance goes on where it is. What cannot be ended any more is done: the action that is ended says which.",
      .json = "An object: `id` (of the request), `action`, `instances` (as in list), `dry_run` if it was one.",
      .example = "venvctl cancel class2-1",
      .least = 1, .most = 1, .options = { OPTION_ID }, .words = { WORDS_INSTANCE }, .run = run_change },
    { .name = "get", .arguments = "TARGET [LABEL]", .summary = "Print the kept values of properties.",
      .text = "TARGET is an agent, or @ and the name of a group; --where chooses among them. Without a label: all properties. What could not "
              "be sampled "
              "keeps its last value, and says so: its quality is stale, error or absent, with the reason. With "
              "--quiet only the values are printed.",
      .json = "An array of objects: `agent`, `label`, `type`, `unit`, `value`, `quality` (ok, stale, error, "
              "absent), `time`, `reason`; or "
              "`agent`, `error` and `rc` for an agent that could not be asked.",
      .example = "venvctl get @hypervisor memfree",
      .least = 1, .most = 2, .options = { OPTION_WHERE }, .words = { WORDS_TARGET, WORDS_NONE }, .run = run_get },
    { .name = "fetch", .arguments = "TARGET LABEL", .summary = "Sample a property now and print it.",
      .text = "As get, but the agents sample the property first. If one of them cannot, the exit code is 1.",
      .json = "As get.", .example = "venvctl fetch node07 cputemp",
      .least = 2, .most = 2, .options = { OPTION_WHERE }, .words = { WORDS_TARGET, WORDS_NONE }, .run = run_fetch },
    { .name = "exec", .arguments = "TARGET [COMMAND [ARG...]]", .summary = "Run an allowed command on agents, or list what is allowed.",
      .text = "Only commands that the agent's administrator allows can be run, by their names; there is no shell. "
              "What COMMAND printed is printed, with the agent's name before each line if there is more than one agent. "
              "Everything after COMMAND belongs to it, dashes or not. The exit code is 1 if the command failed anywhere.",
      .json = "An array of objects: `agent`, `command`, `args`, `started`, `took`, `exit` or `signal`, "
              "`timed_out`, `stdout`, `stderr`, `truncated`, "
              "`error` (it did not start). Output that is no UTF-8 is under `stdout_base64` and `stderr_base64`, "
              "beside a readable form. "
              "Without a command: `agent`, `commands` (`name`, `path`).",
      .example = "venvctl exec @batch slurm-drain node07",
      .least = 1, .most = 255, .rest_after = 2, .options = { OPTION_ID, OPTION_WHERE },
      .words = { WORDS_TARGET, WORDS_NONE }, .run = run_exec },
    { .name = "events", .arguments = "", .summary = "Print the log of events.",
      .text = "Each event has a revision, one higher than the one before. With --follow it goes on until it is "
              "interrupted, "
              "reconnects where the connection breaks, and leaves nothing out (an event `resync` says where the "
              "past is no longer kept); "
              "--timeout ends it after that time.",
      .json = "With --follow an object a line, else an array: `revision`, `time`, `kind`, `subject`, `text`, "
              "`cause`, `detail`.",
      .example = "venvctl events --follow",
      .options = { OPTION_FOLLOW, OPTION_SINCE, OPTION_LAST }, .run = run_events },
    { .name = "history", .arguments = "LABEL AGENT", .summary = "Print what a property was, and when.",
      .text = "The samples of the property since a time (1h), each with the time at which the manager took it, and first what it was "
              "then. With --state the files of the manager are read, which may run or not. What could not be sampled shows the last "
              "good value and its quality. How long the past is kept says `history` in venv-mgr.yaml(5).",
      .json = "An array of objects: `kind` (property), `subject` (the agent), `label`, `time`, `quality` (ok, stale, error, absent), "
              "`value`, `before` (true: it was so when the time that was asked for began).",
      .example = "venvctl history load1 node07 --since 12h",
      .least = 2, .most = 2, .options = { OPTION_SINCE, OPTION_UNTIL, OPTION_STATE }, .words = { WORDS_NONE, WORDS_AGENT },
      .run = run_history },
    { .name = "accept-rollback", .arguments = "", .summary = "Let a manager go on whose state was restored from an older copy.",
      .text = "Agents remember how far the state was of the manager that they obeyed. A manager whose state is older drives no node: it "
              "would start what runs, and know nothing of what happened after the copy was made. It says so in its log, in venvctl status, "
              "and to everybody who wants something changed. Compare what runs on the nodes (venvctl list agents, virsh list) with "
              "what the manager knows (venvctl list instances); then this verb begins a new line of the state from what there is.",
      .json = "An object: `accepted`, `revision`.",
      .example = "venvctl accept-rollback", .run = run_accept_rollback },
    { .name = "sync", .arguments = "TARGET IMAGE", .summary = "Bring an image to nodes.",
      .text = "IMAGE is NAME, or NAME@VERSION, in the repository that the agent's configuration names; only what the node lacks is fetched. "
              "Without --timeout an hour is given.",
      .json = "An array of objects: `agent`, `image`, `version`, `digest`, `size`, `bytes` (fetched), or `rc` and `error`.",
      .example = "venvctl sync @hypervisor scientific-7",
      .least = 2, .most = 2, .options = { OPTION_ID, OPTION_WHERE },
      .words = { WORDS_TARGET, WORDS_NONE }, .run = run_sync },
    { .name = "control", .arguments = "TARGET stop|rcon|rjoin [GROUP...]", .summary = "Steer agents: stop, reconnect, join groups again.",
      .text = "stop ends the agent; its instances keep running. rcon has it reconnect. rjoin has it join the "
              "groups, or those of "
              "its configuration if none is named.",
      .json = "An array of objects: `agent`, `reply`; or `agent`, `error` and `rc`.",
      .example = "venvctl control node07 rjoin default 8-core",
      .least = 2, .most = 255, .options = { OPTION_ID, OPTION_WHERE }, .words = { WORDS_TARGET, WORDS_STEER, WORDS_GROUP }, .run = run_control },
    { .name = "why", .arguments = "KIND NAME", .summary = "Say why an instance, a node, an environment, a trigger or an action is as it is.",
      .text = "KIND is instance, node, environment, trigger or action; an action is named by its id, or the first eight or more characters of it. "
              "One chain of causes, in the order of time: the samples that a decision rested on, with when they were taken; the "
              "value of each part of the conditions; what hold and limits said; the action; why this node and no other; and the "
              "agent's own word on how it ended. Of a trigger also why it has not fired, of a node why nothing starts on it, "
              "of an environment what its `scale` wants. It "
              "works after a restart of the manager, and for what has ended, as long as the manager keeps it.\n\n"
              "With --quiet only the first line, which is the answer in one sentence.",
      .json = "An object: `what`, `name`, `answer`, `steps` (`kind`, `level`, `text`, `time`, `detail`).",
      .example = "venvctl why instance class2-1",
      .least = 2, .most = 2, .options = { OPTION_AGENT }, .words = { WORDS_WHY, WORDS_NAMED }, .run = run_why },
    { .name = "breaker list", .arguments = "", .summary = "List the circuit breakers of environments and nodes.",
      .text = "A breaker is there for each environment and each node where a start failed or hung. It opens after "
              "`manager.breaker.failures` of them within `manager.breaker.window`; then nothing is started there until its time is over, when "
              "one start is let through as a trial.",
      .json = "An array of objects, as of `list breakers`.",
      .example = "venvctl breaker list", .run = run_breaker_list },
    { .name = "breaker reset", .arguments = "NAME", .summary = "Close a circuit breaker, and forget the failures that it counted.",
      .text = "NAME is environment/NAME or node/NAME, or NAME alone where only one of them is called so.",
      .json = "An object, as of `list breakers`.",
      .example = "venvctl breaker reset node/node07 --why 'new disk'",
      .least = 1, .most = 1, .options = { OPTION_WHY, OPTION_ID }, .words = { WORDS_BREAKER }, .run = run_breaker_reset },
    { .name = "reload", .arguments = "", .summary = "Have the manager read its configuration anew, and show what is different.",
      .text = "All of the new configuration is used, or nothing: if anything in it is wrong, that is told with file, line and column, and the "
              "manager goes on with what it had. Triggers that are as before keep their state, instances keep their definition. Settings that "
              "take a restart of the manager are named. With --dry-run the difference is only shown.",
      .json = "An object: `applied`, `environments` and `triggers` (`added`, `removed`, `changed`: names), `manager` (`key`, `from`, `to`, "
              "`live`: whether it is used now).",
      .example = "venvctl reload --dry-run", .options = { OPTION_DRY_RUN }, .run = run_reload },
    { .name = "trigger list", .arguments = "", .summary = "List the triggers, their units, and how far each of them is.",
      .text = "HOLD says how long, or how often in a row, `when` has been true, and how long or often it has to be: `2/3`, `20s of 30s`.",
      .json = "An array of objects, as of `list triggers`, with `counter` (what HOLD shows).",
      .example = "venvctl trigger list", .run = run_trigger_list },
    { .name = "trigger show", .arguments = "NAME", .summary = "Show a trigger: its definition, its units, what they wait for.",
      .json = "An object, as of `show trigger`.",
      .example = "venvctl trigger show grow-class2",
      .least = 1, .most = 1, .words = { WORDS_TRIGGER }, .run = run_trigger_show },
    { .name = "trigger test", .arguments = "FILE|NAME [TRIGGER]", .summary = "Evaluate triggers now, part by part, and do nothing.",
      .text = "A FILE (its name ends in .yaml or .yml, or has a slash in it) holds triggers as in venv-mgr.yaml(5), alone or below "
              "`triggers:`; they are evaluated by the manager, in the world that it sees, and leave no trace. A NAME is a trigger that the "
              "manager has. Below each condition stands the value of each of its parts; behind it, what would come of it, and the actions "
              "with their arguments. With --vars no manager is asked: the file is a world of its own, with `now`, `agents` (a list of "
              "`{name, state, groups, p: {PROPERTY: VALUE}}`), `queues` (`{NAME: {pending, running}}`) and `instances` (`{ENVIRONMENT: "
              "[{name, state, node}]}`); what is not in it is unknown.\n\n"
              "The exit code is 1 if a condition or an argument fails.",
      .json = "An array of objects: `trigger` (as of `show trigger`), `units` (`unit`, `state`, `when` and `until` with `source`, `state`, "
              "`parts`; `samples`, `would`, `orders`).",
      .example = "venvctl trigger test new.yaml --agent node07",
      .least = 1, .most = 2, .options = { OPTION_AGENT, OPTION_VARS }, .words = { WORDS_TRIGGER_OR_FILE, WORDS_TRIGGER },
      .run = run_trigger_test },
    { .name = "trigger enable", .arguments = "NAME", .summary = "Let a trigger act again.",
      .json = "An object, as of `show trigger`.",
      .example = "venvctl trigger enable grow-class2",
      .least = 1, .most = 1, .options = { OPTION_WHY, OPTION_ID }, .words = { WORDS_TRIGGER }, .run = run_trigger_enable },
    { .name = "trigger disable", .arguments = "NAME", .summary = "Stop a trigger from acting, until it is enabled; a restart changes nothing about it.",
      .json = "An object, as of `show trigger`.",
      .example = "venvctl trigger disable grow-class2 --why 'maintenance of the pool'",
      .least = 1, .most = 1, .options = { OPTION_WHY, OPTION_ID }, .words = { WORDS_TRIGGER }, .run = run_trigger_disable },
    { .name = "trigger apply", .arguments = "PROPOSAL", .summary = "Carry out a proposal of a trigger, exactly as it is shown.",
      .text = "A trigger of mode `propose` makes proposals: `venvctl list proposals` lists them, `venvctl show proposal ID` shows the "
              "orders with all their arguments. PROPOSAL is the id, or the first eight or more characters of it.",
      .json = "An object, as of `show proposal`.",
      .example = "venvctl trigger apply 5a702dec",
      .least = 1, .most = 1, .options = { OPTION_WHY, OPTION_ID }, .words = { WORDS_PROPOSAL }, .run = run_trigger_apply },
    { .name = "trigger reject", .arguments = "PROPOSAL", .summary = "Reject a proposal: it can no longer be applied.",
      .json = "An object, as of `show proposal`.",
      .example = "venvctl trigger reject 5a702dec --why 'not now'",
      .least = 1, .most = 1, .options = { OPTION_WHY, OPTION_ID }, .words = { WORDS_PROPOSAL }, .run = run_trigger_reject },
    { .name = "forget", .arguments = "AGENT", .summary = "Forget an agent that is away.",
      .text = "Its groups and values are forgotten, and to which machine its name belongs: a node that was installed anew, or takes the "
              "place of another, can have the name at once. An agent that is connected, or has instances, is not forgotten. "
              "If it connects again it is as new.",
      .json = "An object: the agent as it was, as in show.", .example = "venvctl forget node07",
      .least = 1, .most = 1, .options = { OPTION_WHY, OPTION_ID }, .words = { WORDS_AGENT, WORDS_NONE }, .run = run_forget },
    { .name = "node drain", .arguments = "NODE", .summary = "Put a node in maintenance: nothing is started there; with --by it is emptied.",
      .text = "The node refuses every placement with the reason, until `node resume`; a restart of the manager or of the node changes "
              "nothing about it. With --by the instances that run there leave, some at a time: they are migrated, stopped or saved. One that "
              "cannot leave stays, is tried again after 30 s, and `show agent NODE` says why; one that cannot be seen is waited for. "
              "With --wait the command ends when the node is empty. Asking again with another --by goes on in that way.",
      .json = "An object: the agent, as in show, with `maintenance` (`since`, `by`, `why`, `drain`, `left`, `trouble`, `action`).",
      .example = "venvctl node drain node07 --by migrate --wait --why 'new memory'",
      .least = 1, .most = 1, .options = { OPTION_BY, OPTION_WAIT, OPTION_WHY, OPTION_ID }, .words = { WORDS_AGENT }, .run = run_node_drain },
    { .name = "node resume", .arguments = "NODE", .summary = "Take a node out of maintenance; a drain that is not over is abandoned.",
      .text = "What has left does not come back by itself; what is on its way goes on.",
      .json = "An object: the agent, as in show.", .example = "venvctl node resume node07",
      .least = 1, .most = 1, .options = { OPTION_WHY, OPTION_ID }, .words = { WORDS_AGENT }, .run = run_node_resume },
    { .name = "apply", .arguments = "--file FILE", .summary = "Define environments, or give them another version: all of a file, or nothing.",
      .text = "FILE has a map `environments`, as in venv-mgr.yaml(5). It is checked here and by the manager, what is different is shown, and when the "
              "answer comes it is on the manager's disk. Instances that are there stay as they were made: `show instance` says from which "
              "version, and which is the newest. A name that the manager's own files define is theirs and cannot be applied. "
              "A user_data that is the path of a file beside FILE is replaced by the text of that file.",
      .json = "A list: for each environment `name`, `change` (added, changed, same), `version`, `older` (instances of other versions), "
              "`differences` (`key`, `from`, `to`).",
      .example = "venvctl apply -f class2.yaml --dry-run",
      .least = 0, .most = 1, .options = { OPTION_FILE, OPTION_DRY_RUN, OPTION_ID }, .words = { WORDS_FILE }, .run = run_apply },
    { .name = "environment list", .arguments = "[ENV]", .summary = "List the environments, or the versions of one.",
      .json = "A list: of environments as in list; of versions `name`, `version`, `made`, `by`, `files` (it came with the manager's files), "
              "`newest`, `instances`.",
      .example = "venvctl environment list class2",
      .least = 0, .most = 1, .words = { WORDS_ENVIRONMENT }, .run = run_environment_list },
    { .name = "environment show", .arguments = "ENV[@VERSION]", .summary = "Show one version of an environment, with its definition.",
      .text = "Without VERSION the newest. The definition has its defaults written out.",
      .json = "An object: as in environment list, and `definition`.",
      .example = "venvctl environment show class2@3",
      .least = 1, .most = 1, .words = { WORDS_ENVIRONMENT }, .run = run_environment_show },
    { .name = "environment diff", .arguments = "ENV[@VERSION] [ENV@VERSION]", .summary = "Show what is different between two versions.",
      .text = "Without versions the newest is compared with the one before it; with one, that one with the newest.",
      .json = "A list of `key`, `from`, `to`.",
      .example = "venvctl environment diff class2@3 class2@5",
      .least = 1, .most = 2, .words = { WORDS_ENVIRONMENT, WORDS_ENVIRONMENT }, .run = run_environment_diff },
    { .name = "environment import", .arguments = "FILE", .summary = "Make a definition out of a configuration of xl or xm, or of libvirt's domain XML.",
      .text = "The YAML goes to the standard output. Each thing that is not carried over is a comment in it; where the definition cannot be "
              "applied as it is, its first line says why. A configuration of xm is parsed and not executed: an expression of Python in it is "
              "an error with its line. Nobody is asked, and nothing is changed.",
      .example = "venvctl environment import /etc/xen/class2.cfg > class2.yaml",
      .least = 1, .most = 1, .options = { OPTION_NAME }, .words = { WORDS_FILE }, .run = run_environment_import },
    { .name = "environment delete", .arguments = "ENV[@VERSION]", .summary = "Delete an environment, or one version of it, that is not in use.",
      .text = "It is refused, with the reason, while instances are there that were made from it, while another environment needs it (affinity), "
              "and where the manager's files define it.",
      .json = "An object: `name`, `version`, `deleted`.",
      .example = "venvctl environment delete class2@3",
      .least = 1, .most = 1, .options = { OPTION_DRY_RUN, OPTION_ID }, .words = { WORDS_ENVIRONMENT }, .run = run_environment_delete },
    { .name = "trigger replay", .arguments = "FILE", .summary = "Say what triggers would have done in the past, beside what did happen.",
      .text = "FILE holds triggers as in venv-mgr.yaml(5), alone or below `triggers:`. The history that the manager keeps is gone through "
              "by the code that decides in the manager; what would have fired is listed with what did fire then, and the hours of machines are "
              "summed up. The same history gives the same answer.\n\n"
              "Nobody knows what machines that were never started would have done, so the model is simple, and is printed below the sums: each "
              "start finds a node and works; an instance runs after the time that recorded ones took on average, until the triggers stop it; the "
              "queues are as they were recorded; instances that people started are as they were; each trigger begins idle and enabled, and a "
              "proposal is not applied. Limits of the number of actions hold; those of a share of a group, circuit breakers, and whatever kept "
              "the manager from acting at that time (a trigger that was disabled, a full disk) are not part of it.\n\n"
              "With --state no manager is asked: what did fire is then not listed, because that stands in the log of events.",
      .json = "An object: `from`, `to`, `samples`, `model`, `would` and `did` (arrays: `time`, `kind`, `trigger`, `unit`, `text`; of `would` also "
              "`orders`, `why`, `start`), `triggers` (`name`, `would`, `did`), `environments` (`name`, `would_start`, `would_hours`, `did_start`, "
              "`did_hours`, `did_hours_triggers`), `left_out` if there were more than 10,000 of them, `history_from` and "
              "`did_from` if the history, or the log of events, goes back only to that time.",
      .example = "venvctl trigger replay --since 7d new.yaml",
      .least = 1, .most = 1, .options = { OPTION_SINCE, OPTION_UNTIL, OPTION_STATE, OPTION_BOOT, OPTION_TICK, OPTION_EXPLAIN }, .words = { WORDS_FILE },
      .run = run_trigger_replay },
    { .name = "dump", .arguments = "[FILE]", .summary = "Write the manager's flight recorder to a file.",
      .text = "The last events that the manager was given, with the times, as a file that `venv_sim --replay FILE` of venv's sources steps "
              "through. Without FILE it is venv-MANAGER.record in the current folder, \"-\" is standard output. A manager that fails an assertion "
              "writes the same to flight.record in the folder of its state. The file holds what agents told the manager: keep it as "
              "secret as that folder; it is made readable by its owner only.",
      .json = "An object: `file`, `size` (bytes).",
      .example = "venvctl dump", .least = 0, .most = 1, .words = { WORDS_FILE }, .run = run_dump },
    { .name = "cert init", .arguments = "--cluster NAME", .summary = "Make the CA of a new cluster.",
      .text = "Makes ca.crt and ca.key in the directory of the CA, which is made if it is not there. Nothing is "
              "overwritten "
              "without --replace. Whoever has ca.key can make identities: keep it on one machine, offline if you can.",
      .json = "An object: `cluster`, `certificate`, `key`, `expires`.",
      .example = "venvctl cert init --cluster physics --dir /root/venv-ca",
      .options = { OPTION_CLUSTER, OPTION_DIR, OPTION_DAYS, OPTION_KEY, OPTION_REPLACE }, .run = run_cert_init },
    { .name = "cert issue", .arguments = "ROLE NAME", .summary = "Make a key and a certificate for a manager, an agent or a user.",
      .text = "ROLE is manager, agent or user. The identity is venv://CLUSTER/ROLE/NAME, and NAME is what an "
              "agent is called "
              "from then on. Makes ROLE-NAME.crt and ROLE-NAME.key, the key readable by its owner only; the "
              "directory of --out gets a "
              "copy of ca.crt, too, and is then all that a daemon or `--tls DIR` needs. Nothing is overwritten "
              "without --replace.",
      .json = "An object: `identity`, `ca`, `certificate`, `key`, `expires`.",
      .example = "venvctl cert issue agent node07 --dir /root/venv-ca --out node07",
      .least = 2, .most = 2, .options = { OPTION_DIR, OPTION_OUT, OPTION_DAYS, OPTION_KEY, OPTION_REPLACE, OPTION_HOSTS },
      .words = { WORDS_ROLE, WORDS_NONE }, .run = run_cert_issue },
    { .name = "cert show", .arguments = "FILE", .summary = "Show whose certificate it is, and until when.",
      .json = "An object: `identity`, `cluster`, `role`, `name`, `ca` (whether it is one), `from`, `expires`, "
              "`valid` (now), `serial`, `fingerprint`, `key`, `hosts`.",
      .example = "venvctl cert show /etc/venv/pki/agent-node07.crt",
      .least = 1, .most = 1, .words = { WORDS_FILE }, .run = run_cert_show },
    { .name = "eval", .arguments = "EXPR", .summary = "Evaluate an expression here, without a manager.",
      .text = "The expression is compiled by the code that the manager uses, and printed in the expression "
              "language's own way. "
              "With --vars the variables have the types of their values; a name that is not there is an error. An "
              "error shows the line and a "
              "caret under the place; the exit code is 2 if the expression does not compile, 1 if it fails when it runs.",
      .json = "An object: `type`, `outcome` (value, unknown), `value`; `cost` (`used`, `least`, `most`), "
              "`parts` (`begin`, `end`, `depth`, `state`, `text`, `value`, and so on) and `tree` if asked for.",
      .example = "venvctl eval '[1, 2, 3].exists(x, x > 2)'",
      .least = 1, .most = 1, .options = { OPTION_VARS, OPTION_CHECK, OPTION_AST, OPTION_COST, OPTION_EXPLAIN },
      .run = run_eval },
    { .name = "help", .arguments = "[VERB]", .summary = "Print help, for a verb if one is named.",
      .example = "venvctl help start", .least = 0, .most = 2, .words = { WORDS_VERB }, .run = run_help },
    /* For the shell's completion and the manual page: not shown. */
    { .name = "complete", .arguments = "[WORD...]", .least = 0, .most = 255, .rest_after = 1, .run = run_complete },
};
const size_t verb_count = sizeof verb_rows / sizeof verb_rows[0];

const verb_row *verb_find(char *const *words, size_t count, size_t *ret_words)
{
    for (size_t i = 0; i < verb_count; i++) {
        const char *name = verb_rows[i].name;
        const char *space = strchr(name, ' ');
        size_t first = space ? (size_t)(space - name) : strlen(name);
        if (count == 0 || strlen(words[0]) != first || memcmp(words[0], name, first) != 0)
            continue;
        if (space && (count < 2 || strcmp(words[1], space + 1) != 0))
            continue;
        *ret_words = space ? 2 : 1;
        return &verb_rows[i];
    }
    return NULL;
}

bool verb_takes(const verb_row *verb, option_id option)
{
    if (option < OPTION_GLOBAL_END)
        return true;
    for (size_t i = 0; i < VERB_OPTIONS_MAX && verb->options[i] >= OPTION_GLOBAL_END; i++)
        if (verb->options[i] == option)
            return true;
    return false;
}
