/* SPDX-License-Identifier: Apache-2.0 */
/* agent.yaml, checked by its rows, as a struct. It reads no files: the shell brings the documents. */

#include "agent/config.h"

#include "agent/builtin.h"
#include "agent/config_rows.h"

#include <venv/message.h>
#include <venv/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESS_SIZE = 320 };

static venv_rc no_memory(venv_error *err)
{
    return venv_error_set(err, VENV_ENOMEM, "out of memory");
}

static venv_rc text_dup(venv_str text, char **ret_text, venv_error *err)
{
    char *copy = malloc(text.size + 1);
    if (!copy)
        return no_memory(err);
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    free(*ret_text);
    *ret_text = copy;
    return VENV_OK;
}

/* A list of strings into an array of owned texts. */
static venv_rc texts_read(const venv_value *settings, const char *key, char **ret_texts, size_t *ret_count,
                          venv_error *err)
{
    const venv_value *list = venv_config_get(settings, key);
    for (size_t i = 0; i < venv_value_count(list); i++) {
        venv_rc rc = text_dup(venv_value_peek_text(venv_value_at(list, i)), &ret_texts[i], err);
        if (rc)
            return rc;
        *ret_count = i + 1;
    }
    return VENV_OK;
}

static bool is_host_char(char c, bool in_brackets)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_' || (in_brackets && (c == ':' || c == '%'));
}

static bool port_is_valid(venv_str text)
{
    unsigned port = 0;
    if (text.size == 0 || text.size > 5)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        port = port * 10 + (unsigned)(text.data[i] - '0');
    }
    return port >= 1 && port <= 65535;
}

/* "host", "host:port", "[v6]", "[v6]:port" to a text that has a port. */
static bool address_read(venv_str text, char ret_address[ADDRESS_SIZE])
{
    bool brackets = text.size > 0 && text.data[0] == '[';
    const char *end = brackets ? memchr(text.data, ']', text.size) : memchr(text.data, ':', text.size);
    if (brackets && !end)
        return false;
    size_t host = end ? (size_t)(end - text.data) + (brackets ? 1 : 0) : text.size;
    size_t first = brackets ? 1 : 0, last = brackets ? host - 1 : host;
    if (last <= first || last - first > 255)
        return false;
    for (size_t i = first; i < last; i++)
        if (!is_host_char(text.data[i], brackets))
            return false;
    if (host == text.size) {
        snprintf(ret_address, ADDRESS_SIZE, "%.*s:%d", (int)text.size, text.data, VENV_PROTOCOL_PORT);
        return true;
    }
    if (text.data[host] != ':' || !port_is_valid((venv_str){ text.data + host + 1, text.size - host - 1 }))
        return false;
    snprintf(ret_address, ADDRESS_SIZE, "%.*s", (int)text.size, text.data);
    return true;
}

/* The managers' addresses, checked. `agent` is the section as written, for the marks. */
static venv_rc managers_read(venv_agent_config *config, const venv_value *settings, const venv_value *agent,
                             const venv_mark *mark, venv_error *err)
{
    const venv_value *list = venv_config_get(settings, "manager");
    const venv_mark *list_mark = venv_mark_get(mark, agent, "manager");
    for (size_t i = 0; i < venv_value_count(list); i++) {
        venv_str text = venv_value_peek_text(venv_value_at(list, i));
        char address[ADDRESS_SIZE], safe[128];
        if (!address_read(text, address)) {
            const venv_mark *item = venv_mark_at(list_mark, i);
            venv_text_safe(text, safe, sizeof(safe));
            venv_error_set(err, VENV_EINVAL,
                           "agent: '%s' is not the address of a manager; expected HOST, HOST:PORT or [IPV6]:PORT", safe);
            return venv_mark_blame(item ? item : list_mark, err);
        }
        venv_rc rc = text_dup((venv_str){ address, strlen(address) }, &config->managers[i], err);
        if (rc)
            return rc;
        config->manager_count = i + 1;
    }
    return VENV_OK;
}

