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
#include "base/text.h"
#include "environment/definition.h"
#include "environment/domain.h"
#include "environment/instance.h"

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
#define SCHEMA_FILES 24

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

/* What has broken templates, parsers, shells and terminals before. */
static const char *const canaries[] = {
    "<", ">", "&", "'", "\"", "&amp;", "&lt;", "&#0;", "&#x0a;", "&xxe;", "]]>", "<![CDATA[", "-->", "<!--", "<?xml?>",
    "</cmdline>", "</source><disk/>", "\"/><qemu:commandline/>", "' onload='", "<!DOCTYPE x>", "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
    "%s%n%x", "${jndi:ldap}", "$(id)", "`id`", ";reboot", "||true", "{{7*7}}", "\\", "\\\\", "\xe2\x80\xae", "\xe2\x80\xa8", "\xef\xbb\xbf",
    "\xf0\x9f\x92\xa9", "\xc3\xa9\xcc\x81", "e\xcc\x81", "\xef\xbf\xbd", "xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\"",
};

static void append_random(venv_random *random, char *text, size_t size)
{
    size_t used = strlen(text);
    if (venv_random_below(random, 3) == 0) {
        const char *canary = canaries[venv_random_below(random, sizeof canaries / sizeof canaries[0])];
        snprintf(text + used, size - used, "%s", canary);
        return;
    }
    static const uint32_t ends[] = { 0x80, 0x80, 0x800, 0x10000, 0x110000 };
    char bytes[4];
    uint32_t point = (uint32_t)venv_random_below(random, ends[venv_random_below(random, 5)]);
    size_t step = venv_utf8_encode(point, bytes);
    if (used + step < size && point) {
        memcpy(text + used, bytes, step);
        text[used + step] = '\0';
    }
}

/* A text that a definition accepts, with as much mischief as it accepts. */
static char *random_text(venv_random *random, bool path, size_t size_max)
{
    char text[256];
    for (;;) {
        snprintf(text, sizeof text, "%s", path ? "/s/" : "");
        for (uint64_t i = 1 + venv_random_below(random, 12); i; i--)
            append_random(random, text, size_max < sizeof text ? size_max : sizeof text);
        venv_str whole = { text, strlen(text) };
        if (path ? venv_environment_path_check(whole) : venv_environment_text_check(whole, size_max))
            return strdup(text);
    }
}

static void random_environment(venv_random *random, venv_environment *e)
{
    memset(e, 0, sizeof *e);
    e->references = 1;
    snprintf(e->name, sizeof e->name, "class%u", (unsigned)venv_random_below(random, 100));
    e->hypervisor = (venv_hypervisor_kind)venv_random_below(random, VENV_HYPERVISOR__COUNT);
    e->vcpus = 1 + (uint32_t)venv_random_below(random, 64);
    e->memory_bytes = (16 + venv_random_below(random, 4096)) << 20;
    if (venv_random_below(random, 2)) {
        e->kernel = random_text(random, true, 200);
        e->initrd = random_text(random, true, 200);
        e->cmdline = random_text(random, false, 200);
    }
    e->disk_count = venv_random_below(random, VENV_ENVIRONMENT_DISKS_MAX + 1);
    for (size_t i = 0; i < e->disk_count; i++)
        e->disks[i] = (venv_environment_disk){
            .file = random_text(random, true, 200),
            .format = (venv_disk_format)venv_random_below(random, VENV_DISK_FORMAT__COUNT),
            .bus = (venv_disk_bus)venv_random_below(random, VENV_DISK_BUS__COUNT),
            .readonly = venv_random_below(random, 2) != 0,
        };
    e->network_count = venv_random_below(random, VENV_ENVIRONMENT_NETWORKS_MAX + 1);
    for (size_t i = 0; i < e->network_count; i++) {
        e->networks[i].kind = (venv_network_kind)venv_random_below(random, VENV_NETWORK_KIND__COUNT);
        if (e->networks[i].kind != VENV_NETWORK_USER) {
            char *name = random_text(random, false, 15);
            snprintf(e->networks[i].name, sizeof e->networks[i].name, "%s", name);
            free(name);
        }
        e->networks[i].has_mac = venv_random_below(random, 2) != 0;
        memcpy(e->networks[i].mac, (const uint8_t[]){ 0x52, 0x54, 0, 1, 2, (uint8_t)i }, 6);
    }
}

