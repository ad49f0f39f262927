/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_CLIENT_H
#define VENV_CLIENT_H

/**
 * @file venv/client.h
 * @brief Ask a manager: the blocking interface that programs and venvctl(1) use.
 *
 *      venv_client_config --connect--> venv_client --request--> answer
 *       managers, identity             one session              venv_value
 *                                           |
 *                                           +------events--> one event after the other
 *
 * A **configuration** names the managers and the asker's certificate.  A **client** is a session with
 * the first of them that can be reached: TLS 1.3, both sides verified.  A **request** is a type and a
 * body; its answer is a value, or an error that says exactly how much is known.
 *
 * @par What an error means
 *      | code | meaning | changed? |
 *      | --- | --- | --- |
 *      | VENV_EUNREACHABLE | no manager could be reached | no |
 *      | VENV_EDENIED | a certificate was refused, by the manager or by us; or the role may not ask this | no |
 *      | VENV_ETIMEDOUT | asked, and no answer came in time | not known |
 *      | VENV_EUNKNOWN | asked, and the connection broke before the answer came | not known |
 *      | any other | the manager answered: it was refused, for the reason that the text tells | no |
 *
 *      Not known is never reported as failed.  Requests that change something carry a 128-bit id: ask
 *      again with the same id, and it is done once, whether or not it was done before.  The client does
 *      that itself as long as time is left: when a connection breaks it reconnects and asks again, for a change
 *      only the same manager.
 *
 * @par Example
 * @code
 *      venv_client_config *config = NULL;
 *      venv_client *client = NULL;
 *      venv_value items = venv_value_null();
 *      venv_error err = { 0 };
 *      if (venv_client_config_new(&config, &err) == VENV_OK &&
 *          venv_client_config_load(config, NULL, &err) == VENV_OK &&
 *          venv_client_connect(config, &client, &err) == VENV_OK &&
 *          venv_client_list(client, "instances", &items, &err) == VENV_OK)
 *          printf("%zu instances\n", venv_value_count(&items));
 *      else
 *          fprintf(stderr, "%s\n", err.text);
 *      venv_value_unref(&items);
 *      venv_client_free(client);
 *      venv_client_config_free(config);
 * @endcode
 *
 * @par Effects
 *      Reads the monotonic and the wall clock, random numbers of the operating system, the files that the
 *      configuration names, and `HOME` where a function says so.  Starts no thread, installs no signal
 *      handler, and raises no SIGPIPE.  A system call that a signal interrupts is made again.  Names are
 *      resolved by the system, which may take longer than the time that a call was given.
 *
 * @par Threads
 *      A configuration and a client belong to one thread at a time; nothing is shared between two
 *      clients, so several threads may have one each.  While a call waits it answers heartbeats.  Between calls
 *      nobody does: a client that rests longer than the manager's patience (a few times its heartbeat, some
 *      tens of seconds) is hung up on, and reconnects by itself at the next request.
 */

#include <venv/common.h>
#include <venv/value.h>

VENV_BEGIN_DECLS

#define VENV_CLIENT_MANAGERS_MAX     16   /**< Managers in one configuration. */
#define VENV_CLIENT_ADDRESS_MAX      256  /**< Bytes of one `HOST:PORT`. */
#define VENV_CLIENT_PORT             7420 /**< Port of an address that names none. */
#define VENV_CLIENT_EVENTS_MAX       4096 /**< Events kept while other requests are made; later ones are asked for again. */
#define VENV_CLIENT_RECENT           UINT64_MAX /**< Instead of a revision: the newest events of the past. */
#define VENV_CLIENT_CONNECT_TIMEOUT  ((venv_span){ 10 * VENV_NS_PER_S }) /**< For each manager. */
#define VENV_CLIENT_REQUEST_TIMEOUT  ((venv_span){ 30 * VENV_NS_PER_S }) /**< For a request. */

/** Where the managers are and who we are.  Owned by the caller. */
typedef struct venv_client_config venv_client_config;

/** A session with a manager.  Owned by the caller. */
typedef struct venv_client venv_client;

/** @name Configuration @{ */

/**
 * Make an empty configuration.
 * @param ret_config  Owned: release with venv_client_config_free().
 * @retval VENV_OK
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_client_config_new(venv_client_config **ret_config, venv_error *err);

/** Release a configuration.  Accepts NULL.  Clients made from it are not affected. */
VENV_API void venv_client_config_free(venv_client_config *config);

