/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value checked and made into a definition. The table of keys says most of what is allowed; what one key
 * has to do with another is checked after it.
 */
#include "environment/definition.h"

#include "base/cleanup.h"
#include "codec/config.h"
#include "environment/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const ready_names[] = { "running", NULL };

static const venv_config_row disk_rows[] = {
    { .name = "file", .kind = VENV_CONFIG_PATH, .required = true, .max = VENV_ENVIRONMENT_PATH_MAX - 1,
      .help = "The image file, in a directory that the agent allows." },
    { .name = "format", .kind = VENV_CONFIG_ENUM, .required = true, .choices = venv_disk_format_names,
      .help = "What the file is; it is never guessed, and no base image that it names is opened." },
    { .name = "bus", .kind = VENV_CONFIG_ENUM, .choices = venv_disk_bus_names, .fallback = "virtio",
      .help = "How the guest sees it." },
    { .name = "readonly", .kind = VENV_CONFIG_BOOL, .fallback = "false",
      .help = "The guest cannot write it, so several instances may share it." },
    { .name = NULL },
};

static const venv_config_row network_rows[] = {
    { .name = "bridge", .kind = VENV_CONFIG_STRING, .min = 1, .max = 15,
      .help = "A bridge of the node." },
    { .name = "network", .kind = VENV_CONFIG_STRING, .min = 1, .max = VENV_NETWORK_NAME_MAX,
      .help = "A network of the node's libvirt." },
    { .name = "user", .kind = VENV_CONFIG_BOOL,
      .help = "QEMU's own address translation: the guest reaches out, and the node as 10.0.2.2." },
    { .name = "mac", .kind = VENV_CONFIG_STRING, .min = 17, .max = 17,
      .help = "Hardware address, for environments of one instance; by default made from the machine's id." },
    { .name = NULL },
};

static const venv_config_row disk_row = { .name = "disk", .kind = VENV_CONFIG_TABLE, .of = disk_rows };
static const venv_config_row network_row = { .name = "network", .kind = VENV_CONFIG_TABLE, .of = network_rows };

const venv_config_row venv_environment_rows[] = {
    { .name = "name", .kind = VENV_CONFIG_NAME,
      .help = "Its name, where the place of the definition does not say it (a file of its own, a message)." },
    { .name = "hypervisor", .kind = VENV_CONFIG_ENUM, .choices = venv_hypervisor_kind_names, .fallback = "kvm",
      .help = "What runs it: kvm, qemu (by emulation), or test (libvirt's test driver: no guest at all)." },
    { .name = "vcpus", .kind = VENV_CONFIG_INT, .min = 1, .max = VENV_ENVIRONMENT_VCPUS_MAX, .fallback = "1",
      .help = "Virtual processors." },
    { .name = "memory", .kind = VENV_CONFIG_SIZE, .required = true, .min = (int64_t)VENV_ENVIRONMENT_MEMORY_MIN,
      .max = (int64_t)VENV_ENVIRONMENT_MEMORY_MAX, .help = "Memory of the guest, a whole number of KiB." },
    { .name = "kernel", .kind = VENV_CONFIG_PATH, .max = VENV_ENVIRONMENT_PATH_MAX - 1,
      .help = "Kernel to boot directly; without it the first disk is booted." },
    { .name = "initrd", .kind = VENV_CONFIG_PATH, .max = VENV_ENVIRONMENT_PATH_MAX - 1,
      .help = "Initial RAM disk for the kernel." },
    { .name = "cmdline", .kind = VENV_CONFIG_STRING, .min = 1, .max = VENV_ENVIRONMENT_CMDLINE_MAX - 1,
      .help = "Command line for the kernel." },
    { .name = "disks", .kind = VENV_CONFIG_LIST, .of = &disk_row, .max = VENV_ENVIRONMENT_DISKS_MAX,
      .help = "Disks, in the order in which the guest sees them." },
    { .name = "networks", .kind = VENV_CONFIG_LIST, .of = &network_row, .max = VENV_ENVIRONMENT_NETWORKS_MAX,
      .help = "Network interfaces; each is one of bridge, network and user." },
    { .name = "where", .kind = VENV_CONFIG_EXPRESSION,
      .help = "Expression over `node`: true for the nodes that may run it." },
    { .name = "prefer", .kind = VENV_CONFIG_EXPRESSION,
      .help = "Expression over `node`: a number, the node with the highest is taken; by default the fullest that fits." },
    { .name = "ready", .kind = VENV_CONFIG_ENUM, .choices = ready_names, .fallback = "running",
      .help = "When an instance counts as started: running, its processor runs." },
    { .name = "priority", .kind = VENV_CONFIG_INT, .min = -1000, .max = 1000, .fallback = "0",
      .help = "Of two environments that want the same place, the one with the higher number is first." },
    { .name = NULL },
};

