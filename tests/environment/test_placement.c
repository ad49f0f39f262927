/* SPDX-License-Identifier: Apache-2.0 */
/* Placement: each rule refuses with its reason, the best node is taken, and always the same one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/random.h"
#include "environment/pool.h"

#include <venv/codec.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GIB(n) ((uint64_t)(n) << 30)
#define ALL_KINDS ((1u << VENV_HYPERVISOR__COUNT) - 1)

static venv_expr_env *expressions;
static venv_expr_context *context;
static venv_error err;

#define assert_rc(rc, expected)                                                                        \
    do {                                                                                               \
        venv_rc rc_ = (rc);                                                                            \
        if (rc_ != (expected))                                                                         \
            print_error("%s instead of %s: %s\n", venv_rc_name(rc_), venv_rc_name(expected), err.text); \
        assert_int_equal(rc_, (expected));                                                             \
    } while (0)

static venv_environment *environment_of(const char *json)
{
    venv_value value = venv_value_null();
    venv_environment *environment = NULL;
    assert_rc(venv_json_parse(json, strlen(json), 4096, &value, &err), VENV_OK);
    assert_rc(venv_environment_from_value("class2", &value, NULL, &(venv_environment_words){ .place = expressions }, &environment, &err), VENV_OK);
    venv_value_unref(&value);
    return environment;
}

/* 8 vCPUs, 16 GiB, nothing on it. */
static venv_placement_node node_of(const char *name, const venv_value *node)
{
    return (venv_placement_node){
        .name = name, .connected = true, .reachable = true, .kinds = ALL_KINDS, .cpus = 4, .vcpus = 8,
        .memory_bytes = GIB(16), .node = node,
    };
}

/* {name, groups: [group], p: {memfree}}; a negative memfree is unknown. */
static venv_value facts(const char *name, const char *group, int64_t memfree)
{
    venv_list_builder groups;
    venv_map_builder p, node;
    venv_value group_list = venv_value_null(), properties = venv_value_null(), made = venv_value_null();
    venv_list_init(&groups);
    venv_list_add_text(&groups, group);
    assert_rc(venv_list_take(&groups, &group_list, &err), VENV_OK);
    venv_map_init(&p);
    venv_map_put(&p, "memfree", memfree < 0 ? venv_expr_unknown() : venv_value_int(memfree));
    assert_rc(venv_map_take(&p, &properties, &err), VENV_OK);
    venv_map_init(&node);
    venv_map_put_z(&node, "name", name);
    venv_map_put(&node, "groups", group_list);
    venv_map_put(&node, "p", properties);
    assert_rc(venv_map_take(&node, &made, &err), VENV_OK);
    return made;
}

/* On a pool of its own; the nodes are as before. */
static size_t choose(venv_environment *environment, const char *asked, venv_placement_node *nodes, size_t count,
                     venv_placement_verdict *verdicts)
{
    size_t index = 99;
    venv_placement_pool *pool = NULL;
    venv_placement_want want = { .environment = environment, .asked = asked };
    assert_rc(venv_placement_pool_new(nodes, count, context, NULL, &pool, &err), VENV_OK);
    assert_rc(venv_placement_pool_choose(pool, &want, &index, &err), VENV_OK);
    for (size_t i = 0; verdicts && i < count; i++)
        assert_rc(venv_placement_pool_judge(pool, &want, i, &verdicts[i], &err), VENV_OK);
    venv_placement_pool_free(pool);
    return index;
}

static const char *summary_of(const venv_placement_verdict *verdicts, size_t count, char *text, size_t size)
{
    size_t counts[VENV_PLACEMENT__COUNT] = { 0 };
    for (size_t i = 0; i < count; i++)
        counts[verdicts[i].rule]++;
    return venv_placement_summary("class2", counts, text, size);
}