/**
 * Read venv-client.yaml(5) into a configuration; what is set already stays.
 *
 * Names of files are relative to the file they stand in.
 *
 * @param path  NULL: `$HOME/.config/venv/client.yaml`, or else `/etc/venv/client.yaml`.
 * @retval VENV_OK
 * @retval VENV_ENOENT  There is no such file (with NULL: neither).
 * @retval VENV_EINVAL  It is malformed: the error has line and column.
 * @retval VENV_ELIMIT  Too large, or too many managers.
 * @retval VENV_EIO     It could not be read.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_client_config_load(venv_client_config *config, const char *path,
                                                       venv_error *err);

/**
 * Add a manager; they are tried in the order they were added.
 * @param address  `HOST:PORT`, `HOST`, `ADDRESS` or `[IPv6]:PORT`.
 * @retval VENV_OK
 * @retval VENV_EINVAL  Malformed.
 * @retval VENV_ELIMIT  VENV_CLIENT_MANAGERS_MAX.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_client_config_add_manager(venv_client_config *config,
                                                              const char *address, venv_error *err);

/**
 * Name the PEM files of the identity: the cluster's CA, our certificate, our private key.
 * Nothing is read before venv_client_connect().
 * @retval VENV_OK
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_client_config_set_tls(venv_client_config *config,
                                                          const char *ca_file,
                                                          const char *certificate_file,
                                                          const char *key_file, venv_error *err);

/**
 * Take the identity from a directory that `venvctl cert issue` filled: `ca.crt`, `user-NAME.crt` and `user-NAME.key`.
 *
 * @param user  NAME; NULL if there is only one user's certificate in the directory.
 * @retval VENV_OK
 * @retval VENV_ENOENT  There is no such directory, or no such certificate in it.
 * @retval VENV_EINVAL  There are several, and `user` is NULL; the text names them.
 * @retval VENV_EIO     It could not be read.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_client_config_set_tls_dir(venv_client_config *config,
                                                              const char *directory, const char *user,
                                                              venv_error *err);

/** Set how long one manager may take to answer a connect.  VENV_CLIENT_CONNECT_TIMEOUT if not set. */
VENV_API void venv_client_config_set_connect_timeout(venv_client_config *config, venv_span timeout);

/** Managers in it. */
VENV_API size_t venv_client_config_manager_count(const venv_client_config *config);

/** Address of one, lent until the configuration changes; NULL past the end. */
VENV_API const char *venv_client_config_manager_at(const venv_client_config *config, size_t index);

/** True if the files of the identity are named. */
VENV_API bool venv_client_config_has_tls(const venv_client_config *config);
/** @} */

/** @name Session @{ */

/**
 * Connect to the first manager that can be reached, and wait for its welcome.
 *
 * A manager that refuses our certificate ends the attempt (its twin would, too); one that cannot be
 * reached, is no manager, or does not answer in time is passed over.
 *
 * @param config      Copied.
 * @param ret_client  Owned: release with venv_client_free().
 * @retval VENV_OK
 * @retval VENV_EINVAL        No manager or no identity is configured, or its files are no PEM.
 * @retval VENV_ENOENT        A file of the identity is not there.
 * @retval VENV_EIO           A file of the identity could not be read, or the system failed.
 * @retval VENV_EDENIED       A certificate was refused; the text says whose and why.
 * @retval VENV_EUNREACHABLE  None could be reached; the text tells the reason of each.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_client_connect(const venv_client_config *config,
                                                   venv_client **ret_client, venv_error *err);

/** Hang up and release.  Accepts NULL. */
VENV_API void venv_client_free(venv_client *client);

/** Address of the manager that we are, or were last, connected to.  Lent until the next call. */
VENV_API const char *venv_client_address(const venv_client *client);

/** Name of that manager, from its certificate.  Lent until the next call. */
VENV_API const char *venv_client_manager(const venv_client *client);

/** Set the time that a request may take in all.  VENV_CLIENT_REQUEST_TIMEOUT if not set. */
VENV_API void venv_client_set_timeout(venv_client *client, venv_span timeout);
/** @} */

/** @name Requests @{ */

