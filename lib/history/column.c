/* SPDX-License-Identifier: Apache-2.0 */
#include "history/column.h"

#include <venv/codec.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TAG_NULL = 0, TAG_FALSE, TAG_TRUE, TAG_INT, TAG_UINT, TAG_DOUBLE, TAG_STRING, TAG_CBOR, TAG_EARLIER };
enum { COLUMN_ANY = 0, COLUMN_INT, COLUMN_DOUBLE, COLUMN_DECIMAL /* and the number of digits */ };

#define VALUE_SIZE_MAX (1u << 20)
#define DIGITS_MAX     6
#define EARLIER_MAX    32   /* different values that can be referred to */
#define EXACT_MAX      9007199254740992.0 /* 2^53 */

static const double powers[DIGITS_MAX + 1] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6 };

/* --- one value --------------------------------------------------------------------------------------- */

static void put_cbor(venv_buf *buf, const venv_value *value)
{
    uint8_t *data = NULL;
    size_t size = 0;
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    options.item_count_max = VENV_CBOR_ITEMS_MAX;
    options.depth_max = VENV_CBOR_DEPTH_MAX;
    if (venv_cbor_encode(value, &options, &data, &size, NULL) != VENV_OK || size > VALUE_SIZE_MAX) {
        free(data);
        venv_buf_append_byte(buf, TAG_NULL);
        return;
    }
    venv_buf_append_byte(buf, TAG_CBOR);
    venv_varint_put(buf, size);
    venv_buf_append(buf, data, size);
    free(data);
}

void venv_history_value_put(venv_buf *buf, const venv_value *value)
{
    venv_str text;
    double number;
    switch (venv_value_kind(value)) {
    case VENV_NULL:
        venv_buf_append_byte(buf, TAG_NULL);
        break;
    case VENV_BOOL:
        venv_buf_append_byte(buf, venv_value_peek_bool(value) ? TAG_TRUE : TAG_FALSE);
        break;
    case VENV_INT:
        venv_buf_append_byte(buf, TAG_INT);
        venv_varint_put_signed(buf, venv_value_peek_int(value));
        break;
    case VENV_UINT:
        venv_buf_append_byte(buf, TAG_UINT);
        venv_varint_put(buf, venv_value_peek_uint(value));
        break;
    case VENV_DOUBLE:
        number = venv_value_peek_double(value);
        venv_buf_append_byte(buf, TAG_DOUBLE);
        venv_buf_append(buf, &number, sizeof number);
        break;
    case VENV_STRING:
        text = venv_value_peek_text(value);
        if (text.size > VALUE_SIZE_MAX) {
            venv_buf_append_byte(buf, TAG_NULL);
            break;
        }
        venv_buf_append_byte(buf, TAG_STRING);
        venv_varint_put(buf, text.size);
        venv_buf_append(buf, text.data, text.size);
        break;
    default:
        put_cbor(buf, value);
        break;
    }
}

static venv_rc get_bytes(venv_reader *reader, uint8_t tag, venv_value *ret_value)
{
    uint64_t size = venv_varint_get(reader);
    const uint8_t *bytes = size <= VALUE_SIZE_MAX ? venv_bytes_get(reader, size) : NULL;
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    options.item_count_max = VENV_CBOR_ITEMS_MAX;
    options.depth_max = VENV_CBOR_DEPTH_MAX;
    if (!bytes || reader->failed)
        return VENV_EINVAL;
    return tag == TAG_STRING ? venv_value_string((const char *)bytes, size, ret_value, NULL)
                             : venv_cbor_decode(bytes, size, &options, ret_value, NULL);
}

bool venv_history_value_get(venv_reader *reader, venv_value *ret_value)
{
    const uint8_t *tag = venv_bytes_get(reader, 1), *bytes;
    double number;
    venv_rc rc = VENV_OK;
    venv_value value = venv_value_null();
    switch (tag ? *tag : TAG_EARLIER) {
    case TAG_NULL: break;
    case TAG_FALSE: value = venv_value_bool(false); break;
    case TAG_TRUE: value = venv_value_bool(true); break;
    case TAG_INT: value = venv_value_int(venv_varint_get_signed(reader)); break;
    case TAG_UINT: value = venv_value_uint(venv_varint_get(reader)); break;
    case TAG_DOUBLE:
        bytes = venv_bytes_get(reader, sizeof number);
        if (bytes) {
            memcpy(&number, bytes, sizeof number);
            value = venv_value_double(number);
        }
        break;
    case TAG_STRING:
    case TAG_CBOR: rc = get_bytes(reader, *tag, &value); break;
    default: rc = VENV_EINVAL; break;
    }
    if (rc != VENV_OK)
        reader->failed = true;
    if (reader->failed)
        return false;
    *ret_value = value;
    return true;
}

/* --- numbers ----------------------------------------------------------------------------------------- */

/* Differences of whole numbers; a 0 is followed by how often nothing changed. */
typedef struct deltas {
    uint64_t last, same;
} deltas;

