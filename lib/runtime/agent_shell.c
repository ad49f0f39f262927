/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's shell: turns what happens into events for the core, and does what its actions say. It decides nothing.
 *
 * Some actions are answered at once (a sample of /proc, a command that cannot start). Their events wait until the actions of
 * the step that caused them are all done: the core is never entered from within itself.
 */
#include "runtime/daemon.h"

#include "agent/agent.h"
#include "base/cleanup.h"
#include "base/table.h"
#include "runtime/clock.h"
#include "runtime/dialer.h"
#include "runtime/disk_samples.h"
#include "runtime/loop.h"
#include "runtime/image_pool.h"
#include "runtime/machine_worker.h"
#include "runtime/machine_id.h"
#include "runtime/memory_file.h"
#include "runtime/notify.h"
#include "runtime/run_pool.h"
#include "runtime/samples.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS_MAX 16384 /* that one step's actions can cause at once */
#define HELD_MAX   8192  /* effects that wait until what they rest on is durable; the core has bounds of its own */

/* An event with what it points to. */
typedef struct owned_event {
    venv_agent_event event;
    venv_run_outcome run;
    venv_value value;
    char text[VENV_ERROR_TEXT_MAX];
} owned_event;

typedef struct agent_shell {
    const venv_shell_host *host;
    const venv_log *log;
    venv_agent_config *config;
    venv_loop loop;
    venv_tls_context *tls;
    venv_agent *core;
    venv_dialer *dialer;
    venv_run_pool *pool;
    venv_machine_worker *machines;
    venv_machine_worker *movers; /* what takes long, on a connection of its own; made when it is needed first */
    venv_image_pool *images;
    venv_disk_samples *disks;
    venv_samples samples;
    venv_memory_file *memory;
    char memory_path[PATH_MAX];
    venv_agent_action *held; /* in order; each waits for its after_keep */
    size_t held_count;
    uint64_t durable;        /* number of the last KEEP that is */
    bool keep_failed;        /* the last time; it was said */
    owned_event *events; /* that wait for the end of the step */
    size_t event_count, event_capacity;
    bool stepping, stopping;
    venv_rc rc;          /* why it ends, if not as asked */
    venv_error *err;
} agent_shell;

static void stop(agent_shell *shell, const char *reason);

static void fail(agent_shell *shell, const venv_error *why)
{
    if (shell->rc == VENV_OK) {
        shell->rc = why->rc;
        if (shell->err)
            *shell->err = *why;
    }
    stop(shell, "it cannot go on");
}

/* --- events ---------------------------------------------------------------------------------- */

static void keep_event(agent_shell *shell, const venv_agent_event *event)
{
    venv_error err = { 0 };
    if (shell->event_count == shell->event_capacity) {
        size_t capacity = shell->event_capacity ? shell->event_capacity * 2 : 32;
        owned_event *events = capacity <= EVENTS_MAX ? reallocarray(shell->events, capacity, sizeof *events) : NULL;
        if (!events) {
            (void)venv_error_set(&err, VENV_ENOMEM, "out of memory for events");
            fail(shell, &err);
            return;
        }
        shell->events = events;
        shell->event_capacity = capacity;
    }
    owned_event *kept = &shell->events[shell->event_count++];
    *kept = (owned_event){ .event = *event, .value = venv_value_null() };
    if (event->value && venv_value_dup(event->value, &kept->value, &err) != VENV_OK) {
        shell->event_count--;
        fail(shell, &err);
        return;
    }
    if (event->text)
        (void)snprintf(kept->text, sizeof kept->text, "%s", event->text);
    if (event->run) { /* one that did not start: it has a reason and no output */
        kept->run = *event->run;
        (void)snprintf(kept->text, sizeof kept->text, "%s", event->run->error ? event->run->error : "");
    }
}