static void each_rule_refuses_with_its_reason(void **state)
{
    (void)state;
    venv_environment *e = environment_of("{\"hypervisor\":\"kvm\",\"vcpus\":2,\"memory\":\"2GiB\",\"kernel\":\"/k\","
                                         "\"where\":\"node.groups.exists(g, g == '8-core')\"}");
    venv_value good = facts("n", "8-core", 5), bad = facts("n", "4-core", 5), empty = venv_value_null();
    struct {
        venv_placement_node node;
        const char *explained;
    } cases[] = {
        { node_of("n", &good), "n: connected: needs a connected agent, has not connected" },
        { node_of("n", &good), "n: hypervisor: needs kvm, has its hypervisor cannot be reached" },
        { node_of("n", &good), "n: hypervisor: needs kvm, has qemu, test" },
        { node_of("n", &good), "n: hypervisor: needs kvm, has no hypervisor" },
        { node_of("n", &good), "n: health: needs a healthy node, has 3 starts failed" },
        { node_of("n", &bad), "n: where: needs node.groups.exists(g, g == '8-core'), has false" },
        { node_of("n", &good), "n: vcpus: needs 2 vCPUs, has 1 of 8 free" },
        { node_of("n", &good), "n: vcpus: needs 2 vCPUs, has 0 of 8 free" },
        { node_of("n", &good), "n: memory: needs 2 GiB, has 1.5 GiB of 16 GiB free" },
    };
    cases[0].node.connected = false;
    cases[1].node.reachable = false;
    cases[2].node.kinds = 1u << VENV_HYPERVISOR_QEMU | 1u << VENV_HYPERVISOR_TEST;
    cases[3].node.kinds = 0;
    cases[3].node.reachable = false;
    cases[4].node.refused = "3 starts failed";
    cases[6].node.used_vcpus = 7;
    cases[7].node.used_vcpus = 20; /* overcommitted by what is foreign */
    cases[8].node.used_memory_bytes = GIB(14) + GIB(1) / 2;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        venv_placement_verdict verdict;
        char text[512];
        assert_int_equal(choose(e, NULL, &cases[i].node, 1, &verdict), 1);
        assert_string_equal(venv_placement_explain("n", &verdict, text, sizeof text), cases[i].explained);
    }
    venv_placement_verdict verdict;
    char text[512];
    venv_placement_node node = node_of("n", &good);
    assert_int_equal(choose(e, "m", &node, 1, &verdict), 1);
    assert_int_equal(verdict.rule, VENV_PLACEMENT_ASKED);
    assert_int_equal(choose(e, "n", &node, 1, &verdict), 0);
    /* A node without facts: where fails, and says so; it does not break the choice. */
    node.node = &empty;
    assert_int_equal(choose(e, NULL, &node, 1, &verdict), 1);
    assert_int_equal(verdict.rule, VENV_PLACEMENT_WHERE);
    assert_true(verdict.available[0] && !strchr(verdict.available, '\n'));
    node.node = NULL;
    assert_int_equal(choose(e, NULL, &node, 1, &verdict), 1);
    assert_int_equal(verdict.rule, VENV_PLACEMENT_WHERE);
    assert_int_equal(choose(e, NULL, NULL, 0, NULL), 0);
    assert_string_equal(summary_of(NULL, 0, text, sizeof text), "no node may run class2: there is no node");
    venv_value_unref(&good);
    venv_value_unref(&bad);
    venv_environment_unref(e);
}

static void exactly_full_is_not_too_full(void **state)
{
    (void)state;
    venv_environment *e = environment_of("{\"vcpus\":8,\"memory\":\"16GiB\",\"kernel\":\"/k\"}");
    venv_placement_node node = node_of("n", NULL);
    venv_placement_verdict verdict;
    assert_int_equal(choose(e, NULL, &node, 1, &verdict), 0);
    assert_true(fabs(verdict.score - 1.0) < 1e-9);
    node.used_memory_bytes = 1;
    assert_int_equal(choose(e, NULL, &node, 1, &verdict), 1);
    assert_int_equal(verdict.rule, VENV_PLACEMENT_MEMORY);
    venv_environment_unref(e);
}

