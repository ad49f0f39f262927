/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The versions of each environment.
 *
 *      files ──start, reload──► next version, if it is another ◄──apply── people
 *                                       │
 *                         m->environments: the newest of each, from which instances are started
 *
 * One rule says whose a name is: one that the files define is theirs, and can be neither applied nor deleted; every other is
 * the people's. Where files come to define a name that was applied, theirs is its next version, and the name is the files'
 * from then on. A number is never used again, so the newest version of a name that is gone stays as a row without a definition.
 *
 * An instance has its definition with it and knows its version: nothing here touches one that is there.
 */
#include "manager/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSIONS_MAX 32u  /* kept of one environment; those that instances were made from in any case */
#define APPLY_MAX    256u /* definitions in one request */
#define TOLD_MAX     5u   /* instances that a refusal names */

static const venv_id none = { { 0 } };

typedef struct environment_version {
    uint64_t number;
    venv_wall made;
    char by[BY_MAX];
    bool files;            /* the manager's files have it */
    bool gone;             /* there is no environment of this name any more */
    venv_value definition; /* null of one that is gone */
} environment_version;

typedef struct catalog_entry {
    char name[VENV_NAME_MAX + 1];
    environment_version *versions; /* by number; the newest is the last */
    size_t count;
} catalog_entry;

void venv_mgr_catalog_entry_free(void *item)
{
    catalog_entry *e = item;
    for (size_t i = 0; i < e->count; i++)
        venv_value_unref(&e->versions[i].definition);
    free(e->versions);
    free(e);
}

static catalog_entry *find(const venv_manager *m, const char *name)
{
    return venv_table_find(m->catalog, name, strlen(name));
}

static environment_version *newest(const catalog_entry *e)
{
    return e && e->count ? &e->versions[e->count - 1] : NULL;
}

static environment_version *version_of(const catalog_entry *e, uint64_t number)
{
    for (size_t i = 0; e && i < e->count; i++)
        if (e->versions[i].number == number)
            return &e->versions[i];
    return NULL;
}

static bool in_files(const venv_manager *m, const char *name)
{
    return venv_value_get(&m->config->environments, name) != NULL;
}

static catalog_entry *find_or_make(venv_manager *m, const char *name)
{
    catalog_entry *e = find(m, name);
    if (e)
        return e;
    e = calloc(1, sizeof *e);
    if (!e || venv_table_add(m->catalog, name, strlen(name), e, NULL) != VENV_OK) {
        free(e);
        venv_mgr_no_memory(m);
        return NULL;
    }
    snprintf(e->name, sizeof e->name, "%s", name);
    return e;
}

/* Room for one more, after those with a lower number. NULL: out of memory, or there is this number. */
static environment_version *insert(venv_manager *m, catalog_entry *e, uint64_t number)
{
    environment_version *more = realloc(e->versions, (e->count + 1) * sizeof *more);
    if (!more) {
        venv_mgr_no_memory(m);
        return NULL;
    }
    e->versions = more;
    size_t at = e->count;
    while (at > 0 && more[at - 1].number > number)
        at--;
    if (at > 0 && more[at - 1].number == number)
        return NULL;
    memmove(&more[at + 1], &more[at], (e->count - at) * sizeof *more);
    more[at] = (environment_version){ .number = number };
    e->count++;
    return &more[at];
}

/* --- rows -------------------------------------------------------------------------------------------------- */

static venv_value key_of(venv_manager *m, const char *name, uint64_t number)
{
    char key[VENV_NAME_MAX + 24];
    snprintf(key, sizeof key, "%s@%llu", name, (unsigned long long)number);
    return venv_mgr_text_key(m, key);
}

static void put_row(venv_manager *m, const catalog_entry *e, const environment_version *v)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "made", venv_value_from_wall(v->made));
    venv_map_put_z(&map, "by", v->by);
    venv_map_put(&map, "files", venv_value_bool(v->files));
    if (v->gone)
        venv_map_put(&map, "gone", venv_value_bool(true));
    else
        venv_map_put(&map, "definition", venv_value_ref(&v->definition));
    venv_mgr_effect_put(m, VENV_ROWS_ENVIRONMENTS, key_of(m, e->name, v->number), venv_mgr_take_map(m, &map));
}