/* What is being read: for errors. */
typedef struct reading {
    const venv_value *value;
    const venv_mark *mark;
    char where[VENV_NAME_MAX + 32];
    venv_error *err;
} reading;

static venv_rc blame(const reading *r, const char *path, venv_rc rc, const char *expected)
{
    venv_error_set(r->err, rc, "%s: %s%s%s", r->where, path, path[0] ? " " : "", expected);
    return venv_mark_blame(venv_mark_find(r->mark, r->value, path), r->err);
}

static venv_rc no_memory(const reading *r)
{
    return venv_error_set(r->err, VENV_ENOMEM, "%s: out of memory", r->where);
}

static venv_rc copy_text(const reading *r, venv_str text, char **ret_text)
{
    char *copy = malloc(text.size + 1);
    if (!copy)
        return no_memory(r);
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    *ret_text = copy;
    return VENV_OK;
}

/* A path, if it is given. */
static venv_rc take_path(const reading *r, const venv_value *settings, const char *key, const char *path,
                         char **ret_text)
{
    venv_str text = venv_config_text(settings, key);
    if (text.size == 0)
        return VENV_OK;
    if (!venv_environment_path_check(text))
        return blame(r, path, VENV_EINVAL, "must be an absolute path without empty, '.' or '..' parts and "
                                           "without control characters");
    return copy_text(r, text, ret_text);
}

static int choice(const char *const *names, venv_str text)
{
    for (int i = 0; names[i]; i++)
        if (strlen(names[i]) == text.size && memcmp(names[i], text.data, text.size) == 0)
            return i;
    return 0; /* the table of keys has checked it */
}