/* A folder that is in state_dir unless another is named. */
static venv_rc beside_state(const venv_agent_config *config, const char *name, char **place, venv_error *err)
{
    if ((*place)[0])
        return VENV_OK;
    char directory[1100];
    snprintf(directory, sizeof(directory), "%s/%s", config->state_dir, name);
    return text_dup((venv_str){ directory, strlen(directory) }, place, err);
}

static venv_rc texts_of_agent(venv_agent_config *config, const venv_value *settings, venv_error *err)
{
    const venv_value *tls = venv_config_get(settings, "tls"), *images = venv_config_get(settings, "images");
    struct {
        const venv_value *from;
        const char *key;
        char **to;
    } texts[] = {
        { settings, "name", &config->name },           { settings, "cluster", &config->cluster },
        { settings, "hypervisor", &config->hypervisor }, { settings, "state_dir", &config->state_dir },
        { settings, "console_dir", &config->console_dir }, { settings, "migrate_uri", &config->migrate_uri },
        { settings, "saves_dir", &config->saves_dir },
        { images, "repository", &config->images_repository }, { images, "trust", &config->images_trust },
        { images, "directory", &config->images_directory }, { settings, "machines_dir", &config->machines_dir },
        { tls, "ca", &config->tls_ca },                { tls, "certificate", &config->tls_certificate },
        { tls, "key", &config->tls_key },
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        venv_rc rc = text_dup(venv_config_text(texts[i].from, texts[i].key), texts[i].to, err);
        if (rc)
            return rc;
    }
    venv_rc rc = beside_state(config, "console", &config->console_dir, err);
    return rc == VENV_OK ? beside_state(config, "saves", &config->saves_dir, err) : rc;
}

/* Bounds that two keys give each other. */
static venv_rc check_pairs(const venv_agent_config *config, const venv_value *agent, const venv_mark *mark,
                           venv_error *err)
{
    if (config->timeout.ns <= config->heartbeat.ns) {
        venv_error_set(err, VENV_ERANGE, "agent: timeout must be longer than heartbeat; three times as long is usual");
        const venv_mark *at = venv_mark_get(mark, agent, "timeout");
        return venv_mark_blame(at ? at : venv_mark_get(mark, agent, "heartbeat"), err);
    }
    if (config->command_timeout.ns > config->command_timeout_max.ns) {
        venv_error_set(err, VENV_ERANGE, "agent: command_timeout must not be longer than command_timeout_max");
        const venv_mark *at = venv_mark_get(mark, agent, "command_timeout");
        return venv_mark_blame(at ? at : venv_mark_get(mark, agent, "command_timeout_max"), err);
    }
    return VENV_OK;
}

static venv_rc agent_read(venv_agent_config *config, const venv_value *settings, const venv_value *agent,
                          const venv_mark *mark, venv_error *err)
{
    const venv_value *reconnect = venv_config_get(settings, "reconnect");
    config->tick = venv_config_span(settings, "sample_every");
    config->heartbeat = venv_config_span(settings, "heartbeat");
    config->saves_shared = venv_config_bool(settings, "saves_shared");
    config->timeout = venv_config_span(settings, "timeout");
    config->first_frame = venv_config_span(settings, "welcome_within");
    config->reconnect_first = venv_config_span(reconnect, "first");
    config->reconnect_max = venv_config_span(reconnect, "max");
    config->push_every = venv_config_span(settings, "push_every");
    config->refresh = venv_config_span(settings, "refresh");
    config->machines_every = venv_config_span(settings, "machines_every");
    config->command_timeout = venv_config_span(settings, "command_timeout");
    config->command_timeout_max = venv_config_span(settings, "command_timeout_max");
    config->runs_max = (uint32_t)venv_config_int(settings, "commands_at_once");
    venv_rc rc = check_pairs(config, agent, mark, err);
    if (rc == VENV_OK)
        rc = texts_of_agent(config, settings, err);
    if (rc == VENV_OK)
        rc = managers_read(config, settings, agent, mark, err);
    if (rc == VENV_OK)
        rc = texts_read(settings, "groups", config->groups, &config->group_count, err);
    if (rc == VENV_OK)
        rc = texts_read(settings, "commands", config->command_dirs, &config->command_dir_count, err);
    if (rc == VENV_OK)
        rc = texts_read(settings, "paths", config->paths, &config->path_count, err);
    if (rc == VENV_OK)
        rc = venv_property_set_new(config->tick, (venv_instant){ 0 }, &config->properties, err);
    return rc;
}

