/* SPDX-License-Identifier: Apache-2.0 */
/* The suite over real servers that servers.py has started, and what goes wrong with servers. */
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>

static venv_storage_credential credentials[8];
static size_t credential_count;

static const char *env(const char *name)
{
    const char *value = getenv(name);
    if (!value) {
        print_error("%s is not set: run this by servers.py\n", name);
        abort();
    }
    return value;
}

static const char *file_reference(const char *path)
{
    char *kept = NULL;
    if (asprintf(&kept, "file:%s", path) < 0)
        abort();
    return kept;
}

/* SCHEME://host:port of a URL. */
static char *origin(const char *url)
{
    char *kept = strdup(url);
    const char *authority = strstr(kept, "://") + 3;
    char *at = strchr(kept, '@');
    kept[(size_t)(authority - kept) + strcspn(authority, "/#")] = 0;
    if (at && at < kept + strlen(kept))
        memmove(kept + (authority - kept), at + 1, strlen(at + 1) + 1);
    return kept;
}

static int prepare(void **state)
{
    (void)state;
    const char *web = file_reference(env("VENV_TEST_WEB_PASSWORD")), *ftp = file_reference(env("VENV_TEST_FTP_PASSWORD"));
    size_t n = 0;
    credentials[n++] = (venv_storage_credential){ .name = "web", .for_url = origin(env("VENV_TEST_HTTPS")), .user = "ali",
                                                  .secret = web, .ca_file = env("VENV_TEST_CA") };
    credentials[n++] = (venv_storage_credential){ .name = "ftp", .for_url = origin(env("VENV_TEST_FTP")), .user = "anonymous",
                                                  .secret = ftp, .ca_file = env("VENV_TEST_CA") };
    credentials[n++] = (venv_storage_credential){ .name = "ftps", .for_url = origin(env("VENV_TEST_FTPS")), .user = "anonymous",
                                                  .secret = ftp, .ca_file = env("VENV_TEST_CA") };
    credentials[n++] = (venv_storage_credential){ .name = "ssh", .for_url = origin(env("VENV_TEST_SFTP")),
                                                  .key_file = env("VENV_TEST_SFTP_KEY"),
                                                  .known_hosts = env("VENV_TEST_SFTP_KNOWN") };
    credentials[n++] = (venv_storage_credential){ .name = "s3", .for_url = env("VENV_TEST_S3_ENDPOINT"),
                                                  .user = env("VENV_TEST_S3_USER"),
                                                  .secret = file_reference(env("VENV_TEST_S3_SECRET")) };
    credential_count = n;
    return 0;
}

static venv_storage *make(void)
{
    venv_storage_options options = VENV_STORAGE_OPTIONS_INIT;
    venv_storage *storage = NULL;
    options.schemes = "all";
    options.networks = "loopback";
    options.credentials = credentials;
    options.credential_count = credential_count;
    options.timeout = (venv_span){ 20 * VENV_NS_PER_S };
    options.retry = (venv_storage_retry){ 1, { 0 }, { 0 }, { 0 }, 0 };
    suite_ok(venv_storage_new(&options, &storage, &suite_err));
    return storage;
}

static void run(const char *variable, const char *label, const char *settings)
{
    venv_storage *s = make();
    char base[1024];
    (void)snprintf(base, sizeof base, "%s%s", env(variable), settings);
    suite_run(s, base, label);
    venv_storage_free(s);
}

static void test_http(void **state)
{
    (void)state;
    run("VENV_TEST_HTTP", "nginx, http", "");
}

static void test_https(void **state)
{
    (void)state;
    run("VENV_TEST_HTTPS", "nginx, https with a password", "");
}

static void test_dav(void **state)
{
    (void)state;
    run("VENV_TEST_DAV", "nginx, WebDAV", "");
}

static void test_davs(void **state)
{
    (void)state;
    run("VENV_TEST_DAVS", "nginx, WebDAV over TLS", "#credential=web");
}

static void test_ftp(void **state)
{
    (void)state;
    run("VENV_TEST_FTP", "vsftpd, plain", "");
}

static void test_ftp_tls(void **state)
{
    (void)state;
    run("VENV_TEST_FTP", "vsftpd, explicit TLS", "#tls=required");
}

static void test_ftps(void **state)
{
    (void)state;
    run("VENV_TEST_FTPS", "vsftpd, implicit TLS", "");
}

static void test_sftp(void **state)
{
    (void)state;
    run("VENV_TEST_SFTP", "OpenSSH", "");
}

static void test_s3(void **state)
{
    (void)state;
    run("VENV_TEST_S3", "s3", "");
    run("VENV_TEST_S3", "s3, credential by name", ",credential=s3");
}