/* Point the event at what is kept with it (the array may have moved since), and at the one that follows. */
static void settle_event(owned_event *kept, const owned_event *next)
{
    if (kept->event.value)
        kept->event.value = &kept->value;
    if (kept->event.text)
        kept->event.text = kept->text;
    if (kept->event.run) {
        kept->run.error = kept->text;
        kept->event.run = &kept->run;
    }
    kept->event.next = next ? &next->event : NULL;
}

static void do_actions(agent_shell *shell, venv_agent_actions *actions);

static void step_once(agent_shell *shell, const venv_agent_event *event)
{
    venv_agent_actions actions;
    venv_error err = { 0 };
    venv_agent_actions_init(&actions);
    if (venv_agent_step(shell->core, venv_clock_read(), event, &actions, &err) != VENV_OK)
        fail(shell, &err);
    else
        do_actions(shell, &actions);
    venv_agent_actions_fini(&actions);
}

/* All that the last step caused at once is one step. */
static void step_kept(agent_shell *shell)
{
    owned_event *events = shell->events;
    size_t count = shell->event_count;
    shell->events = NULL;
    shell->event_count = shell->event_capacity = 0;
    for (size_t i = count; i-- > 0;)
        settle_event(&events[i], i + 1 < count ? &events[i + 1] : NULL);
    if (!shell->stopping)
        step_once(shell, &events[0].event);
    for (size_t i = 0; i < count; i++)
        venv_value_unref(&events[i].value);
    free(events);
}

/* Hand an event to the core, now or after the step that is under way. */
static void deliver(agent_shell *shell, const venv_agent_event *event)
{
    if (shell->stopping)
        return;
    if (shell->stepping) {
        keep_event(shell, event);
        return;
    }
    shell->stepping = true;
    step_once(shell, event);
    while (shell->event_count > 0)
        step_kept(shell);
    shell->stepping = false;
    if (!shell->stopping)
        venv_loop_set_deadline(&shell->loop, venv_agent_deadline(shell->core));
}

static void finish(agent_shell *shell);

static void on_deadline(void *user)
{
    agent_shell *shell = user;
    if (shell->stopping)
        finish(shell);
    else
        deliver(shell, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_TIME });
}

static void on_up(void *user, const venv_identity *manager)
{
    deliver(user, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_CONNECTED, .text = manager->name });
}

static void on_frame(void *user, const venv_frame *frame, const venv_value *body)
{
    deliver(user, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_FRAME, .type = frame->type, .request = frame->request,
                                       .known = frame->known, .value = body });
}

static void finish_soon(agent_shell *shell);

static void on_down(void *user, const char *reason)
{
    agent_shell *shell = user;
    if (shell->stopping)
        finish_soon(shell);
    else
        deliver(shell, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_DISCONNECTED, .text = reason });
}

static void on_ran(void *user, uint64_t token, const venv_run_outcome *outcome)
{
    deliver(user, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_RAN, .token = token, .run = outcome });
}

static void on_machine_done(void *user, uint64_t token, venv_rc rc, const char *text)
{
    deliver(user, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_MACHINE_DONE, .token = token, .rc = rc, .text = text });
}

static void on_machines(void *user, venv_rc rc, const venv_value *list, const char *text)
{
    deliver(user, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_MACHINES, .rc = rc, .value = list, .text = text });
}

static void on_progress(void *user, uint64_t token, const venv_machine_progress *progress)
{
    venv_agent_progress told = { progress->elapsed, progress->bytes_total, progress->bytes_done, progress->bytes_left,
                                 progress->rate, progress->dirty_rate, progress->round };
    deliver(user, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_PROGRESS, .token = token, .progress = &told });
}

/* The other connection tells the same. */
static void on_movers_list(void *user, venv_rc rc, const venv_value *list, const char *text)
{
    (void)user;
    (void)rc;
    (void)list;
    (void)text;
}

static void on_synced(void *user, uint64_t token, venv_rc rc, const char *text, const venv_value *report)
{
    deliver(user, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_SYNCED, .token = token, .rc = rc, .text = text, .value = report });
}

