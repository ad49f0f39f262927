/* SPDX-License-Identifier: Apache-2.0 */
/* What venv-sync shows: reports, and how far it is. */
#include "sync.h"

#include <venv/codec.h>
#include <venv/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * VENV_NS_PER_S + time.tv_nsec;
}

static const char *size_text(double bytes, char text[32])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    size_t unit = 0;
    while (bytes >= 1024 && unit < 4) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, 32, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return text;
}

bool sync_bar_progress(void *user, const venv_image_progress *progress)
{
    sync_bar *bar = user;
    char moved[32], line[32];
    int64_t now = now_ns();
    if (bar->start_ns == 0)
        bar->start_ns = now;
    if (bar->phase == progress->phase && now - bar->last_ns < VENV_NS_PER_S / 10)
        return true;
    bar->phase = progress->phase;
    bar->last_ns = now;
    bar->shown = true;
    unsigned share = progress->total > 0 ? (unsigned)((double)progress->done * 100.0 / (double)progress->total) : 0;
    if (share > 100)
        share = 100;
    memset(line, ' ', 25);
    memset(line, '#', share / 4);
    line[25] = '\0';
    fprintf(stderr, "\r%-7s [%s] %3u %%  %s, %llds\033[K", progress->phase, line, share,
            size_text((double)progress->transferred, moved), (long long)((now - bar->start_ns) / VENV_NS_PER_S));
    fflush(stderr);
    return true;
}

void sync_bar_clear(sync_bar *bar)
{
    if (bar->shown)
        fprintf(stderr, "\r\033[K");
    bar->shown = false;
}

static long long number(const venv_value *report, const char *key)
{
    return venv_value_get_int(report, key, 0);
}

static const char *text_of(const venv_value *report, const char *key, char *buffer, size_t size)
{
    venv_text_safe(venv_value_get_text(report, key), buffer, size);
    return buffer;
}

static void print_make(const venv_value *r)
{
    char name[80], a[32], b[32], c[32];
    text_of(r, "name", name, sizeof name);
    if (venv_value_get_bool(r, "unchanged", false)) {
        printf("%s@%lld has this content already: nothing published\n", name, number(r, "version"));
        return;
    }
    printf("%s@%lld: %s, %s of data in %lld chunks; new %s in %lld chunks, stored in %s with %lld differences\n", name,
           number(r, "version"), size_text((double)number(r, "size"), a), size_text((double)number(r, "data"), b),
           number(r, "chunks"), size_text((double)number(r, "new_bytes"), c), number(r, "new_chunks"),
           size_text((double)number(r, "stored"), (char[32]){ 0 }), number(r, "deltas"));
}

static void print_get(const venv_value *r)
{
    char name[80], a[32], b[32];
    text_of(r, "name", name, sizeof name);
    if (venv_value_get_bool(r, "unchanged", false))
        printf("%s@%lld is there already: verified\n", name, number(r, "version"));
    else
        printf("%s@%lld: %s, received %s; chunks: %lld kept, %lld from seeds, %lld fetched, %lld differences\n", name,
               number(r, "version"), size_text((double)number(r, "size"), a), size_text((double)number(r, "received"), b),
               number(r, "chunks_kept"), number(r, "chunks_seeded"), number(r, "chunks_fetched"), number(r, "deltas"));
}

static void print_list(const venv_value *list, bool quiet)
{
    if (!quiet)
        printf("%-32s %10s %10s %8s %-20s %s\n", "IMAGE", "SIZE", "DATA", "CHUNKS", "CREATED", "SIGNED");
    for (size_t i = 0; i < venv_value_count(list); i++) {
        const venv_value *row = venv_value_at(list, i);
        char name[80], image[112], a[32], b[32], created[VENV_WALL_TEXT_SIZE] = "-";
        venv_wall wall;
        snprintf(image, sizeof image, "%s@%lld", text_of(row, "name", name, sizeof name), number(row, "version"));
        if (quiet) {
            printf("%s\n", image);
            continue;
        }
        if (venv_value_get(row, "created") && venv_value_to_wall(venv_value_get(row, "created"), &wall)) {
            venv_wall_format(wall, created);
            created[19] = 'Z'; /* without the milliseconds */
            created[20] = '\0';
        }
        printf("%-32s %10s %10s %8lld %-20s %s\n", image, size_text((double)number(row, "size"), a),
               size_text((double)number(row, "data"), b), number(row, "chunks"), created,
               venv_value_get_bool(row, "signed", false) ? "yes" : "unknown key");
    }
}

static void print_diff(const venv_value *r)
{
    char older[112], newer[112], a[32], b[32], c[32];
    printf("%s to %s: %s new in %lld chunks; to fetch: %s, without the older version: %s\n",
           text_of(r, "older", older, sizeof older), text_of(r, "newer", newer, sizeof newer),
           size_text((double)number(r, "bytes"), a), number(r, "chunks"), size_text((double)number(r, "fetch"), b),
           size_text((double)number(r, "full"), c));
}

static void print_verify(const venv_value *r, bool quiet)
{
    const venv_value *problems = venv_value_get(r, "problems");
    char text[1024], a[32];
    for (size_t i = 0; problems && i < venv_value_count(problems); i++) {
        venv_text_safe(venv_value_peek_text(venv_value_at(problems, i)), text, sizeof text);
        printf("%s\n", text);
    }
    if (!quiet)
        printf("%lld images, %lld chunks, %s read: %lld broken, %lld repaired\n", number(r, "images"), number(r, "chunks"),
               size_text((double)number(r, "bytes"), a), number(r, "broken"), number(r, "repaired"));
}

static void print_gc(const venv_value *r)
{
    char a[32];
    printf("deleted: %lld versions, %lld packs, %s; %lld packs wait for their time of grace, %lld are used\n",
           number(r, "versions_deleted"), number(r, "packs_deleted"), size_text((double)number(r, "bytes_deleted"), a),
           number(r, "packs_waiting"), number(r, "packs_used"));
}

venv_rc sync_print(const char *verb, const venv_value *report, bool json, bool quiet, venv_error *err)
{
    if (json) {
        char *text = NULL;
        venv_rc rc = venv_json_print(report, VENV_JSON_PRETTY, &text, NULL, err);
        if (rc == VENV_OK)
            fputs(text, stdout);
        free(text);
        return rc;
    }
    if (strcmp(verb, "list") == 0)
        print_list(report, quiet);
    else if (strcmp(verb, "verify") == 0)
        print_verify(report, quiet);
    else if (quiet)
        return VENV_OK;
    else if (strcmp(verb, "make") == 0)
        print_make(report);
    else if (strcmp(verb, "get") == 0)
        print_get(report);
    else if (strcmp(verb, "diff") == 0)
        print_diff(report);
    else
        print_gc(report);
    return VENV_OK;
}
