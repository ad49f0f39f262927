/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager's shell: turns what happens into events for the core, and does what its actions say. It decides nothing.
 *
 * One step's rows are one transaction; what the step tells to peers waits until that is on disk (the wires hold it back).
 * A write that fails ends the manager: nobody has been told anything that is not on disk, and a restart begins from there.
 */
#include "runtime/daemon.h"

#include "base/cleanup.h"
#include "manager/manager.h"
#include "runtime/clock.h"
#include "runtime/delivery.h"
#include "runtime/flight.h"
#include "runtime/history_worker.h"
#include "runtime/loop.h"
#include "runtime/notify.h"
#include "runtime/server.h"
#include "runtime/store_worker.h"
#include "runtime/zone_files.h"
#include "store/file.h"

#include <venv/codec.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define STOP_MS         2500 /* for farewells, after which everything is let go of */
#define TRIM_EVERY      1024u /* appended events between two looks at the length of the log */
#define ROWS_MAX        (1u << 20)

typedef struct manager_shell {
    const venv_shell_host *host;
    const venv_log *log;
    const venv_manager_config *config;
    venv_loop loop;
    venv_tls_context *tls;
    venv_manager *core;
    venv_server *server;
    venv_store_worker *store;
    venv_delivery *delivery;
    venv_history_worker *history; /* NULL: none is kept */
    venv_flight *flight;           /* NULL: there is none */
    uint64_t dump;                 /* token of who asks for it; 0: nobody */
    venv_manager_actions actions;
    uint64_t appended, trimmed_at; /* revisions */
    uint64_t unanswered;           /* token of a question to the history that could not be asked; 0: none */
    venv_error unanswered_why;
    uint64_t reload; /* token of who asks for the configuration to be read; 0: nobody */
    bool stopping, finishing;
    venv_rc rc;
    venv_error *err;
} manager_shell;

static void stop(manager_shell *shell, const char *reason);

/* It cannot go on: what is on disk is what is true. */
static void fail(manager_shell *shell, const venv_error *why, const char *advice)
{
    if (shell->rc != VENV_OK)
        return;
    shell->rc = why->rc;
    if (shell->err) {
        *shell->err = *why;
        size_t used = strlen(shell->err->text);
        (void)snprintf(shell->err->text + used, sizeof shell->err->text - used, "; %s", advice);
    }
    stop(shell, "it cannot go on");
}

/* --- actions --------------------------------------------------------------------------------- */

static void send_frame(manager_shell *shell, const venv_manager_action *action)
{
    venv_error err = { 0 };
    if (venv_server_send(shell->server, action->peer, action->type, action->request, &action->value, action->after_write,
                         &err) != VENV_OK)
        venv_log_print(shell->log, VENV_LOG_ERROR, "a message %s was not sent: %s", venv_message_name(action->type), err.text);
}

static void append(manager_shell *shell, venv_transaction *transaction, const venv_value *body)
{
    uint64_t revision = (uint64_t)venv_value_get_int(body, "revision", 0);
    const venv_value *stated = venv_value_get(body, "revision");
    if (stated && venv_value_kind(stated) == VENV_UINT)
        revision = venv_value_peek_uint(stated);
    venv_transaction_append(transaction, revision, body);
    shell->appended = revision;
}

static void read_log(manager_shell *shell, const venv_manager_action *action)
{
    venv_error err = { 0 };
    if (venv_store_worker_read(shell->store, action->token, action->since, action->limit, &err) != VENV_OK)
        fail(shell, &err, "the state's disk is hopelessly slow, look at it");
}

static void on_answer(void *user, uint64_t token, const venv_value *answer);

/* The history is worth less than the loop's time: where it is behind, it has a gap. */
static void record(manager_shell *shell, const venv_manager_action *action)
{
    venv_error err = { 0 };
    if (shell->history && venv_history_worker_add(shell->history, venv_value_peek_text(&action->value), &err) != VENV_OK)
        venv_log_print(shell->log, VENV_LOG_WARNING, "the history has a gap: %s", err.text);
}

static void ask(manager_shell *shell, const venv_manager_action *action)
{
    venv_error err = { 0 };
    if (venv_value_get(&action->value, "dump")) {
        shell->dump = action->token;
        return;
    }
    if (!shell->history)
        venv_error_set(&err, VENV_ENOENT, "this manager keeps no history");
    else if (venv_history_worker_ask(shell->history, action->token, &action->value, &err) == VENV_OK)
        return;
    venv_log_print(shell->log, VENV_LOG_INFO, "the history was not looked into: %s", err.text);
    shell->unanswered = action->token;
    shell->unanswered_why = err;
}