static void test_wrong_credentials(void **state)
{
    (void)state;
    venv_storage *s = make();
    venv_storage_info info;
    venv_storage_free(s);
    /* The right names with the wrong secrets. */
    venv_storage_credential right[8];
    memcpy(right, credentials, sizeof right);
    setenv("VENV_TEST_BAD", "not the secret", 1);
    for (size_t i = 0; i < credential_count; i++)
        credentials[i].secret = "env:VENV_TEST_BAD";
    credentials[3].secret = NULL;
    credentials[3].known_hosts = env("VENV_TEST_SFTP_WRONG");
    s = make();
    static const char *const places[] = { "VENV_TEST_HTTPS", "VENV_TEST_DAVS", "VENV_TEST_FTP", "VENV_TEST_FTPS",
                                          "VENV_TEST_SFTP", "VENV_TEST_S3" };
    for (size_t i = 0; i < 6; i++) {
        suite_fails(venv_storage_stat(s, suite_url(env(places[i]), "x"), &info, &suite_err), VENV_STORAGE_CREDENTIAL);
        assert_null(strstr(suite_err.text, "not the secret"));
        assert_null(strstr(suite_err.output, "not the secret"));
        assert_false(suite_err.retryable);
    }
    venv_storage_free(s);
    /* An authority that did not sign it. */
    memcpy(credentials, right, sizeof right);
    credentials[0].ca_file = NULL;
    credentials[3].known_hosts = "/nonexistent";
    s = make();
    suite_fails(venv_storage_stat(s, suite_url(env("VENV_TEST_HTTPS"), "x"), &info, &suite_err), VENV_STORAGE_CREDENTIAL);
    assert_int_equal(suite_err.phase, VENV_STORAGE_CONNECT);
    suite_fails(venv_storage_stat(s, suite_url(env("VENV_TEST_SFTP"), "x"), &info, &suite_err), VENV_STORAGE_CREDENTIAL);
    venv_storage_free(s);
    memcpy(credentials, right, sizeof right);
}

static void test_redirects(void **state)
{
    (void)state;
    venv_storage *s = make();
    char *web = origin(env("VENV_TEST_HTTP")), *tls = origin(env("VENV_TEST_HTTPS"));
    uint8_t *data = NULL;
    size_t size = 0;
    suite_ok(venv_storage_put_bytes(s, suite_url(web, "moved.txt"), "moved", 5, 0, &suite_err));
    suite_ok(venv_storage_get_bytes(s, suite_url(web, "there"), 100, &data, &size, &suite_err));
    assert_int_equal(size, 5);
    free(data);
    suite_fails(venv_storage_get_bytes(s, suite_url(web, "loop"), 100, &data, &size, &suite_err), VENV_STORAGE_PROTOCOL_MISMATCH);
    static const char *const bad[] = { "to-file", "to-metadata", "to-ftp" };
    for (size_t i = 0; i < 3; i++)
        suite_fails(venv_storage_get_bytes(s, suite_url(web, bad[i]), 100, &data, &size, &suite_err), VENV_STORAGE_PERMISSION);
    suite_fails(venv_storage_get_bytes(s, suite_url(tls, "to-plain"), 100, &data, &size, &suite_err), VENV_STORAGE_PERMISSION);
    suite_fails(venv_storage_get_bytes(s, suite_url(web, "busy"), 100, &data, &size, &suite_err), VENV_STORAGE_BUSY);
    assert_int_equal(suite_err.native, 503);
    assert_true(suite_err.retryable && suite_err.retry_after.ns == VENV_NS_PER_S);
    free(web);
    free(tls);
    venv_storage_free(s);
}

static void test_between_servers(void **state)
{
    (void)state;
    static const char *const places[] = { "VENV_TEST_DAV", "VENV_TEST_FTP", "VENV_TEST_SFTP", "VENV_TEST_S3", "VENV_TEST_HTTPS" };
    venv_storage *s = make();
    enum { SIZE = 500000 };
    uint8_t *bytes = malloc(SIZE), *data = NULL;
    size_t size = 0;
    suite_bytes(bytes, SIZE, 9);
    for (size_t from = 0; from < 5; from++) {
        suite_ok(venv_storage_put_bytes(s, suite_url(env(places[from]), "source"), bytes, SIZE, 0, &suite_err));
        for (size_t to = 0; to < 5; to++) {
            const char *target = suite_url(env(places[to]), "target");
            suite_ok(venv_storage_copy(s, suite_url(env(places[from]), "source"), target, NULL, NULL, &suite_err));
            suite_ok(venv_storage_get_bytes(s, target, SIZE, &data, &size, &suite_err));
            assert_int_equal(size, SIZE);
            assert_memory_equal(data, bytes, SIZE);
            free(data);
            suite_ok(venv_storage_delete(s, target, &suite_err));
        }
        suite_ok(venv_storage_delete(s, suite_url(env(places[from]), "source"), &suite_err));
    }
    free(bytes);
    venv_storage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http), cmocka_unit_test(test_https), cmocka_unit_test(test_dav), cmocka_unit_test(test_davs),
        cmocka_unit_test(test_ftp), cmocka_unit_test(test_ftp_tls), cmocka_unit_test(test_ftps), cmocka_unit_test(test_sftp),
        cmocka_unit_test(test_s3), cmocka_unit_test(test_wrong_credentials), cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_between_servers),
    };
    const char *only = getenv("VENV_TEST_ONLY");
    if (only)
        cmocka_set_test_filter(only);
    return cmocka_run_group_tests(tests, prepare, NULL);
}
