/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver memory: objects of one process, by host and path, with the semantics of a disk: a put appears whole or not
 * at all, a reader keeps the content it began with. What the others are measured against in tests/storage.
 */
#include "storage/driver.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 65536u
#define STEP (256u * 1024)

/* Bytes of an object; they never change, so readers need no lock. */
typedef struct content {
    atomic_uint references;
    size_t size;
    uint8_t *data;
} content;

typedef struct node {
    char *key;        /* HOST/PATH, no slash at its end */
    content *content; /* NULL for a directory */
    uint64_t serial;
    int64_t modified_ns;
    uint32_t permissions;
} node;

typedef struct counter {
    char *key;
    uint64_t count;
} counter;

struct venv_storage_memory {
    pthread_mutex_t lock;
    node *nodes; /* ordered by key */
    size_t count, capacity;
    uint64_t used, max, serial;
    counter *counters;
    size_t counter_count;
};

static content *content_ref(content *one)
{
    atomic_fetch_add(&one->references, 1u);
    return one;
}

static void content_unref(content *one)
{
    if (one && atomic_fetch_sub(&one->references, 1u) == 1) {
        free(one->data);
        free(one);
    }
}

venv_rc venv_storage_memory_new(uint64_t size_max, venv_storage_memory **ret_memory)
{
    venv_storage_memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return VENV_ENOMEM;
    if (pthread_mutex_init(&memory->lock, NULL) != 0) {
        free(memory);
        return VENV_ENOMEM;
    }
    memory->max = size_max;
    *ret_memory = memory;
    return VENV_OK;
}

void venv_storage_memory_free(venv_storage_memory *memory)
{
    if (!memory)
        return;
    for (size_t i = 0; i < memory->count; i++) {
        free(memory->nodes[i].key);
        content_unref(memory->nodes[i].content);
    }
    for (size_t i = 0; i < memory->counter_count; i++)
        free(memory->counters[i].key);
    free(memory->counters);
    free(memory->nodes);
    (void)pthread_mutex_destroy(&memory->lock);
    free(memory);
}

uint64_t venv_storage_memory_count(venv_storage_memory *memory, const char *key)
{
    uint64_t before = 0;
    (void)pthread_mutex_lock(&memory->lock);
    size_t i = 0;
    while (i < memory->counter_count && strcmp(memory->counters[i].key, key) != 0)
        i++;
    if (i < memory->counter_count) {
        before = memory->counters[i].count++;
    } else if (i < NODES_MAX) {
        counter *grown = reallocarray(memory->counters, i + 1, sizeof *grown);
        char *copy = strdup(key);
        if (grown)
            memory->counters = grown;
        if (grown && copy)
            memory->counters[memory->counter_count++] = (counter){ copy, 1 };
        else
            free(copy);
    }
    (void)pthread_mutex_unlock(&memory->lock);
    return before;
}

/* --- the ordered list of nodes; the lock is held --------------------------------------------------------- */

