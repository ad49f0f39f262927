/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: the words for people, and what the codes of the outside mean. */
#include "storage/error.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"

#include "net/curl.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    venv_rc rc;
    bool retryable;
    const char *explain;
} classes[VENV_STORAGE_CLASS__COUNT] = {
    [VENV_STORAGE_NONE] = { "NONE", VENV_OK, false, "Nothing failed." },
    [VENV_STORAGE_NOT_FOUND] = { "NOT_FOUND", VENV_ENOENT, false,
        "There is no such object; check the path, and whether its directory or bucket exists." },
    [VENV_STORAGE_EXISTS] = { "EXISTS", VENV_EEXIST, false,
        "There is one already; delete it first, choose another name, or allow replacing it." },
    [VENV_STORAGE_PERMISSION] = { "PERMISSION", VENV_EDENIED, false,
        "This is not allowed; ask the owner of the object, or open the rule that the text names." },
    [VENV_STORAGE_TRANSFER] = { "TRANSFER", VENV_EIO, true,
        "Bytes stopped on their way; try again, and look at the network and the disks of both sides." },
    [VENV_STORAGE_OPERATION] = { "OPERATION", VENV_ECONFLICT, false,
        "This cannot be done with that object: it is a directory, is not empty, or is too large." },
    [VENV_STORAGE_PROTOCOL_MISMATCH] = { "PROTOCOL_MISMATCH", VENV_EPROTO, false,
        "The other side does not speak the protocol of the URL; check scheme and port." },
    [VENV_STORAGE_PROTOCOL_UNSUPPORTED] = { "PROTOCOL_UNSUPPORTED", VENV_EUNSUPPORTED, false,
        "The protocol has no such operation or is not offered here; use another scheme." },
    [VENV_STORAGE_UNREACHABLE] = { "UNREACHABLE", VENV_EUNREACHABLE, true,
        "No connection to the other side; check its name, that its service runs, and the route to it." },
    [VENV_STORAGE_INVALID] = { "INVALID", VENV_EINVAL, false,
        "The URL or an argument is malformed; the text says where." },
    [VENV_STORAGE_INTEGRITY] = { "INTEGRITY", VENV_EIO, true,
        "The bytes are not what they should be; the source may be damaged, or the way to it." },
    [VENV_STORAGE_TOOL_MISSING] = { "TOOL_MISSING", VENV_EUNSUPPORTED, false,
        "Something is missing on this machine: a feature of its libcurl or kernel, or a file that a credential names." },
    [VENV_STORAGE_STALE_HANDLE] = { "STALE_HANDLE", VENV_ECONFLICT, true,
        "The object was replaced or went away meanwhile; begin again." },
    [VENV_STORAGE_TIMEOUT] = { "TIMEOUT", VENV_ETIMEDOUT, true,
        "It took longer than the time-out allows; try later, or raise the time-out." },
    [VENV_STORAGE_CREDENTIAL] = { "CREDENTIAL", VENV_EDENIED, false,
        "Login, key or certificate is missing, wrong or expired; check the credential that the URL uses." },
    [VENV_STORAGE_NO_SPACE] = { "NO_SPACE", VENV_ENOSPACE, false,
        "The destination is full; free some space there, or raise the quota." },
    [VENV_STORAGE_BUSY] = { "BUSY", VENV_ECONFLICT, true,
        "The other side is overloaded or the object is in use; try again later." },
    [VENV_STORAGE_CANCELED] = { "CANCELED", VENV_ECANCELED, false, "It was given up on request." },
};

const char *venv_storage_class_name(venv_storage_class klass)
{
    return (unsigned)klass < VENV_STORAGE_CLASS__COUNT ? classes[klass].name : "NONE";
}

venv_storage_class venv_storage_class_parse(venv_str name)
{
    for (unsigned i = 1; i < VENV_STORAGE_CLASS__COUNT; i++)
        if (strlen(classes[i].name) == name.size && memcmp(classes[i].name, name.data, name.size) == 0)
            return (venv_storage_class)i;
    return VENV_STORAGE_NONE;
}

const char *venv_storage_class_explain(venv_storage_class klass)
{
    return (unsigned)klass < VENV_STORAGE_CLASS__COUNT ? classes[klass].explain : classes[0].explain;
}

venv_rc venv_storage_class_rc(venv_storage_class klass)
{
    return (unsigned)klass < VENV_STORAGE_CLASS__COUNT ? classes[klass].rc : VENV_EINTERNAL;
}

bool venv_storage_class_is_retryable(venv_storage_class klass)
{
    return (unsigned)klass < VENV_STORAGE_CLASS__COUNT && classes[klass].retryable;
}

const char *venv_storage_scope_name(venv_storage_scope scope)
{
    static const char *const names[] = { "local", "source", "destination", "transfer" };
    return (unsigned)scope < VENV_COUNT_OF(names) ? names[scope] : "local";
}