static void on_sampled(void *user, uint64_t token, venv_rc rc, const venv_value *value, const char *text)
{
    deliver(user, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_SAMPLED, .token = token, .rc = rc, .value = value,
                                       .text = rc == VENV_OK ? NULL : text });
}

/* --- effects that wait until they are remembered ----------------------------------------------- */

static void do_effect(agent_shell *shell, const venv_agent_action *action);

static void action_fini(venv_agent_action *action)
{
    venv_value_unref(&action->value);
    free(action->name);
    free(action->xml);
    free(action->text);
    venv_machine_files_free(action->files);
}

/* What it owns moves. */
static void hold(agent_shell *shell, venv_agent_action *action)
{
    venv_error err = { 0 };
    if (!shell->held)
        shell->held = calloc(HELD_MAX, sizeof *shell->held);
    if (!shell->held || shell->held_count == HELD_MAX) {
        (void)venv_error_set(&err, VENV_ENOMEM, "out of memory for effects that wait");
        fail(shell, &err);
        return;
    }
    shell->held[shell->held_count++] = *action;
    action->value = venv_value_null();
    action->name = action->xml = action->text = NULL;
    action->files = NULL;
}

static void not_begun(agent_shell *shell, const venv_agent_action *action, venv_rc rc, const char *why)
{
    char text[VENV_ERROR_TEXT_MAX];
    (void)snprintf(text, sizeof text, "it was not begun, because the agent cannot write down that it does it: %.400s", why);
    venv_run_outcome outcome = { .rc = rc, .error = text, .out = { "", 0 }, .err = { "", 0 } };
    if (action->kind == VENV_AGENT_ACT_RUN)
        on_ran(shell, action->token, &outcome);
    else
        on_machine_done(shell, action->token, VENV_EUNREACHABLE, text);
}

static void on_kept(void *user, uint64_t number, venv_rc rc, const char *text)
{
    agent_shell *shell = user;
    if (shell->stopping)
        return;
    if (rc != VENV_OK && !shell->keep_failed)
        venv_log_print(shell->log, VENV_LOG_ERROR, "%s; until it can be written this agent runs no command and starts and stops "
                       "no machine", text);
    else if (rc == VENV_OK && shell->keep_failed)
        venv_log_print(shell->log, VENV_LOG_INFO, "%s can be written again", shell->memory_path);
    shell->keep_failed = rc != VENV_OK;
    if (rc == VENV_OK)
        shell->durable = number;
    size_t left = 0;
    for (size_t i = 0; i < shell->held_count; i++) {
        venv_agent_action action = shell->held[i];
        if (action.after_keep > number) {
            shell->held[left++] = action;
            continue;
        }
        if (rc == VENV_OK)
            do_effect(shell, &action);
        else
            not_begun(shell, &action, rc, text);
        action_fini(&action);
    }
    shell->held_count = left;
}

/* --- actions --------------------------------------------------------------------------------- */

static void sample(agent_shell *shell, const venv_agent_action *action)
{
    venv_error err = { 0 };
    venv_value value = venv_value_null();
    venv_builtin_id id = action->builtin->id;
    if (id == VENV_BUILTIN_DISKTOTAL || id == VENV_BUILTIN_DISKFREE) {
        venv_disk_samples_read(shell->disks, action->token, id, &action->value);
        return;
    }
    venv_rc rc = venv_samples_read(&shell->samples, id, &value, &err);
    on_sampled(shell, action->token, rc, rc == VENV_OK ? &value : NULL, err.text);
    venv_value_unref(&value);
}

static void list_commands(agent_shell *shell, uint64_t token)
{
    venv_error err = { 0 };
    venv_value commands = venv_value_null();
    venv_rc rc = venv_run_pool_commands(shell->pool, &commands, &err);
    deliver(shell, &(venv_agent_event){ .kind = VENV_AGENT_EVENT_COMMANDS, .token = token, .rc = rc,
                                        .value = rc == VENV_OK ? &commands : NULL, .text = rc == VENV_OK ? NULL : err.text });
    venv_value_unref(&commands);
}

