/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instance states, and domain XML: no character of any field changes its structure, libvirt's own schema takes it,
 * and our mark comes back out of it, or of nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/random.h"
#include "base/buf.h"
#include "environment/definition.h"
#include "environment/domain.h"
#include "environment/instance.h"
#include "generate.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCHEMA "/usr/share/libvirt/schemas/domain.rng"
#define SCHEMA_FILES 100
#define HOSTILE_ROUNDS 10000u

static venv_error err;

#define assert_rc(rc, expected)                                                                        \
    do {                                                                                               \
        venv_rc rc_ = (rc);                                                                            \
        if (rc_ != (expected))                                                                         \
            print_error("%s instead of %s: %s\n", venv_rc_name(rc_), venv_rc_name(expected), err.text); \
        assert_int_equal(rc_, (expected));                                                             \
    } while (0)

/* --- states ------------------------------------------------------------------------------------------- */

static void every_state_has_a_name_and_obeys_the_picture(void **state)
{
    (void)state;
    for (int i = 0; i < VENV_INSTANCE__COUNT; i++) {
        const char *name = venv_instance_state_name((venv_instance_state)i);
        venv_instance_state back;
        assert_true(venv_instance_state_parse((venv_str){ name, strlen(name) }, &back));
        assert_int_equal(back, i);
        assert_false(venv_instance_may_become((venv_instance_state)i, (venv_instance_state)i));
        bool last = true;
        for (int k = 0; k < VENV_INSTANCE__COUNT; k++)
            last = last && !venv_instance_may_become((venv_instance_state)i, (venv_instance_state)k);
        assert_int_equal(last, venv_instance_is_final((venv_instance_state)i));
        /* What runs can go out of sight, and what holds nothing cannot. */
        if (i != VENV_INSTANCE_LOST)
            assert_int_equal(venv_instance_may_become((venv_instance_state)i, VENV_INSTANCE_LOST),
                             venv_instance_holds_resources((venv_instance_state)i));
    }
    venv_instance_state none;
    assert_false(venv_instance_state_parse(VENV_STR("Running"), &none));
    assert_false(venv_instance_state_parse(VENV_STR(""), &none));
    /* The lines of the picture. */
    static const venv_instance_state lines[][8] = {
        { VENV_INSTANCE_PENDING, VENV_INSTANCE_PLACING, VENV_INSTANCE_PREPARING, VENV_INSTANCE_STARTING,
          VENV_INSTANCE_RUNNING, VENV_INSTANCE_PAUSED, VENV_INSTANCE_RUNNING, VENV_INSTANCE__COUNT },
        { VENV_INSTANCE_RUNNING, VENV_INSTANCE_DRAINING, VENV_INSTANCE_STOPPING, VENV_INSTANCE_STOPPED,
          VENV_INSTANCE__COUNT },
        { VENV_INSTANCE_RUNNING, VENV_INSTANCE_SAVING, VENV_INSTANCE_SAVED, VENV_INSTANCE_RESTORING,
          VENV_INSTANCE_RUNNING, VENV_INSTANCE__COUNT },
        { VENV_INSTANCE_RUNNING, VENV_INSTANCE_MIGRATING, VENV_INSTANCE_RUNNING, VENV_INSTANCE__COUNT },
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        for (size_t k = 0; lines[i][k + 1] != VENV_INSTANCE__COUNT; k++)
            assert_true(venv_instance_may_become(lines[i][k], lines[i][k + 1]));
    assert_true(venv_instance_holds_resources(VENV_INSTANCE_LOST));
    assert_false(venv_instance_holds_resources(VENV_INSTANCE_SAVED));
    assert_false(venv_instance_may_become(VENV_INSTANCE_STOPPED, VENV_INSTANCE_RUNNING));
}

/* --- a machine with anything in it -------------------------------------------------------------------- */

static size_t count_of(xmlXPathContextPtr context, const char *path)
{
    xmlXPathObjectPtr found = xmlXPathEvalExpression((const xmlChar *)path, context);
    assert_non_null(found);
    size_t count = found->nodesetval ? (size_t)found->nodesetval->nodeNr : 0;
    xmlXPathFreeObject(found);
    return count;
}

static void assert_text(xmlXPathContextPtr context, const char *path, const char *expected)
{
    if (!expected) {
        assert_int_equal(count_of(context, path), 0);
        return;
    }
    assert_int_equal(count_of(context, path), 1);
    xmlXPathObjectPtr found = xmlXPathEvalExpression((const xmlChar *)path, context);
    xmlChar *text = xmlXPathCastToString(found);
    assert_string_equal((const char *)text, expected);
    xmlFree(text);
    xmlXPathFreeObject(found);
}

/* Names of elements and attributes, in order, with how deep they are: everything but the texts. */
static void print_shape(xmlNodePtr node, int depth, venv_buf *buf)
{
    for (; node; node = node->next) {
        if (node->type == XML_TEXT_NODE)
            continue;
        assert_int_equal(node->type, XML_ELEMENT_NODE);
        venv_buf_printf(buf, "%d%s%s(", depth, node->ns ? (const char *)node->ns->href : "", (const char *)node->name);
        for (xmlAttrPtr attribute = node->properties; attribute; attribute = attribute->next)
            venv_buf_printf(buf, "%s ", (const char *)attribute->name);
        venv_buf_printf(buf, ")%d\n", node->nsDef != NULL);
        print_shape(node->children, depth + 1, buf);
    }
}

static void shape_of(const char *xml, venv_buf *buf)
{
    xmlDocPtr doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET);
    assert_non_null(doc);
    assert_null(doc->intSubset);
    venv_buf_init(buf, 1 << 20);
    print_shape(doc->children, 0, buf);
    assert_int_equal(buf->rc, VENV_OK);
    xmlFreeDoc(doc);
}

