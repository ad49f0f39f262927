/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value checked and made into a definition. The tables of keys (keys.c) say most of what is allowed, and fill.c puts
 * it where it belongs; what one key has to do with another is checked here, and in devices.c.
 */
#include "environment/definition.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A list of names in a container of settings, and of everything else in it: far below a message's largest body. */
#define ARENA_MAX (4u * VENV_ENVIRONMENT_SIZE_MAX)
#define NETWORK_CONFIG_MAX 8192u /* bytes as JSON */

static venv_rc no_place_for_key(const venv_environment_reading *r)
{
    for (const venv_environment_refusal *refused = venv_environment_refusals; refused->key; refused++)
        if (venv_value_get(r->value, refused->key))
            return venv_environment_blame(r, refused->key, VENV_EDENIED, refused->why);
    return VENV_OK;
}

/* An error inside an expression is given its place in the file, as far as the way it was written lets one count. */
static venv_rc blame_expression(const venv_environment_reading *r, const char *path, venv_error *inner)
{
    const venv_mark *mark = venv_mark_find(r->mark, r->value, path);
    uint32_t line = inner->line ? inner->line : 1, column = inner->column ? inner->column : 1;
    venv_error_set(r->err, inner->rc, "%s: %s: %s", r->where, path, inner->text);
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

/* What an expression may be, besides one that compiles. */
typedef enum expression_kind { A_BOOL, A_NUMBER } expression_kind;

static bool may_be(const venv_expr *expr, expression_kind wanted)
{
    return wanted == A_BOOL ? venv_expr_may_be(expr, VENV_BOOL)
                            : venv_expr_may_be(expr, VENV_INT) || venv_expr_may_be(expr, VENV_UINT) ||
                                  venv_expr_may_be(expr, VENV_DOUBLE);
}

static venv_rc take_expression(const venv_environment_reading *r, const char *path, const char *text, expression_kind wanted,
                               venv_expr_env *words, venv_expr **ret_expr)
{
    if (!text || !words)
        return VENV_OK;
    venv_error inner = { .rc = VENV_OK };
    if (venv_expr_compile(words, text, strlen(text), ret_expr, &inner) != VENV_OK)
        return blame_expression(r, path, &inner);
    if (!may_be(*ret_expr, wanted))
        return venv_environment_blame(r, path, VENV_EINVAL, wanted == A_BOOL ? "must be true or false" : "must be a number");
    return VENV_OK;
}

static venv_rc take_expressions(const venv_environment_reading *r, const venv_environment_words *words,
                                venv_environment *environment)
{
    const venv_definition *is = &environment->is;
    if (!words)
        return VENV_OK;
    venv_rc rc = take_expression(r, "where", is->where, A_BOOL, words->place, &environment->where);
    if (rc == VENV_OK)
        rc = take_expression(r, "prefer", is->prefer, A_NUMBER, words->place, &environment->prefer);
    if (rc == VENV_OK)
        rc = take_expression(r, "scale.desired", is->scale.desired, A_NUMBER, words->scale, &environment->desired);
    if (rc == VENV_OK)
        rc = take_expression(r, "scale.idle", is->scale.idle, A_BOOL, words->idle, &environment->idle);
    return rc;
}

/* `pin: true`, or the list of processors. */
static venv_rc take_pin(const venv_environment_reading *r, const venv_value *settings, venv_definition *is)
{
    const venv_value *pin = venv_value_get(settings, "pin");
    if (pin->w.kind == VENV_BOOL) {
        is->pin = venv_config_bool(settings, "pin") ? VENV_PIN_ANY : VENV_PIN_NO;
        return VENV_OK;
    }
    if (pin->w.kind != VENV_LIST)
        return venv_environment_blame(r, "pin", VENV_EKIND, "must be true, false, or the list of processors, one for each vCPU");
    if (venv_value_count(pin) != is->vcpus)
        return venv_environment_blame(r, "pin", VENV_EINVAL, "must name one processor for each vCPU");
    uint32_t *cpus = venv_arena_alloc(r->arena, is->vcpus * sizeof *cpus);
    if (!cpus)
        return venv_environment_no_memory(r);
    for (size_t i = 0; i < is->vcpus; i++) {
        const venv_value *item = venv_value_at(pin, i);
        if (item->w.kind != VENV_INT || item->w.as.i < 0 || item->w.as.i >= (int64_t)VENV_ENVIRONMENT_CPUS_MAX)
            return venv_environment_blame(r, "pin", VENV_EINVAL, "must be numbers of processors, from 0");
        cpus[i] = (uint32_t)item->w.as.i;
    }
    is->pin = VENV_PIN_LIST;
    is->pin_cpus = cpus;
    return VENV_OK;
}

/* Bytes that cloud-init takes for user data by their beginning (its "User data formats"); all else is a path. */
static bool is_user_data(const char *text)
{
    return text[0] == '#' || strncmp(text, "Content-Type:", 13) == 0 || strncmp(text, "MIME-Version:", 13) == 0;
}

static venv_rc take_seed(const venv_environment_reading *r, const venv_value *settings, venv_definition_seed *seed)
{
    if (seed->user_data && !is_user_data(seed->user_data)) {
        seed->user_data_file = VENV_TAKE(seed->user_data);
        if (!venv_environment_path_check((venv_str){ seed->user_data_file, strlen(seed->user_data_file) }))
            return venv_environment_blame(r, "cloud_init.user_data", VENV_EINVAL,
                                          "must be user data, which begins with # or Content-Type:, or the absolute path of a file of the node");
    }
    const venv_value *given = venv_value_get(settings, "cloud_init");
    seed->network = given ? venv_value_get(given, "network") : NULL;
    if (!seed->network)
        return VENV_OK;
    if (seed->network->w.kind != VENV_MAP)
        return venv_environment_blame(r, "cloud_init.network", VENV_EKIND, "must be a map");
    char *text = NULL;
    size_t size = 0;
    venv_error inner = { .rc = VENV_OK };
    venv_rc rc = venv_json_print(seed->network, VENV_JSON_COMPACT, &text, &size, &inner);
    free(text);
    if (rc == VENV_ENOMEM)
        return venv_environment_no_memory(r);
    if (rc != VENV_OK)
        return venv_environment_blame(r, "cloud_init.network", VENV_EINVAL, "must be what JSON can say");
    if (size > NETWORK_CONFIG_MAX)
        return venv_environment_blame(r, "cloud_init.network", VENV_ELIMIT, "must have at most 8 KiB");
    return VENV_OK;
}

/* --- what goes with what --- */

/* Keys that only some hypervisors know. */
typedef struct only {
    const char *key;
    uint32_t kinds;
    const char *says;
} only;

#define KIND(name) (1u << VENV_HYPERVISOR_##name)
#define QEMUS      (KIND(KVM) | KIND(QEMU))
static const only onlies[] = {
    { "cpu", QEMUS, "goes with kvm and qemu only" },
    { "kernel", ~KIND(LXC), "does not go with a container, which runs the node's" },
    { "initrd", ~KIND(LXC), "does not go with a container, which runs the node's kernel" },
    { "cmdline", ~KIND(LXC), "does not go with a container; its arguments are part of init" },
    { "root", ~KIND(LXC), "does not go with a container" },
    { "init", KIND(LXC), "goes with containers only (hypervisor: lxc)" },
    { "cloud_init", QEMUS | KIND(XEN) | KIND(TEST), "does not go with a container" },
};

static bool said(const venv_value *settings, const char *key)
{
    const venv_value *value = venv_value_get(settings, key);
    return value != NULL;
}

static venv_rc check_hypervisor(const venv_environment_reading *r, const venv_value *settings, const venv_definition *is)
{
    for (size_t i = 0; i < VENV_COUNT_OF(onlies); i++)
        if (said(settings, onlies[i].key) && !(onlies[i].kinds & (1u << is->hypervisor)))
            return venv_environment_blame(r, onlies[i].key, VENV_EINVAL, onlies[i].says);
    bool qemu = QEMUS & (1u << is->hypervisor);
    if (is->firmware != VENV_FIRMWARE_BIOS && !qemu)
        return venv_environment_blame(r, "firmware", VENV_EINVAL, "goes with kvm and qemu only");
    if (is->display != VENV_DISPLAY_NONE && !qemu && is->hypervisor != VENV_HYPERVISOR_TEST)
        return venv_environment_blame(r, "display", VENV_EINVAL, "goes with kvm and qemu only");
    if (is->ready == VENV_READY_GUEST_AGENT && !qemu && is->hypervisor != VENV_HYPERVISOR_TEST)
        return venv_environment_blame(r, "ready", VENV_EINVAL, "qemu-guest-agent goes with kvm and qemu only");
    return VENV_OK;
}

static venv_rc check_boot(const venv_environment_reading *r, const venv_definition *is)
{
    static const char useless[] = "is of no use without kernel";
    if (is->initrd && !is->kernel)
        return venv_environment_blame(r, "initrd", VENV_EINVAL, useless);
    if (is->cmdline && !is->kernel)
        return venv_environment_blame(r, "cmdline", VENV_EINVAL, useless);
    if (is->root && !is->kernel)
        return venv_environment_blame(r, "root", VENV_EINVAL, useless);
    if (is->root && strpbrk(is->root, " \"'"))
        return venv_environment_blame(r, "root", VENV_EINVAL, "must be one word");
    if (is->firmware == VENV_FIRMWARE_EFI && is->kernel)
        return venv_environment_blame(r, "firmware", VENV_EINVAL, "is of no use with a kernel that is booted directly");
    if (is->hypervisor == VENV_HYPERVISOR_XEN && !is->kernel)
        return venv_environment_blame(r, "", VENV_EINVAL, "a paravirtual guest needs kernel: a loader in Dom0 would read the guest's own disk as root");
    if (is->hypervisor == VENV_HYPERVISOR_LXC && !is->disk_count)
        return venv_environment_blame(r, "", VENV_EINVAL, "a container needs a disk for its /");
    if (!is->kernel && !is->disk_count && is->hypervisor != VENV_HYPERVISOR_TEST)
        return venv_environment_blame(r, "", VENV_EINVAL, "there is nothing to boot from; give image, disks or kernel");
    return VENV_OK;
}

static bool names(const venv_definition_texts *texts, const char *name)
{
    for (size_t i = 0; i < texts->count; i++)
        if (strcmp(texts->items[i], name) == 0)
            return true;
    return false;
}

static venv_rc check_whole(const venv_environment_reading *r, const venv_definition *is)
{
    if (is->memory_bytes & 1023)
        return venv_environment_blame(r, "memory", VENV_ERANGE, "must be a whole number of KiB");
    for (size_t i = 0; i < is->affinity.count; i++)
        if (names(&is->anti_affinity, is->affinity.items[i]))
            return venv_environment_blame(r, "affinity", VENV_EINVAL, "names an environment that anti_affinity names, too");
    /* The first one would wait for itself. */
    if (names(&is->affinity, is->name))
        return venv_environment_blame(r, "affinity", VENV_EINVAL, "must name other environments");
    if (is->scale.given && is->scale.min > is->scale.max)
        return venv_environment_blame(r, "scale.min", VENV_ERANGE, "must be at most max");
    if (is->restart.wait.ns > is->restart.wait_max.ns)
        return venv_environment_blame(r, "restart.wait", VENV_ERANGE, "must be at most wait_max");
    return VENV_OK;
}

static venv_rc take_name(const venv_environment_reading *r, const char *name, const venv_value *settings,
                         venv_environment *environment)
{
    venv_str own = venv_config_text(settings, "name");
    venv_str text = name ? (venv_str){ name, strlen(name) } : own;
    if (!venv_name_is_valid(text))
        return text.size == 0 ? venv_environment_blame(r, "name", VENV_EINVAL, "is missing")
                              : venv_environment_blame(r, "", VENV_EINVAL,
                                                       "the name of an environment is made of a-z, 0-9, '.', "
                                                       "'_' and '-', and has at most 64 of them");
    if (own.size && (own.size != text.size || memcmp(own.data, text.data, own.size) != 0))
        return venv_environment_blame(r, "name", VENV_EINVAL, "is not the name under which the environment is defined");
    environment->is.name = venv_arena_dup(&environment->arena, text.data, text.size);
    return environment->is.name ? VENV_OK : venv_environment_no_memory(r);
}

/* The settings with the name in them. */
static venv_rc keep_settings(const venv_environment_reading *r, const venv_value *settings, venv_environment *environment)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "name", environment->is.name);
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_entry(settings, i, &key, &value); i++)
        if (!venv_value_is_text(key, "name"))
            venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(value));
    return venv_map_take(&map, &environment->settings, NULL) == VENV_OK ? VENV_OK : venv_environment_no_memory(r);
}