/* The bytes of a key "NAME@VERSION". */
static bool parse_key(venv_str key, char name[VENV_NAME_MAX + 1], uint64_t *ret_number)
{
    const char *at = memchr(key.data, '@', key.size);
    uint64_t number = 0;
    if (!at || !venv_mgr_fits_name((venv_str){ key.data, (size_t)(at - key.data) }, name) || at + 1 == key.data + key.size)
        return false;
    for (const char *c = at + 1; c < key.data + key.size; c++) {
        if (*c < '0' || *c > '9' || number > UINT64_MAX / 10 - 1)
            return false;
        number = number * 10 + (uint64_t)(*c - '0');
    }
    *ret_number = number;
    return number > 0;
}

bool venv_mgr_catalog_restore(venv_manager *m, venv_str key, const venv_value *row)
{
    char name[VENV_NAME_MAX + 1];
    uint64_t number;
    if (!key.size || !parse_key(key, name, &number) || venv_value_kind(row) != VENV_MAP)
        return false;
    catalog_entry *e = find_or_make(m, name);
    environment_version *v = e ? insert(m, e, number) : NULL;
    const venv_value *definition = venv_value_get(row, "definition"), *made = venv_value_get(row, "made");
    venv_str by = venv_value_get_text(row, "by");
    if (!v)
        return false;
    if (made)
        (void)venv_value_to_wall(made, &v->made);
    snprintf(v->by, sizeof v->by, "%.*s", (int)(by.size < BY_MAX ? by.size : BY_MAX - 1), by.data ? by.data : "");
    v->files = venv_value_get_bool(row, "files", false);
    v->gone = venv_value_get_bool(row, "gone", false) || !definition;
    if (!v->gone && venv_value_dup(definition, &v->definition, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    return true;
}

void venv_mgr_catalog_export(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->catalog, &cursor, NULL, &item))
        for (size_t i = 0; i < ((catalog_entry *)item)->count; i++)
            put_row(m, item, &((catalog_entry *)item)->versions[i]);
}

uint64_t venv_mgr_catalog_digest(const venv_manager *m)
{
    uint64_t sum = 0;
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->catalog, &cursor, NULL, &item)) {
        const environment_version *v = newest(item);
        if (v)
            sum += venv_hash_bytes(((catalog_entry *)item)->name, strlen(((catalog_entry *)item)->name), v->number * 4 + v->gone * 2u + v->files);
    }
    return sum;
}

/* --- versions ---------------------------------------------------------------------------------------------- */

/* Instances that are there: made from this version, or (0) from any. */
static size_t instances_of(venv_manager *m, const char *name, uint64_t number, char *told, size_t size)
{
    size_t cursor = 0, count = 0, used = 0;
    void *item;
    if (told)
        told[0] = '\0';
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        if (strcmp(i->environment, name) != 0 || venv_instance_is_final(i->state) || (number && i->version != number))
            continue;
        if (told && count < TOLD_MAX && used < size)
            used += (size_t)snprintf(told + used, size - used, "%s%s", count ? ", " : "", i->name);
        else if (told && count == TOLD_MAX && used < size)
            used += (size_t)snprintf(told + used, size - used, " and more");
        count++;
    }
    return count;
}

static void drop(venv_manager *m, catalog_entry *e, size_t at)
{
    venv_mgr_effect_delete(m, VENV_ROWS_ENVIRONMENTS, key_of(m, e->name, e->versions[at].number));
    venv_value_unref(&e->versions[at].definition);
    memmove(&e->versions[at], &e->versions[at + 1], (e->count - at - 1) * sizeof *e->versions);
    e->count--;
}

/* Not more than VERSIONS_MAX, but for those that something still runs from. */
static void thin_out(venv_manager *m, catalog_entry *e)
{
    for (size_t i = 0; e->count > VERSIONS_MAX && i + 1 < e->count;) {
        if (instances_of(m, e->name, e->versions[i].number, NULL, 0) == 0)
            drop(m, e, i);
        else
            i++;
    }
}

