/* SPDX-License-Identifier: Apache-2.0 */
/* A client's configuration: addresses, client.yaml with its mistakes, directories of certificates. */
#include "client/address.h"
#include "client/config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static venv_rc load(const char *text, venv_client_config **ret_config, venv_error *err)
{
    write_file("client.yaml", text);
    assert_int_equal(venv_client_config_new(ret_config, NULL), VENV_OK);
    return venv_client_config_load(*ret_config, path_of("client.yaml"), err);
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *port;
    } good[] = {
        { "mgr", "mgr", "7420" },
        { "mgr.example.org:1", "mgr.example.org", "1" },
        { "192.0.2.7:65535", "192.0.2.7", "65535" },
        { "[2001:db8::1]:7000", "2001:db8::1", "7000" },
        { "[::1]", "::1", "7420" },
        { "2001:db8::1", "2001:db8::1", "7420" },
        { "fe80::1%eth0", "fe80::1%eth0", "7420" },
        { "mgr:00080", "mgr", "80" },
    };
    static const char *const bad[] = { "", ":", ":7420", "mgr:", "mgr:0", "mgr:65536", "mgr:x", "mgr:7420x", "[::1", "[::1]x",
                                       "[::1]:", "[]:1", "a b", "mgr/x", "mgr:123456", "ä" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        venv_address address;
        assert_int_equal(venv_address_parse(good[i].text, &address, NULL), VENV_OK);
        assert_string_equal(address.host, good[i].host);
        assert_string_equal(address.port, good[i].port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        venv_address address;
        venv_error err = { 0 };
        assert_int_equal(venv_address_parse(bad[i], &address, &err), VENV_EINVAL);
        assert_non_null(strstr(err.text, "HOST:PORT"));
    }
}

static void test_good_file(void **state)
{
    (void)state;
    venv_client_config *config = NULL;
    venv_error err = { 0 };
    char expected[256];
    assert_int_equal(load("managers: [one:1, two]\ntls: {ca: pki/ca.crt, certificate: /etc/a.crt, key: a.key}\n", &config, &err), VENV_OK);
    assert_int_equal(venv_client_config_manager_count(config), 2);
    assert_string_equal(venv_client_config_manager_at(config, 0), "one:1");
    assert_string_equal(venv_client_config_manager_at(config, 1), "two");
    assert_null(venv_client_config_manager_at(config, 2));
    assert_true(venv_client_config_has_tls(config));
    snprintf(expected, sizeof expected, "%s/pki/ca.crt", directory);
    assert_string_equal(config->ca, expected);
    assert_string_equal(config->certificate, "/etc/a.crt");
    snprintf(expected, sizeof expected, "%s/a.key", directory);
    assert_string_equal(config->key, expected);
    venv_client_config_free(config);
}

static void test_what_is_set_stays(void **state)
{
    (void)state;
    venv_client_config *config = NULL;
    venv_error err = { 0 };
    write_file("client.yaml", "managers: [file:1]\ntls: {ca: c, certificate: d, key: e}\n");
    assert_int_equal(venv_client_config_new(&config, NULL), VENV_OK);
    assert_int_equal(venv_client_config_add_manager(config, "line:2", NULL), VENV_OK);
    assert_int_equal(venv_client_config_load(config, path_of("client.yaml"), &err), VENV_OK);
    assert_int_equal(venv_client_config_manager_count(config), 1);
    assert_string_equal(venv_client_config_manager_at(config, 0), "line:2");
    assert_true(venv_client_config_has_tls(config));
    venv_client_config_free(config);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line, column; /* 0: not looked at */
        const char *says;
    } rows[] = {
        { "manager: [a]\n", 1, 1, "did you mean \"managers\"" },
        { "managers: a\n", 1, 11, "list" },
        { "managers: []\n", 1, 11, "list" },
        { "managers:\n  - a\n  - 'b c'\n", 3, 5, "HOST:PORT" },
        { "managers:\n  - 7420\n", 2, 5, "address" },
        { "managers: [a]\ntls: {ca: x, certificate: y}\n", 2, 6, "key" },
        { "tls: {ca: x, cert: y, key: z}\n", 1, 14, "\"cert\"" },
        { "tls: 5\n", 1, 6, "map" },
        { "tls: {ca: 5, certificate: y, key: z}\n", 1, 11, "file" },
        { "- a\n", 1, 1, "map" },
        { "managers: [a\n", 0, 0, "" },
        { "a: &x 1\nb: *x\n", 1, 0, "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        venv_client_config *config = NULL;
        venv_error err = { 0 };
        char text[1024];
        venv_rc rc = load(rows[i].text, &config, &err);
        venv_error_format(&err, text, sizeof text);
        if (rc == VENV_OK || !strstr(err.text, rows[i].says) || (rows[i].line && err.line != rows[i].line) ||
            (rows[i].column && err.column != rows[i].column))
            fail_msg("row %zu: %s", i, text);
        assert_int_equal(rc, VENV_EINVAL);
        assert_non_null(strstr(err.file, "client.yaml"));
        assert_int_equal(venv_client_config_manager_count(config), 0); /* as it was */
        venv_client_config_free(config);
    }
}