static void release_environment(venv_environment *e)
{
    free(e->kernel);
    free(e->initrd);
    free(e->cmdline);
    for (size_t i = 0; i < e->disk_count; i++)
        free(e->disks[i].file);
}

static void random_mark(venv_random *random, venv_machine_mark *mark)
{
    memset(mark, 0, sizeof *mark);
    mark->id = venv_random_id(random);
    mark->epoch = venv_random_next(random);
    snprintf(mark->cluster, sizeof mark->cluster, "lab.example");
    snprintf(mark->instance, sizeof mark->instance, "class2-%u", (unsigned)venv_random_below(random, 1000));
    if (venv_random_below(random, 2)) {
        char *console = random_text(random, true, 200);
        snprintf(mark->console, sizeof mark->console, "%s", console);
        free(console);
    }
}

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

/* What was put in comes out, and there is nothing else. */
static void assert_same(const char *xml, const venv_environment *e, const venv_machine_mark *mark)
{
    xmlDocPtr doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET);
    assert_non_null(doc);
    xmlXPathContextPtr context = xmlXPathNewContext(doc);
    assert_int_equal(xmlXPathRegisterNs(context, (const xmlChar *)"v", (const xmlChar *)VENV_MACHINE_MARK_NAMESPACE), 0);
    char path[128], text[80];
    assert_text(context, "/domain/@type", venv_hypervisor_kind_name(e->hypervisor));
    assert_text(context, "/domain/uuid", venv_id_format(mark->id, text));
    snprintf(text, sizeof text, "venv-%s", mark->instance);
    assert_text(context, "/domain/name", text);
    assert_text(context, "/domain/os/kernel", e->kernel);
    assert_text(context, "/domain/os/initrd", e->initrd);
    assert_text(context, "/domain/os/cmdline", e->cmdline);
    assert_text(context, "//serial/log/@file", mark->console[0] ? mark->console : NULL);
    assert_int_equal(count_of(context, "//disk"), e->disk_count);
    assert_int_equal(count_of(context, "//disk/backingStore[not(*) and not(text())]"), e->disk_count);
    assert_int_equal(count_of(context, "//interface"), e->network_count);
    for (size_t i = 0; i < e->disk_count; i++) {
        snprintf(path, sizeof path, "/domain/devices/disk[%zu]/source/@file", i + 1);
        assert_text(context, path, e->disks[i].file);
        snprintf(path, sizeof path, "/domain/devices/disk[%zu]/driver/@type", i + 1);
        assert_text(context, path, venv_disk_format_names[e->disks[i].format]);
        snprintf(path, sizeof path, "/domain/devices/disk[%zu]/readonly", i + 1);
        assert_int_equal(count_of(context, path), e->disks[i].readonly ? 1 : 0);
    }
    for (size_t i = 0; i < e->network_count; i++) {
        const char *kind = venv_network_kind_names[e->networks[i].kind];
        snprintf(path, sizeof path, "/domain/devices/interface[%zu]/@type", i + 1);
        assert_text(context, path, kind);
        snprintf(path, sizeof path, "/domain/devices/interface[%zu]/source/@%s", i + 1, kind);
        assert_text(context, path, e->networks[i].kind == VENV_NETWORK_USER ? NULL : e->networks[i].name);
    }
    /* The only foreign namespace is the mark's; no element but those that we make. */
    assert_int_equal(count_of(context, "//*[namespace-uri()!='']"), 1);
    assert_int_equal(count_of(context, "/domain/metadata/v:machine"), 1);
    assert_int_equal(count_of(context, "/domain/*"), 12 + (e->hypervisor == VENV_HYPERVISOR_TEST ? 0 : 1));
    assert_int_equal(count_of(context, "/domain/devices/*"), e->disk_count + e->network_count + 4);
    assert_int_equal(count_of(context, "//comment() | //processing-instruction()"), 0);
    assert_null(doc->intSubset);
    xmlXPathFreeContext(context);
    xmlFreeDoc(doc);
}

static void assert_mark_comes_back(const char *xml, const venv_environment *e, const venv_machine_mark *mark)
{
    venv_machine_mark back;
    assert_rc(venv_machine_mark_parse(xml, strlen(xml), &back, &err), VENV_OK);
    assert_true(venv_id_equal(back.id, mark->id));
    assert_string_equal(back.cluster, mark->cluster);
    assert_string_equal(back.instance, mark->instance);
    assert_string_equal(back.environment, e->name);
    assert_string_equal(back.console, mark->console);
    assert_true(back.epoch == mark->epoch);
    venv_domain_summary summary;
    assert_rc(venv_domain_summary_parse(xml, strlen(xml), &summary, &err), VENV_OK);
    assert_int_equal(summary.vcpus, e->vcpus);
    assert_true(summary.memory_bytes == e->memory_bytes);
}