static environment_version *add_version(venv_manager *m, const venv_environment *environment, const char *by, bool files)
{
    catalog_entry *e = find_or_make(m, venv_environment_name(environment));
    const environment_version *last = newest(e);
    uint64_t number = last ? last->number + 1 : 1;
    bool was_gone = last && last->gone;
    environment_version *v = e ? insert(m, e, number) : NULL;
    if (!v)
        return NULL;
    v->made = m->now.wall;
    v->files = files;
    snprintf(v->by, sizeof v->by, "%s", by);
    if (venv_environment_to_value(environment, &v->definition, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    put_row(m, e, v);
    if (was_gone)
        drop(m, e, e->count - 2);
    thin_out(m, e);
    return newest(e);
}

/* It is gone: what is left is its number. */
static void set_gone(venv_manager *m, catalog_entry *e, const char *by)
{
    while (e->count > 1)
        drop(m, e, 0);
    environment_version *v = newest(e);
    v->gone = true;
    v->made = m->now.wall;
    snprintf(v->by, sizeof v->by, "%s", by);
    venv_value_unref(&v->definition);
    put_row(m, e, v);
}

/* Does the version say the same? It may have been written by another program, with other defaults. */
static bool says(venv_manager *m, const environment_version *v, const venv_environment *environment)
{
    venv_environment *kept = NULL;
    venv_rc rc = venv_environment_from_value(venv_environment_name(environment), &v->definition, NULL, NULL, &kept, NULL);
    if (rc == VENV_ENOMEM)
        venv_mgr_no_memory(m);
    bool same = rc == VENV_OK && venv_environment_equal(kept, environment);
    venv_environment_unref(kept);
    return same;
}

uint64_t venv_mgr_catalog_newest(const venv_manager *m, const char *name)
{
    const environment_version *v = newest(find(m, name));
    return v && !v->gone ? v->number : 0;
}

/* What people see of an instance: from which version it was made, and whether there is a newer one. */
void venv_mgr_catalog_put_version(const venv_manager *m, venv_map_builder *map, const instance *i)
{
    uint64_t last = venv_mgr_catalog_newest(m, i->environment);
    if (!i->version)
        return;
    venv_map_put(map, "version", venv_value_uint(i->version));
    if (last && last != i->version)
        venv_map_put(map, "newest", venv_value_uint(last));
}

/* --- the files --------------------------------------------------------------------------------------------- */

/* The definitions of the files, which are in m->environments already, as versions. */
void venv_mgr_catalog_files(venv_manager *m)
{
    const venv_value *key;
    for (size_t i = 0; venv_value_entry(&m->config->environments, i, &key, NULL); i++) {
        char name[VENV_NAME_MAX + 1];
        if (!venv_mgr_fits_name(venv_value_peek_text(key), name))
            continue;
        const venv_environment *environment = venv_mgr_environment_find(m, name);
        catalog_entry *e = find(m, name);
        environment_version *last = newest(e);
        if (!last || last->gone || !says(m, last, environment)) {
            add_version(m, environment, "files", true);
        } else if (!last->files) {
            last->files = true;
            put_row(m, e, last);
        }
    }
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->catalog, &cursor, NULL, &item)) {
        const environment_version *last = newest(item);
        if (last && last->files && !last->gone && !in_files(m, ((catalog_entry *)item)->name))
            set_gone(m, item, "files");
    }
}

/* The first step after a start: what was applied can be started again. */
void venv_mgr_catalog_start(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->catalog, &cursor, NULL, &item)) {
        const catalog_entry *e = item;
        const environment_version *last = newest(e);
        venv_environment *environment = NULL;
        venv_error err = { .rc = VENV_OK };
        if (!last || last->gone || last->files || in_files(m, e->name))
            continue;
        venv_rc rc = venv_environment_from_value(e->name, &last->definition, NULL, &m->words, &environment, &err);
        if (rc == VENV_OK)
            rc = venv_table_add(m->environments, e->name, strlen(e->name), environment, &err);
        if (rc == VENV_OK)
            continue;
        venv_environment_unref(environment);
        if (rc == VENV_ENOMEM)
            venv_mgr_no_memory(m);
        venv_mgr_event_add(m, "environment-unusable", e->name, none, venv_value_null(),
                           "environment %s was applied as version %llu, which cannot be used any more: %s", e->name,
                           (unsigned long long)last->number, err.text);
        venv_mgr_effect_log(m, VENV_LOG_ERROR, "environment %s, version %llu, cannot be used any more: %s", e->name,
                            (unsigned long long)last->number, err.text);
    }
    venv_mgr_catalog_files(m);
}

