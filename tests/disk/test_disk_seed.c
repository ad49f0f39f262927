/* SPDX-License-Identifier: Apache-2.0 */
/* The seed of cloud-init, read by other programs than the one that wrote it; and host names. */
#include "disk/parts.h"

#include "../support/tempdir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *top;

static int begin(void **state)
{
    (void)state;
    top = tempdir_make();
    return 0;
}

static int end(void **state)
{
    (void)state;
    tempdir_remove(top);
    return 0;
}

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
    char line[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (tempdir_shell(line) != 0)
        fail_msg("%s", line);
}

static void write_seed(venv_machine_files *files)
{
    int fd = open(tempdir_path(top, "seed.iso"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(venv_seed_write(fd, files, NULL), VENV_OK);
    close(fd);
    shell("cd %s && rm -rf out && mkdir out && bsdtar -x -f seed.iso -C out", top);
}

static venv_value network(const char *text)
{
    venv_value value = venv_value_null();
    assert_int_equal(venv_json_parse(text, strlen(text), 0, &value, NULL), VENV_OK);
    return value;
}

static void test_others_read_it(void **state)
{
    static const char user_data[] = "#cloud-config\nhostname: \"x\"\nruncmd: [\"echo \xc3\xa9 'quote' \\\"\"]\n";
    (void)state;
    venv_machine_files files = { .epoch = 12, .instance = "class2-7" };
    venv_value net = network("{\"version\": 2, \"ethernets\": {\"id0\": {\"match\": {\"macaddress\": \"02:00:00:00:00:01\"}, \"dhcp4\": true}}}");
    assert_int_equal(venv_seed_texts(&files, VENV_STR(user_data), &net, NULL), VENV_OK);
    venv_value_unref(&net);
    write_seed(&files);
    tempdir_write_text(tempdir_path(top, "user-data"), user_data, 0600);
    shell("cd %s && cmp out/user-data user-data", top);
    shell("cd %s/out && test \"$(ls | tr '\\n' ' ')\" = 'meta-data network-config user-data '", top);
    shell("cd %s/out && python3 -c \"import json; m = json.load(open('meta-data')); assert m == {'instance-id': 'class2-7-12', 'local-hostname': 'class2-7'}, m\"", top);
    shell("cd %s/out && python3 -c \"import json; m = json.load(open('network-config')); assert m['ethernets']['id0']['dhcp4'] is True, m\"", top);
    shell("blkid -p %s/seed.iso | grep -q 'LABEL=\"CIDATA\"'", top);
    shell("isoinfo -i %s/seed.iso -J -x /user-data | cmp - %s/user-data", top, top);
    /* Again, without network and user data. */
    free(files.network_config);
    files.network_config = NULL;
    assert_int_equal(venv_seed_texts(&files, VENV_STR(""), NULL, NULL), VENV_OK);
    write_seed(&files);
    shell("cd %s/out && test \"$(ls | tr '\\n' ' ')\" = 'meta-data user-data ' && ! test -s user-data", top);
    free(files.meta_data);
    free(files.user_data);
}

/* What stands in a definition cannot become another key, or end the file. */
static void test_hostile_texts(void **state)
{
    static const char *const texts[] = { "a\\nb: c", "\\\"\\n}\\n---\\nx: y", "# }", "${x} `id` $(id)", "\\u2028\\u202e", "'\\\"{[&*!|>%@" };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        venv_machine_files files = { .epoch = 1, .instance = "a" };
        char json[256];
        snprintf(json, sizeof json, "{\"%s\": \"%s\"}", texts[i], texts[i]);
        venv_value net = network(json), back = venv_value_null();
        assert_int_equal(venv_seed_texts(&files, VENV_STR(""), &net, NULL), VENV_OK);
        assert_int_equal(venv_yaml_parse(files.network_config, strlen(files.network_config), NULL, &back, NULL, NULL), VENV_OK);
        assert_true(venv_value_equal(&net, &back));
        venv_value_unref(&net);
        venv_value_unref(&back);
        free(files.meta_data);
        free(files.user_data);
        free(files.network_config);
    }
    venv_machine_files files = { .epoch = 1, .instance = "a" };
    venv_value list = network("[1]");
    assert_int_equal(venv_seed_texts(&files, VENV_STR(""), &list, NULL), VENV_EINVAL);
    venv_value_unref(&list);
    char *large = calloc(1, VENV_SEED_TEXT_MAX + 1);
    assert_int_equal(venv_seed_texts(&files, (venv_str){ large, VENV_SEED_TEXT_MAX + 1 }, NULL, NULL), VENV_ELIMIT);
    free(large);
}

static void test_host_names(void **state)
{
    static const struct {
        const char *instance, *host;
    } rows[] = {
        { "class2-7", "class2-7" }, { "a", "a" }, { "8-core_x-1", "8-core-x-1" }, { "a.b", "a.b" }, { "n1.lab-2.x", "n1.lab-2.x" },
        { "", NULL }, { "-a", NULL }, { "a-", NULL }, { "a_", NULL }, { "a.", NULL }, { ".a", NULL }, { "a..b", NULL }, { "a-.b", NULL }, { "a.-b", NULL },
        { "a b", NULL }, { "a\nb", NULL }, { "a/b", NULL }, { "\xc3\xa9", NULL },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char host[VENV_NAME_MAX + 1] = "";
        bool good = venv_seed_host_name(rows[i].instance, host);
        if (good != (rows[i].host != NULL) || (good && strcmp(host, rows[i].host) != 0))
            fail_msg("'%s' became '%s'", rows[i].instance, good ? host : "none");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_others_read_it), cmocka_unit_test(test_hostile_texts), cmocka_unit_test(test_host_names) };
    return cmocka_run_group_tests(tests, begin, end);
}