static void unknown_is_never_a_yes(void **state)
{
    (void)state;
    venv_environment *e = environment_of("{\"memory\":\"1GiB\",\"kernel\":\"/k\",\"where\":\"node.p.memfree > 100\"}");
    venv_value unknown = facts("n", "a", -1);
    venv_placement_node node = node_of("n", &unknown);
    venv_placement_verdict verdict;
    assert_int_equal(choose(e, NULL, &node, 1, &verdict), 1);
    assert_int_equal(verdict.rule, VENV_PLACEMENT_WHERE);
    assert_non_null(strstr(verdict.available, "unknown"));
    venv_environment_unref(e);
    /* For `prefer` it is the last choice, but one. */
    e = environment_of("{\"memory\":\"1GiB\",\"kernel\":\"/k\",\"prefer\":\"node.p.memfree\"}");
    venv_value known = facts("m", "a", 1);
    venv_placement_node two[] = { node, node_of("m", &known) };
    venv_placement_verdict verdicts[2];
    assert_int_equal(choose(e, NULL, two, 2, verdicts), 1);
    assert_int_equal(verdicts[0].rule, VENV_PLACEMENT_OK);
    assert_non_null(strstr(verdicts[0].note, "unknown"));
    assert_int_equal(choose(e, NULL, two, 1, verdicts), 0);
    venv_value_unref(&unknown);
    venv_value_unref(&known);
    venv_environment_unref(e);
}

static void the_fullest_is_taken_or_the_preferred(void **state)
{
    (void)state;
    venv_value a = facts("a", "x", 10), b = facts("b", "x", 30), c = facts("c", "x", 20);
    venv_placement_node nodes[] = { node_of("a", &a), node_of("b", &b), node_of("c", &c) };
    nodes[0].used_memory_bytes = GIB(2);
    nodes[1].used_memory_bytes = GIB(4);
    nodes[2].used_vcpus = 6; /* fullest by its scarcer resource */
    venv_environment *e = environment_of("{\"memory\":\"1GiB\",\"kernel\":\"/k\"}");
    assert_int_equal(choose(e, NULL, nodes, 3, NULL), 2);
    nodes[2].used_vcpus = 8;
    assert_int_equal(choose(e, NULL, nodes, 3, NULL), 1);
    venv_environment_unref(e);
    nodes[2].used_vcpus = 0;
    e = environment_of("{\"memory\":\"1GiB\",\"kernel\":\"/k\",\"prefer\":\"node.p.memfree\"}");
    assert_int_equal(choose(e, NULL, nodes, 3, NULL), 1);
    venv_environment_unref(e);
    e = environment_of("{\"memory\":\"1GiB\",\"kernel\":\"/k\",\"prefer\":\"-node.p.memfree\"}");
    assert_int_equal(choose(e, NULL, nodes, 3, NULL), 0);
    venv_environment_unref(e);
    /* Equal by prefer: the fuller one; equal in all: the name. */
    e = environment_of("{\"memory\":\"1GiB\",\"kernel\":\"/k\",\"prefer\":\"1\"}");
    assert_int_equal(choose(e, NULL, nodes, 3, NULL), 1);
    nodes[1].used_memory_bytes = nodes[0].used_memory_bytes = 0;
    assert_int_equal(choose(e, NULL, nodes, 3, NULL), 0);
    venv_environment_unref(e);
    venv_value_unref(&a);
    venv_value_unref(&b);
    venv_value_unref(&c);
}

