/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration files of xl and xm (xl.cfg(5), xl-disk-configuration(5), xl-network-configuration(5), and what xm had before).
 *
 * They were programs in Python once; what is read here is what nearly all of them are: NAME = VALUE, a value being a
 * text, a number, or a list of these. Nothing is executed: whatever else is in them is an error with its place.
 */
#include "base/cleanup.h"
#include "environment/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 4u
#define KEYS_MAX  512u
#define ITEMS_MAX 256u
#define TEXT_MAX  4096u

typedef struct cursor {
    const char *at, *end, *line_begin;
    uint32_t line;
    const char *file;
    venv_error *err;
} cursor;

static venv_rc fail(cursor *c, const char *says)
{
    venv_error_set(c->err, VENV_EINVAL, "%s", says);
    venv_error_at(c->err, c->file ? c->file : "", c->line, (uint32_t)(c->at - c->line_begin) + 1);
    return VENV_EINVAL;
}

static char peek(const cursor *c)
{
    return c->at < c->end ? *c->at : '\0';
}

static void step(cursor *c)
{
    if (*c->at++ == '\n') {
        c->line++;
        c->line_begin = c->at;
    }
}

/* Blanks and comments; `lines`: line ends, too, and what continues a line. */
static void skip(cursor *c, bool lines)
{
    while (c->at < c->end) {
        char ch = *c->at;
        if (ch == '#') {
            while (c->at < c->end && *c->at != '\n')
                c->at++;
        } else if (ch == ' ' || ch == '\t' || ch == '\r' || (lines && ch == '\n')) {
            step(c);
        } else if (ch == '\\' && c->at + 1 < c->end && c->at[1] == '\n') {
            step(c);
            step(c);
        } else {
            return;
        }
    }
}

/* --- values ------------------------------------------------------------------------------------------------- */

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static venv_rc read_escape(cursor *c, char *ret_char)
{
    step(c);
    char ch = peek(c);
    switch (ch) {
    case 'n': *ret_char = '\n'; break;
    case 't': *ret_char = '\t'; break;
    case 'x':
        if (c->end - c->at < 3 || hex(c->at[1]) < 0 || hex(c->at[2]) < 0)
            return fail(c, "\\x needs two hexadecimal digits");
        *ret_char = (char)(hex(c->at[1]) << 4 | hex(c->at[2]));
        if (*ret_char == '\0')
            return fail(c, "a text has no zero byte");
        c->at += 2;
        break;
    case '\\': case '\'': case '"': *ret_char = ch; break;
    default: return fail(c, "this escape is not known here; write the character itself");
    }
    step(c);
    return VENV_OK;
}

static venv_rc read_text(cursor *c, venv_value *ret_value)
{
    char text[TEXT_MAX], quote = peek(c);
    size_t size = 0;
    if (c->end - c->at >= 3 && c->at[1] == quote && c->at[2] == quote)
        return fail(c, "texts over several lines are not read here; write it in one");
    step(c);
    while (c->at < c->end && *c->at != quote) {
        char ch = *c->at;
        if (ch == '\n')
            return fail(c, "the text has no end on its line");
        if (size == sizeof text)
            return fail(c, "the text is too long");
        if (ch == '\\') {
            venv_rc rc = read_escape(c, &ch);
            if (rc != VENV_OK)
                return rc;
        } else {
            step(c);
        }
        text[size++] = ch;
    }
    if (c->at == c->end)
        return fail(c, "the text has no end");
    step(c);
    /* Bytes, since nothing says how they are encoded; whoever writes them out looks. */
    return venv_value_bytes(text, size, ret_value, c->err);
}

static venv_rc read_number(cursor *c, venv_value *ret_value)
{
    char text[32];
    size_t size = 0;
    while (c->at < c->end && size < sizeof text - 1 && ((*c->at >= '0' && *c->at <= '9') || hex(*c->at) >= 0 || *c->at == 'x' || *c->at == '-'))
        text[size++] = *c->at++;
    text[size] = '\0';
    char *end = NULL;
    long long number = strtoll(text, &end, 0);
    if (end == text || *end || number > INT64_MAX / 2 || number < INT64_MIN / 2)
        return fail(c, "this is no number");
    *ret_value = venv_value_int(number);
    return VENV_OK;
}

static venv_rc read_value(cursor *c, unsigned depth, venv_value *ret_value);