/* What goes into the transaction. */
static void collect(manager_shell *shell, venv_transaction *transaction, const venv_manager_action *action)
{
    if (action->kind == VENV_MANAGER_ACT_PUT)
        venv_transaction_put(transaction, (int)action->collection, &action->key, &action->value);
    else if (action->kind == VENV_MANAGER_ACT_DELETE)
        venv_transaction_delete(transaction, (int)action->collection, &action->key);
    else if (action->kind == VENV_MANAGER_ACT_APPEND)
        append(shell, transaction, &action->value);
}

/* Submit the rows first: then what is read and sent by the same step comes after them. */
static bool write_rows(manager_shell *shell, const venv_manager_actions *actions)
{
    venv_error err = { 0 };
    if (actions->write == 0)
        return true;
    venv_transaction *transaction = venv_transaction_new(actions->write);
    for (size_t i = 0; transaction && i < actions->count; i++)
        collect(shell, transaction, &actions->items[i]);
    if (venv_store_worker_write(shell->store, transaction, &err) == VENV_OK)
        return true;
    fail(shell, &err, "nothing was confirmed that is not stored; look at the disk of the state and start again");
    return false;
}

static void do_action(manager_shell *shell, const venv_manager_action *action)
{
    switch (action->kind) {
    case VENV_MANAGER_ACT_SEND: send_frame(shell, action); break;
    case VENV_MANAGER_ACT_CLOSE:
        venv_server_close_peer(shell->server, action->peer, action->text ? action->text : "closed by the manager");
        break;
    case VENV_MANAGER_ACT_READ: read_log(shell, action); break;
    case VENV_MANAGER_ACT_RELOAD: shell->reload = action->token; break; /* after the step that asked */
    case VENV_MANAGER_ACT_DELIVER:
        venv_delivery_take(shell->delivery, action->action, &action->value, action->after_write);
        break;
    case VENV_MANAGER_ACT_RECORD: record(shell, action); break;
    case VENV_MANAGER_ACT_ASK: ask(shell, action); break;
    case VENV_MANAGER_ACT_LOG: venv_log_print(shell->log, (venv_log_level)action->level, "%s", action->text); break;
    case VENV_MANAGER_ACT_PUT:
    case VENV_MANAGER_ACT_DELETE:
    case VENV_MANAGER_ACT_APPEND: break; /* in write_rows() */
    }
}

static void trim_log(manager_shell *shell)
{
    venv_error err = { 0 };
    uint64_t keep = venv_manager_config_used(shell->core)->events_max;
    if (keep == 0 || shell->appended <= keep || shell->appended - shell->trimmed_at < TRIM_EVERY)
        return;
    shell->trimmed_at = shell->appended;
    if (venv_store_worker_trim(shell->store, shell->appended - keep, &err) != VENV_OK)
        venv_log_print(shell->log, VENV_LOG_WARNING, "the log of events was not shortened: %s", err.text);
}

/* --- events ---------------------------------------------------------------------------------- */

static void deliver(manager_shell *shell, const venv_manager_event *event);

/* An answer is an event of its own, after the step that asked. */
static void answer_unasked(manager_shell *shell)
{
    venv_map_builder map;
    venv_value answer = venv_value_null();
    uint64_t token = shell->unanswered;
    if (token == 0)
        return;
    shell->unanswered = 0;
    venv_map_init(&map);
    venv_map_put_z(&map, "rc", venv_rc_name(shell->unanswered_why.rc));
    venv_map_put_text(&map, "error", shell->unanswered_why.text, strlen(shell->unanswered_why.text));
    if (venv_map_take(&map, &answer, NULL) == VENV_OK)
        on_answer(shell, token, &answer);
    venv_value_unref(&answer);
}

/* What the flight recorder has, as it is after the step that asked. */
static void answer_dump(manager_shell *shell)
{
    venv_value answer = venv_value_null();
    uint64_t token = shell->dump;
    if (token == 0)
        return;
    shell->dump = 0;
    if (venv_flight_take(shell->flight, &answer, &shell->unanswered_why) == VENV_OK) {
        on_answer(shell, token, &answer);
    } else {
        shell->unanswered = token;
        answer_unasked(shell);
    }
    venv_value_unref(&answer);
}