/* Ticks for so many seconds, at least one; 0 stays once. */
static int64_t ticks_of(const venv_agent_config *config, int seconds)
{
    int64_t ticks = (int64_t)seconds * VENV_NS_PER_S / config->tick.ns;
    return seconds == 0 ? 0 : ticks < 1 ? 1 : ticks;
}

static venv_property property_of(const venv_agent_config *config, const venv_builtin *builtin)
{
    return (venv_property){ .label = { builtin->name, strlen(builtin->name) },
                            .unit = { builtin->unit, strlen(builtin->unit) },
                            .type = builtin->type,
                            .source = VENV_PROPERTY_BUILTIN,
                            .name = { builtin->name, strlen(builtin->name) },
                            .args = venv_value_null(),
                            .every = ticks_of(config, builtin->seconds),
                            .timeout = { 5 * VENV_NS_PER_S } };
}

/* Items 1… of a list of strings, or null if there are none. */
static venv_rc args_of(const venv_value *list, venv_value *ret_args, venv_error *err)
{
    if (venv_value_count(list) < 2)
        return VENV_OK;
    venv_list_builder args;
    venv_list_init(&args);
    for (size_t i = 1; i < venv_value_count(list); i++)
        venv_list_add(&args, venv_value_ref(venv_value_at(list, i)));
    return venv_list_take(&args, ret_args, err);
}

/* A property whose source is a command. */
static venv_rc command_read(const venv_value *settings, venv_property *property, venv_error *err)
{
    const venv_value *command = venv_config_get(settings, "command");
    venv_str type = venv_config_text(settings, "type");
    if (venv_config_get(settings, "builtin"))
        return venv_error_set(err, VENV_EINVAL, "it has both `command` and `builtin`; expected one of them");
    if (type.size == 0)
        return venv_error_set(err, VENV_EINVAL, "`type` is missing; expected int, double, string, bool or json");
    if (!venv_value_get(settings, "every"))
        return venv_error_set(err, VENV_EINVAL, "`every` is missing; expected a number of ticks, 0 (once) or -1 (never)");
    property->source = VENV_PROPERTY_COMMAND;
    property->name = venv_value_peek_text(venv_value_at(command, 0));
    if (!venv_property_type_parse(type, &property->type))
        return venv_error_set(err, VENV_EINVAL, "unknown type");
    return args_of(command, &property->args, err);
}