static venv_rc read_list(cursor *c, unsigned depth, venv_value *ret_value)
{
    char close = peek(c) == '(' ? ')' : ']';
    venv_list_builder list;
    venv_list_init(&list);
    venv_rc rc = depth == DEPTH_MAX ? fail(c, "lists in lists, too deep") : VENV_OK;
    size_t count = 0;
    if (rc == VENV_OK) {
        step(c);
        skip(c, true);
    }
    while (rc == VENV_OK && peek(c) != close) {
        venv_value item = venv_value_null();
        rc = count++ == ITEMS_MAX ? fail(c, "too long a list") : read_value(c, depth + 1, &item);
        if (rc != VENV_OK)
            break;
        venv_list_add(&list, item);
        skip(c, true);
        if (peek(c) == ',') {
            step(c);
            skip(c, true);
        } else if (peek(c) != close) {
            rc = fail(c, close == ']' ? "expected ',' or ']'" : "expected ',' or ')'");
        }
    }
    if (rc != VENV_OK) {
        venv_list_fini(&list);
        return rc;
    }
    step(c);
    return venv_list_take(&list, ret_value, c->err);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
}

static venv_rc read_value(cursor *c, unsigned depth, venv_value *ret_value)
{
    static const struct {
        const char *word;
        int number;
    } words[] = { { "True", 1 }, { "False", 0 }, { "None", 0 } };
    char ch = peek(c);
    if (ch == '"' || ch == '\'')
        return read_text(c, ret_value);
    if (ch == '[' || ch == '(')
        return read_list(c, depth, ret_value);
    if ((ch >= '0' && ch <= '9') || ch == '-')
        return read_number(c, ret_value);
    for (size_t i = 0; i < VENV_COUNT_OF(words); i++) {
        size_t size = strlen(words[i].word);
        if ((size_t)(c->end - c->at) >= size && memcmp(c->at, words[i].word, size) == 0 &&
            ((size_t)(c->end - c->at) == size || !is_word(c->at[size]))) {
            c->at += size;
            *ret_value = venv_value_int(words[i].number);
            return VENV_OK;
        }
    }
    return fail(c, "expected a text in quotes, a number, or a list; an expression of Python is not executed: write its value");
}

/* --- what the keys mean -------------------------------------------------------------------------------------- */

typedef struct reading {
    venv_import *d;
    const venv_value *all; /* name → value; the last of several */
    bool hvm;
    venv_hypervisor_kind kind;
} reading;

static venv_str text_of(const reading *r, const char *key)
{
    const venv_value *value = venv_value_get(r->all, key);
    return value && venv_value_kind(value) == VENV_BYTES ? venv_value_peek_text(value) : (venv_str){ "", 0 };
}

static bool is(venv_str text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

/* A number, also one in quotes, as xm wrote them. */
static bool number_of(const reading *r, const char *key, int64_t *ret_number)
{
    const venv_value *value = venv_value_get(r->all, key);
    if (value && venv_value_kind(value) == VENV_INT) {
        *ret_number = value->w.as.i;
        return true;
    }
    venv_str text = text_of(r, key);
    int64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || number > INT64_MAX / 100)
            return false;
        number = number * 10 + (text.data[i] - '0');
    }
    *ret_number = number;
    return text.size > 0;
}

static void take_kind(reading *r)
{
    venv_str type = text_of(r, "type"), builder = text_of(r, "builder");
    r->hvm = is(type, "hvm") || is(builder, "hvm");
    r->kind = r->hvm ? VENV_HYPERVISOR_KVM : VENV_HYPERVISOR_XEN;
    if (r->hvm)
        venv_import_note(r->d, "it was fully virtual under Xen (hvm): kvm runs it here, and it sees its disks as vda, vdb ...");
    else if (is(type, "pvh"))
        venv_import_note(r->d, "it was of type pvh: it is paravirtual here");
    venv_import_raw(r->d, "hypervisor", "%s", venv_hypervisor_kind_name(r->kind));
}

static void take_memory(reading *r)
{
    int64_t memory = 0, most = 0, vcpus = 0, vcpus_most = 0;
    if (number_of(r, "memory", &memory) && memory > 0)
        venv_import_raw(r->d, "memory", "%lldMiB", (long long)memory);
    if (number_of(r, "maxmem", &most) && most != memory)
        venv_import_note(r->d, "maxmem = %lld: the memory of an instance does not grow", (long long)most);
    if (number_of(r, "vcpus", &vcpus) && vcpus > 0)
        venv_import_raw(r->d, "vcpus", "%lld", (long long)vcpus);
    if (number_of(r, "maxvcpus", &vcpus_most) && vcpus_most != vcpus)
        venv_import_note(r->d, "maxvcpus = %lld: the vCPUs of an instance do not grow", (long long)vcpus_most);
}