/** What can be asked: numbers of venv-protocol(7). */
typedef enum venv_client_verb {
    VENV_CLIENT_STATUS = 400,
    VENV_CLIENT_LIST = 401,
    VENV_CLIENT_SHOW = 402,
    VENV_CLIENT_START = 403,
    VENV_CLIENT_STOP = 404,
    VENV_CLIENT_GET = 405,
    VENV_CLIENT_FETCH = 406,
    VENV_CLIENT_EXEC = 407,
    VENV_CLIENT_EVENTS = 408,
    VENV_CLIENT_STEER = 409,
    VENV_CLIENT_PROPOSAL = 410,
    VENV_CLIENT_TRIGGER = 411,
    VENV_CLIENT_RESET = 412,
    VENV_CLIENT_RELOAD = 413,
    VENV_CLIENT_HISTORY = 415,
    VENV_CLIENT_ACCEPT_ROLLBACK = 416,
    VENV_CLIENT_WHY = 417,
    VENV_CLIENT_EVALUATE = 418,
    VENV_CLIENT_DUMP = 419,
    VENV_CLIENT_FORGET = 425,
    VENV_CLIENT_NODE = 426,
    VENV_CLIENT_CHANGE = 440,
    VENV_CLIENT_SYNC = 441,
    VENV_CLIENT_APPLY = 442,
    VENV_CLIENT_DELETE_ENVIRONMENT = 443,
    VENV_CLIENT_VERSIONS = 444,
} venv_client_verb;

/** Make a random id for a request.  @retval VENV_OK  @retval VENV_EIO the system has no random numbers. */
VENV_API VENV_MUST_USE venv_rc venv_client_make_id(venv_id *ret_id, venv_error *err);

/**
 * Ask and wait for the answer.
 *
 * What changes something (START, STOP, CHANGE, EXEC, STEER, SYNC, PROPOSAL, TRIGGER, RESET, NODE) gets an `id` if the body has none.
 * Where a connection breaks, the request is sent again while time is left: whatever only reads, to any manager; what carries an
 * `id`, to the same manager, which does it once.
 *
 * @param verb        Not VENV_CLIENT_EVENTS: see venv_client_events().
 * @param body        A map, see venv-protocol(7); lent.
 * @param ret_answer  Body of RESULT.  Owned: release with venv_value_unref().
 * @retval VENV_OK
 * @retval VENV_EINVAL        The body is no map, or the manager finds it malformed.
 * @retval VENV_ELIMIT        The body is larger than its type allows, or the manager is at a limit.
 * @retval VENV_EUNREACHABLE  It was never sent: no manager can be reached any more.
 * @retval VENV_ETIMEDOUT     No answer in time; the outcome is not known.
 * @retval VENV_EUNKNOWN      The connection broke, and the outcome could not be learned in time.
 * @retval VENV_EPROTO        The answer is not one.
 * @retval VENV_ENOMEM
 * @return Any other code of the manager's answer, with its text: VENV_ENOENT, VENV_EDENIED, …
 */
VENV_API VENV_MUST_USE venv_rc venv_client_request(venv_client *client, venv_client_verb verb,
                                                   const venv_value *body, venv_value *ret_answer,
                                                   venv_error *err);

/** The `detail` that came with the last request's refusal, lent until the next call; NULL if there was none. */
VENV_API const venv_value *venv_client_detail(const venv_client *client);

/** Ask for the state of the whole.  Fails as venv_client_request(). */
VENV_API VENV_MUST_USE venv_rc venv_client_status(venv_client *client, venv_value *ret_status,
                                                  venv_error *err);

/**
 * Ask for all things of one kind.
 * @param what       `"agents"`, `"groups"`, `"environments"`, `"instances"`, `"triggers"`, `"actions"`,
 *                   `"proposals"` or `"breakers"`.
 * @param ret_items  A list of maps.  Owned.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_list(venv_client *client, const char *what,
                                                venv_value *ret_items, venv_error *err);

/**
 * Ask for everything about one thing.
 * @param kind      `"agent"`, `"group"`, `"environment"`, `"instance"`, `"trigger"`, `"action"`,
 *                  `"proposal"` or `"breaker"`.
 * @param ret_item  A map.  Owned.
 * @retval VENV_ENOENT  There is none of that name.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_show(venv_client *client, const char *kind, const char *name,
                                                venv_value *ret_item, venv_error *err);

/** What to start.  Zero it; members that are zero are not asked for. */
typedef struct venv_client_start_options {
    venv_id id;        /**< To ask again; none: a new one is made. */
    int64_t count;     /**< Instances; 0 means 1. */
    const char *node;  /**< Start them there, and nowhere else. */
    const char *wait;  /**< Answer only when all are in this state, for example `"running"`. */
    venv_span timeout; /**< How long to wait for that. */
    bool dry_run;      /**< Only say what would be done. */
} venv_client_start_options;