/* Read the configuration anew: the core is told what there is, or what is wrong with it, and decides. */
static void reload(manager_shell *shell, uint64_t token)
{
    venv_manager_config *fresh = NULL;
    venv_config_files files = { .items = NULL, .count = 0 };
    venv_manager_source sources[VENV_CONFIG_FILES_MAX];
    venv_error err = { 0 };
    char text[VENV_ERROR_TEXT_MAX + VENV_ERROR_FILE_MAX + 32];
    uint64_t changes = venv_manager_config_changes(shell->core);
    venv_manager_event event = { .kind = VENV_MANAGER_EVENT_CONFIG, .token = token };
    event.rc = venv_config_files_read(shell->host->config_path, &files, &err);
    size_t count = event.rc == VENV_OK ? venv_manager_sources(&files, sources) : 0;
    if (event.rc == VENV_OK)
        event.rc = venv_manager_config_new(sources, count, venv_zone_file_read, NULL, &fresh, &err);
    event.config = fresh;
    venv_value texts = venv_record_sources(sources, fresh ? count : 0);
    event.value = &texts;
    if (!fresh)
        event.text = venv_error_format(&err, text, sizeof text);
    venv_notify("RELOADING=1");
    deliver(shell, &event);
    if (venv_manager_config_changes(shell->core) != changes)
        venv_flight_configured(shell->flight, sources, count);
    venv_notify("READY=1");
    venv_value_unref(&texts);
    venv_manager_config_free(fresh);
    venv_config_files_fini(&files);
}

static void reload_asked(manager_shell *shell)
{
    uint64_t token = shell->reload;
    shell->reload = 0;
    if (token != 0)
        reload(shell, token);
}

static void deliver(manager_shell *shell, const venv_manager_event *event)
{
    venv_error err = { 0 };
    venv_now now = venv_clock_read();
    if (shell->stopping)
        return;
    venv_manager_actions_clear(&shell->actions);
    venv_flight_event(shell->flight, now, event);
    if (venv_manager_step(shell->core, now, event, &shell->actions, &err) != VENV_OK) {
        fail(shell, &err, "give the manager more memory; it starts again from what is stored");
        return;
    }
    venv_flight_step(shell->flight, &shell->actions);
    if (!write_rows(shell, &shell->actions))
        return;
    for (size_t i = 0; i < shell->actions.count && !shell->stopping; i++)
        do_action(shell, &shell->actions.items[i]);
    if (shell->stopping)
        return;
    trim_log(shell);
    answer_unasked(shell);
    answer_dump(shell);
    reload_asked(shell);
    if (shell->stopping)
        return;
    venv_loop_set_deadline(&shell->loop, venv_manager_deadline(shell->core));
}

static void finish(manager_shell *shell);

static void on_deadline(void *user)
{
    manager_shell *shell = user;
    if (shell->stopping)
        finish(shell);
    else
        deliver(shell, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_TIME });
}

static void on_up(void *user, uint64_t peer, const venv_identity *identity, const char *address)
{
    deliver(user, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_PEER_UP, .peer = peer, .role = identity->role,
                                         .text = identity->name, .address = address });
}

static void on_frame(void *user, uint64_t peer, const venv_frame *frame, const venv_value *body)
{
    deliver(user, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_FRAME, .peer = peer, .type = frame->type,
                                         .request = frame->request, .known = frame->known, .value = body });
}

static void on_down(void *user, uint64_t peer, const char *reason)
{
    deliver(user, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_PEER_DOWN, .peer = peer, .text = reason });
}

static void on_durable(void *user, uint64_t write)
{
    manager_shell *shell = user;
    if (shell->server)
        venv_server_durable(shell->server, write);
    if (shell->delivery)
        venv_delivery_durable(shell->delivery, write);
}

static void on_history(void *user, uint64_t token, const venv_value *entries)
{
    deliver(user, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_HISTORY, .token = token, .value = entries });
}

static void on_delivered(void *user, venv_id action, venv_rc rc, const char *error, const venv_value *result)
{
    deliver(user, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_DELIVERED, .action = action, .rc = rc, .text = error,
                                         .value = result });
}

static void on_unread(void *user, uint64_t token, const venv_error *why)
{
    manager_shell *shell = user;
    venv_log_print(shell->log, VENV_LOG_ERROR, "the log of events could not be read: %s", why->text);
    deliver(user, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_HISTORY, .token = token, .text = why->text });
}