/* cpus = "2,3", or ["2", "3"]: one for each vCPU is a list here; everything else is a set, which there is not. */
static void take_pins(reading *r)
{
    const venv_value *cpus = venv_value_get(r->all, "cpus");
    int64_t vcpus = 1;
    (void)number_of(r, "vcpus", &vcpus);
    if (!cpus)
        return;
    char list[256] = "";
    size_t used = 0, count = 0;
    bool simple = vcpus > 0 && vcpus <= 32;
    venv_str text = text_of(r, "cpus");
    for (size_t at = 0; simple && at <= text.size && text.size; count++) {
        size_t end = at;
        while (end < text.size && text.data[end] >= '0' && text.data[end] <= '9')
            end++;
        simple = end > at && end - at <= 4 && (end == text.size || text.data[end] == ',');
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%.*s", count ? ", " : "", (int)(end - at), text.data + at);
        simple = simple && used < sizeof list - 8;
        at = end + 1;
    }
    if (simple && count == (size_t)vcpus)
        venv_import_raw(r->d, "pin", "[%s]", list);
    else
        venv_import_note(r->d, "cpus: only one processor for each vCPU can be said (pin: [0, 1]), or pin: true");
}

static void take_boot(reading *r)
{
    venv_str root = text_of(r, "root"), extra = text_of(r, "extra"), cmdline = text_of(r, "cmdline");
    venv_str ramdisk = text_of(r, "ramdisk");
    char line[2 * TEXT_MAX + 8];
    if (text_of(r, "bootloader").size)
        venv_import_note(r->d, "bootloader: a loader in Dom0 would read the guest's own disk as root; give kernel, and initrd");
    if (r->hvm)
        return; /* its kernel is the loader of a firmware that is none of ours */
    venv_import_text(r->d, "kernel", text_of(r, "kernel"));
    if (!text_of(r, "kernel").size)
        return;
    venv_import_text(r->d, "initrd", ramdisk.size ? ramdisk : text_of(r, "initrd"));
    const char *blank = root.size ? memchr(root.data, ' ', root.size) : NULL;
    size_t device = blank ? (size_t)(blank - root.data) : root.size;
    venv_import_text(r->d, "root", (venv_str){ root.data, device });
    if (cmdline.size)
        extra = cmdline;
    int size = snprintf(line, sizeof line, "%.*s%s%.*s", blank ? (int)(root.size - device - 1) : 0, blank ? blank + 1 : "",
                        blank && extra.size ? " " : "", (int)extra.size, extra.data);
    venv_import_text(r->d, "cmdline", (venv_str){ line, size > 0 ? (size_t)size : 0 });
}

/* --- disks --- */

typedef struct xl_disk {
    venv_str target, format, vdev, access, kind; /* `kind`: phy, file, tap, qcow2 … of the old form */
    bool cdrom;
} xl_disk;