/* Another configuration: what was applied stays beside its environments. */
venv_rc venv_mgr_catalog_keep_applied(venv_manager *m, venv_table *fresh, venv_error *err)
{
    size_t cursor = 0;
    venv_rc rc = VENV_OK;
    void *item;
    while (rc == VENV_OK && venv_table_next(m->environments, &cursor, NULL, &item)) {
        const char *name = venv_environment_name(item);
        if (in_files(m, name) || venv_table_find(fresh, name, strlen(name)))
            continue;
        rc = venv_table_add(fresh, name, strlen(name), item, err);
        if (rc == VENV_OK)
            venv_environment_ref(item);
    }
    return rc;
}

/* --- apply ------------------------------------------------------------------------------------------------- */

static venv_rc not_theirs(venv_manager *m, const char *name, const char *verb, venv_error *err)
{
    return venv_error_set(err, VENV_ECONFLICT, "environment %s is defined in the files of the manager %s, so it cannot be %s; change it there, "
                          "and say `venvctl reload`", name, m->config->name, verb);
}

static venv_rc read_one(venv_manager *m, const venv_value *key, const venv_value *value, venv_environment **ret_environment,
                        venv_error *err)
{
    char name[VENV_NAME_MAX + 1];
    venv_str text = venv_value_kind(key) == VENV_STRING ? venv_value_peek_text(key) : VENV_STR("");
    if (!venv_mgr_fits_name(text, name) || !venv_name_is_valid(text))
        return venv_error_set(err, VENV_EINVAL, "environments: a name has 1 to %d lower-case letters, digits, '.', '_', '-'", VENV_NAME_MAX);
    if (in_files(m, name))
        return not_theirs(m, name, "applied", err);
    return venv_environment_from_value(name, value, NULL, &m->words, ret_environment, err);
}

/* What one definition changes, and, unless it is only asked for, the change. */
static venv_value apply_one(venv_manager *m, const char *by, venv_id id, venv_environment *environment, bool dry_run)
{
    const char *name = venv_environment_name(environment);
    venv_environment *was = venv_mgr_environment_find(m, name);
    uint64_t number = venv_mgr_catalog_newest(m, name);
    const environment_version *last = newest(find(m, name));
    bool same = was && venv_environment_equal(was, environment);
    venv_value differences = venv_value_null();
    venv_map_builder map;
    if (venv_environment_difference(was, environment, &differences, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    size_t older = same ? 0 : instances_of(m, name, 0, NULL, 0);
    if (!same)
        number = last ? last->number + 1 : 1;
    venv_map_init(&map);
    venv_map_put_z(&map, "name", name);
    venv_map_put(&map, "change", venv_value_literal(same ? "same" : was ? "changed" : "added"));
    venv_map_put(&map, "version", venv_value_uint(number));
    venv_map_put(&map, "older", venv_value_int((int64_t)older));
    venv_map_put(&map, "differences", differences);
    if (!same && !dry_run) {
        if (was)
            venv_environment_unref(venv_table_remove(m->environments, name, strlen(name)));
        if (venv_table_add(m->environments, name, strlen(name), venv_environment_ref(environment), NULL) != VENV_OK) {
            venv_environment_unref(environment);
            venv_mgr_no_memory(m);
        }
        add_version(m, environment, by, false);
        venv_mgr_event_add(m, "environment-applied", name, id, venv_value_null(), "%s %s environment %s: version %llu; %zu instances %s",
                           by, was ? "changes" : "defines", name, (unsigned long long)number, older,
                           older ? "stay as they are until they are started anew" : "are there");
        venv_triggers_note_instances(m->triggers, name);
    }
    return venv_mgr_take_map(m, &map);
}

venv_rc venv_mgr_catalog_apply(venv_manager *m, const char *by, venv_id id, const venv_value *body, venv_value *ret, venv_error *err)
{
    const venv_value *definitions = venv_value_get(body, "environments"), *key, *value;
    bool dry_run = venv_value_get_bool(body, "dry_run", false);
    size_t count = venv_value_count(definitions), made = 0;
    if (!definitions || venv_value_kind(definitions) != VENV_MAP || count == 0 || count > APPLY_MAX)
        return venv_error_set(err, VENV_EINVAL, "environments: expected a map from names to definitions, 1 to %u of them", APPLY_MAX);
    if (venv_table_count(m->environments) + count > CATALOG_MAX || venv_table_count(m->catalog) + count > CATALOG_MAX)
        return venv_error_set(err, VENV_ELIMIT, "there are too many environments; %u are possible", CATALOG_MAX);
    venv_environment **all = calloc(count, sizeof *all);
    venv_rc rc = all ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (size_t i = 0; rc == VENV_OK && venv_value_entry(definitions, i, &key, &value); i++, made++)
        rc = read_one(m, key, value, &all[made], err);
    if (rc == VENV_OK) {
        venv_list_builder list;
        venv_map_builder map;
        venv_list_init(&list);
        for (size_t i = 0; i < made; i++)
            venv_list_add(&list, apply_one(m, by, id, all[i], dry_run));
        venv_map_init(&map);
        venv_map_put(&map, "applied", venv_value_bool(!dry_run));
        venv_map_put(&map, "items", venv_mgr_take_list(m, &list));
        *ret = venv_mgr_take_map(m, &map);
    }
    for (size_t i = 0; all && i < count; i++)
        venv_environment_unref(all[i]);
    free(all);
    return rc;
}

/* --- delete ------------------------------------------------------------------------------------------------ */

/* An environment that can only run beside this one could not be started any more. */
static const char *needed_by(venv_manager *m, const char *name)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->environments, &cursor, NULL, &item)) {
        const venv_definition *is = venv_environment_peek(item);
        for (size_t i = 0; i < is->affinity.count; i++)
            if (strcmp(is->affinity.items[i], name) == 0)
                return is->name;
    }
    return NULL;
}