const char *venv_storage_phase_name(venv_storage_phase phase)
{
    static const char *const names[VENV_STORAGE_PHASE__COUNT] = {
        "parse", "resolve", "connect", "login", "request", "data", "commit", "verify",
    };
    return (unsigned)phase < VENV_STORAGE_PHASE__COUNT ? names[phase] : "parse";
}

venv_rc venv_storage_error_tell(const venv_storage_error *error, venv_error *err)
{
    if (error->rc == VENV_OK)
        return VENV_OK;
    return venv_error_set(err, error->rc, "%s: %s", venv_storage_class_name(error->klass), error->text);
}

static const venv_storage_row rows[] = {
#define VENV_STORAGE_ROW(family, code, words, klass, phase, retryable) \
    { VENV_STORAGE_FAMILY_##family, code, words, klass, phase, retryable },
#include "storage/errors.def"
#undef VENV_STORAGE_ROW
};

size_t venv_storage_row_count(void)
{
    return VENV_COUNT_OF(rows);
}

const venv_storage_row *venv_storage_row_at(size_t index)
{
    return index < VENV_COUNT_OF(rows) ? &rows[index] : NULL;
}

const venv_storage_row *venv_storage_row_find(venv_storage_family family, long code, const char *text)
{
    const venv_storage_row *any = NULL;
    for (size_t i = 0; i < VENV_COUNT_OF(rows); i++) {
        const venv_storage_row *row = &rows[i];
        if (row->family != family)
            continue;
        if (row->words) {
            if (text && strstr(text, row->words))
                return row;
        } else if (row->code == code) {
            return row;
        } else if (row->code < 0 && code / 100 == -row->code && family == VENV_STORAGE_FAMILY_HTTP) {
            any = row;
        }
    }
    return any;
}

/* Into `buffer`: valid UTF-8 without control characters, cut at its size. */
static void make_safe(char *buffer, size_t size)
{
    venv_buf buf;
    venv_buf_init(&buf, 8 * size);
    venv_text_escape(&buf, buffer, strnlen(buffer, size), size - 5);
    const char *text = venv_buf_peek_text(&buf);
    size_t length = strnlen(text, size - 1);
    memcpy(buffer, text, length);
    buffer[length] = 0;
    venv_buf_fini(&buf);
}

VENV_PRINTF(4, 0)
static venv_rc fill(venv_storage_error *err, const venv_storage_row *row, int errnum, const char *format, va_list list)
{
    if (!err)
        return venv_storage_class_rc(row->klass);
    venv_storage_error filled = { 0 };
    filled.klass = row->klass;
    filled.rc = venv_storage_class_rc(row->klass);
    filled.phase = row->phase;
    filled.retryable = row->retryable;
    filled.errnum = errnum;
    (void)vsnprintf(filled.text, sizeof filled.text, format, list);
    make_safe(filled.text, sizeof filled.text);
    *err = filled;
    return filled.rc;
}

venv_rc venv_storage_fail(venv_storage_error *err, venv_storage_class klass, venv_storage_phase phase,
                          const char *format, ...)
{
    venv_storage_row row = { .klass = klass, .phase = phase, .retryable = venv_storage_class_is_retryable(klass) };
    va_list list;
    va_start(list, format);
    venv_rc rc = fill(err, &row, 0, format, list);
    va_end(list);
    return rc;
}

venv_rc venv_storage_fail_errno(venv_storage_error *err, int errnum, venv_storage_phase phase, const char *what)
{
    const venv_storage_row *row = venv_storage_row_find(VENV_STORAGE_FAMILY_ERRNO, errnum, NULL);
    char text[128];
    const char *words = strerror_r(errnum, text, sizeof text);
    venv_rc rc = venv_storage_fail(err, row ? row->klass : VENV_STORAGE_TRANSFER, phase, "%s: %s", what, words);
    if (err) {
        err->errnum = errnum;
        err->retryable = row && row->retryable;
    }
    return rc;
}

venv_rc venv_storage_fail_code(venv_storage_error *err, venv_storage_family family, long code, const char *text,
                               venv_storage_class otherwise, const char *format, ...)
{
    venv_storage_row none = { .klass = otherwise, .phase = VENV_STORAGE_REQUEST,
                              .retryable = venv_storage_class_is_retryable(otherwise) };
    const venv_storage_row *row = venv_storage_row_find(family, code, text);
    va_list list;
    va_start(list, format);
    venv_rc rc = fill(err, row ? row : &none, 0, format, list);
    va_end(list);
    if (err)
        err->native = code;
    return rc;
}

venv_rc venv_storage_fail_memory(venv_storage_error *err)
{
    venv_rc rc = venv_storage_fail(err, VENV_STORAGE_BUSY, VENV_STORAGE_REQUEST, "out of memory");
    if (err)
        err->rc = VENV_ENOMEM;
    (void)rc;
    return VENV_ENOMEM;
}

void venv_storage_output(venv_storage_error *err, const void *data, size_t size)
{
    if (!err)
        return;
    size = size < sizeof err->output - 1 ? size : sizeof err->output - 1;
    memcpy(err->output, data, size);
    err->output[size] = 0;
    make_safe(err->output, sizeof err->output);
}