static void on_disk(void *user, bool full, const char *text)
{
    deliver(user, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_DISK, .full = full, .text = text });
}

static void on_answer(void *user, uint64_t token, const venv_value *answer)
{
    deliver(user, &(venv_manager_event){ .kind = VENV_MANAGER_EVENT_ANSWER, .token = token, .value = answer });
}

static void on_history_trouble(void *user, const venv_error *why)
{
    manager_shell *shell = user;
    if (why)
        venv_log_print(shell->log, VENV_LOG_WARNING, "the history has a gap from now on: %s", why->text);
    else
        venv_log_print(shell->log, VENV_LOG_INFO, "the history is written again");
}

static void on_store_failed(void *user, const venv_error *why)
{
    manager_shell *shell = user;
    venv_log_print(shell->log, VENV_LOG_ERROR, "the state could not be written: %s", why->text);
    fail(shell, why, why->rc == VENV_ENOSPACE
                         ? "nothing was confirmed that is not stored; make room on the disk of the state and start again"
                         : "nothing was confirmed that is not stored; look at the disk of the state and start again");
}

/* --- the end --------------------------------------------------------------------------------- */

static void finish(manager_shell *shell)
{
    if (shell->finishing)
        return;
    shell->finishing = true;
    venv_server_end(shell->server);
    shell->server = NULL;
    venv_delivery_end(shell->delivery);
    shell->delivery = NULL;
    venv_store_worker_stop(shell->store);
    shell->store = NULL;
    venv_history_worker_stop(shell->history);
    shell->history = NULL;
    venv_loop_close(&shell->loop);
}

/*
 * End in order: what was decided is written and, once it is, told to those who wait for it; then everything is let go of.
 * After a failure there is nothing to wait for.
 */
static void stop(manager_shell *shell, const char *reason)
{
    if (shell->stopping)
        return;
    shell->stopping = true;
    venv_notify("STOPPING=1");
    venv_log_print(shell->log, VENV_LOG_INFO, "ending: %s; instances run on", reason);
    venv_server_stop_listening(shell->server);
    venv_server_close_all(shell->server, "the manager ends");
    int64_t wait_ms = shell->rc == VENV_OK && venv_server_has_peers(shell->server) ? STOP_MS : 0;
    venv_loop_set_deadline(&shell->loop, venv_instant_after(venv_clock_read().mono, (venv_span){ wait_ms * 1000000 }));
}

static void on_empty(void *user)
{
    manager_shell *shell = user;
    if (shell->stopping)
        venv_loop_set_deadline(&shell->loop, venv_clock_read().mono);
}

static void on_stop(void *user, const char *reason)
{
    stop(user, reason);
}

static void on_reload(void *user)
{
    reload(user, 0);
}

/* --- the beginning --------------------------------------------------------------------------- */

/* Rows as the core takes them at its start. */
typedef struct row_reader {
    venv_manager_row *rows;
    venv_value *values; /* key and row by turns: the rows point into it when all are read */
    size_t count, capacity;
    int collection;
    int *collections;
    venv_rc rc;
    venv_error err;
} row_reader;

static bool grow(row_reader *reader)
{
    if (reader->count < reader->capacity)
        return true;
    size_t capacity = reader->capacity ? reader->capacity * 2 : 256;
    if (capacity > ROWS_MAX) {
        reader->rc = venv_error_set(&reader->err, VENV_ELIMIT, "the state has more than %u rows", ROWS_MAX);
        return false;
    }
    venv_value *values = reallocarray(reader->values, capacity * 2, sizeof *values);
    if (values)
        reader->values = values;
    int *collections = reallocarray(reader->collections, capacity, sizeof *collections);
    if (collections)
        reader->collections = collections;
    if (!values || !collections) {
        reader->rc = venv_error_set(&reader->err, VENV_ENOMEM, "out of memory for the stored state");
        return false;
    }
    reader->capacity = capacity;
    return true;
}

static bool read_row(void *user, venv_str key, venv_str row)
{
    row_reader *reader = user;
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    options.item_count_max = VENV_CBOR_ITEMS_MAX;
    options.depth_max = VENV_CBOR_DEPTH_MAX;
    if (!grow(reader))
        return false;
    venv_value *pair = &reader->values[reader->count * 2];
    pair[0] = pair[1] = venv_value_null();
    reader->rc = venv_cbor_decode(key.data, key.size, &options, &pair[0], &reader->err);
    if (reader->rc == VENV_OK)
        reader->rc = venv_cbor_decode(row.data, row.size, &options, &pair[1], &reader->err);
    if (reader->rc != VENV_OK) {
        venv_value_unref(&pair[0]);
        (void)venv_error_prefix(&reader->err, "a stored row of collection %d cannot be read", reader->collection);
        return false;
    }
    reader->collections[reader->count++] = reader->collection;
    return true;
}