static venv_rc may_delete(venv_manager *m, const catalog_entry *e, uint64_t number, venv_error *err)
{
    char told[TOLD_MAX * (VENV_NAME_MAX + 2) + 16];
    const environment_version *last = newest(e);
    if (in_files(m, e->name))
        return not_theirs(m, e->name, "deleted", err);
    if (number && number == last->number)
        return venv_error_set(err, VENV_ECONFLICT, "version %llu of environment %s is the newest, from which instances are started; delete the "
                              "whole environment, or apply another first", (unsigned long long)number, e->name);
    size_t count = instances_of(m, e->name, number, told, sizeof told);
    if (count)
        return venv_error_set(err, VENV_ECONFLICT, "environment %s%s is in use by %zu instance%s (%s); stop %s first", e->name,
                              number ? ", in this version," : "", count, count == 1 ? "" : "s", told, count == 1 ? "it" : "them");
    const char *other = number ? NULL : needed_by(m, e->name);
    if (other)
        return venv_error_set(err, VENV_ECONFLICT, "environment %s runs only beside %s (its affinity), and could not be started any more", other, e->name);
    return VENV_OK;
}

static void delete_now(venv_manager *m, const char *by, venv_id id, catalog_entry *e, uint64_t number)
{
    if (number) {
        for (size_t i = 0; i < e->count; i++)
            if (e->versions[i].number == number)
                drop(m, e, i);
        venv_mgr_event_add(m, "environment-deleted", e->name, id, venv_value_null(), "%s deletes version %llu of environment %s", by,
                           (unsigned long long)number, e->name);
        return;
    }
    set_gone(m, e, by);
    venv_environment_unref(venv_table_remove(m->environments, e->name, strlen(e->name)));
    venv_mgr_event_add(m, "environment-deleted", e->name, id, venv_value_null(), "%s deletes environment %s", by, e->name);
    venv_triggers_note_instances(m->triggers, e->name);
}

static venv_rc find_named(venv_manager *m, const venv_value *body, catalog_entry **ret_entry, venv_error *err)
{
    char name[VENV_NAME_MAX + 1];
    venv_str text = venv_value_get_text(body, "name");
    catalog_entry *e = venv_mgr_fits_name(text, name) ? find(m, name) : NULL;
    const environment_version *last = newest(e);
    if (!e || !last || last->gone)
        return venv_error_set(err, VENV_ENOENT, "no environment is called '%.*s'", (int)(text.size < 64 ? text.size : 64), text.data ? text.data : "");
    *ret_entry = e;
    return VENV_OK;
}

