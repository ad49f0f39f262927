/* SPDX-License-Identifier: Apache-2.0 */
/* The registry: membership events in order, both directions of every link, selectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <venv/group.h>

typedef struct trace {
    char text[4096];
} trace;

static void listen(void *user, const venv_membership *event)
{
    trace *t = user;
    size_t at = strlen(t->text);
    snprintf(t->text + at, sizeof t->text - at, "%s %s %s (%s)\n", venv_membership_name(event->kind),
             event->member, event->group, event->reason);
}

static void expect(trace *t, const char *text)
{
    assert_string_equal(t->text, text);
    t->text[0] = '\0';
}

static venv_now at(int64_t seconds)
{
    return (venv_now){ { seconds * VENV_NS_PER_S }, { (1000 + seconds) * VENV_NS_PER_S } };
}

#define NAMES(...) ((const char *const[]){ __VA_ARGS__ })

static void join_leave_disconnect_rejoin(void **state)
{
    (void)state;
    trace t = { "" };
    venv_groups *g = NULL;
    venv_error err = { 0 };
    assert_int_equal(venv_groups_new(1, listen, &t, &g, &err), VENV_OK);
    assert_int_equal(venv_groups_connect(g, "n1", NAMES("a", "b", "a"), 3, at(1), "connected", &err), VENV_OK);
    expect(&t, "join n1 a (connected)\njoin n1 b (connected)\n");
    assert_int_equal(venv_groups_connect(g, "n2", NAMES("b"), 1, at(2), "connected", &err), VENV_OK);
    expect(&t, "join n2 b (connected)\n");
    assert_int_equal(venv_groups_size(g, "b"), 2);
    assert_string_equal(venv_groups_member_of(g, "b", 1)->name, "n2");
    assert_true(venv_groups_is_in(g, "n1", "a"));
    assert_false(venv_groups_is_in(g, "n2", "a"));

    assert_int_equal(venv_groups_set(g, "n1", NAMES("b", "c"), 2, "asked", &err), VENV_OK);
    expect(&t, "leave n1 a (asked)\njoin n1 c (asked)\n");
    assert_int_equal(venv_groups_size(g, "a"), 0);
    assert_int_equal(venv_groups_group_count(g), 2);

    venv_groups_disconnect(g, "n1", at(5), "reset");
    expect(&t, "disconnect n1 b (reset)\ndisconnect n1 c (reset)\n");
    assert_int_equal(venv_groups_member(g, "n1")->state, VENV_MEMBER_SUSPECT);
    assert_false(venv_groups_heard(g, "n1", at(5))); /* what was still on its way is no session */
    assert_int_equal(venv_groups_size(g, "c"), 1);
    venv_groups_disconnect(g, "n1", at(6), "reset");
    expect(&t, "");
    assert_true(venv_groups_lose(g, "n1", at(7)));
    assert_false(venv_groups_lose(g, "n1", at(8)));
    assert_int_equal(venv_groups_member(g, "n1")->state, VENV_MEMBER_LOST);
    assert_int_equal(venv_groups_member(g, "n1")->since.ns, 7 * VENV_NS_PER_S);

    assert_int_equal(venv_groups_connect(g, "n1", NAMES("c", "d"), 2, at(9), "connected", &err), VENV_OK);
    expect(&t, "leave n1 b (connected)\nrejoin n1 c (connected)\njoin n1 d (connected)\n");
    assert_int_equal(venv_groups_member(g, "n1")->since.ns, 9 * VENV_NS_PER_S);

    venv_groups_forget(g, "n1", "gone");
    expect(&t, "leave n1 d (gone)\nleave n1 c (gone)\n");
    assert_null(venv_groups_member(g, "n1"));
    assert_int_equal(venv_groups_group_count(g), 1);
    venv_groups_free(g);
}

static void liveness(void **state)
{
    (void)state;
    venv_groups *g = NULL;
    assert_int_equal(venv_groups_new(1, NULL, NULL, &g, NULL), VENV_OK);
    assert_int_equal(venv_groups_remember(g, "n1", NAMES("a"), 1, at(0).wall, at(0), NULL), VENV_OK);
    assert_int_equal(venv_groups_remember(g, "n1", NAMES("a"), 1, at(0).wall, at(0), NULL), VENV_EEXIST);
    assert_int_equal(venv_groups_member(g, "n1")->state, VENV_MEMBER_SUSPECT);
    assert_false(venv_groups_member(g, "n1")->seen);
    assert_false(venv_groups_suspect(g, "n1", at(1)));
    assert_int_equal(venv_groups_connect(g, "n1", NAMES("a"), 1, at(1), "x", NULL), VENV_OK);
    assert_true(venv_groups_suspect(g, "n1", at(20)));
    assert_false(venv_groups_suspect(g, "n1", at(21)));
    assert_int_equal(venv_groups_member(g, "n1")->since.ns, 20 * VENV_NS_PER_S);
    assert_true(venv_groups_heard(g, "n1", at(22)));
    assert_false(venv_groups_heard(g, "n1", at(23)));
    assert_int_equal(venv_groups_member(g, "n1")->heard.ns, 23 * VENV_NS_PER_S);
    assert_int_equal(venv_groups_member(g, "n1")->state, VENV_MEMBER_CONNECTED);
    assert_true(venv_groups_member(g, "n1")->seen && venv_groups_member(g, "n1")->session);
    assert_false(venv_groups_lose(g, "n1", at(99))); /* it has a session */
    venv_groups_free(g);
}