/* Every text of the definition is in the document, whole, where it belongs. */
static void assert_texts(const char *xml, const generated *g)
{
    const venv_definition *is = venv_environment_peek(g->environment);
    xmlDocPtr doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET);
    assert_non_null(doc);
    xmlXPathContextPtr context = xmlXPathNewContext(doc);
    assert_int_equal(xmlXPathRegisterNs(context, (const xmlChar *)"v", (const xmlChar *)VENV_MACHINE_MARK_NAMESPACE), 0);
    char path[128], text[80];
    bool lxc = is->hypervisor == VENV_HYPERVISOR_LXC;
    assert_text(context, "/domain/@type", venv_hypervisor_kind_name(is->hypervisor));
    assert_text(context, "/domain/uuid", venv_id_format(g->mark.id, text));
    snprintf(text, sizeof text, "venv-%s", g->mark.instance);
    assert_text(context, "/domain/name", text);
    assert_text(context, "/domain/description", is->description);
    assert_text(context, "/domain/os/kernel", is->kernel);
    assert_text(context, "/domain/os/initrd", is->initrd);
    if (is->cmdline && !is->root)
        assert_text(context, "/domain/os/cmdline", is->cmdline);
    assert_int_equal(count_of(context, "/domain/os/initarg"), is->init.count ? is->init.count - 1 : 0);
    assert_int_equal(count_of(context, "//disk | //filesystem"), is->disk_count + (g->files.seed ? 1 : 0));
    assert_int_equal(count_of(context, "//interface"), is->network_count);
    for (size_t i = 0; i < is->disk_count; i++) {
        const venv_environment_disk *disk = &is->disks[i];
        const char *expected = disk->source == VENV_DISK_MADE      ? g->files.disks[i].path
                               : disk->source == VENV_DISK_NETWORK ? disk->network.name
                                                                   : disk->path;
        snprintf(path, sizeof path, "/domain/devices/%s[%zu]/source/@*[name()!='protocol']", lxc ? "filesystem" : "disk", i + 1);
        assert_text(context, path, expected);
        snprintf(path, sizeof path, "/domain/devices/%s[%zu]/readonly", lxc ? "filesystem" : "disk", i + 1);
        assert_int_equal(count_of(context, path), disk->readonly ? 1 : 0);
        if (lxc)
            continue;
        snprintf(path, sizeof path, "/domain/devices/disk[%zu]/driver/@type", i + 1);
        assert_text(context, path, venv_disk_format_names[disk->format]);
        /* The chain is always ended. */
        snprintf(path, sizeof path, "/domain/devices/disk[%zu]//backingStore[not(*)]", i + 1);
        assert_int_equal(count_of(context, path), 1);
    }
    for (size_t i = 0; i < is->network_count; i++) {
        snprintf(path, sizeof path, "/domain/devices/interface[%zu]/source/@*", i + 1);
        assert_text(context, path, is->networks[i].name);
    }
    assert_int_equal(count_of(context, "//*[namespace-uri()!='']"), 1);
    assert_int_equal(count_of(context, "/domain/metadata/v:machine"), 1);
    assert_int_equal(count_of(context, "//hostdev | //comment() | //processing-instruction()"), 0);
    xmlXPathFreeContext(context);
    xmlFreeDoc(doc);
}