static size_t lower_bound(const venv_storage_memory *memory, const char *key)
{
    size_t low = 0, high = memory->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(memory->nodes[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static node *find(const venv_storage_memory *memory, const char *key)
{
    size_t at = lower_bound(memory, key);
    return at < memory->count && strcmp(memory->nodes[at].key, key) == 0 ? &memory->nodes[at] : NULL;
}

static venv_rc insert(venv_storage_memory *memory, const char *key, content *bytes, uint32_t permissions,
                      venv_storage_error *err)
{
    if (memory->count >= NODES_MAX)
        return venv_storage_fail(err, VENV_STORAGE_NO_SPACE, VENV_STORAGE_COMMIT, "there are %u objects already", NODES_MAX);
    if (memory->count == memory->capacity) {
        size_t capacity = memory->capacity ? memory->capacity * 2 : 16;
        node *grown = reallocarray(memory->nodes, capacity, sizeof *grown);
        if (!grown)
            return venv_storage_fail_memory(err);
        memory->nodes = grown;
        memory->capacity = capacity;
    }
    char *copy = strdup(key);
    if (!copy)
        return venv_storage_fail_memory(err);
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    size_t at = lower_bound(memory, key);
    memmove(memory->nodes + at + 1, memory->nodes + at, (memory->count - at) * sizeof *memory->nodes);
    memory->nodes[at] = (node){ copy, bytes, ++memory->serial, (int64_t)now.tv_sec * VENV_NS_PER_S + now.tv_nsec,
                                permissions };
    memory->count++;
    return VENV_OK;
}

static void erase(venv_storage_memory *memory, node *one)
{
    if (one->content)
        memory->used -= one->content->size;
    free(one->key);
    content_unref(one->content);
    size_t at = (size_t)(one - memory->nodes);
    memmove(one, one + 1, (memory->count - at - 1) * sizeof *one);
    memory->count--;
}

/* --- keys ------------------------------------------------------------------------------------------------ */

#define KEY_MAX (VENV_STORAGE_URL_MAX + VENV_STORAGE_HOST_MAX + 2)

static void make_key(const venv_storage_url *url, char key[KEY_MAX])
{
    (void)snprintf(key, KEY_MAX, "%s%s%s", url->host, url->path[0] ? "/" : "", url->path);
}

/* The root of every host is there without being made. */
static bool is_root(const venv_storage_url *url)
{
    return url->path[0] == 0;
}

static venv_rc check_parent(venv_storage_memory *memory, const venv_storage_url *url, venv_storage_error *err)
{
    venv_str parent = venv_storage_path_parent(url->path);
    if (parent.size == 0)
        return VENV_OK;
    char key[KEY_MAX];
    (void)snprintf(key, sizeof key, "%s/%.*s", url->host, (int)parent.size, parent.data);
    const node *above = find(memory, key);
    if (!above || above->content)
        return venv_storage_fail(err, VENV_STORAGE_NOT_FOUND, VENV_STORAGE_REQUEST, "its directory does not exist");
    return VENV_OK;
}

static venv_rc not_found(venv_storage_error *err)
{
    return venv_storage_fail(err, VENV_STORAGE_NOT_FOUND, VENV_STORAGE_REQUEST, "no such object");
}

static venv_rc unlock(venv_storage_memory *memory, venv_rc rc)
{
    (void)pthread_mutex_unlock(&memory->lock);
    return rc;
}

static void describe(const node *one, venv_storage_info *ret_info)
{
    *ret_info = (venv_storage_info){
        .kind = one->content ? VENV_STORAGE_FILE : VENV_STORAGE_DIRECTORY,
        .size = one->content ? one->content->size : 0,
        .modified = { one->modified_ns },
        .permissions = (int32_t)one->permissions,
    };
    (void)snprintf(ret_info->tag, sizeof ret_info->tag, "%" PRIu64, one->serial);
}

/* --- the driver ------------------------------------------------------------------------------------------ */

static venv_rc memory_stat(venv_storage *storage, const venv_storage_url *url, venv_storage_info *ret_info,
                           venv_storage_error *err)
{
    venv_storage_memory *memory = storage->shared->memory;
    char key[KEY_MAX];
    make_key(url, key);
    if (is_root(url)) {
        *ret_info = (venv_storage_info){ .kind = VENV_STORAGE_DIRECTORY, .permissions = 0755 };
        return VENV_OK;
    }
    (void)pthread_mutex_lock(&memory->lock);
    const node *one = find(memory, key);
    if (!one)
        return unlock(memory, not_found(err));
    describe(one, ret_info);
    return unlock(memory, VENV_OK);
}

/* Collects what is to be told, so that no callback runs under the lock. */
static venv_rc memory_list(venv_storage *storage, const venv_storage_url *url, venv_storage_entry_fn entry, void *user,
                           venv_storage_error *err)
{
    venv_storage_memory *memory = storage->shared->memory;
    char prefix[KEY_MAX + 1];
    make_key(url, prefix);
    (void)pthread_mutex_lock(&memory->lock);
    const node *directory = find(memory, prefix);
    if (!is_root(url) && !directory)
        return unlock(memory, not_found(err));
    if (directory && directory->content)
        return unlock(memory, venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "it is no directory"));
    size_t size = strlen(prefix);
    prefix[size++] = '/';
    prefix[size] = 0;
    struct found { char *name; venv_storage_info info; } *found = NULL;
    size_t count = 0, capacity = 0;
    venv_rc rc = VENV_OK;
    for (size_t i = lower_bound(memory, prefix); i < memory->count && rc == VENV_OK; i++) {
        const node *one = &memory->nodes[i];
        if (strncmp(one->key, prefix, size) != 0)
            break;
        if (strchr(one->key + size, '/'))
            continue;
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            struct found *grown = reallocarray(found, capacity, sizeof *grown);
            if (!grown) {
                rc = venv_storage_fail_memory(err);
                break;
            }
            found = grown;
        }
        found[count].name = strdup(one->key + size);
        if (!found[count].name) {
            rc = venv_storage_fail_memory(err);
            break;
        }
        describe(one, &found[count++].info);
    }
    (void)pthread_mutex_unlock(&memory->lock);
    for (size_t i = 0; i < count; i++) {
        if (rc == VENV_OK && !entry(user, found[i].name, &found[i].info))
            rc = venv_storage_fail(err, VENV_STORAGE_CANCELED, VENV_STORAGE_DATA, "the list was given up");
        free(found[i].name);
    }
    free(found);
    return rc;
}

static venv_rc memory_make_directory(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    venv_storage_memory *memory = storage->shared->memory;
    char key[KEY_MAX];
    make_key(url, key);
    (void)pthread_mutex_lock(&memory->lock);
    venv_rc rc = check_parent(memory, url, err);
    if (rc == VENV_OK && (is_root(url) || find(memory, key)))
        rc = venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_REQUEST, "it exists");
    else if (rc == VENV_OK)
        rc = insert(memory, key, NULL, 0755, err);
    return unlock(memory, rc);
}