/**
 * Start instances of an environment.
 * @param options     May be NULL.
 * @param ret_answer  `{action: bytes, instances: [{…}]}`.  Owned.
 * @retval VENV_ENOENT     No such environment or node.
 * @retval VENV_ETIMEDOUT  The state was not reached in time: the start goes on.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_start(venv_client *client, const char *environment,
                                                 const venv_client_start_options *options,
                                                 venv_value *ret_answer, venv_error *err);

/** What to stop.  Zero it; name an instance or an environment, not both. */
typedef struct venv_client_stop_options {
    venv_id id;              /**< To ask again; none: a new one is made. */
    const char *instance;    /**< Its name or id. */
    const char *environment; /**< Instances of this environment. */
    int64_t count;           /**< At most so many of them; 0: all. */
    bool drain;         /**< First out of work, and stopped when it is idle: `scale.drain` and `scale.idle` of its definition. */
    venv_span drain_timeout; /**< Then it is stopped with its work.  0: never. */
    bool abandon;       /**< Nothing is stopped: those of them that are being drained go on. */
    bool force;              /**< Power off at once, without asking the guest. */
    bool has_grace;          /**< `grace` is set. */
    venv_span grace;         /**< Time that the guest has to shut down. */
    const char *wait;        /**< Answer only when all are in this state, for example `"stopped"`. */
    venv_span timeout;       /**< How long to wait for that. */
    bool dry_run;            /**< Only say what would be done. */
} venv_client_stop_options;

/** Stop instances.  Answers and fails as venv_client_start(). */
VENV_API VENV_MUST_USE venv_rc venv_client_stop(venv_client *client,
                                                const venv_client_stop_options *options,
                                                venv_value *ret_answer, venv_error *err);

/** What to change.  Zero it; name an instance or an environment, not both. */
typedef struct venv_client_instance_options {
    venv_id id;              /**< To ask again; none: a new one is made. */
    const char *instance;    /**< Its name. */
    const char *environment; /**< Instances of this environment that are in a state in which it can be done. */
    int64_t count;           /**< At most so many of them; 0: all. */
    const char *node;        /**< Where a migration is to go (NULL: where it fits best), or a restore (NULL: where it was saved). */
    const char *wait;        /**< Answer only when all are in this state, for example `"saved"`. */
    venv_span timeout;       /**< How long to wait for that. */
    bool dry_run;            /**< Only say what would be done. */
    bool has_grace;          /**< `grace` is set. */
    venv_span grace;         /**< Reboot: time that the guest has to go down; 0: reset at once. */
    venv_span limit;         /**< Migrate: the guest has moved by then, or stays; 0: as long as an action may take. */
    uint64_t bandwidth;      /**< Migrate: bytes a second; 0: no limit. */
    bool copy_disks;         /**< Migrate: copy what is written to; else both nodes must reach the disks. */
    bool auto_converge;      /**< Migrate: slow the guest down if it changes its memory faster than that is carried. */
} venv_client_instance_options;

/**
 * Pause, resume, save, restore, destroy, migrate, reboot or checkpoint instances, revert to a checkpoint, or cancel a migration or save.
 *
 * @param verb  One of these words.
 * @retval VENV_ECONFLICT    The named instance is in a state in which that cannot be done.
 * @retval VENV_EUNREACHABLE Its node cannot be asked now.
 * Answers and fails as venv_client_start().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_change(venv_client *client, const char *verb,
                                                  const venv_client_instance_options *options,
                                                  venv_value *ret_answer, venv_error *err);

/** What to say with a change that a person makes.  Zero it. */
typedef struct venv_client_change_options {
    venv_id id;      /**< To ask again; none: a new one is made. */
    const char *why; /**< For those who look at it later; may be NULL. */
} venv_client_change_options;

/**
 * Carry out a proposal of a trigger, exactly as venv_client_show() shows it.
 * @param proposal      Its id as text, or the first eight or more characters of it.
 * @param options       May be NULL.
 * @param ret_proposal  As venv_client_show() gives it, with the ids of its actions.  Owned.
 * @retval VENV_ENOENT     There is none.
 * @retval VENV_ECONFLICT  It was applied or rejected before, or has expired; the text says which, and when.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_apply(venv_client *client, const char *proposal,
                                                 const venv_client_change_options *options,
                                                 venv_value *ret_proposal, venv_error *err);

/** Reject a proposal: it can no longer be applied.  Otherwise as venv_client_apply(). */
VENV_API VENV_MUST_USE venv_rc venv_client_reject(venv_client *client, const char *proposal,
                                                  const venv_client_change_options *options,
                                                  venv_value *ret_proposal, venv_error *err);

