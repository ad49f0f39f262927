/* SPDX-License-Identifier: Apache-2.0 */
/* Each allocation of reading, telling, comparing, drawing and placing a definition fails once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "environment/pool.h"
#include "support/alloc.h"

#include <venv/codec.h>

#include <stdlib.h>
#include <string.h>

static const char text[] =
    "{\"hypervisor\":\"qemu\",\"memory\":\"64MiB\",\"kernel\":\"/a/long/path/to/a/kernel\",\"initrd\":\"/a/long/path/to/an/initrd\","
    "\"cmdline\":\"console=ttyS0 quiet\",\"disks\":[{\"file\":\"/a/long/path/to/a/disk\",\"format\":\"raw\"},"
    "{\"volume\":\"vg0/class2\"},{\"network\":{\"protocol\":\"rbd\",\"name\":\"pool/image\",\"hosts\":[\"10.0.0.1:6789\"]}}],"
    "\"root\":\"/dev/vda1\",\"vcpus\":2,\"pin\":[0,1],\"anti_affinity\":[\"licences\"],\"cloud_init\":{\"network\":{\"version\":2}},"
    "\"scale\":{\"desired\":\"1 + 1\",\"max\":2,\"drain\":[\"slurm-drain\"]},"
    "\"networks\":[{\"bridge\":\"br0\",\"mac\":\"52:54:00:12:34:56\"}],\"where\":\"node.p.x > 1\",\"prefer\":\"node.p.x\"}";

static venv_value value;
static venv_expr_env *expressions;

static venv_rc read_and_tell(void *user)
{
    (void)user;
    venv_environment *environment = NULL;
    venv_value told = venv_value_null();
    venv_rc rc = venv_environment_from_value("class2", &value, NULL, NULL, &environment, NULL);
    if (rc != VENV_OK)
        return rc;
    rc = venv_environment_to_value(environment, &told, NULL);
    venv_value_unref(&told);
    venv_environment_unref(environment);
    return rc;
}

static venv_rc draw(void *user)
{
    venv_machine_mark mark = { .id = { { 1, 2, 3 } }, .cluster = "lab", .instance = "class2-1" };
    char *xml = NULL;
    venv_rc rc = venv_environment_domain_xml(user, &mark, &(venv_domain_files){ .seed = "/made/seed" }, &xml, NULL);
    if (rc == VENV_OK)
        rc = venv_machine_mark_parse(xml, strlen(xml), &mark, NULL);
    free(xml);
    return rc;
}

static venv_rc compare(void *user)
{
    venv_value list = venv_value_null();
    venv_rc rc = venv_environment_difference(NULL, user, &list, NULL);
    venv_value_unref(&list);
    return rc;
}

static venv_rc import(void *user)
{
    char *yaml = NULL;
    venv_rc rc = venv_environment_import(user, strlen(user), NULL, NULL, &yaml, NULL);
    free(yaml);
    return rc;
}

static venv_rc place(void *user)
{
    venv_expr_context *context = NULL;
    venv_map_builder p, node;
    venv_value inner = venv_value_null(), facts = venv_value_null();
    venv_map_init(&p);
    venv_map_put(&p, "x", venv_value_int(2));
    venv_rc rc = venv_map_take(&p, &inner, NULL);
    venv_map_init(&node);
    venv_map_put(&node, "p", inner);
    if (rc == VENV_OK)
        rc = venv_map_take(&node, &facts, NULL);
    else
        venv_map_fini(&node);
    if (rc == VENV_OK)
        rc = venv_expr_context_new(&context, NULL);
    if (rc == VENV_OK) {
        venv_placement_node nodes[] = { { .name = "n", .connected = true, .reachable = true, .kinds = 7, .vcpus = 4, .cpus = 4,
                                          .memory_bytes = UINT64_C(1) << 30, .node = &facts } };
        size_t index = 1;
        venv_placement_pool *pool = NULL;
        venv_placement_want want = { .environment = user };
        venv_placement_guest guest = { "class2", 1, 1, false };
        rc = venv_placement_pool_new(nodes, 1, context, NULL, &pool, NULL);
        if (rc == VENV_OK)
            rc = venv_placement_pool_add(pool, 0, &guest, NULL);
        if (rc == VENV_OK)
            rc = venv_placement_pool_choose(pool, &want, &index, NULL);
        if (rc == VENV_OK)
            assert_int_equal(index, 0); /* out of memory is never "no node may" */
        venv_placement_pool_free(pool);
    }
    venv_expr_context_free(context);
    venv_value_unref(&facts);
    return rc;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    venv_environment *environment = NULL;
    assert_int_equal(venv_json_parse(text, sizeof text - 1, 4096, &value, NULL), VENV_OK);
    assert_int_equal(venv_environment_expr_env(&expressions, NULL), VENV_OK);
    assert_int_equal(venv_environment_from_value("class2", &value, NULL, &(venv_environment_words){ .place = expressions }, &environment, NULL), VENV_OK);
    assert_true(alloc_check(read_and_tell, NULL) > 5);
    assert_true(alloc_check(draw, environment) > 0);
    assert_true(alloc_check(place, environment) > 0);
    assert_true(alloc_check(compare, environment) > 0);
    static char xl[] = "name = 'a name that is long enough'\nmemory = 64\nkernel = '/a/long/path/to/a/kernel'\n"
                       "disk = ['phy:/dev/vg0/a,xvda,w', 'file:/b,xvdb,r']\nvif = ['bridge=xenbr0,script=x']\npci = ['01:00.0']\n";
    static char domain[] = "<domain type='kvm'><name>a</name><memory>65536</memory><vcpu>1</vcpu><devices><disk type='file' device='disk'>"
                           "<driver type='raw'/><source file='/a'/></disk><hostdev/></devices></domain>";
    assert_true(alloc_check(import, xl) > 0);
    assert_true(alloc_check(import, domain) > 0);
    venv_environment_unref(environment);
    venv_expr_env_unref(expressions);
    venv_value_unref(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_allocation_fails_once) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