static void assert_mark_comes_back(const char *xml, const generated *g)
{
    const venv_environment *e = g->environment;
    const venv_machine_mark *mark = &g->mark;
    venv_machine_mark back;
    assert_rc(venv_machine_mark_parse(xml, strlen(xml), &back, &err), VENV_OK);
    assert_true(venv_id_equal(back.id, mark->id));
    assert_string_equal(back.cluster, mark->cluster);
    assert_string_equal(back.instance, mark->instance);
    assert_string_equal(back.environment, venv_environment_name(e));
    assert_string_equal(back.console, mark->console);
    assert_true(back.epoch == mark->epoch);
    venv_domain_summary summary;
    assert_rc(venv_domain_summary_parse(xml, strlen(xml), &summary, &err), VENV_OK);
    assert_int_equal(summary.vcpus, venv_environment_vcpus(e));
    assert_true(summary.memory_bytes == venv_environment_memory_bytes(e));
}

static char *draw(const generated *g)
{
    char *xml = NULL;
    assert_rc(venv_environment_domain_xml(g->environment, &g->mark, &g->files, &xml, &err), VENV_OK);
    return xml;
}

/* The same definition twice, once with every text hostile and once with plain ones: the trees have the same shape. */
static void no_character_changes_the_structure(void **state)
{
    (void)state;
    for (unsigned round = 0; round < HOSTILE_ROUNDS; round++) {
        venv_random shape, same_shape, texts;
        generated hostile, tame;
        venv_random_init(&shape, 20071123 + round);
        venv_random_init(&same_shape, 20071123 + round);
        venv_random_init(&texts, round);
        generate(&shape, &texts, true, VENV_HYPERVISOR__COUNT, &hostile);
        generate(&same_shape, &texts, false, VENV_HYPERVISOR__COUNT, &tame);
        char *xml = draw(&hostile), *tame_xml = draw(&tame);
        venv_buf a, b;
        shape_of(xml, &a);
        shape_of(tame_xml, &b);
        assert_string_equal(venv_buf_peek_text(&a), venv_buf_peek_text(&b));
        if (round % 10 == 0) /* each text by its path is slow */
            assert_texts(xml, &hostile);
        assert_mark_comes_back(xml, &hostile);
        venv_buf_fini(&a);
        venv_buf_fini(&b);
        free(xml);
        free(tame_xml);
        generated_fini(&hostile);
        generated_fini(&tame);
    }
}

static void the_check_of_texts_refuses_what_xml_cannot_hold(void **state)
{
    (void)state;
    for (uint32_t point = 1; point < 0x20; point++) {
        char c = (char)point;
        assert_false(venv_environment_text_check((venv_str){ &c, 1 }, 100, false));
    }
    assert_false(venv_environment_text_check((venv_str){ "a\0b", 3 }, 100, false));
    assert_false(venv_environment_text_check(VENV_STR("\x7f"), 100, false));
    assert_false(venv_environment_text_check(VENV_STR("\xc2\x85"), 100, false));         /* C1 */
    assert_false(venv_environment_text_check(VENV_STR("\xef\xbf\xbe"), 100, false));     /* U+FFFE */
    assert_false(venv_environment_text_check(VENV_STR("\xed\xa0\x80"), 100, false));     /* a surrogate */
    assert_false(venv_environment_text_check(VENV_STR("\xff"), 100, false));
    assert_false(venv_environment_text_check(VENV_STR(""), 100, false));
    assert_false(venv_environment_text_check(VENV_STR("abc"), 2, false));
    assert_true(venv_environment_text_check(VENV_STR("abc"), 3, false));
    static const char *const bad_paths[] = { "", "a", "./a", "/", "/a/", "//a", "/a//b", "/a/./b", "/a/../b", "/..", "/a/..", "/a\n" };
    for (size_t i = 0; i < sizeof bad_paths / sizeof bad_paths[0]; i++)
        assert_false(venv_environment_path_check((venv_str){ bad_paths[i], strlen(bad_paths[i]) }));
    static const char *const good_paths[] = { "/a", "/a/b", "/a/..b", "/.a/b..", "/a/...", "/a b/\xc3\xa9" };
    for (size_t i = 0; i < sizeof good_paths / sizeof good_paths[0]; i++)
        assert_true(venv_environment_path_check((venv_str){ good_paths[i], strlen(good_paths[i]) }));
}