static venv_rc fill(venv_environment_reading *r, const char *name, const venv_value *settings,
                    const venv_environment_words *words, venv_environment *environment)
{
    venv_definition *is = &environment->is;
    venv_rc rc = take_name(r, name, settings, environment);
    if (rc == VENV_OK)
        rc = keep_settings(r, settings, environment);
    /* What is lent from the settings stays as long as the definition. */
    const venv_value *kept = &environment->settings;
    if (rc == VENV_OK)
        rc = venv_environment_fill(r, venv_environment_rows, venv_environment_fields, kept, is);
    if (rc == VENV_OK)
        rc = check_hypervisor(r, kept, is);
    if (rc == VENV_OK)
        rc = take_pin(r, kept, is);
    if (rc == VENV_OK)
        rc = take_seed(r, kept, &is->cloud_init);
    if (rc == VENV_OK)
        rc = venv_environment_take_disks(r, kept, is);
    if (rc == VENV_OK)
        rc = venv_environment_take_networks(r, kept, is);
    if (rc == VENV_OK)
        rc = check_boot(r, is);
    if (rc == VENV_OK)
        rc = check_whole(r, is);
    return rc == VENV_OK ? take_expressions(r, words, environment) : rc;
}

venv_rc venv_environment_from_value(const char *name, const venv_value *value, const venv_mark *mark,
                                    const venv_environment_words *words, venv_environment **ret_environment,
                                    venv_error *err)
{
    venv_environment_reading r = { .value = value, .mark = mark, .err = err };
    snprintf(r.where, sizeof r.where, "environment %.*s", VENV_NAME_MAX, name ? name : "");
    venv_value settings = venv_value_null();
    venv_rc rc = no_place_for_key(&r);
    if (rc == VENV_OK)
        rc = venv_config_read(venv_environment_rows, value, mark, r.where, &settings, err);
    if (rc != VENV_OK)
        return rc;
    venv_environment *environment = calloc(1, sizeof *environment);
    if (!environment) {
        venv_value_unref(&settings);
        return venv_environment_no_memory(&r);
    }
    environment->references = 1;
    venv_arena_init(&environment->arena, ARENA_MAX);
    r.arena = &environment->arena;
    rc = fill(&r, name, &settings, words, environment);
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
    venv_rc rc = venv_expr_env_new(&(venv_expr_options){ .mixed_numbers = true }, &env, err);
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
    venv_expr_unref(environment->where);
    venv_expr_unref(environment->prefer);
    venv_expr_unref(environment->desired);
    venv_expr_unref(environment->idle);
    venv_value_unref(&environment->settings);
    venv_arena_fini(&environment->arena);
    free(environment);
    return NULL;
}