/**
 * Enable or disable a trigger, until somebody does the opposite: a restart of the manager changes nothing about it.
 * @param options      May be NULL.
 * @param ret_trigger  As venv_client_show() gives it.  Owned.
 * @retval VENV_ENOENT  There is no such trigger.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_set_trigger_enabled(venv_client *client, const char *trigger, bool enabled,
                                                               const venv_client_change_options *options,
                                                               venv_value *ret_trigger, venv_error *err);

/**
 * Close a circuit breaker, and forget the failures that it counted.
 * @param breaker      `environment/NAME` or `node/NAME`, or NAME alone where only one of them is called so.
 * @param options      May be NULL.
 * @param ret_breaker  As venv_client_show() gives it.  Owned.
 * @retval VENV_ENOENT     There is none: nothing has failed there.
 * @retval VENV_ECONFLICT  An environment and a node are called so.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_reset_breaker(venv_client *client, const char *breaker,
                                                         const venv_client_change_options *options,
                                                         venv_value *ret_breaker, venv_error *err);

/**
 * Forget an agent that is not connected: its groups, its values, and to which machine its name belongs, so that another
 * machine may take it.  If it connects again it is as new.
 * @param options    May be NULL.
 * @param ret_agent  What was known of it, as venv_client_show() gives it.  Owned.
 * @retval VENV_ENOENT     There is no such agent.
 * @retval VENV_ECONFLICT  It is connected, or instances are on its node.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_forget_agent(venv_client *client, const char *agent,
                                                        const venv_client_change_options *options,
                                                        venv_value *ret_agent, venv_error *err);

/** How a node is put in maintenance. */
typedef struct venv_client_node_options {
    venv_id id;         /**< As of venv_client_change_options. */
    const char *by;     /**< `"migrate"`, `"stop"` or `"save"`: how the instances there leave.  NULL: they stay. */
    const char *why;    /**< For those who look at it later.  NULL: none. */
    bool wait;          /**< Until the node is empty. */
    venv_span timeout;  /**< Of that.  0: what the manager gives to what moves memory. */
} venv_client_node_options;

/**
 * Put a node in maintenance: nothing is placed there, and what is there leaves.
 * @param options    May be NULL.
 * @param ret_agent  As venv_client_show() gives it, with `maintenance`.  Owned.
 * @retval VENV_ENOENT     There is no such agent.
 * @retval VENV_ETIMEDOUT  It is not empty in the time given; the drain goes on.
 * @retval VENV_ECANCELED  It was taken out of maintenance, or drained anew, before it was empty.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_node_drain(venv_client *client, const char *agent,
                                                      const venv_client_node_options *options,
                                                      venv_value *ret_agent, venv_error *err);

/**
 * Take a node out of maintenance.  A drain that is not over is abandoned.
 * @param options    May be NULL; `id` and `why` are used.
 * @param ret_agent  As venv_client_show() gives it.  Owned.
 * @retval VENV_ENOENT  There is no such agent.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_node_resume(venv_client *client, const char *agent,
                                                       const venv_client_node_options *options,
                                                       venv_value *ret_agent, venv_error *err);

/**
 * Define environments, or give those that are there another version: all of them, or nothing.  Instances that are there
 * stay as they were made.
 * @param definitions  A map from names to definitions, as under `environments` in venv-mgr.yaml(5).
 * @param dry_run      Only say what would change.
 * @param id           As of venv_client_change_options.
 * @param ret_items    One map for each: see APPLY of venv-protocol(7).  Owned.
 * @retval VENV_EINVAL     One is wrong; the text says which and how.  VENV_EKIND, VENV_ERANGE, VENV_EDENIED likewise.
 * @retval VENV_ECONFLICT  One belongs to the files of the manager.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_environments_apply(venv_client *client, const venv_value *definitions, bool dry_run,
                                                              venv_id id, venv_value *ret_items, venv_error *err);

/**
 * Delete an environment, or one version of it.
 * @param version          0: the environment.
 * @param dry_run          Only say whether it could be.
 * @param id               As of venv_client_change_options.
 * @param ret_environment  A map: `name version? deleted`.  Owned.
 * @retval VENV_ENOENT     There is none.
 * @retval VENV_ECONFLICT  It is in use, or belongs to the files of the manager; the text says by what.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_environment_delete(venv_client *client, const char *name, uint64_t version, bool dry_run,
                                                              venv_id id, venv_value *ret_environment, venv_error *err);

/**
 * The versions of an environment, and what is different between two of them.
 * @param version       Only this one, with its definition; 0: all, without.
 * @param from          Not 0: also what is different from this version to `version`, or to the newest.
 * @param ret_versions  A map: `items differences?`; see VERSIONS of venv-protocol(7).  Owned.
 * @retval VENV_ENOENT  There is no such environment, or no such version.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_environment_versions(venv_client *client, const char *name, uint64_t version, uint64_t from,
                                                                venv_value *ret_versions, venv_error *err);

/**
 * Have the manager read its configuration anew: all of it is used, or nothing.
 * @param dry_run         Only say what would change.
 * @param ret_difference  What changed: see RELOAD of venv-protocol(7).  Owned.
 * @retval VENV_EINVAL     It is wrong; the text says where, and the manager goes on with what it had.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_reload(venv_client *client, bool dry_run, venv_value *ret_difference,
                                                  venv_error *err);
/** @} */