/* A property whose source is a built-in: named, or the one of the same label. */
static venv_rc builtin_read(const venv_agent_config *config, const venv_value *settings, venv_property *property,
                            venv_error *err)
{
    const venv_value *list = venv_config_get(settings, "builtin");
    venv_str name = list ? venv_value_peek_text(venv_value_at(list, 0)) : property->label;
    const venv_builtin *builtin = venv_builtin_find(name);
    char safe[VENV_LABEL_MAX * 2];
    venv_text_safe(name, safe, sizeof(safe));
    if (!builtin && !list)
        return venv_error_set(err, VENV_EINVAL, "it needs `command`: '%s' is no built-in property", safe);
    if (!builtin) {
        const char *names[VENV_BUILTIN__COUNT + 1] = { NULL };
        for (size_t i = 0; i < VENV_BUILTIN__COUNT; i++)
            names[i] = venv_builtin_at(i)->name;
        const char *near = venv_text_nearest(name, names);
        return venv_error_set(err, VENV_EINVAL, "there is no built-in property '%s'%s%s%s", safe,
                              near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    if (venv_value_count(list) > 1 && !builtin->argument)
        return venv_error_set(err, VENV_EINVAL, "the built-in '%s' takes no argument", builtin->name);
    venv_str label = property->label;
    venv_span timeout = property->timeout;
    *property = property_of(config, builtin);
    property->label = label;
    property->timeout = timeout;
    venv_str type = venv_config_text(settings, "type"), unit = venv_config_text(settings, "unit");
    venv_property_type declared = property->type;
    if (type.size > 0 && venv_property_type_parse(type, &declared) && declared != builtin->type)
        return venv_error_set(err, VENV_EINVAL, "the built-in '%s' is of type %s; leave `type` out", builtin->name,
                              venv_property_type_name(builtin->type));
    if (unit.size > 0 && (unit.size != strlen(builtin->unit) || memcmp(unit.data, builtin->unit, unit.size) != 0))
        return venv_error_set(err, VENV_EINVAL, "the unit of the built-in '%s' is %s; leave `unit` out", builtin->name,
                              builtin->unit[0] ? builtin->unit : "none");
    return args_of(list, &property->args, err);
}

static venv_rc property_read(venv_agent_config *config, venv_str label, const venv_value *settings, venv_error *err)
{
    venv_property property = { .label = label,
                               .unit = venv_config_text(settings, "unit"),
                               .args = venv_value_null(),
                               .timeout = venv_config_span(settings, "timeout") };
    venv_rc rc = venv_config_get(settings, "command") ? command_read(settings, &property, err)
                                                      : builtin_read(config, settings, &property, err);
    if (venv_value_get(settings, "every"))
        property.every = venv_config_int(settings, "every");
    uint32_t slot = 0;
    if (rc == VENV_OK)
        rc = venv_property_set_add(config->properties, &property, &slot, err);
    venv_value_unref(&property.args);
    return rc;
}

/* The properties of one document, with blame for the label that is wrong. */
static venv_rc properties_read(venv_agent_config *config, const venv_value *settings,
                               const venv_config_document *document, venv_error *err)
{
    const venv_value *written = venv_value_get(document->value, "properties");
    const venv_mark *mark = venv_mark_get(venv_yaml_marks_root(document->marks), document->value, "properties");
    const venv_value *properties = venv_config_get(settings, "properties");
    const venv_value *key = NULL, *entry = NULL;
    for (size_t i = 0; venv_value_entry(properties, i, &key, &entry); i++) {
        venv_str label = venv_value_peek_text(key);
        venv_error inner = { 0 };
        venv_rc rc = property_read(config, label, entry, &inner);
        if (rc == VENV_OK)
            continue;
        char safe[VENV_LABEL_MAX * 2], name[VENV_LABEL_MAX * 8];
        venv_text_safe(label, safe, sizeof(safe));
        venv_error_set(err, rc, "property %s: %s", safe, inner.text);
        snprintf(name, sizeof(name), "%.*s", (int)label.size, label.data);
        const venv_mark *at = venv_mark_get(mark, written, name);
        if (at && err)
            venv_error_at(err, at->file, at->key_line, at->key_column);
        return rc;
    }
    return VENV_OK;
}

/* The mark of a document's property of that name; NULL if it has none. */
static const venv_mark *property_mark(const venv_config_document *document, const venv_value *label)
{
    const venv_value *properties = venv_value_get(document->value, "properties");
    const venv_mark *mark = venv_mark_get(venv_yaml_marks_root(document->marks), document->value, "properties");
    const venv_value *key = NULL;
    for (size_t i = 0; venv_value_entry(properties, i, &key, NULL); i++) {
        if (venv_value_equal(key, label))
            return venv_mark_at(mark, i);
    }
    return NULL;
}

/* `err` is about a property of the last document that an earlier one defines: tell both places. */
static void tell_first_place(const venv_config_document *documents, size_t last, venv_error *err)
{
    const venv_value *properties = venv_value_get(documents[last].value, "properties");
    const venv_value *label = NULL;
    for (size_t i = 0; venv_value_entry(properties, i, &label, NULL); i++) {
        const venv_mark *here = property_mark(&documents[last], label), *first = NULL;
        for (size_t d = 0; d < last && !first; d++)
            first = property_mark(&documents[d], label);
        if (!first || !here || here->key_line != err->line)
            continue;
        size_t used = strlen(err->text);
        (void)snprintf(err->text + used, sizeof(err->text) - used, "; the first one is at %s:%u:%u", first->file,
                       (unsigned)first->key_line, (unsigned)first->key_column);
        return;
    }
}

static venv_rc document_read(venv_agent_config *config, const venv_config_document *document, bool is_main,
                             venv_error *err)
{
    const venv_mark *root = venv_yaml_marks_root(document->marks);
    if (!is_main && venv_value_kind(document->value) == VENV_NULL)
        return VENV_OK; /* an empty file */
    venv_value settings = venv_value_null();
    venv_rc rc = venv_config_read(is_main ? venv_agent_config_rows() : venv_agent_config_included_rows(),
                                  document->value, root, "", &settings, err);
    if (rc == VENV_OK && is_main)
        rc = agent_read(config, venv_config_get(&settings, "agent"), venv_value_get(document->value, "agent"),
                        venv_mark_get(root, document->value, "agent"), err);
    if (rc == VENV_OK)
        rc = properties_read(config, &settings, document, err);
    venv_value_unref(&settings);
    return rc;
}

/* The built-in properties whose labels the documents left free. */
static venv_rc builtins_add(venv_agent_config *config, venv_error *err)
{
    for (size_t i = 0; i < VENV_BUILTIN__COUNT; i++) {
        const venv_builtin *builtin = venv_builtin_at(i);
        venv_property property = property_of(config, builtin);
        uint32_t slot = 0;
        if (builtin->id == VENV_BUILTIN_HYPERVISOR && !venv_agent_config_has_hypervisor(config))
            continue;
        if (venv_property_set_find(config->properties, property.label, &slot))
            continue;
        venv_rc rc = venv_property_set_add(config->properties, &property, &slot, err);
        if (rc)
            return rc;
    }
    return VENV_OK;
}

bool venv_agent_config_has_hypervisor(const venv_agent_config *config)
{
    return strcmp(config->hypervisor, "none") != 0;
}

venv_rc venv_agent_config_new(const venv_config_document *documents, size_t count, venv_agent_config **ret_config,
                              venv_error *err)
{
    venv_agent_config *config = calloc(1, sizeof(*config));
    if (!config)
        return no_memory(err);
    venv_rc rc = count > 0 ? VENV_OK : venv_error_set(err, VENV_EINVAL, "no configuration");
    for (size_t i = 0; i < count && rc == VENV_OK; i++) {
        rc = document_read(config, &documents[i], i == 0, err);
        if (rc == VENV_EEXIST && err)
            tell_first_place(documents, i, err);
    }
    if (rc == VENV_OK)
        rc = builtins_add(config, err);
    if (rc) {
        venv_agent_config_free(config);
        return rc;
    }
    *ret_config = config;
    return VENV_OK;
}

static void texts_free(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
}

void venv_agent_config_free(venv_agent_config *config)
{
    if (!config)
        return;
    char *texts[] = { config->name,        config->cluster,         config->hypervisor, config->state_dir,
                      config->console_dir, config->migrate_uri, config->saves_dir, config->images_repository, config->images_trust,
                      config->images_directory, config->machines_dir, config->tls_ca, config->tls_certificate, config->tls_key };
    texts_free(texts, sizeof(texts) / sizeof(texts[0]));
    texts_free(config->managers, VENV_AGENT_MANAGERS_MAX);
    texts_free(config->groups, VENV_AGENT_GROUPS_MAX);
    texts_free(config->command_dirs, VENV_AGENT_DIRS_MAX);
    texts_free(config->paths, VENV_AGENT_DIRS_MAX);
    venv_property_set_free(config->properties);
    free(config);
}

static venv_rc identify(char **text, const char *told, const char *what, venv_error *err)
{
    if ((*text)[0] && strcmp(*text, told) != 0)
        return venv_error_set(err, VENV_EINVAL,
                              "the %s of this agent is '%s' in the configuration and '%s' in its certificate; "
                              "correct agent.%s, or leave it out", what, *text, told, what);
    return text_dup((venv_str){ told, strlen(told) }, text, err);
}

venv_rc venv_agent_config_identify(venv_agent_config *config, const char *cluster, const char *name, venv_error *err)
{
    venv_rc rc = identify(&config->name, name, "name", err);
    return rc ? rc : identify(&config->cluster, cluster, "cluster", err);
}