static venv_rc take_disks(const reading *r, const venv_value *settings, venv_environment *environment)
{
    const venv_value *disks = venv_config_get(settings, "disks");
    for (size_t i = 0; i < venv_value_count(disks); i++) {
        const venv_value *item = venv_value_at(disks, i);
        venv_environment_disk *disk = &environment->disks[i];
        char path[48];
        snprintf(path, sizeof path, "disks[%zu].file", i);
        venv_rc rc = take_path(r, item, "file", path, &disk->file);
        if (rc != VENV_OK)
            return rc;
        disk->format = (venv_disk_format)choice(venv_disk_format_names, venv_config_text(item, "format"));
        disk->bus = (venv_disk_bus)choice(venv_disk_bus_names, venv_config_text(item, "bus"));
        disk->readonly = venv_config_bool(item, "readonly");
        environment->disk_count = i + 1;
    }
    return VENV_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "52:54:00:12:34:56", of one station (not a group), not all zero. */
static bool parse_mac(venv_str text, uint8_t ret_mac[6])
{
    uint8_t mac[6], any = 0;
    if (text.size != 17)
        return false;
    for (size_t i = 0; i < 6; i++) {
        int high = hex_digit(text.data[3 * i]), low = hex_digit(text.data[3 * i + 1]);
        if (high < 0 || low < 0 || (i < 5 && text.data[3 * i + 2] != ':'))
            return false;
        mac[i] = (uint8_t)(high << 4 | low);
        any |= mac[i];
    }
    if (!any || (mac[0] & 1))
        return false;
    memcpy(ret_mac, mac, sizeof mac);
    return true;
}

static venv_rc take_network(const reading *r, const venv_value *item, size_t index,
                            venv_environment_network *network)
{
    char path[48];
    snprintf(path, sizeof path, "networks[%zu]", index);
    venv_str bridge = venv_config_text(item, "bridge"), name = venv_config_text(item, "network");
    bool user = venv_config_bool(item, "user");
    if ((bridge.size != 0) + (name.size != 0) + (user ? 1 : 0) != 1)
        return blame(r, path, VENV_EINVAL, "must have one of bridge: NAME, network: NAME, and user: true");
    network->kind = user ? VENV_NETWORK_USER : bridge.size ? VENV_NETWORK_BRIDGE : VENV_NETWORK_NETWORK;
    venv_str text = bridge.size ? bridge : name;
    if (text.size && (!venv_environment_text_check(text, VENV_NETWORK_NAME_MAX) ||
                      memchr(text.data, '/', text.size) || memchr(text.data, ' ', text.size))) {
        snprintf(path, sizeof path, "networks[%zu].%s", index, bridge.size ? "bridge" : "network");
        return blame(r, path, VENV_EINVAL, "must be a name without spaces, '/' and control characters");
    }
    if (text.size)
        memcpy(network->name, text.data, text.size);
    venv_str mac = venv_config_text(item, "mac");
    network->has_mac = mac.size != 0;
    snprintf(path, sizeof path, "networks[%zu].mac", index);
    if (network->has_mac && !parse_mac(mac, network->mac))
        return blame(r, path, VENV_EINVAL, "must be the hardware address of one station, such as "
                                           "52:54:00:12:34:56");
    return VENV_OK;
}

static venv_rc take_networks(const reading *r, const venv_value *settings, venv_environment *environment)
{
    const venv_value *networks = venv_config_get(settings, "networks");
    for (size_t i = 0; i < venv_value_count(networks); i++) {
        venv_rc rc = take_network(r, venv_value_at(networks, i), i, &environment->networks[i]);
        if (rc != VENV_OK)
            return rc;
        environment->network_count = i + 1;
    }
    return VENV_OK;
}

/* An error inside an expression is given its place in the file, as far as the way it was written lets one count. */
static venv_rc blame_expression(const reading *r, const char *key, venv_error *inner)
{
    const venv_mark *mark = venv_mark_get(r->mark, r->value, key);
    uint32_t line = inner->line ? inner->line : 1, column = inner->column ? inner->column : 1;
    venv_error_set(r->err, inner->rc, "%s: %s: %s", r->where, key, inner->text);
    if (!mark)
        return inner->rc;
    if (mark->style == VENV_MARK_LITERAL)
        venv_error_at(r->err, mark->file, mark->line + line, 0);
    else if (mark->style == VENV_MARK_FOLDED || line > 1)
        venv_error_at(r->err, mark->file, mark->line, mark->column);
    else
        venv_error_at(r->err, mark->file, mark->line,
                      mark->column + column - (mark->style == VENV_MARK_PLAIN ? 1u : 0u));
    return inner->rc;
}

static venv_rc take_expression(const reading *r, const venv_value *settings, const char *key,
                               venv_expr_env *expressions, char **ret_text, venv_expr **ret_expr)
{
    venv_str text = venv_config_text(settings, key);
    if (text.size == 0)
        return VENV_OK;
    venv_rc rc = copy_text(r, text, ret_text);
    if (rc != VENV_OK || !expressions)
        return rc;
    venv_error inner = { .rc = VENV_OK };
    rc = venv_expr_compile(expressions, text.data, text.size, ret_expr, &inner);
    return rc == VENV_OK ? VENV_OK : blame_expression(r, key, &inner);
}

static venv_rc take_expressions(const reading *r, const venv_value *settings, venv_expr_env *expressions,
                                venv_environment *environment)
{
    venv_rc rc = take_expression(r, settings, "where", expressions, &environment->where_text, &environment->where);
    if (rc == VENV_OK)
        rc = take_expression(r, settings, "prefer", expressions, &environment->prefer_text, &environment->prefer);
    if (rc != VENV_OK)
        return rc;
    const venv_expr *where = environment->where, *prefer = environment->prefer;
    if (where && !venv_expr_may_be(where, VENV_BOOL))
        return blame(r, "where", VENV_EINVAL, "must be true or false");
    if (prefer && !venv_expr_may_be(prefer, VENV_INT) && !venv_expr_may_be(prefer, VENV_UINT) &&
        !venv_expr_may_be(prefer, VENV_DOUBLE))
        return blame(r, "prefer", VENV_EINVAL, "must be a number");
    return VENV_OK;
}

/* What the table of keys cannot say: what goes with what. */
static venv_rc check_whole(const reading *r, const venv_environment *environment)
{
    if (environment->memory_bytes & 1023)
        return blame(r, "memory", VENV_ERANGE, "must be a whole number of KiB");
    if (environment->cmdline &&
        !venv_environment_text_check((venv_str){ environment->cmdline, strlen(environment->cmdline) },
                                     VENV_ENVIRONMENT_CMDLINE_MAX - 1))
        return blame(r, "cmdline", VENV_EINVAL, "must be one line without control characters");
    if (environment->initrd && !environment->kernel)
        return blame(r, "initrd", VENV_EINVAL, "is of no use without kernel");
    if (environment->cmdline && !environment->kernel)
        return blame(r, "cmdline", VENV_EINVAL, "is of no use without kernel");
    if (!environment->kernel && !environment->disk_count && environment->hypervisor != VENV_HYPERVISOR_TEST)
        return blame(r, "", VENV_EINVAL, "there is nothing to boot from; give kernel or disks");
    return VENV_OK;
}

static venv_rc take_name(reading *r, const char *name, const venv_value *settings, venv_environment *environment)
{
    venv_str own = venv_config_text(settings, "name");
    venv_str text = name ? (venv_str){ name, strlen(name) } : own;
    if (!venv_name_is_valid(text))
        return text.size == 0 ? blame(r, "name", VENV_EINVAL, "is missing")
                              : blame(r, "", VENV_EINVAL, "the name of an environment is made of a-z, 0-9, '.', "
                                                          "'_' and '-', and has at most 64 of them");
    if (own.size && (own.size != text.size || memcmp(own.data, text.data, own.size) != 0))
        return blame(r, "name", VENV_EINVAL, "is not the name under which the environment is defined");
    memcpy(environment->name, text.data, text.size);
    return VENV_OK;
}

static venv_rc fill(reading *r, const char *name, const venv_value *settings, venv_expr_env *expressions,
                    venv_environment *environment)
{
    venv_str cmdline = venv_config_text(settings, "cmdline");
    environment->hypervisor =
        (venv_hypervisor_kind)choice(venv_hypervisor_kind_names, venv_config_text(settings, "hypervisor"));
    environment->vcpus = (uint32_t)venv_config_int(settings, "vcpus");
    environment->memory_bytes = venv_config_size(settings, "memory");
    environment->priority = (int32_t)venv_config_int(settings, "priority");
    venv_rc rc = take_name(r, name, settings, environment);
    if (rc == VENV_OK)
        rc = take_path(r, settings, "kernel", "kernel", &environment->kernel);
    if (rc == VENV_OK)
        rc = take_path(r, settings, "initrd", "initrd", &environment->initrd);
    if (rc == VENV_OK && cmdline.size) {
        if (memchr(cmdline.data, '\0', cmdline.size)) /* before it is cut there */
            return blame(r, "cmdline", VENV_EINVAL, "must be one line without control characters");
        rc = copy_text(r, cmdline, &environment->cmdline);
    }
    if (rc == VENV_OK)
        rc = take_disks(r, settings, environment);
    if (rc == VENV_OK)
        rc = take_networks(r, settings, environment);
    if (rc == VENV_OK)
        rc = take_expressions(r, settings, expressions, environment);
    return rc == VENV_OK ? check_whole(r, environment) : rc;
}

venv_rc venv_environment_from_value(const char *name, const venv_value *value, const venv_mark *mark,
                                    venv_expr_env *expressions, venv_environment **ret_environment,
                                    venv_error *err)
{
    reading r = { .value = value, .mark = mark, .err = err };
    snprintf(r.where, sizeof r.where, "environment %.*s", VENV_NAME_MAX, name ? name : "");
    venv_value settings = venv_value_null();
    venv_rc rc = venv_config_read(venv_environment_rows, value, mark, r.where, &settings, err);
    if (rc != VENV_OK)
        return rc;
    venv_environment *environment = calloc(1, sizeof *environment);
    if (!environment) {
        venv_value_unref(&settings);
        return no_memory(&r);
    }
    environment->references = 1;
    rc = fill(&r, name, &settings, expressions, environment);
    venv_value_unref(&settings);
    if (rc != VENV_OK) {
        venv_environment_unref(environment);
        return rc;
    }
    *ret_environment = environment;
    return VENV_OK;
}

venv_rc venv_environment_expr_env(venv_expr_env **ret_env, venv_error *err)
{
    venv_expr_env *env = NULL;
    venv_rc rc = venv_expr_env_new(NULL, &env, err);
    if (rc == VENV_OK)
        rc = venv_expr_env_variable(env, "node", "dyn", NULL, err);
    if (rc != VENV_OK) {
        venv_expr_env_unref(env);
        return rc;
    }
    *ret_env = env;
    return VENV_OK;
}

venv_environment *venv_environment_ref(venv_environment *environment)
{
    environment->references++;
    return environment;
}

venv_environment *venv_environment_unref(venv_environment *environment)
{
    if (!environment || --environment->references)
        return NULL;
    for (size_t i = 0; i < VENV_ENVIRONMENT_DISKS_MAX; i++)
        free(environment->disks[i].file);
    free(environment->kernel);
    free(environment->initrd);
    free(environment->cmdline);
    free(environment->where_text);
    free(environment->prefer_text);
    venv_expr_unref(environment->where);
    venv_expr_unref(environment->prefer);
    free(environment);
    return NULL;
}