static venv_rc memory_get(venv_storage *storage, const venv_storage_url *url, uint64_t offset, uint64_t length,
                          char *tag, venv_storage_sink_fn sink, void *user, venv_storage_error *err)
{
    venv_storage_memory *memory = storage->shared->memory;
    char key[KEY_MAX], now[VENV_STORAGE_TAG_MAX];
    make_key(url, key);
    (void)pthread_mutex_lock(&memory->lock);
    const node *one = find(memory, key);
    if (!one && !is_root(url))
        return unlock(memory, not_found(err));
    if (!one || !one->content)
        return unlock(memory, venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "it is a directory"));
    (void)snprintf(now, sizeof now, "%" PRIu64, one->serial);
    content *bytes = content_ref(one->content);
    (void)pthread_mutex_unlock(&memory->lock);

    venv_rc rc = VENV_OK;
    if (!venv_storage_tag_meets(tag, now)) {
        rc = venv_storage_fail(err, VENV_STORAGE_STALE_HANDLE, VENV_STORAGE_REQUEST, "it was replaced meanwhile");
    } else if (offset > bytes->size) {
        rc = venv_storage_fail_range(err);
    } else {
        uint64_t left = bytes->size - offset;
        left = left < length ? left : length;
        for (const uint8_t *at = bytes->data + offset; left > 0 && rc == VENV_OK;) {
            size_t step = left < STEP ? (size_t)left : STEP;
            rc = venv_storage_check(storage, step, VENV_STORAGE_DATA, err);
            if (rc == VENV_OK && !sink(user, at, step))
                rc = venv_storage_fail(err, VENV_STORAGE_CANCELED, VENV_STORAGE_DATA, "the reader gave up");
            at += step;
            left -= step;
        }
    }
    content_unref(bytes);
    return rc;
}

static venv_rc publish(venv_storage_memory *memory, const venv_storage_url *url, uint32_t flags, content *bytes,
                       venv_storage_error *err)
{
    char key[KEY_MAX];
    make_key(url, key);
    (void)pthread_mutex_lock(&memory->lock);
    node *old = find(memory, key);
    if (is_root(url) || (old && !old->content))
        return unlock(memory, venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_COMMIT, "it is a directory"));
    if (old && (flags & VENV_STORAGE_PUT_NEW))
        return unlock(memory, venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_COMMIT, "it exists"));
    if (memory->used + bytes->size > memory->max)
        return unlock(memory, venv_storage_fail(err, VENV_STORAGE_NO_SPACE, VENV_STORAGE_COMMIT, "memory is full"));
    venv_rc rc = VENV_OK;
    if (old) {
        memory->used -= old->content->size;
        content_unref(old->content);
        old->content = bytes;
        old->serial = ++memory->serial;
    } else {
        rc = insert(memory, key, bytes, 0644, err);
    }
    if (rc == VENV_OK)
        memory->used += bytes->size;
    return unlock(memory, rc);
}