static venv_machine_place place_of(const agent_shell *shell)
{
    const venv_agent_config *config = shell->config;
    return (venv_machine_place){ .directory = config->machines_dir, .hypervisor = config->hypervisor, .cluster = config->cluster, .node = config->name,
                                 .saves = config->saves_dir, .saves_shared = config->saves_shared };
}

static void call_machine(agent_shell *shell, const venv_agent_action *action)
{
    static const venv_machine_call calls[] = {
        [VENV_MACHINE_START] = VENV_MACHINE_CALL_START,
        [VENV_MACHINE_SHUTDOWN] = VENV_MACHINE_CALL_SHUTDOWN,
        [VENV_MACHINE_DESTROY] = VENV_MACHINE_CALL_DESTROY, [VENV_MACHINE_PROBE] = VENV_MACHINE_CALL_PROBE, [VENV_MACHINE_PAUSE] = VENV_MACHINE_CALL_PAUSE,
        [VENV_MACHINE_RESUME] = VENV_MACHINE_CALL_RESUME,   [VENV_MACHINE_SAVE] = VENV_MACHINE_CALL_SAVE,
        [VENV_MACHINE_RESTORE] = VENV_MACHINE_CALL_RESTORE, [VENV_MACHINE_MIGRATE] = VENV_MACHINE_CALL_MIGRATE,
        [VENV_MACHINE_REBOOT] = VENV_MACHINE_CALL_REBOOT,   [VENV_MACHINE_CHECKPOINT] = VENV_MACHINE_CALL_CHECKPOINT,
        [VENV_MACHINE_REVERT] = VENV_MACHINE_CALL_REVERT,   [VENV_MACHINE_CANCEL] = VENV_MACHINE_CALL_CANCEL,
    };
    venv_machine_order order = { .call = calls[action->verb], .id = action->machine, .xml = action->xml, .files = action->files, .uri = action->text,
                                 .epoch = action->epoch, .timeout = action->timeout, .grace = action->move.grace,
                                 .move = VENV_MIGRATE_OPTIONS_INIT };
    order.move.bandwidth = action->move.bandwidth;
    order.move.timeout = action->move.limit;
    order.move.copy_disks = action->move.copy_disks;
    order.move.auto_converge = action->move.auto_converge;
    if (!shell->machines) {
        on_machine_done(shell, action->token, VENV_EUNSUPPORTED, "this agent has no hypervisor");
        return;
    }
    bool is_long = action->verb >= VENV_MACHINE_SAVE && strncmp(shell->config->hypervisor, "fake:", 5) != 0;
    if (is_long && !shell->movers) { /* without one of its own it blocks the others, and works */
        venv_error err = { 0 };
        venv_machine_calls answers = { .done = on_machine_done, .listed = on_movers_list, .progress = on_progress, .user = shell };
        venv_machine_place place = place_of(shell);
        if (venv_machine_worker_start(&shell->loop.uv, &place, shell->log, &answers, &shell->movers, &err) != VENV_OK)
            venv_log_print(shell->log, VENV_LOG_WARNING, "%s", err.text);
    }
    venv_machine_worker_call(is_long && shell->movers ? shell->movers : shell->machines, action->token, &order);
}

static void sync_image(agent_shell *shell, const venv_agent_action *action)
{
    const venv_agent_config *config = shell->config;
    venv_error err = { 0 };
    venv_image_pool_options options = { .repository = config->images_repository, .trust = config->images_trust,
                                        .directory = config->images_directory };
    venv_image_pool_calls calls = { .synced = on_synced, .user = shell };
    if (!shell->images && venv_image_pool_start(&shell->loop.uv, &options, &calls, &shell->images, &err) != VENV_OK)
        on_synced(shell, action->token, err.rc, err.text, NULL);
    else
        venv_image_pool_sync(shell->images, action->token, action->name, action->base, action->timeout);
}

static void list_machines(agent_shell *shell)
{
    if (!shell->machines)
        on_machines(shell, VENV_EUNSUPPORTED, NULL, "this agent has no hypervisor");
    else
        venv_machine_worker_list(shell->machines);
}