static venv_str trim(venv_str text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = (venv_str){ text.data + 1, text.size - 1 };
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* The next part before a comma; what is left of the rest. */
static venv_str cut(venv_str *rest, char at)
{
    const char *found = rest->size ? memchr(rest->data, at, rest->size) : NULL;
    venv_str part = { rest->data, found ? (size_t)(found - rest->data) : rest->size };
    *rest = found ? (venv_str){ found + 1, rest->size - part.size - 1 } : (venv_str){ rest->data + rest->size, 0 };
    return trim(part);
}

static bool key_of(venv_str part, const char *key, venv_str *ret_value)
{
    size_t size = strlen(key);
    if (part.size <= size || memcmp(part.data, key, size) != 0 || part.data[size] != '=')
        return false;
    *ret_value = trim((venv_str){ part.data + size + 1, part.size - size - 1 });
    return true;
}

/* "phy:/dev/x", "tap:qcow2:/a", "file:/a": the words before a path. */
static void take_prefix(xl_disk *disk)
{
    while (disk->target.size && disk->target.data[0] != '/' && memchr(disk->target.data, ':', disk->target.size)) {
        venv_str rest = disk->target;
        disk->kind = cut(&rest, ':');
        if (is(disk->kind, "qcow2") || is(disk->kind, "qcow") || is(disk->kind, "vhd") || is(disk->kind, "vmdk"))
            disk->format = disk->kind;
        disk->target = rest;
    }
}

static void parse_disk(reading *r, venv_str spec, xl_disk *disk)
{
    size_t position = 0;
    venv_str rest = spec;
    *disk = (xl_disk){ .cdrom = false };
    venv_str ignored = { "", 0 };
    while (rest.size) {
        venv_str part = cut(&rest, ',');
        if (key_of(part, "target", &disk->target) || key_of(part, "format", &disk->format) || key_of(part, "vdev", &disk->vdev) ||
            key_of(part, "access", &disk->access))
            continue;
        if (key_of(part, "devtype", &ignored) || is(part, "cdrom")) {
            disk->cdrom = is(part, "cdrom") || is(ignored, "cdrom");
            continue;
        }
        if (part.size && memchr(part.data, '=', part.size) && part.data[0] != '/') {
            venv_import_note(r->d, "disk: %.*s", (int)part.size, part.data);
            continue;
        }
        /* In order: target, format, device, access; of the old form there was no format. */
        bool old = position == 1 && disk->kind.size;
        position += old;
        venv_str *places[] = { &disk->target, &disk->format, &disk->vdev, &disk->access };
        if (position < VENV_COUNT_OF(places) && (part.size || position))
            *places[position] = part;
        if (position == 0)
            take_prefix(disk);
        position++;
    }
    take_prefix(disk);
    const char *colon = disk->vdev.size ? memchr(disk->vdev.data, ':', disk->vdev.size) : NULL;
    if (colon) { /* "hdc:cdrom" */
        disk->cdrom = disk->cdrom || is((venv_str){ colon + 1, disk->vdev.size - (size_t)(colon - disk->vdev.data) - 1 }, "cdrom");
        disk->vdev.size = (size_t)(colon - disk->vdev.data);
    }
}

static void take_disk(reading *r, venv_str spec)
{
    xl_disk disk;
    venv_import *d = r->d;
    parse_disk(r, spec, &disk);
    if (disk.target.size == 0) {
        venv_import_note(d, "disk \"%.*s\": an empty drive", (int)spec.size, spec.data);
        return;
    }
    bool qcow2 = is(disk.format, "qcow2");
    if (disk.format.size && !qcow2 && !is(disk.format, "raw") && !is(disk.format, "aio")) {
        venv_import_note(d, "disk \"%.*s\": the format %.*s; convert it with qemu-img(1)", (int)spec.size, spec.data, (int)disk.format.size,
                         disk.format.data);
        return;
    }
    if (disk.target.data[0] != '/') {
        venv_import_note(d, "disk \"%.*s\": no path of the node", (int)spec.size, spec.data);
        return;
    }
    if (d->disk_count == VENV_ENVIRONMENT_DISKS_MAX) {
        venv_import_note(d, "disk \"%.*s\": one more than %u", (int)spec.size, spec.data, VENV_ENVIRONMENT_DISKS_MAX);
        return;
    }
    if (disk.cdrom && !r->hvm) {
        venv_import_note(d, "disk \"%.*s\": a paravirtual guest has no CD", (int)spec.size, spec.data);
        return;
    }
    char expected[] = "xvda";
    expected[3] = (char)('a' + d->disk_count);
    bool block = is(disk.kind, "phy") || (disk.target.size > 5 && memcmp(disk.target.data, "/dev/", 5) == 0);
    venv_buf_append_text(&d->disks, "      - {");
    if (block) {
        venv_import_block(d, disk.target);
    } else {
        venv_buf_append_text(&d->disks, "file: ");
        venv_import_quote(&d->disks, disk.target);
    }
    if (!block || qcow2)
        venv_buf_printf(&d->disks, ", format: %s", qcow2 ? "qcow2" : "raw");
    bool readonly = is(disk.access, "r") || is(disk.access, "ro");
    venv_buf_append_text(&d->disks, disk.cdrom ? ", device: cdrom}\n" : readonly ? ", readonly: true}\n" : "}\n");
    d->disk_count++;
    if (!r->hvm && disk.vdev.size && !is(disk.vdev, expected))
        venv_import_note(d, "the guest saw that disk as %.*s, and sees it as %s now: look at root and at its /etc/fstab", (int)disk.vdev.size,
                         disk.vdev.data, expected);
}

static void take_vif(reading *r, venv_str spec)
{
    venv_import *d = r->d;
    venv_str rest = spec, mac = { "", 0 }, bridge = { "", 0 }, ip = { "", 0 };
    while (rest.size) {
        venv_str part = cut(&rest, ',');
        if (part.size == 0 || key_of(part, "mac", &mac) || key_of(part, "bridge", &bridge) || key_of(part, "ip", &ip))
            continue;
        venv_import_note(d, "vif: %.*s", (int)part.size, part.data);
    }
    if (d->network_count == VENV_ENVIRONMENT_NETWORKS_MAX) {
        venv_import_note(d, "vif \"%.*s\": one more than %u", (int)spec.size, spec.data, VENV_ENVIRONMENT_NETWORKS_MAX);
        return;
    }
    if (ip.size)
        venv_import_note(d, "vif: ip=%.*s: say it as address, with the length of its prefix", (int)ip.size, ip.data);
    venv_buf_append_text(&d->networks, "      - {bridge: ");
    venv_import_quote(&d->networks, bridge.size ? bridge : VENV_STR("xenbr0"));
    if (!bridge.size)
        venv_import_note(d, "vif: the bridge was the node's default; xenbr0 is a guess");
    if (mac.size) {
        venv_buf_append_text(&d->networks, ", mac: ");
        venv_import_quote(&d->networks, mac);
        venv_import_note(d, "a hardware address goes with one instance only; without it each has its own");
    }
    venv_buf_append_text(&d->networks, "}\n");
    d->network_count++;
}

static void take_all(reading *r, const char *key, void (*take)(reading *, venv_str))
{
    const venv_value *list = venv_value_get(r->all, key);
    if (list && venv_value_kind(list) == VENV_BYTES) {
        take(r, venv_value_peek_text(list));
        return;
    }
    for (size_t i = 0; list && venv_value_kind(list) == VENV_LIST && i < venv_value_count(list); i++) {
        const venv_value *item = venv_value_at(list, i);
        if (venv_value_kind(item) == VENV_BYTES)
            take(r, venv_value_peek_text(item));
        else
            venv_import_note(r->d, "%s: an item that is no text", key);
    }
}

static void take_policies(reading *r)
{
    venv_str crash = text_of(r, "on_crash");
    int64_t number = 0;
    if (is(crash, "restart") || is(crash, "rename-restart"))
        venv_import_raw(r->d, "on_crash", "restart");
    else if (is(crash, "preserve") || is(crash, "coredump-preserve"))
        venv_import_raw(r->d, "on_crash", "stay");
    if (number_of(r, "localtime", &number) && number)
        venv_import_raw(r->d, "clock", "localtime");
    if (r->hvm && number_of(r, "vnc", &number) && number)
        venv_import_raw(r->d, "display", "vnc");
}

/* Keys that are carried over above, and those that say nothing here. */
static const struct {
    const char *key, *note; /* NULL: done, or of no meaning here */
} known[] = {
    { "name", NULL }, { "type", NULL }, { "builder", NULL }, { "memory", NULL }, { "maxmem", NULL }, { "vcpus", NULL }, { "maxvcpus", NULL },
    { "cpus", NULL }, { "kernel", NULL }, { "ramdisk", NULL }, { "initrd", NULL }, { "root", NULL }, { "extra", NULL }, { "cmdline", NULL },
    { "bootloader", NULL }, { "disk", NULL }, { "vif", NULL }, { "on_crash", NULL }, { "localtime", NULL }, { "vnc", NULL },
    { "uuid", "each instance has an id of its own" },
    { "on_poweroff", "what ends stays ended until the manager says otherwise" },
    { "on_reboot", "a guest that reboots itself goes on" },
    { "on_shutdown", "what ends stays ended until the manager says otherwise" },
    { "pci", "a device of the node ties the instance to that node, and is refused" },
    { "usbdevice", "a device of the node ties the instance to that node, and is refused" },
    { "usbdev", "a device of the node ties the instance to that node, and is refused" },
    { "dtdev", "a device of the node ties the instance to that node, and is refused" },
    { "device_model_args", "options past the definition could undo every check of it, and are refused" },
    { "device_model_version", "the node's own is used" },
    { "device_model", "the node's own is used" },
    { "serial", "there is always a serial console, and its output is kept" },
    { "boot", "the first disk is booted, unless there is a kernel" },
    { "vfb", "a paravirtual guest has its console only" },
    { "autoballoon", "it is a setting of the node" },
};

/* As it was written, but for its quotes. */
static void print_plain(const venv_value *value, char *text, size_t size)
{
    size_t used = 0;
    (void)venv_value_print(value, text, size);
    for (const char *c = text; *c; c++)
        if (!(c[0] == 'b' && c[1] == '"' && (c == text || c[-1] == '[' || c[-1] == ' ')))
            text[used++] = *c;
    text[used] = '\0';
}

static void note_rest(reading *r)
{
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_entry(r->all, i, &key, &value); i++) {
        char is_now[120];
        size_t at = 0;
        venv_str name = venv_value_peek_text(key);
        while (at < VENV_COUNT_OF(known) && !is(name, known[at].key))
            at++;
        if (at < VENV_COUNT_OF(known) && !known[at].note)
            continue;
        print_plain(value, is_now, sizeof is_now);
        venv_import_note(r->d, "%.*s = %s%s%s", (int)(name.size < 60 ? name.size : 60), name.data, is_now, at < VENV_COUNT_OF(known) ? ": " : "",
                         at < VENV_COUNT_OF(known) ? known[at].note : "");
    }
}