static void a_malformed_identity_makes_no_xml(void **state)
{
    (void)state;
    venv_random random;
    venv_random_init(&random, 3);
    generated g;
    generate(&random, &random, true, VENV_HYPERVISOR_KVM, &g);
    venv_machine_mark bad[5] = { g.mark, g.mark, g.mark, g.mark, g.mark };
    snprintf(bad[0].instance, sizeof bad[0].instance, "../x");
    snprintf(bad[1].cluster, sizeof bad[1].cluster, "a<b");
    memset(bad[2].instance, 'a', sizeof bad[2].instance); /* no end */
    memset(&bad[3].id, 0, sizeof bad[3].id);
    snprintf(bad[4].console, sizeof bad[4].console, "relative.log");
    char *xml = NULL;
    for (size_t i = 0; i < 5; i++)
        assert_rc(venv_environment_domain_xml(g.environment, &bad[i], &g.files, &xml, &err), VENV_EINVAL);
    assert_null(xml);
    generated_fini(&g);
}

/* --- the mark, as a stranger may have written it -------------------------------------------------------- */

#define MACHINE(attributes) "<machine cluster='lab' instance='a-1' environment='a' epoch='7' " attributes "/>"
#define MARKED(attributes) \
    "<venv:machine xmlns:venv='urn:venv:machine:1' cluster='lab' instance='a-1' environment='a' epoch='7' " attributes "/>"
#define UUID "<uuid>12345678-1234-4234-8234-123456789abc</uuid>"