static void reader_fini(row_reader *reader)
{
    for (size_t i = 0; i < reader->count * 2; i++)
        venv_value_unref(&reader->values[i]);
    free(reader->values);
    free(reader->collections);
    free(reader->rows);
}

static venv_rc read_rows(venv_store *store, row_reader *reader, venv_error *err)
{
    for (int collection = 0; collection < VENV_ROWS__COUNT; collection++) {
        reader->collection = collection;
        venv_rc rc = venv_store_each(store, collection, read_row, reader, err);
        if (rc != VENV_OK)
            return rc;
        if (reader->rc != VENV_OK) {
            if (err)
                *err = reader->err;
            return reader->rc;
        }
    }
    reader->rows = calloc(reader->count + 1, sizeof *reader->rows);
    if (!reader->rows)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the stored state");
    for (size_t i = 0; i < reader->count; i++)
        reader->rows[i] = (venv_manager_row){ .collection = (venv_collection)reader->collections[i],
                                              .key = &reader->values[i * 2], .value = &reader->values[i * 2 + 1] };
    return VENV_OK;
}

static bool in_memory(const venv_manager_config *config)
{
    return strcmp(config->state, "memory:") == 0;
}

/* The manager can do without it, too. */
static void start_flight(manager_shell *shell, const venv_recorder_birth *birth)
{
    venv_error err = { 0 };
    const char *state = in_memory(shell->config) ? NULL : shell->config->state;
    if (venv_flight_start(shell->host->config_path, state, birth, shell->core, &shell->flight, &err) != VENV_OK)
        venv_log_print(shell->log, VENV_LOG_WARNING, "there is no flight recorder: %s", err.text);
}

static venv_rc start_core(manager_shell *shell, venv_store *store, venv_error *err)
{
    venv_now now = venv_clock_read();
    row_reader reader = { 0 };
    uint64_t seed = 0, revision = 0;
    venv_id boot;
    venv_rc rc = read_rows(store, &reader, err);
    if (rc == VENV_OK)
        rc = venv_store_revision(store, &revision, err);
    if (rc == VENV_OK)
        rc = venv_shell_seed(&seed, err);
    if (rc == VENV_OK)
        rc = venv_identity_random_id(&boot, err);
    if (rc == VENV_OK)
        rc = venv_manager_new(shell->config, reader.rows, reader.count, revision, boot, seed, now, &shell->core, err);
    if (rc == VENV_OK)
        start_flight(shell, &(venv_recorder_birth){ .rows = reader.rows, .row_count = reader.count, .last_revision = revision, .boot = boot,
                                                    .seed = seed, .now = now });
    shell->appended = shell->trimmed_at = revision;
    reader_fini(&reader);
    return rc;
}

/* "memory:", or a folder with manager.db in it. A full disk may leave no room even to look: then the reserve gives some. */
static venv_rc open_store(const venv_manager_config *config, char reserve[PATH_MAX], venv_store **ret_store, venv_error *err)
{
    char path[PATH_MAX];
    if (in_memory(config))
        return venv_store_open("memory:", ret_store, err);
    if (mkdir(config->state, 0700) != 0 && errno != EEXIST)
        return venv_error_set(err, errno == ENOENT ? VENV_ENOENT : VENV_EIO, "cannot make the folder of the state '%s': %s",
                              config->state, strerror(errno));
    int n = snprintf(path, sizeof path, "%s/manager.db", config->state);
    int k = snprintf(reserve, PATH_MAX, "%s/manager.reserve", config->state);
    if (n < 0 || (size_t)n >= sizeof path || k < 0 || k >= PATH_MAX)
        return venv_error_set(err, VENV_ERANGE, "the path of the state is too long");
    venv_rc rc = venv_store_open(path, ret_store, err);
    if (rc == VENV_ENOSPACE && venv_store_reserve_release(reserve))
        rc = venv_store_open(path, ret_store, err);
    return rc;
}