static void the_order_of_nodes_does_not_matter(void **state)
{
    (void)state;
    venv_environment *e = environment_of("{\"memory\":\"1GiB\",\"kernel\":\"/k\"}");
    venv_random random;
    venv_random_init(&random, 4);
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };
    for (int round = 0; round < 200; round++) {
        venv_placement_node nodes[8];
        const char *chosen = NULL;
        for (size_t i = 0; i < 8; i++) {
            nodes[i] = node_of(names[i], NULL);
            nodes[i].used_vcpus = (uint32_t)venv_random_below(&random, 4);
            nodes[i].used_memory_bytes = GIB(venv_random_below(&random, 4));
        }
        for (int shuffle = 0; shuffle < 8; shuffle++) {
            size_t index = choose(e, NULL, nodes, 8, NULL);
            assert_true(index < 8);
            if (chosen)
                assert_string_equal(nodes[index].name, chosen);
            chosen = nodes[index].name;
            size_t x = venv_random_below(&random, 8), y = venv_random_below(&random, 8);
            venv_placement_node swap = nodes[x];
            nodes[x] = nodes[y];
            nodes[y] = swap;
        }
    }
    venv_environment_unref(e);
}

static venv_expr_answer resolve(void *user, const venv_expr_read *read, venv_value *ret_value, uint32_t *ret_depth)
{
    int *asked = user;
    ++*asked;
    assert_string_equal(read->path[0], "node");
    if (read->path_count >= 3 && strcmp(read->path[1], "p") == 0 && strcmp(read->path[2], "load") == 0) {
        *ret_value = venv_value_double(0.5);
        *ret_depth = 3;
        return VENV_EXPR_FOUND;
    }
    return VENV_EXPR_NOT_KNOWN;
}

static void facts_can_be_asked_for_one_by_one(void **state)
{
    (void)state;
    int asked = 0;
    venv_placement_node node = node_of("n", NULL);
    node.resolve = resolve;
    node.resolve_user = &asked;
    venv_environment *e = environment_of("{\"memory\":\"1GiB\",\"kernel\":\"/k\",\"where\":\"node.p.load < 1.0\",\"prefer\":\"1.0 - node.p.load\"}");
    venv_placement_verdict verdict;
    assert_int_equal(choose(e, NULL, &node, 1, &verdict), 0);
    assert_true(fabs(verdict.score - 0.5) < 1e-9);
    assert_true(asked >= 2);
    venv_environment_unref(e);
}

static void none_is_summed_up(void **state)
{
    (void)state;
    venv_environment *e = environment_of("{\"memory\":\"1GiB\",\"vcpus\":4,\"kernel\":\"/k\"}");
    venv_placement_node nodes[4];
    venv_placement_verdict verdicts[4];
    char text[256];
    static const char *const names[] = { "a", "b", "c", "d" };
    for (size_t i = 0; i < 4; i++)
        nodes[i] = node_of(names[i], NULL);
    nodes[0].connected = false;
    nodes[1].used_memory_bytes = nodes[2].used_memory_bytes = GIB(16);
    nodes[3].used_vcpus = 6;
    assert_int_equal(choose(e, NULL, nodes, 4, verdicts), 4);
    assert_string_equal(summary_of(verdicts, 4, text, sizeof text),
                        "no node may run class2: 1 not connected, 1 with too few vCPUs, 2 with too little memory");
    /* Into too small a buffer: cut, not past it. */
    char small[20];
    summary_of(verdicts, 4, small, sizeof small);
    assert_true(strlen(small) < sizeof small);
    venv_environment_unref(e);
}

int main(void)
{
    if (venv_environment_expr_env(&expressions, &err) != VENV_OK ||
        venv_expr_context_new(&context, &err) != VENV_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_refuses_with_its_reason),
        cmocka_unit_test(exactly_full_is_not_too_full),
        cmocka_unit_test(unknown_is_never_a_yes),
        cmocka_unit_test(the_fullest_is_taken_or_the_preferred),
        cmocka_unit_test(the_order_of_nodes_does_not_matter),
        cmocka_unit_test(facts_can_be_asked_for_one_by_one),
        cmocka_unit_test(none_is_summed_up),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    venv_expr_context_free(context);
    venv_expr_env_unref(expressions);
    return failed != 0;
}