static void deltas_rest(deltas *d, venv_buf *buf)
{
    if (d->same == 0)
        return;
    venv_varint_put(buf, 0);
    venv_varint_put(buf, d->same);
    d->same = 0;
}

static void deltas_put(deltas *d, venv_buf *buf, int64_t number)
{
    uint64_t difference = (uint64_t)number - d->last;
    if (difference == 0) {
        d->same++;
        return;
    }
    deltas_rest(d, buf);
    venv_varint_put_signed(buf, (int64_t)difference);
    d->last = (uint64_t)number;
}

void venv_history_whole_put(venv_buf *buf, const int64_t *numbers, size_t count)
{
    deltas d = { 0, 0 };
    for (size_t i = 0; i < count; i++)
        deltas_put(&d, buf, numbers[i]);
    deltas_rest(&d, buf);
}

static int64_t deltas_get(deltas *d, venv_reader *reader)
{
    if (d->same == 0) {
        int64_t difference = venv_varint_get_signed(reader);
        if (difference != 0) {
            d->last += (uint64_t)difference;
            return (int64_t)d->last;
        }
        d->same = venv_varint_get(reader);
        if (d->same == 0)
            reader->failed = true;
    }
    d->same--;
    return (int64_t)d->last;
}

bool venv_history_whole_get(venv_reader *reader, int64_t *numbers, size_t count)
{
    deltas d = { 0, 0 };
    for (size_t i = 0; i < count && !reader->failed; i++)
        numbers[i] = deltas_get(&d, reader);
    if (d.same > 0)
        reader->failed = true;
    return !reader->failed;
}