static void send_frame(agent_shell *shell, const venv_agent_action *action)
{
    venv_error err = { 0 };
    if (venv_dialer_send(shell->dialer, action->type, action->request, &action->value, &err) != VENV_OK)
        venv_log_print(shell->log, VENV_LOG_ERROR, "a message %s was not sent: %s", venv_message_name(action->type), err.text);
}

static void do_effect(agent_shell *shell, const venv_agent_action *action)
{
    if (action->kind == VENV_AGENT_ACT_RUN)
        venv_run_pool_start(shell->pool, action->token, action->name, &action->value, VENV_STR(""), action->timeout, action->out_max,
                            action->err_max);
    else
        call_machine(shell, action);
}

static void do_action(agent_shell *shell, venv_agent_action *action)
{
    switch (action->kind) {
    case VENV_AGENT_ACT_CONNECT: venv_dialer_dial(shell->dialer, action->name); break;
    case VENV_AGENT_ACT_CLOSE: venv_dialer_close(shell->dialer, action->text ? action->text : "closed"); break;
    case VENV_AGENT_ACT_SEND: send_frame(shell, action); break;
    case VENV_AGENT_ACT_SAMPLE: sample(shell, action); break;
    case VENV_AGENT_ACT_RUN:
    case VENV_AGENT_ACT_MACHINE:
        if (action->after_keep > shell->durable)
            hold(shell, action);
        else
            do_effect(shell, action);
        break;
    case VENV_AGENT_ACT_KEEP: venv_memory_file_keep(shell->memory, action->token, &action->value); break;
    case VENV_AGENT_ACT_KILL: venv_run_pool_kill(shell->pool, action->token); break;
    case VENV_AGENT_ACT_SYNC: sync_image(shell, action); break;
    case VENV_AGENT_ACT_MACHINES: list_machines(shell); break;
    case VENV_AGENT_ACT_COMMANDS: list_commands(shell, action->token); break;
    case VENV_AGENT_ACT_LOG: venv_log_print(shell->log, (venv_log_level)action->level, "%s", action->text); break;
    case VENV_AGENT_ACT_EXIT: stop(shell, "the manager asked for it"); break;
    }
}

static void do_actions(agent_shell *shell, venv_agent_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++)
        do_action(shell, &actions->items[i]);
}

/* --- the end --------------------------------------------------------------------------------- */

/* Let go of everything; the loop ends when all of it is closed. Machines run on. */
static void finish(agent_shell *shell)
{
    venv_dialer_end(shell->dialer);
    venv_run_pool_end(shell->pool);
    venv_machine_worker_end(shell->movers);
    venv_image_pool_end(shell->images);
    shell->movers = NULL;
    shell->images = NULL;
    venv_machine_worker_end(shell->machines);
    venv_disk_samples_end(shell->disks);
    venv_memory_file_end(shell->memory);
    shell->dialer = NULL;
    shell->pool = NULL;
    shell->machines = NULL;
    shell->disks = NULL;
    shell->memory = NULL;
    venv_loop_close(&shell->loop);
}

/* From the loop's next turn: whoever calls this may be in the middle of using what finish() releases. */
static void finish_soon(agent_shell *shell)
{
    venv_loop_set_deadline(&shell->loop, venv_clock_read().mono);
}

/* End in order: what was sent still goes out, then everything is let go of. */
static void stop(agent_shell *shell, const char *reason)
{
    if (shell->stopping)
        return;
    shell->stopping = true;
    venv_notify("STOPPING=1");
    venv_log_print(shell->log, VENV_LOG_INFO, "ending: %s; machines on this node run on", reason);
    venv_loop_set_deadline(&shell->loop, VENV_INSTANT_NEVER);
    if (venv_dialer_is_idle(shell->dialer))
        finish_soon(shell);
    else
        venv_dialer_close(shell->dialer, "the agent ends"); /* on_down() goes on; a wire's end has a deadline */
}