static void refusals_change_nothing(void **state)
{
    (void)state;
    trace t = { "" };
    venv_groups *g = NULL;
    venv_error err = { 0 };
    assert_int_equal(venv_groups_new(1, listen, &t, &g, &err), VENV_OK);
    assert_int_equal(venv_groups_connect(g, "n1", NAMES("ok", "no good"), 2, at(1), "x", &err), VENV_EINVAL);
    assert_non_null(strstr(err.text, "no good"));
    assert_int_equal(venv_groups_connect(g, "n1", NAMES("0123456789012345678901234567890123"), 1, at(1), "x", &err),
                     VENV_EINVAL);
    assert_int_equal(venv_groups_connect(g, "N1", NAMES("ok"), 1, at(1), "x", &err), VENV_EINVAL);
    assert_int_equal(venv_groups_set(g, "n1", NAMES("ok"), 1, "x", &err), VENV_ENOENT);
    const char *many[VENV_GROUPS_PER_MEMBER_MAX + 1];
    for (size_t i = 0; i < VENV_GROUPS_PER_MEMBER_MAX + 1; i++)
        many[i] = "same";
    assert_int_equal(venv_groups_connect(g, "n1", many, VENV_GROUPS_PER_MEMBER_MAX + 1, at(1), "x", &err),
                     VENV_ELIMIT);
    assert_int_equal(venv_groups_member_count(g), 0);
    assert_int_equal(venv_groups_group_count(g), 0);
    expect(&t, "");
    venv_groups_free(g);
}

static bool collect(void *user, const venv_member *member)
{
    char *text = user;
    strcat(text, member->name);
    strcat(text, " ");
    return true;
}

static void expect_select(venv_groups *g, const char *selector, venv_rc rc, const char *names)
{
    char text[256] = "";
    venv_error err = { 0 };
    venv_str s = { selector, strlen(selector) };
    assert_int_equal(venv_groups_select(g, s, collect, text, &err), rc);
    assert_string_equal(text, names);
}

static void selectors(void **state)
{
    (void)state;
    venv_groups *g = NULL;
    assert_int_equal(venv_groups_new(1, NULL, NULL, &g, NULL), VENV_OK);
    assert_int_equal(venv_groups_connect(g, "head", NAMES("batch"), 1, at(1), "x", NULL), VENV_OK);
    assert_int_equal(venv_groups_connect(g, "n1", NAMES("hyp"), 1, at(1), "x", NULL), VENV_OK);
    assert_int_equal(venv_groups_connect(g, "n2", NAMES("hyp", "8-core"), 2, at(1), "x", NULL), VENV_OK);
    expect_select(g, "n1", VENV_OK, "n1 ");
    expect_select(g, "@hyp", VENV_OK, "n1 n2 ");
    expect_select(g, "@8-core, head,@hyp", VENV_OK, "n2 head n1 ");
    expect_select(g, "@all", VENV_OK, "head n1 n2 ");
    expect_select(g, "n1,nobody", VENV_ENOENT, "");
    expect_select(g, "@none", VENV_ENOENT, "");
    expect_select(g, "n1,", VENV_EINVAL, "");
    expect_select(g, "", VENV_EINVAL, "");
    expect_select(g, "a b", VENV_EINVAL, "");
    expect_select(g, "../n1", VENV_EINVAL, "");
    venv_groups_free(g);
}

/* A thousand random changes; after each, every link is seen from both ends. */
static void links_agree(void **state)
{
    (void)state;
    static const char *const all[] = { "g0", "g1", "g2", "g3", "g4" };
    venv_groups *g = NULL;
    assert_int_equal(venv_groups_new(7, NULL, NULL, &g, NULL), VENV_OK);
    uint32_t seed = 12345;
    for (int step = 0; step < 1000; step++) {
        seed = seed * 1664525u + 1013904223u;
        char name[8];
        snprintf(name, sizeof name, "n%u", (seed >> 8) % 6u);
        const char *names[5];
        size_t count = 0;
        for (unsigned i = 0; i < 5; i++)
            if (seed >> (12 + i) & 1u)
                names[count++] = all[i];
        switch (seed >> 24 & 3u) {
        case 0:
        case 1: assert_int_equal(venv_groups_connect(g, name, names, count, at(step), "x", NULL), VENV_OK); break;
        case 2: venv_groups_disconnect(g, name, at(step), "x"); break;
        default: venv_groups_forget(g, name, "x"); break;
        }
        size_t links = 0, back = 0, cursor = 0;
        const venv_member *m;
        while ((m = venv_groups_next_member(g, &cursor)))
            for (size_t i = 0; i < m->group_count; i++, links++)
                assert_true(venv_groups_is_in(g, m->name, venv_groups_group_of(m, i)));
        cursor = 0;
        const char *group;
        while ((group = venv_groups_next_group(g, &cursor))) {
            assert_true(venv_groups_size(g, group) > 0);
            back += venv_groups_size(g, group);
        }
        assert_int_equal(links, back);
    }
    assert_true(venv_groups_digest(g) == venv_groups_digest(g));
    venv_groups_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(join_leave_disconnect_rejoin), cmocka_unit_test(liveness),
        cmocka_unit_test(refusals_change_nothing),      cmocka_unit_test(selectors),
        cmocka_unit_test(links_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