static uint64_t bits_of(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

/* Is the number a whole number of 10^-digits, and comes back the very same? */
static bool is_decimal(double number, unsigned digits, int64_t *ret_whole)
{
    double scaled = round(number * powers[digits]);
    if (!(scaled > -EXACT_MAX && scaled < EXACT_MAX))
        return false;
    *ret_whole = (int64_t)scaled;
    return bits_of((double)*ret_whole / powers[digits]) == bits_of(number);
}

/* How many digits all of them need; DIGITS_MAX + 1: they are no decimal fractions. */
static unsigned digits_of(const venv_value *const *values, size_t count)
{
    unsigned digits = 0;
    int64_t whole;
    for (size_t i = 0; i < count && digits <= DIGITS_MAX; i++)
        while (digits <= DIGITS_MAX && !is_decimal(venv_value_peek_double(values[i]), digits, &whole))
            digits++;
    /* More digits are not exact for a number that fewer are exact for, now and then. */
    for (size_t i = 0; i < count && digits <= DIGITS_MAX; i++)
        if (!is_decimal(venv_value_peek_double(values[i]), digits, &whole))
            return DIGITS_MAX + 1;
    return digits;
}

static void put_whole(venv_buf *buf, const venv_value *const *values, size_t count, unsigned digits, bool is_double)
{
    deltas d = { 0, 0 };
    for (size_t i = 0; i < count; i++) {
        int64_t whole = 0;
        if (is_double)
            (void)is_decimal(venv_value_peek_double(values[i]), digits, &whole);
        else
            whole = venv_value_peek_int(values[i]);
        deltas_put(&d, buf, whole);
    }
    deltas_rest(&d, buf);
}

/* A byte: how many bytes differ, shifted by how many below them do not; 0 and a count: nothing changed. */
static void put_doubles(venv_buf *buf, const venv_value *const *values, size_t count)
{
    uint64_t last = 0;
    for (size_t i = 0; i < count;) {
        uint64_t bits = bits_of(venv_value_peek_double(values[i])), difference = bits ^ last;
        size_t same = 0;
        while (difference == 0 && i + same < count && bits_of(venv_value_peek_double(values[i + same])) == last)
            same++;
        if (same > 0) {
            venv_buf_append_byte(buf, 0);
            venv_varint_put(buf, same);
            i += same;
            continue;
        }
        unsigned low = (unsigned)__builtin_ctzll(difference) / 8, high = 8 - (unsigned)__builtin_clzll(difference) / 8;
        venv_buf_append_byte(buf, (uint8_t)((high - low) << 4 | low));
        for (unsigned byte = low; byte < high; byte++)
            venv_buf_append_byte(buf, (uint8_t)(difference >> (byte * 8)));
        last = bits;
        i++;
    }
}

static void get_doubles(venv_reader *reader, venv_value *values, size_t count)
{
    uint64_t last = 0, same = 0;
    for (size_t i = 0; i < count && !reader->failed; i++) {
        const uint8_t *head = same == 0 ? venv_bytes_get(reader, 1) : NULL;
        if (head && *head == 0) {
            same = venv_varint_get(reader);
            if (same == 0)
                reader->failed = true;
        } else if (head) {
            unsigned size = *head >> 4, low = *head & 15;
            const uint8_t *bytes = size + low <= 8 ? venv_bytes_get(reader, size) : NULL;
            if (!bytes)
                reader->failed = true;
            for (unsigned byte = 0; bytes && byte < size; byte++)
                last ^= (uint64_t)bytes[byte] << ((low + byte) * 8);
        }
        if (same > 0)
            same--;
        double number;
        memcpy(&number, &last, sizeof number);
        values[i] = venv_value_double(number);
    }
    if (same > 0)
        reader->failed = true;
}

static void get_whole(venv_reader *reader, venv_value *values, size_t count, unsigned digits, bool is_double)
{
    deltas d = { 0, 0 };
    for (size_t i = 0; i < count && !reader->failed; i++) {
        int64_t whole = deltas_get(&d, reader);
        values[i] = is_double ? venv_value_double((double)whole / powers[digits]) : venv_value_int(whole);
    }
    if (d.same > 0)
        reader->failed = true;
}

/* --- anything ---------------------------------------------------------------------------------------- */

static bool is_same(const venv_value *a, const venv_value *b)
{
    if (venv_value_kind(a) != venv_value_kind(b))
        return false;
    if (venv_value_kind(a) == VENV_DOUBLE) /* NaN is itself here, and -0.0 is not 0.0 */
        return bits_of(venv_value_peek_double(a)) == bits_of(venv_value_peek_double(b));
    return a == b || venv_value_compare(a, b) == 0;
}

static void put_any(venv_buf *buf, const venv_value *const *values, size_t count)
{
    const venv_value *earlier[EARLIER_MAX];
    size_t known = 0;
    for (size_t i = 0; i < count;) {
        size_t run = 1, found = 0;
        while (i + run < count && is_same(values[i], values[i + run]))
            run++;
        while (found < known && !is_same(earlier[found], values[i]))
            found++;
        venv_varint_put(buf, run);
        if (found < known) {
            venv_buf_append_byte(buf, TAG_EARLIER);
            venv_varint_put(buf, found);
        } else {
            venv_history_value_put(buf, values[i]);
            if (known < EARLIER_MAX)
                earlier[known++] = values[i];
        }
        i += run;
    }
}

static void get_any(venv_reader *reader, venv_value *values, size_t count)
{
    size_t earlier[EARLIER_MAX], known = 0;
    for (size_t i = 0; i < count && !reader->failed;) {
        uint64_t run = venv_varint_get(reader);
        bool refers = reader->at < reader->end && *reader->at == TAG_EARLIER;
        if (run == 0 || run > count - i || reader->failed) {
            reader->failed = true;
            break;
        }
        if (refers) {
            reader->at++;
            uint64_t found = venv_varint_get(reader);
            if (reader->failed || found >= known) {
                reader->failed = true;
                break;
            }
            values[i] = venv_value_ref(&values[earlier[found]]);
        } else {
            if (!venv_history_value_get(reader, &values[i]))
                break;
            if (known < EARLIER_MAX)
                earlier[known++] = i;
        }
        for (uint64_t n = 1; n < run; n++)
            values[i + n] = venv_value_ref(&values[i]);
        i += run;
    }
}

void venv_history_column_put(venv_buf *buf, const venv_value *const *values, size_t count)
{
    bool ints = true, doubles = true;
    for (size_t i = 0; i < count && (ints || doubles); i++) {
        ints = ints && venv_value_kind(values[i]) == VENV_INT;
        doubles = doubles && venv_value_kind(values[i]) == VENV_DOUBLE;
    }
    unsigned digits = doubles ? digits_of(values, count) : 0;
    if (ints) {
        venv_buf_append_byte(buf, COLUMN_INT);
        put_whole(buf, values, count, 0, false);
    } else if (doubles && digits <= DIGITS_MAX) {
        venv_buf_append_byte(buf, (uint8_t)(COLUMN_DECIMAL + digits));
        put_whole(buf, values, count, digits, true);
    } else if (doubles) {
        venv_buf_append_byte(buf, COLUMN_DOUBLE);
        put_doubles(buf, values, count);
    } else {
        venv_buf_append_byte(buf, COLUMN_ANY);
        put_any(buf, values, count);
    }
}

bool venv_history_column_get(venv_reader *reader, venv_value *values, size_t count)
{
    const uint8_t *kind = venv_bytes_get(reader, 1);
    for (size_t i = 0; i < count; i++)
        values[i] = venv_value_null();
    if (!kind || *kind > COLUMN_DECIMAL + DIGITS_MAX)
        reader->failed = true;
    else if (*kind == COLUMN_ANY)
        get_any(reader, values, count);
    else if (*kind == COLUMN_INT)
        get_whole(reader, values, count, 0, false);
    else if (*kind == COLUMN_DOUBLE)
        get_doubles(reader, values, count);
    else
        get_whole(reader, values, count, (unsigned)*kind - COLUMN_DECIMAL, true);
    if (!reader->failed)
        return true;
    for (size_t i = 0; i < count; i++)
        venv_value_unref(&values[i]);
    return false;
}
