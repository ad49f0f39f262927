/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline of windows. What is done with a chunk is the caller's. */
#include "sync/scan.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW ((size_t)16 << 20) /* more than the longest chunk */
#define ITEMS_MAX (WINDOW / 1024 + 16)
#define OUT_SIZE (WINDOW + WINDOW / 128 + ITEMS_MAX * 128)

struct window {
    uint8_t *data, *out;
    venv_scan_item *items;
    size_t count, fill, used, out_used;
    uint64_t offset; /* in the image, of data[0] */
};

struct state {
    const venv_scan *scan;
    struct window windows[2];
    struct window *busy; /* that the pool works on */
    uint64_t position;   /* next byte to read */
    bool in_hole;        /* zeros before it: those that follow belong to the hole */
};

static bool add_item(struct window *window, uint64_t length, bool hole)
{
    if (window->count == ITEMS_MAX)
        return false;
    venv_scan_item *item = &window->items[window->count++];
    *item = (venv_scan_item){ .offset = window->offset + window->used, .length = length };
    if (!hole) {
        item->data = window->data + window->used;
        item->out = window->out + window->out_used;
        window->out_used += venv_zip_bound((size_t)length);
    }
    window->used += (size_t)length;
    return true;
}

/* Cut data up to `end`; `closed`: a hole or the end of the image follows. */
static bool cut_data(const venv_scan *scan, struct window *window, size_t end, bool closed)
{
    while (window->used < end) {
        size_t left = end - window->used;
        if (!closed && left < scan->cutter->max)
            return false; /* more bytes decide where the cut is */
        if (!add_item(window, venv_cut(scan->cutter, window->data + window->used, left), false))
            return false;
    }
    return true;
}

/* Cut what the window holds. What is left over begins the next window. */
static void cut_window(struct state *state, struct window *window)
{
    bool last = state->position == state->scan->disk->size;
    while (window->used < window->fill) {
        size_t start = 0, size = 0, left = window->fill - window->used;
        const uint8_t *at = window->data + window->used;
        if (state->in_hole) {
            while (size < left && at[size] == 0) {
                size_t step = left - size < 4096 ? left - size : 4096;
                if (venv_is_zero(at + size, step))
                    size += step;
                else
                    while (at[size] == 0)
                        size++;
            }
            state->in_hole = size == left;
            if (size > 0 && !add_item(window, size, true))
                return;
            continue;
        }
        bool run = venv_zero_run(at, left, &start, &size);
        bool whole = run && (size >= VENV_ZERO_RUN_MIN || last);
        if (!cut_data(state->scan, window, window->used + (run ? start : left), whole || (!run && last)) || !whole)
            return;
        if (!add_item(window, size, true))
            return;
        state->in_hole = true;
    }
}

/* Fill a window: what the one before left, then more of the image. A long hole is jumped over, as an item of its own. */
static venv_rc fill_window(struct state *state, struct window *window, const struct window *before, venv_error *err)
{
    const venv_disk *disk = state->scan->disk;
    size_t left = before ? before->fill - before->used : 0;

    window->count = window->used = window->out_used = 0;
    window->fill = left;
    window->offset = state->position - left;
    if (left > 0)
        memcpy(window->data, before->data + before->used, left);
    if (left == 0 && state->in_hole) {
        uint64_t data = venv_disk_next_data(disk, state->position);
        if (data > state->position) {
            add_item(window, data - state->position, true);
            window->used = 0;
            state->position = window->offset = data;
        }
    }
    size_t room = WINDOW - left;
    if (room > disk->size - state->position)
        room = (size_t)(disk->size - state->position);
    venv_rc rc = venv_disk_read(disk, window->data + left, room, state->position, err);
    window->fill += room;
    state->position += room;
    return rc;
}

static void work(void *user, unsigned worker, size_t index)
{
    struct state *state = user;
    venv_scan_item *item = &state->busy->items[index];
    if (item->data)
        state->scan->work(state->scan->user, worker, item);
}

static void start(struct state *state, struct window *window)
{
    state->busy = window;
    venv_pool_start(state->scan->pool, work, state, window->count);
}

static venv_rc take(const venv_scan *scan, struct window *window, venv_error *err)
{
    for (size_t i = 0; i < window->count; i++) {
        venv_scan_item *item = &window->items[i];
        if (item->rc != VENV_OK)
            return venv_error_set(err, item->rc, "out of memory for a chunk");
        venv_rc rc = scan->take(scan->user, item, err);
        if (rc != VENV_OK)
            return rc;
    }
    return VENV_OK;
}

static venv_rc store(const venv_scan *scan, const struct window *window, venv_error *err)
{
    venv_rc rc = VENV_OK;
    for (size_t i = 0; i < window->count && rc == VENV_OK && scan->store; i++)
        if (window->items[i].keep)
            rc = scan->store(scan->user, &window->items[i], err);
    return rc;
}

static venv_rc run(struct state *state, venv_error *err)
{
    const venv_scan *scan = state->scan;
    struct window *now = &state->windows[0], *next = &state->windows[1];
    venv_rc rc = fill_window(state, now, NULL, err);
    if (rc != VENV_OK)
        return rc;
    cut_window(state, now);
    start(state, now);
    for (;;) {
        bool more = state->position < scan->disk->size || now->used < now->fill;
        if (more) {
            rc = fill_window(state, next, now, err);
            if (rc == VENV_OK)
                cut_window(state, next);
        }
        venv_pool_finish(scan->pool);
        if (rc == VENV_OK)
            rc = take(scan, now, err);
        if (rc == VENV_OK && more)
            start(state, next);
        if (rc == VENV_OK)
            rc = store(scan, now, err);
        if (rc == VENV_OK && scan->progress && !scan->progress(scan->user, now->offset + now->used))
            rc = venv_error_set(err, VENV_ECANCELED, "given up on request");
        if (rc != VENV_OK || !more) {
            venv_pool_finish(scan->pool);
            return rc;
        }
        struct window *swap = now;
        now = next;
        next = swap;
    }
}

venv_rc venv_scan_run(const venv_scan *scan, venv_error *err)
{
    struct state state = { .scan = scan };
    venv_rc rc = VENV_OK;
    for (int i = 0; i < 2; i++) {
        struct window *window = &state.windows[i];
        window->data = malloc(WINDOW);
        window->out = malloc(OUT_SIZE);
        window->items = malloc(ITEMS_MAX * sizeof *window->items);
        if (!window->data || !window->out || !window->items)
            rc = venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    if (rc == VENV_OK)
        rc = run(&state, err);
    for (int i = 0; i < 2; i++) {
        free(state.windows[i].data);
        free(state.windows[i].out);
        free(state.windows[i].items);
    }
    return rc;
}
