/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a mail: whatever the arguments hold, the headers are those that we wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "deliver/deliver.h"

static venv_value order_with(const char *subject, size_t subject_size, const char *text, size_t text_size)
{
    venv_map_builder map;
    venv_list_builder to;
    venv_value order, list;
    venv_list_init(&to);
    venv_list_add_text(&to, "admin@example.org");
    venv_list_add_text(&to, "root@example.org");
    assert_int_equal(venv_list_take(&to, &list, NULL), VENV_OK);
    venv_map_init(&map);
    venv_map_put(&map, "to", list);
    venv_map_put_z(&map, "from", "venv@example.org");
    venv_map_put_z(&map, "id", "00000000-0000-4000-8000-000000000001");
    venv_map_put_z(&map, "domain", "mgr.lab");
    venv_map_put(&map, "made", venv_value_from_wall((venv_wall){ INT64_C(1700069340) * VENV_NS_PER_S }));
    venv_map_put_text(&map, "subject", subject, subject_size);
    venv_map_put_text(&map, "text", text, text_size);
    assert_int_equal(venv_map_take(&map, &order, NULL), VENV_OK);
    return order;
}

static const char *compose(venv_buf *out, const char *subject, size_t subject_size, const char *text, size_t text_size)
{
    venv_value order = order_with(subject, subject_size, text, text_size);
    venv_buf_init(out, 1 << 20);
    assert_int_equal(venv_mail_compose(&order, out, NULL), VENV_OK);
    venv_value_unref(&order);
    return venv_buf_peek_text(out);
}

static void as_it_is_written(void **state)
{
    (void)state;
    venv_buf out;
    assert_string_equal(compose(&out, "node07 is hot", 13, "hello\nworld", 11),
                        "Date: Wed, 15 Nov 2023 17:29:00 +0000\r\nFrom: venv@example.org\r\n"
                        "To: admin@example.org,\r\n root@example.org\r\nSubject: node07 is hot\r\n"
                        "Message-ID: <00000000-0000-4000-8000-000000000001@mgr.lab>\r\nAuto-Submitted: auto-generated\r\n"
                        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                        "Content-Transfer-Encoding: base64\r\n\r\naGVsbG8NCndvcmxkDQo=\r\n");
    venv_buf_fini(&out);
    assert_non_null(strstr(compose(&out, "81.5 °C", 8, "", 0), "Subject: =?UTF-8?B?ODEuNSDCsEM=?=\r\n"));
    venv_buf_fini(&out);
    assert_non_null(strstr(compose(&out, "a\r\nBcc: x@y", 11, "", 0), "Subject: a  Bcc: x@y\r\n"));
    venv_buf_fini(&out);
}

/* Every line is a header of ours or the continuation of one, of printable ASCII, and short. */
static void check_headers(const char *text, size_t size)
{
    static const char *const names[] = { "Date: ", "From: ", "To: ", "Subject: ", "Message-ID: ", "Auto-Submitted: ", "MIME-Version: ",
                                         "Content-Type: ", "Content-Transfer-Encoding: " };
    size_t at = 0, seen = 0;
    const char *end = strstr(text, "\r\n\r\n");
    assert_non_null(end);
    assert_int_equal(strlen(text), size);
    while (text + at < end) {
        size_t length = (size_t)(strstr(text + at, "\r\n") - (text + at));
        assert_true(length > 0 && length <= 78);
        for (size_t i = 0; i < length; i++)
            assert_true(text[at + i] >= 0x20 && text[at + i] < 0x7f);
        if (text[at] != ' ') {
            assert_true(seen < sizeof names / sizeof names[0]);
            assert_memory_equal(text + at, names[seen], strlen(names[seen]));
            seen++;
        }
        at += length + 2;
    }
    assert_int_equal(seen, sizeof names / sizeof names[0]);
    for (const char *body = end + 4; *body; body++)
        assert_true(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n", *body) != NULL);
}

static void hostile_arguments(void **state)
{
    (void)state;
    static const char *const pieces[] = { "\r\n", "\n", "\r", "\r\n.\r\n", "\r\nBcc: evil@example.com", "\r\n\r\n", "=?UTF-8?B?", "?=",
                                          "${agent.name}", "%s%n", "`id`", "$(id)", "'; DROP", "\"", "\\", "<script>", "\xc2\x85", "\xe2\x80\xa8",
                                          "\xe2\x80\xae", "\x1b[31m", "\x7f", "°", "日本語", "\xf0\x9f\x94\xa5", "a", " ", "\t", "QUIT", "RCPT TO:<x>" };
    venv_random random;
    venv_random_init(&random, 7);
    for (int n = 0; n < 20000; n++) {
        char subject[2048], text[2048];
        size_t sizes[2] = { 0, 0 };
        for (int which = 0; which < 2; which++)
            for (uint64_t k = venv_random_next(&random) % 40; k > 0; k--) {
                char *to = which ? text : subject;
                const char *piece = pieces[venv_random_next(&random) % (sizeof pieces / sizeof pieces[0])];
                memcpy(to + sizes[which], piece, strlen(piece));
                sizes[which] += strlen(piece);
                if (venv_random_next(&random) % 16 == 0)
                    to[sizes[which]++] = '\0';
            }
        venv_buf out;
        const char *made = compose(&out, subject, sizes[0], text, sizes[1]);
        check_headers(made, out.size);
        venv_buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(as_it_is_written), cmocka_unit_test(hostile_arguments) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