static void test_limits(void **state)
{
    (void)state;
    venv_client_config *config = NULL;
    venv_error err = { 0 };
    char text[1024] = "managers: [";
    for (int i = 0; i < VENV_CLIENT_MANAGERS_MAX + 1; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%sm%d", i ? ", " : "", i);
    snprintf(text + strlen(text), sizeof text - strlen(text), "]\n");
    assert_int_equal(load(text, &config, &err), VENV_ELIMIT);
    venv_client_config_free(config);
    char *large = malloc(70000);
    assert_non_null(large);
    memset(large, '#', 69999);
    large[69999] = 0;
    assert_int_equal(load(large, &config, &err), VENV_ELIMIT);
    venv_client_config_free(config);
    free(large);
}

static void test_default_places(void **state)
{
    (void)state;
    venv_client_config *config = NULL;
    venv_error err = { 0 };
    char old[256] = "", path[256];
    if (getenv("HOME"))
        snprintf(old, sizeof old, "%s", getenv("HOME"));
    assert_int_equal(setenv("HOME", directory, 1), 0);
    assert_int_equal(venv_client_config_new(&config, NULL), VENV_OK);
    if (access("/etc/venv/client.yaml", F_OK) != 0)
        assert_int_equal(venv_client_config_load(config, NULL, &err), VENV_ENOENT);
    snprintf(path, sizeof path, "%s/.config", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/.config/venv", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file(".config/venv/client.yaml", "managers: [home]\n");
    assert_int_equal(venv_client_config_load(config, NULL, &err), VENV_OK);
    assert_string_equal(venv_client_config_manager_at(config, 0), "home");
    venv_client_config_free(config);
    assert_int_equal(unlink(path_of(".config/venv/client.yaml")), 0);
    assert_int_equal(rmdir(path_of(".config/venv")), 0);
    assert_int_equal(rmdir(path_of(".config")), 0);
    assert_int_equal(setenv("HOME", old, 1), 0);
}

static void test_directory_of_certificates(void **state)
{
    (void)state;
    venv_client_config *config = NULL;
    venv_error err = { 0 };
    assert_int_equal(venv_client_config_new(&config, NULL), VENV_OK);
    assert_int_equal(venv_client_config_set_tls_dir(config, "/nowhere", NULL, &err), VENV_ENOENT);
    assert_int_equal(venv_client_config_set_tls_dir(config, directory, NULL, &err), VENV_ENOENT);
    assert_non_null(strstr(err.text, "cert issue user"));
    write_file("user-ann.crt", "");
    write_file("agent-x.crt", "");
    assert_int_equal(venv_client_config_set_tls_dir(config, directory, NULL, &err), VENV_OK);
    assert_string_equal(config->certificate, path_of("user-ann.crt"));
    assert_string_equal(config->key, path_of("user-ann.key"));
    assert_string_equal(config->ca, path_of("ca.crt"));
    write_file("user-bob.crt", "");
    assert_int_equal(venv_client_config_set_tls_dir(config, directory, NULL, &err), VENV_EINVAL);
    assert_non_null(strstr(err.text, "ann"));
    assert_non_null(strstr(err.text, "bob"));
    assert_int_equal(venv_client_config_set_tls_dir(config, directory, "bob", &err), VENV_OK);
    assert_string_equal(config->key, path_of("user-bob.key"));
    venv_client_config_free(config);
    static const char *const files[] = { "user-ann.crt", "user-bob.crt", "agent-x.crt" };
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(unlink(path_of(files[i])), 0);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/venv-test-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path_of("client.yaml"));
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_good_file),
        cmocka_unit_test(test_what_is_set_stays),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_default_places),
        cmocka_unit_test(test_directory_of_certificates),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