static void marks_are_read_strictly(void **state)
{
    (void)state;
    static const struct {
        venv_rc rc;
        const char *xml;
    } cases[] = {
        { VENV_OK, MACHINE("") }, /* as libvirt gives it: without its namespace */
        { VENV_OK, MARKED("") },
        { VENV_OK, "<domain>" UUID "<metadata><o:x xmlns:o='urn:o'/>" MARKED("") "</metadata></domain>" },
        { VENV_OK, MACHINE("console='/var/log/a.log'") },
        { VENV_ENOENT, "<domain>" UUID "<metadata>" MACHINE("") "</metadata></domain>" },
        { VENV_ENOENT, "<domain>" UUID "<metadata><m:machine xmlns:m='urn:venv:machine:2'/></metadata></domain>" },
        { VENV_ENOENT, "<domain>" UUID "<description>" MARKED("") "</description></domain>" },
        { VENV_ENOENT, "<domain/>" },
        { VENV_ENOENT, "<other/>" },
        { VENV_ENOENT, "<m:machine xmlns:m='urn:someone:else'/>" },
        { VENV_EINVAL, "<domain><metadata>" MARKED("") "</metadata></domain>" },
        { VENV_EINVAL, "<domain><uuid>no</uuid><metadata>" MARKED("") "</metadata></domain>" },
        { VENV_EINVAL, MACHINE("console='a.log'") },
        { VENV_EINVAL, MACHINE("console='/a/../b'") },
        { VENV_EINVAL, "<machine cluster='lab' instance='a-1' environment='a' epoch='-1'/>" },
        { VENV_EINVAL, "<machine cluster='lab' instance='a-1' environment='a' epoch=''/>" },
        { VENV_EINVAL, "<machine cluster='lab' instance='a-1' environment='a' epoch='18446744073709551616'/>" },
        { VENV_EINVAL, "<machine cluster='lab' instance='a-1' environment='a'/>" },
        { VENV_EINVAL, "<machine cluster='lab' instance='A 1' environment='a' epoch='7'/>" },
        { VENV_EINVAL, "<machine cluster='lab' instance='a/1' environment='a' epoch='7'/>" },
        { VENV_EINVAL, "<machine instance='a-1' environment='a' epoch='7'/>" },
        { VENV_EINVAL, "<!DOCTYPE machine>" MACHINE("") },
        { VENV_EINVAL, "<!DOCTYPE m [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><machine cluster='lab' instance='&e;' environment='a' epoch='7'/>" },
        { VENV_EINVAL, "<machine cluster='lab' instance='&e;' environment='a' epoch='7'/>" },
        { VENV_EINVAL, MACHINE("") MACHINE("") },
        { VENV_EINVAL, "<machine" },
        { VENV_EINVAL, "" },
        { VENV_EINVAL, "\xff\xfe<\0m\0" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        venv_machine_mark mark = { .epoch = 99 };
        venv_rc rc = venv_machine_mark_parse(cases[i].xml, strlen(cases[i].xml), &mark, &err);
        if (rc != cases[i].rc)
            print_error("case %zu: %s\n", i, cases[i].xml);
        assert_rc(rc, cases[i].rc);
        assert_int_equal(mark.epoch, rc == VENV_OK ? 7 : 99); /* untouched on failure */
    }
}

static void large_and_deep_xml_is_refused(void **state)
{
    (void)state;
    venv_machine_mark mark;
    char *text = malloc(VENV_ENVIRONMENT_XML_MAX + 2);
    assert_non_null(text);
    memset(text, ' ', VENV_ENVIRONMENT_XML_MAX + 1);
    assert_rc(venv_machine_mark_parse(text, VENV_ENVIRONMENT_XML_MAX + 1, &mark, &err), VENV_ELIMIT);
    for (size_t i = 0; i + 3 <= VENV_ENVIRONMENT_XML_MAX; i += 3)
        memcpy(text + i, "<a>", 3);
    assert_rc(venv_machine_mark_parse(text, VENV_ENVIRONMENT_XML_MAX, &mark, &err), VENV_EINVAL);
    free(text);
}

/* Every prefix of a good document, and every one with one byte changed, is read or refused, never worse. */
static void damaged_marks_do_no_harm(void **state)
{
    (void)state;
    static const char good[] = "<domain>" UUID "<metadata>" MARKED("console='/x'") "</metadata></domain>";
    char text[sizeof good];
    venv_random random;
    venv_random_init(&random, 5);
    for (size_t size = 0; size < sizeof good; size++) {
        venv_machine_mark mark;
        (void)!venv_machine_mark_parse(good, size, &mark, &err);
    }
    for (int round = 0; round < 5000; round++) {
        venv_machine_mark mark;
        memcpy(text, good, sizeof good);
        for (int k = 0; k < 1 + round % 3; k++)
            text[venv_random_below(&random, sizeof good - 1)] = (char)venv_random_next(&random);
        (void)!venv_machine_mark_parse(text, sizeof good - 1, &mark, &err);
    }
}

/* --- libvirt's own schema ------------------------------------------------------------------------------ */

static void libvirts_schema_takes_it(void **state)
{
    (void)state;
    assert_int_equal(access(SCHEMA, R_OK), 0);
    char folder[] = "/tmp/venv-xml-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char files[SCHEMA_FILES][64];
    const char *argv[SCHEMA_FILES + 6] = { "xmllint", "--noout", "--nonet", "--relaxng", SCHEMA };
    venv_random random;
    venv_random_init(&random, 11);
    for (int i = 0; i < SCHEMA_FILES; i++) {
        generated g;
        /* Tame texts: the schema is stricter than libvirt about the characters of a path and a device. */
        generate(&random, &random, false, (venv_hypervisor_kind)(i % VENV_HYPERVISOR__COUNT), &g);
        char *xml = draw(&g);
        snprintf(files[i], sizeof files[i], "%s/%d.xml", folder, i);
        FILE *file = fopen(files[i], "we");
        assert_non_null(file);
        assert_true(fputs(xml, file) >= 0 && fclose(file) == 0);
        argv[5 + i] = files[i];
        free(xml);
        generated_fini(&g);
    }
    char said[64], line[512];
    snprintf(said, sizeof said, "%s/said", folder);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen(said, "w", stderr))
            _exit(126);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    int status = -1;
    assert_true(waitpid(child, &status, 0) == child);
    FILE *file = fopen(said, "re");
    while (file && fgets(line, sizeof line, file))
        if (!strstr(line, " validates"))
            print_error("%s", line);
    if (file)
        fclose(file);
    unlink(said);
    for (int i = 0; i < SCHEMA_FILES; i++)
        unlink(files[i]);
    rmdir(folder);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_has_a_name_and_obeys_the_picture),
        cmocka_unit_test(no_character_changes_the_structure),
        cmocka_unit_test(the_check_of_texts_refuses_what_xml_cannot_hold),
        cmocka_unit_test(a_malformed_identity_makes_no_xml),
        cmocka_unit_test(marks_are_read_strictly),
        cmocka_unit_test(large_and_deep_xml_is_refused),
        cmocka_unit_test(damaged_marks_do_no_harm),
        cmocka_unit_test(libvirts_schema_takes_it),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    xmlCleanupParser();
    return failed != 0;
}