static venv_rc no_version(const catalog_entry *e, uint64_t number, venv_error *err)
{
    return venv_error_set(err, VENV_ENOENT, "environment %s has no version %llu; the newest is %llu, the oldest that is kept %llu", e->name,
                          (unsigned long long)number, (unsigned long long)newest(e)->number, (unsigned long long)e->versions[0].number);
}

venv_rc venv_mgr_catalog_delete(venv_manager *m, const char *by, venv_id id, const venv_value *body, venv_value *ret, venv_error *err)
{
    catalog_entry *e = NULL;
    uint64_t number = venv_mgr_get_uint(body, "version");
    bool dry_run = venv_value_get_bool(body, "dry_run", false);
    venv_rc rc = find_named(m, body, &e, err);
    if (rc == VENV_OK && e && number && !version_of(e, number))
        rc = no_version(e, number, err);
    if (rc == VENV_OK)
        rc = may_delete(m, e, number, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "name", e->name);
    if (number)
        venv_map_put(&map, "version", venv_value_uint(number));
    venv_map_put(&map, "deleted", venv_value_bool(!dry_run));
    if (!dry_run)
        delete_now(m, by, id, e, number);
    *ret = venv_mgr_take_map(m, &map);
    return VENV_OK;
}

/* --- looking ----------------------------------------------------------------------------------------------- */

static venv_value version_view(venv_manager *m, const catalog_entry *e, const environment_version *v, bool whole)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "name", e->name);
    venv_map_put(&map, "version", venv_value_uint(v->number));
    venv_map_put(&map, "made", venv_value_from_wall(v->made));
    venv_map_put_z(&map, "by", v->by);
    venv_map_put(&map, "files", venv_value_bool(v->files));
    venv_map_put(&map, "newest", venv_value_bool(v == newest(e)));
    venv_map_put(&map, "instances", venv_value_int((int64_t)instances_of(m, e->name, v->number, NULL, 0)));
    if (whole)
        venv_map_put(&map, "definition", venv_value_ref(&v->definition));
    return venv_mgr_take_map(m, &map);
}

static venv_rc compare_versions(venv_manager *m, const catalog_entry *e, uint64_t from, uint64_t to, venv_value *ret_list, venv_error *err)
{
    const environment_version *versions[2] = { version_of(e, from), version_of(e, to) };
    venv_environment *both[2] = { NULL, NULL };
    venv_rc rc = VENV_OK;
    for (size_t i = 0; rc == VENV_OK && i < 2; i++)
        rc = versions[i] ? venv_environment_from_value(e->name, &versions[i]->definition, NULL, NULL, &both[i], err)
                         : no_version(e, i ? to : from, err);
    if (rc == VENV_OK)
        rc = venv_environment_difference(both[0], both[1], ret_list, err);
    if (rc == VENV_ENOMEM)
        venv_mgr_no_memory(m);
    venv_environment_unref(both[0]);
    venv_environment_unref(both[1]);
    return rc;
}

venv_rc venv_mgr_catalog_versions(venv_manager *m, const venv_value *body, venv_value *ret, venv_error *err)
{
    catalog_entry *e = NULL;
    uint64_t number = venv_mgr_get_uint(body, "version"), from = venv_mgr_get_uint(body, "from");
    venv_value differences = venv_value_null();
    venv_rc rc = find_named(m, body, &e, err);
    if (rc == VENV_OK && e && number && !version_of(e, number))
        rc = no_version(e, number, err);
    if (rc == VENV_OK && from)
        rc = compare_versions(m, e, from, number ? number : newest(e)->number, &differences, err);
    if (rc != VENV_OK)
        return rc;
    venv_list_builder list;
    venv_map_builder map;
    venv_list_init(&list);
    for (size_t i = 0; i < e->count; i++)
        if (!number || e->versions[i].number == number)
            venv_list_add(&list, version_view(m, e, &e->versions[i], number != 0));
    venv_map_init(&map);
    venv_map_put(&map, "items", venv_mgr_take_list(m, &list));
    if (from)
        venv_map_put(&map, "differences", differences);
    *ret = venv_mgr_take_map(m, &map);
    return VENV_OK;
}