static void no_character_changes_the_structure(void **state)
{
    (void)state;
    venv_random random;
    venv_random_init(&random, 20071123);
    for (int round = 0; round < 3000; round++) {
        venv_environment e;
        venv_machine_mark mark;
        char *xml = NULL;
        random_environment(&random, &e);
        random_mark(&random, &mark);
        assert_rc(venv_environment_domain_xml(&e, &mark, &xml, &err), VENV_OK);
        assert_same(xml, &e, &mark);
        assert_mark_comes_back(xml, &e, &mark);
        free(xml);
        release_environment(&e);
    }
}

static void the_check_of_texts_refuses_what_xml_cannot_hold(void **state)
{
    (void)state;
    for (uint32_t point = 1; point < 0x20; point++) {
        char c = (char)point;
        assert_false(venv_environment_text_check((venv_str){ &c, 1 }, 100));
    }
    assert_false(venv_environment_text_check((venv_str){ "a\0b", 3 }, 100));
    assert_false(venv_environment_text_check(VENV_STR("\x7f"), 100));
    assert_false(venv_environment_text_check(VENV_STR("\xc2\x85"), 100));         /* C1 */
    assert_false(venv_environment_text_check(VENV_STR("\xef\xbf\xbe"), 100));     /* U+FFFE */
    assert_false(venv_environment_text_check(VENV_STR("\xed\xa0\x80"), 100));     /* a surrogate */
    assert_false(venv_environment_text_check(VENV_STR("\xff"), 100));
    assert_false(venv_environment_text_check(VENV_STR(""), 100));
    assert_false(venv_environment_text_check(VENV_STR("abc"), 2));
    assert_true(venv_environment_text_check(VENV_STR("abc"), 3));
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
    venv_environment e;
    random_environment(&random, &e);
    venv_machine_mark good, mark;
    random_mark(&random, &good);
    char *xml = NULL;
    mark = good;
    snprintf(mark.instance, sizeof mark.instance, "../x");
    assert_rc(venv_environment_domain_xml(&e, &mark, &xml, &err), VENV_EINVAL);
    mark = good;
    snprintf(mark.cluster, sizeof mark.cluster, "a<b");
    assert_rc(venv_environment_domain_xml(&e, &mark, &xml, &err), VENV_EINVAL);
    mark = good;
    memset(mark.instance, 'a', sizeof mark.instance); /* no end */
    assert_rc(venv_environment_domain_xml(&e, &mark, &xml, &err), VENV_EINVAL);
    mark = good;
    memset(&mark.id, 0, sizeof mark.id);
    assert_rc(venv_environment_domain_xml(&e, &mark, &xml, &err), VENV_EINVAL);
    mark = good;
    snprintf(mark.console, sizeof mark.console, "relative.log");
    assert_rc(venv_environment_domain_xml(&e, &mark, &xml, &err), VENV_EINVAL);
    assert_null(xml);
    release_environment(&e);
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
        venv_environment e;
        venv_machine_mark mark;
        char *xml = NULL;
        random_environment(&random, &e);
        /* The schema is stricter than libvirt about the characters of a path and a device. */
        for (size_t k = 0; k < e.disk_count; k++)
            snprintf(e.disks[k].file, strlen(e.disks[k].file) + 1, "/d");
        for (size_t k = 0; k < e.network_count; k++)
            if (e.networks[k].kind != VENV_NETWORK_USER)
                snprintf(e.networks[k].name, sizeof e.networks[k].name, "br0");
        if (e.kernel) {
            snprintf(e.kernel, strlen(e.kernel) + 1, "/k");
            snprintf(e.initrd, strlen(e.initrd) + 1, "/i");
        }
        random_mark(&random, &mark);
        if (mark.console[0])
            snprintf(mark.console, sizeof mark.console, "/c");
        assert_rc(venv_environment_domain_xml(&e, &mark, &xml, &err), VENV_OK);
        snprintf(files[i], sizeof files[i], "%s/%d.xml", folder, i);
        FILE *file = fopen(files[i], "we");
        assert_non_null(file);
        assert_true(fputs(xml, file) >= 0 && fclose(file) == 0);
        argv[5 + i] = files[i];
        free(xml);
        release_environment(&e);
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