static void on_stop(void *user, const char *reason)
{
    stop(user, reason);
}

static void on_reload(void *user)
{
    agent_shell *shell = user;
    venv_agent_config *fresh = NULL;
    venv_error err = { 0 };
    char text[VENV_ERROR_TEXT_MAX + VENV_ERROR_FILE_MAX + 32];
    if (venv_agent_config_load(shell->host->config_path, &fresh, &err) == VENV_OK)
        venv_log_print(shell->log, VENV_LOG_INFO,
                       "the configuration is correct; restart the agent to use it (machines run on meanwhile)");
    else
        venv_log_print(shell->log, VENV_LOG_ERROR, "the configuration was not read anew: %s",
                       venv_error_format(&err, text, sizeof text));
    venv_agent_config_free(fresh);
}

/* --- the beginning --------------------------------------------------------------------------- */

/* A folder and those above it. Where that fails, whoever wants to write there says so, too. */
static void make_folder(agent_shell *shell, const char *path)
{
    char part[PATH_MAX];
    size_t size = path ? strlen(path) : 0;
    if (size == 0 || size >= sizeof part)
        return;
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST) {
            venv_log_print(shell->log, VENV_LOG_WARNING, "cannot make the folder '%s': %s", part, strerror(errno));
            return;
        }
    }
}

static venv_rc start_machines(agent_shell *shell, venv_error *err)
{
    const venv_agent_config *config = shell->config;
    if (strcmp(config->hypervisor, "none") == 0)
        return VENV_OK;
    make_folder(shell, config->console_dir);
    venv_machine_calls calls = { .done = on_machine_done, .listed = on_machines, .user = shell };
    venv_machine_place place = place_of(shell);
    make_folder(shell, config->saves_dir);
    return venv_machine_worker_start(&shell->loop.uv, &place, shell->log, &calls, &shell->machines, err);
}

static venv_rc start_pool(agent_shell *shell, venv_error *err)
{
    const venv_agent_config *config = shell->config;
    venv_runner_options options = { .directories = (const char *const *)config->command_dirs,
                                    .directory_count = config->command_dir_count,
                                    .run_count_max = config->runs_max * 2,
                                    .log = shell->log };
    if (options.run_count_max > VENV_RUN_COUNT_MAX)
        options.run_count_max = VENV_RUN_COUNT_MAX;
    venv_run_pool_calls calls = { .ran = on_ran, .user = shell };
    return venv_run_pool_new(&shell->loop.uv, &options, &calls, &shell->pool, err);
}

/* Without one the agent works: it may only be taken for a copy of itself when it was started again. */
static void take_machine_id(agent_shell *shell)
{
    venv_agent_config *config = shell->config;
    char path[PATH_MAX];
    venv_error why = { 0 };
    int size = snprintf(path, sizeof path, "%s/machine-id", config->state_dir);
    if (size > 0 && (size_t)size < sizeof path && venv_machine_id_read("/etc/machine-id", path, &config->machine, &why) != VENV_OK)
        venv_log_print(shell->log, VENV_LOG_WARNING, "%s", why.text);
}

static venv_rc start_memory(agent_shell *shell, venv_error *err)
{
    const venv_agent_config *config = shell->config;
    venv_memory_file_calls calls = { .kept = on_kept, .user = shell };
    venv_value kept = venv_value_null();
    int size = snprintf(shell->memory_path, sizeof shell->memory_path, "%s/%s@%s.memory", config->state_dir, config->name,
                        config->cluster);
    if (size < 0 || (size_t)size >= sizeof shell->memory_path)
        return venv_error_set(err, VENV_EINVAL, "agent.state_dir is too long");
    venv_rc rc = venv_memory_file_load(shell->memory_path, &kept, err);
    if (rc == VENV_OK && venv_value_kind(&kept) != VENV_NULL) {
        rc = venv_agent_recall(shell->core, &kept, err);
        if (rc == VENV_EINVAL)
            (void)venv_error_prefix(err, "%s", shell->memory_path);
    }
    venv_value_unref(&kept);
    return rc == VENV_OK ? venv_memory_file_start(&shell->loop.uv, shell->memory_path, &calls, &shell->memory, err) : rc;
}