static void take(venv_import *d, const venv_value *all)
{
    reading r = { .d = d, .all = all };
    venv_import_name(d, text_of(&r, "name"));
    take_kind(&r);
    take_memory(&r);
    take_pins(&r);
    take_boot(&r);
    take_all(&r, "disk", take_disk);
    take_all(&r, "vif", take_vif);
    take_policies(&r);
    note_rest(&r);
}

/* --- the file ------------------------------------------------------------------------------------------------- */

static venv_rc read_assignment(cursor *c, venv_str *ret_name, venv_value *ret_value)
{
    const char *begin = c->at;
    while (c->at < c->end && is_word(*c->at))
        c->at++;
    *ret_name = (venv_str){ begin, (size_t)(c->at - begin) };
    if (ret_name->size == 0 || ret_name->size > 64 || (*begin >= '0' && *begin <= '9')) {
        c->at = begin;
        return fail(c, "expected NAME = VALUE; it is neither a configuration of xl nor XML of libvirt");
    }
    skip(c, false);
    if (peek(c) != '=' || (c->at + 1 < c->end && c->at[1] == '=')) {
        c->at = begin;
        return fail(c, "expected NAME = VALUE; statements of Python are not executed");
    }
    step(c);
    skip(c, false);
    venv_rc rc = read_value(c, 0, ret_value);
    if (rc != VENV_OK)
        return rc;
    skip(c, false);
    if (c->at < c->end && *c->at != '\n' && *c->at != ';') {
        venv_value_unref(ret_value);
        return fail(c, "expected the end of the line; an expression of Python is not executed: write its value");
    }
    return VENV_OK;
}