static venv_rc start_store(manager_shell *shell, venv_error *err)
{
    venv_store *store = NULL;
    char reserve[PATH_MAX] = "";
    venv_rc rc = open_store(shell->config, reserve, &store, err);
    if (rc != VENV_OK)
        return rc;
    rc = start_core(shell, store, err);
    if (rc != VENV_OK) {
        venv_store_close(store);
        return rc;
    }
    venv_store_calls calls = { .durable = on_durable, .history = on_history, .unread = on_unread, .disk = on_disk,
                               .failed = on_store_failed, .reserve = reserve[0] ? reserve : NULL, .user = shell };
    return venv_store_worker_start(&shell->loop.uv, store, &calls, &shell->store, err);
}

/* The manager can do without: a history that cannot be begun is no reason not to start. */
static void start_history(manager_shell *shell)
{
    venv_error err = { 0 };
    venv_history_limits limits = { .retention_ms = shell->config->history.ns / 1000000, .size_max = shell->config->history_max };
    venv_history_calls calls = { .answer = on_answer, .trouble = on_history_trouble, .user = shell };
    if (shell->config->history.ns == 0 || in_memory(shell->config))
        return;
    if (venv_history_worker_start(&shell->loop.uv, shell->config->state, &limits, &calls, &shell->history, &err) != VENV_OK)
        venv_log_print(shell->log, VENV_LOG_ERROR, "no history is kept: %s", err.text);
}

static venv_rc start_all(manager_shell *shell, venv_error *err)
{
    uint64_t seed = 0;
    venv_delivery_calls deliveries = { .ended = on_delivered, .user = shell };
    venv_server_calls calls = { .up = on_up, .frame = on_frame, .down = on_down, .empty = on_empty, .user = shell };
    venv_rc rc = start_store(shell, err);
    if (rc == VENV_OK)
        start_history(shell);
    if (rc == VENV_OK)
        rc = venv_delivery_start(&shell->loop.uv, &shell->config->plugins, shell->log, &deliveries, &shell->delivery, err);
    if (rc == VENV_OK)
        rc = venv_shell_seed(&seed, err);
    if (rc == VENV_OK)
        rc = venv_server_new(&shell->loop.uv, shell->tls, shell->log, seed, &calls, &shell->server, err);
    for (size_t i = 0; rc == VENV_OK && i < shell->config->listen_count; i++)
        rc = venv_server_listen(shell->server, shell->config->listen[i], err);
    if (rc == VENV_OK)
        rc = venv_pid_file_write(shell->host->pid_file, err);
    return rc;
}

venv_rc venv_manager_shell_run(const venv_shell_host *host, venv_manager_config *config, venv_error *err)
{
    manager_shell shell = { .host = host, .log = host->log, .config = config, .err = err };
    venv_loop_calls calls = { .deadline = on_deadline, .stop = on_stop, .reload = on_reload, .user = &shell };
    venv_tls_files files = { .ca = config->tls_ca, .certificate = config->tls_certificate, .key = config->tls_key };
    venv_manager_actions_init(&shell.actions);
    venv_rc rc = venv_shell_identity(VENV_ROLE_MANAGER, config->name ? config->name : "", &files, &shell.tls, err);
    if (rc == VENV_OK) {
        const venv_identity *own = &venv_tls_context_peek_own(shell.tls)->identity;
        rc = venv_manager_config_identify(config, own->cluster, own->name, err);
    }
    if (rc == VENV_OK)
        rc = venv_loop_init(&shell.loop, host->stop_fd, &calls, err);
    if (rc == VENV_OK) {
        rc = start_all(&shell, err);
        if (rc == VENV_OK) {
            venv_log_print(host->log, VENV_LOG_INFO, "venv-mgr %s is the manager '%s' of the cluster '%s'", venv_version(),
                           venv_tls_context_peek_own(shell.tls)->identity.name,
                           venv_tls_context_peek_own(shell.tls)->identity.cluster);
            venv_loop_set_deadline(&shell.loop, venv_manager_deadline(shell.core));
            venv_notify("READY=1");
            venv_loop_run(&shell.loop);
            rc = shell.rc;
            venv_pid_file_remove(host->pid_file);
        } else {
            shell.stopping = true;
            finish(&shell);
        }
        venv_loop_fini(&shell.loop);
    }
    venv_flight_end(shell.flight);
    venv_manager_actions_fini(&shell.actions);
    venv_manager_free(shell.core);
    venv_tls_context_free(shell.tls);
    return rc;
}