/** @name Explanations @{ */

/**
 * Ask why something is as it is.
 *
 * @param kind     `"instance"`, `"node"`, `"trigger"` or `"action"`.
 * @param name     Its name; of an action its id, or the first eight or more characters of it.
 * @param agent    Of a trigger that is evaluated for agents: which one; NULL: of all.
 * @param ret_why  `{what, name, answer: string, steps: [{kind, level, text, time?, detail?}]}`: the chain of causes in the
 *                 order of time, see WHY of venv-protocol(7).  Owned.
 * @retval VENV_ENOENT  There is none of that name, or nothing is kept of it any more.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_why(venv_client *client, const char *kind, const char *name, const char *agent,
                                               venv_value *ret_why, venv_error *err);

/**
 * Evaluate triggers now, in the manager's own world; nothing is changed, nothing is done.
 *
 * @param trigger       Only this one; NULL: all.
 * @param definitions   A map from names to definitions, as under `triggers` of venv-mgr.yaml(5); NULL: those of the manager.
 * @param agent         For triggers that are evaluated for agents: which one; NULL: of all.
 * @param ret_triggers  A list, each item as venv_triggers_explain() gives it.  Owned.
 * @retval VENV_ENOENT  There is no such trigger or agent.
 * @retval VENV_EINVAL  A definition is malformed; the text names the trigger and the key.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_evaluate(venv_client *client, const char *trigger,
                                                    const venv_value *definitions, const char *agent,
                                                    venv_value *ret_triggers, venv_error *err);

/**
 * Ask for the manager's flight recorder: the last events that its core was given, as a file that the simulator can step through.
 * It holds what agents told the manager: keep it as the manager's state.
 * @param ret_data  Bytes.  Owned.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_dump(venv_client *client, venv_value *ret_data, venv_error *err);
/** @} */

/** @name Events @{ */

/**
 * Ask for the log of events, from after a revision on.
 *
 * Only one stream is open at a time: a second call ends the first.  Other requests may be made meanwhile;
 * events that arrive then are kept.
 *
 * @param since   Revision; events after it are wanted.  0: from the oldest that is kept.
 *                VENV_CLIENT_RECENT: the newest `limit` ones.
 * @param limit   At most so many of the past; 0: all (with VENV_CLIENT_RECENT 100).
 * @param follow  Go on with those that happen from now on.
 * Fails as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_events(venv_client *client, uint64_t since, uint32_t limit,
                                                  bool follow, venv_error *err);

/**
 * Wait for the next event.
 *
 * When the connection breaks, the client reconnects and asks for what comes after the last event that it gave:
 * none is given twice, and none that the manager still has is left out.
 *
 * @param timeout    How long to wait; negative: for ever.
 * @param ret_event  `{revision, time, kind, subject, text, …}`.  Owned.
 * @retval VENV_OK
 * @retval VENV_ENOENT        That was the last one (never when it follows).
 * @retval VENV_ETIMEDOUT     None in this time; ask again.
 * @retval VENV_EUNREACHABLE  The connection broke and no manager can be reached within the time.
 * @retval VENV_EINVAL        No stream is open.
 * Fails else as venv_client_request().
 */
VENV_API VENV_MUST_USE venv_rc venv_client_next_event(venv_client *client, venv_span timeout,
                                                      venv_value *ret_event, venv_error *err);
/** @} */

VENV_END_DECLS
#endif /* VENV_CLIENT_H */