venv_rc venv_import_xl(venv_import *d, const char *text, size_t size, const char *file, venv_error *err)
{
    cursor c = { .at = text, .end = text + size, .line_begin = text, .line = 1, .file = file, .err = err };
    venv_value all = venv_value_null();
    venv_rc rc = VENV_OK;
    size_t count = 0;
    for (;;) {
        skip(&c, true);
        while (peek(&c) == ';')
            step(&c), skip(&c, true);
        if (c.at == c.end || rc != VENV_OK)
            break;
        venv_str name = { "", 0 };
        venv_value value = venv_value_null(), more = venv_value_null();
        rc = count++ == KEYS_MAX ? fail(&c, "too many keys") : read_assignment(&c, &name, &value);
        if (rc != VENV_OK)
            break;
        /* The last of two is the one that counted. */
        venv_map_builder map;
        const venv_value *key, *old;
        char copy[65];
        snprintf(copy, sizeof copy, "%.*s", (int)name.size, name.data);
        venv_map_init(&map);
        for (size_t i = 0; venv_value_entry(&all, i, &key, &old); i++)
            if (!venv_value_is_text(key, copy))
                venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(old));
            else
                venv_import_note(d, "%s is there twice: the last counts", copy);
        venv_map_put(&map, copy, value);
        rc = venv_map_take(&map, &more, err);
        venv_value_unref(&all);
        all = more;
    }
    if (rc == VENV_OK && count == 0)
        rc = fail(&c, "there is nothing in it");
    if (rc == VENV_OK)
        take(d, &all);
    venv_value_unref(&all);
    return rc;
}