static venv_rc start_core(agent_shell *shell, venv_error *err)
{
    uint64_t seed = 0;
    venv_id boot;
    venv_rc rc = venv_shell_seed(&seed, err);
    make_folder(shell, shell->config->state_dir);
    take_machine_id(shell);
    if (rc == VENV_OK)
        rc = venv_identity_random_id(&boot, err);
    if (rc == VENV_OK)
        rc = venv_agent_new(shell->config, boot, seed, venv_clock_read(), &shell->core, err);
    return rc == VENV_OK ? start_memory(shell, err) : rc;
}

static venv_rc start_all(agent_shell *shell, venv_error *err)
{
    venv_dialer_calls dialer_calls = { .up = on_up, .frame = on_frame, .down = on_down, .user = shell };
    venv_disk_samples_calls disk_calls = { .sampled = on_sampled, .user = shell };
    venv_rc rc = start_pool(shell, err);
    if (rc == VENV_OK)
        rc = venv_dialer_new(&shell->loop.uv, shell->tls, &dialer_calls, &shell->dialer, err);
    if (rc == VENV_OK)
        rc = venv_disk_samples_start(&shell->loop.uv, &disk_calls, &shell->disks, err);
    if (rc == VENV_OK)
        rc = start_core(shell, err);
    if (rc == VENV_OK)
        rc = start_machines(shell, err);
    if (rc == VENV_OK)
        rc = venv_pid_file_write(shell->host->pid_file, err);
    return rc;
}

static bool take_text(char **place, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return false;
    free(*place);
    *place = copy;
    return true;
}

static venv_rc prepare(agent_shell *shell, venv_error *err)
{
    venv_agent_config *config = shell->config;
    venv_tls_files files = { .ca = config->tls_ca, .certificate = config->tls_certificate, .key = config->tls_key };
    venv_rc rc = venv_shell_identity(VENV_ROLE_AGENT, config->name, &files, &shell->tls, err);
    if (rc != VENV_OK)
        return rc;
    const venv_identity *own = &venv_tls_context_peek_own(shell->tls)->identity;
    if (config->cluster[0] && strcmp(config->cluster, own->cluster) != 0)
        return venv_error_set(err, VENV_EINVAL, "%s is for the cluster '%s', but the configuration says '%s'",
                              config->tls_certificate, own->cluster, config->cluster);
    if (!take_text(&config->name, own->name) || !take_text(&config->cluster, own->cluster))
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    shell->samples.proc = "/proc";
    return VENV_OK;
}

venv_rc venv_agent_shell_run(const venv_shell_host *host, venv_agent_config *config, venv_error *err)
{
    agent_shell shell = { .host = host, .log = host->log, .config = config, .err = err };
    venv_loop_calls calls = { .deadline = on_deadline, .stop = on_stop, .reload = on_reload, .user = &shell };
    venv_rc rc = prepare(&shell, err);
    if (rc == VENV_OK)
        rc = venv_loop_init(&shell.loop, host->stop_fd, &calls, err);
    if (rc == VENV_OK) {
        rc = start_all(&shell, err);
        if (rc == VENV_OK) {
            venv_log_print(host->log, VENV_LOG_INFO, "venv-agent %s is the agent '%s'", venv_version(), config->name);
            venv_loop_set_deadline(&shell.loop, venv_agent_deadline(shell.core));
            venv_notify("READY=1");
            venv_loop_run(&shell.loop);
            rc = shell.rc;
            venv_pid_file_remove(host->pid_file);
        } else {
            finish(&shell);
        }
        venv_loop_fini(&shell.loop);
    }
    venv_agent_free(shell.core);
    venv_tls_context_free(shell.tls);
    for (size_t i = 0; i < shell.held_count; i++)
        action_fini(&shell.held[i]);
    free(shell.held);
    free(shell.events);
    return rc;
}