static venv_rc memory_put(venv_storage *storage, const venv_storage_url *url, uint64_t size, uint32_t flags,
                          venv_storage_source_fn source, void *user, venv_storage_error *err)
{
    venv_storage_memory *memory = storage->shared->memory;
    (void)pthread_mutex_lock(&memory->lock);
    uint64_t room = memory->max - memory->used;
    venv_rc rc = unlock(memory, check_parent(memory, url, err));
    if (rc != VENV_OK)
        return rc;
    venv_buf buf;
    venv_buf_init(&buf, room < SIZE_MAX - 1 ? (size_t)room : SIZE_MAX - 1);
    for (;;) {
        uint8_t step[16384];
        int64_t got = source(user, step, sizeof step);
        if (got < 0)
            rc = venv_storage_fail(err, VENV_STORAGE_CANCELED, VENV_STORAGE_DATA, "the writer gave up");
        if (got <= 0)
            break;
        venv_buf_append(&buf, step, (size_t)got);
        rc = venv_storage_check(storage, (uint64_t)got, VENV_STORAGE_DATA, err);
        if (rc == VENV_OK && buf.rc == VENV_ELIMIT)
            rc = venv_storage_fail(err, VENV_STORAGE_NO_SPACE, VENV_STORAGE_DATA, "memory is full");
        if (rc == VENV_OK && buf.rc != VENV_OK)
            rc = venv_storage_fail_memory(err);
        if (rc != VENV_OK)
            break;
    }
    if (rc == VENV_OK && size != VENV_STORAGE_SIZE_UNKNOWN && size != buf.size)
        rc = venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_DATA, "%" PRIu64 " bytes were promised, %zu came", size,
                               buf.size);
    content *bytes = rc == VENV_OK ? calloc(1, sizeof *bytes) : NULL;
    if (rc == VENV_OK && !bytes)
        rc = venv_storage_fail_memory(err);
    if (rc == VENV_OK) {
        atomic_init(&bytes->references, 1u);
        bytes->size = buf.size;
        bytes->data = venv_buf_take(&buf, &(size_t){ 0 });
        rc = publish(memory, url, flags, bytes, err);
        if (rc != VENV_OK)
            content_unref(bytes);
    }
    venv_buf_fini(&buf);
    return rc;
}

static bool has_children(const venv_storage_memory *memory, const char *key)
{
    char prefix[KEY_MAX + 1];
    (void)snprintf(prefix, sizeof prefix, "%s/", key);
    size_t at = lower_bound(memory, prefix);
    return at < memory->count && strncmp(memory->nodes[at].key, prefix, strlen(prefix)) == 0;
}

static venv_rc memory_rename(venv_storage *storage, const venv_storage_url *from, const venv_storage_url *to,
                             bool replace, venv_storage_error *err)
{
    venv_storage_memory *memory = storage->shared->memory;
    char from_key[KEY_MAX], to_key[KEY_MAX];
    make_key(from, from_key);
    make_key(to, to_key);
    (void)pthread_mutex_lock(&memory->lock);
    node *source = find(memory, from_key), *target = find(memory, to_key);
    if (!source)
        return unlock(memory, not_found(err));
    venv_rc rc = check_parent(memory, to, err);
    if (rc != VENV_OK || source == target)
        return unlock(memory, rc);
    if (!source->content)
        return unlock(memory, venv_storage_fail(err, VENV_STORAGE_PROTOCOL_UNSUPPORTED, VENV_STORAGE_REQUEST,
                                                "directories of memory are not renamed"));
    if (target && !target->content)
        return unlock(memory, venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "it is a directory"));
    if (target && !replace)
        return unlock(memory, venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_REQUEST, "it exists"));
    content *bytes = content_ref(source->content);
    uint32_t permissions = source->permissions;
    if (target)
        erase(memory, target);
    rc = insert(memory, to_key, bytes, permissions, err);
    if (rc == VENV_OK) {
        memory->used += bytes->size;
        erase(memory, find(memory, from_key));
    } else {
        content_unref(bytes);
    }
    return unlock(memory, rc);
}

static venv_rc memory_remove(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    venv_storage_memory *memory = storage->shared->memory;
    char key[KEY_MAX];
    make_key(url, key);
    (void)pthread_mutex_lock(&memory->lock);
    node *one = find(memory, key);
    if (!one)
        return unlock(memory, not_found(err));
    if (!one->content && has_children(memory, key))
        return unlock(memory, venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST,
                                                "the directory is not empty"));
    erase(memory, one);
    return unlock(memory, VENV_OK);
}

static venv_rc memory_set_permissions(venv_storage *storage, const venv_storage_url *url, uint32_t permissions,
                                      venv_storage_error *err)
{
    venv_storage_memory *memory = storage->shared->memory;
    char key[KEY_MAX];
    make_key(url, key);
    (void)pthread_mutex_lock(&memory->lock);
    node *one = find(memory, key);
    if (!one)
        return unlock(memory, not_found(err));
    one->permissions = permissions;
    return unlock(memory, VENV_OK);
}

static venv_rc memory_space(venv_storage *storage, const venv_storage_url *url, uint64_t *ret_total, uint64_t *ret_free,
                            venv_storage_error *err)
{
    (void)url;
    (void)err;
    venv_storage_memory *memory = storage->shared->memory;
    (void)pthread_mutex_lock(&memory->lock);
    *ret_total = memory->max;
    *ret_free = memory->max - memory->used;
    return unlock(memory, VENV_OK);
}

const venv_storage_driver venv_storage_memory_driver = {
    .stat = memory_stat, .list = memory_list, .make_directory = memory_make_directory, .get = memory_get,
    .put = memory_put, .rename = memory_rename, .remove = memory_remove, .set_permissions = memory_set_permissions,
    .space = memory_space,
};
