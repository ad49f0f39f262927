/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors, retries and rules: each row of the table of codes, each class at each phase by mock:, copies that fail on the
 * way, and the matrix of addresses that must not be reached (threat T22) with a canary that listens.
 */
#include "storage/error.h"
#include "suite.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static venv_storage *make(uint32_t attempts, const char *networks)
{
    venv_storage_options options = VENV_STORAGE_OPTIONS_INIT;
    venv_storage *storage = NULL;
    options.schemes = "all";
    options.networks = networks;
    options.connect_timeout = (venv_span){ VENV_NS_PER_S / 5 };
    options.retry = (venv_storage_retry){ attempts, { 1000000 }, { 2000000 }, { 0 }, 0 };
    suite_ok(venv_storage_new(&options, &storage, &suite_err));
    return storage;
}

static void test_each_row(void **state)
{
    (void)state;
    assert_true(venv_storage_row_count() > 130);
    for (size_t i = 0; i < venv_storage_row_count(); i++) {
        const venv_storage_row *row = venv_storage_row_at(i);
        long code = row->code < 0 ? -row->code * 100 + 99 : row->code;
        char words[128];
        (void)snprintf(words, sizeof words, "before: %s after", row->words ? row->words : "");
        venv_storage_error err = { 0 };
        assert_ptr_equal(venv_storage_row_find(row->family, code, words), row); /* no row hides another */
        venv_rc rc = venv_storage_fail_code(&err, row->family, code, words, VENV_STORAGE_NONE, "row %zu", i);
        assert_int_equal(err.klass, row->klass);
        assert_int_equal(err.phase, row->phase);
        assert_int_equal(err.retryable, row->retryable);
        assert_int_equal(err.native, code);
        assert_int_equal(rc, venv_storage_class_rc(row->klass));
        assert_true(rc < 0);
    }
    /* Some by hand, so that the table is not only compared with itself. */
    static const struct { venv_storage_family family; long code; const char *words; venv_storage_class klass; bool retryable; } known[] = {
        { VENV_STORAGE_FAMILY_ERRNO, ENOENT, NULL, VENV_STORAGE_NOT_FOUND, false },
        { VENV_STORAGE_FAMILY_ERRNO, ENOSPC, NULL, VENV_STORAGE_NO_SPACE, false },
        { VENV_STORAGE_FAMILY_ERRNO, ESTALE, NULL, VENV_STORAGE_STALE_HANDLE, true },
        { VENV_STORAGE_FAMILY_ERRNO, EXDEV, NULL, VENV_STORAGE_PERMISSION, false },
        { VENV_STORAGE_FAMILY_HTTP, 401, NULL, VENV_STORAGE_CREDENTIAL, false },
        { VENV_STORAGE_FAMILY_HTTP, 404, NULL, VENV_STORAGE_NOT_FOUND, false },
        { VENV_STORAGE_FAMILY_HTTP, 418, NULL, VENV_STORAGE_OPERATION, false },
        { VENV_STORAGE_FAMILY_HTTP, 503, NULL, VENV_STORAGE_BUSY, true },
        { VENV_STORAGE_FAMILY_HTTP, 507, NULL, VENV_STORAGE_NO_SPACE, false },
        { VENV_STORAGE_FAMILY_FTP, 530, NULL, VENV_STORAGE_CREDENTIAL, false },
        { VENV_STORAGE_FAMILY_CURL, CURLE_OPERATION_TIMEDOUT, NULL, VENV_STORAGE_TIMEOUT, true },
        { VENV_STORAGE_FAMILY_CURL, CURLE_NOT_BUILT_IN, NULL, VENV_STORAGE_TOOL_MISSING, false },
        { VENV_STORAGE_FAMILY_S3, -1, "SlowDown", VENV_STORAGE_BUSY, true },
        { VENV_STORAGE_FAMILY_S3, -1, "BadDigest", VENV_STORAGE_INTEGRITY, true },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const venv_storage_row *row = venv_storage_row_find(known[i].family, known[i].code, known[i].words);
        assert_non_null(row);
        assert_int_equal(row->klass, known[i].klass);
        assert_int_equal(row->retryable, known[i].retryable);
    }
}

static void test_each_class_at_each_phase(void **state)
{
    (void)state;
    venv_storage *s = make(1, NULL);
    for (unsigned klass = 1; klass < VENV_STORAGE_CLASS__COUNT; klass++) {
        const char *name = venv_storage_class_name((venv_storage_class)klass);
        assert_int_equal(venv_storage_class_parse((venv_str){ name, strlen(name) }), klass);
        for (unsigned phase = 0; phase < VENV_STORAGE_PHASE__COUNT; phase++) {
            char url[256];
            venv_storage_info info;
            (void)snprintf(url, sizeof url, "mock://m/x#class=%s,phase=%s,wait=3", name, venv_storage_phase_name((venv_storage_phase)phase));
            suite_fails(venv_storage_stat(s, url, &info, &suite_err), (venv_storage_class)klass);
            assert_int_equal(suite_err.phase, phase);
            assert_int_equal(suite_err.retry_after.ns, 3 * VENV_NS_PER_S);
            assert_string_equal(suite_err.protocol, "mock");
            suite_fails(venv_storage_put_bytes(s, url, "x", 1, 0, &suite_err), (venv_storage_class)klass);
            suite_fails(venv_storage_delete(s, url, &suite_err), (venv_storage_class)klass);
        }
    }
    venv_storage_free(s);
}

static void test_retries(void **state)
{
    (void)state;
    venv_storage *s = make(4, NULL);
    venv_storage_info info;
    uint8_t *data = NULL;
    size_t size = 0;
    suite_ok(venv_storage_put_bytes(s, "mock://r/a", "0123456789", 10, 0, &suite_err));
    suite_ok(venv_storage_stat(s, "mock://r/a#op=stat,class=BUSY,times=3", &info, &suite_err));
    suite_fails(venv_storage_stat(s, "mock://r/a#op=stat,class=TIMEOUT,times=4", &info, &suite_err), VENV_STORAGE_TIMEOUT);
    assert_non_null(strstr(suite_err.text, "4 attempts"));
    suite_fails(venv_storage_stat(s, "mock://r/a#op=stat,class=PERMISSION,times=1", &info, &suite_err), VENV_STORAGE_PERMISSION);
    /* A read that breaks goes on where it was: no byte twice, none missing. */
    suite_ok(venv_storage_get_bytes(s, "mock://r/a#op=get,class=TRANSFER,after=3,times=2", 100, &data, &size, &suite_err));
    assert_int_equal(size, 10);
    assert_memory_equal(data, "0123456789", 10);
    free(data);
    suite_ok(venv_storage_put_bytes(s, "mock://r/b#op=put,class=TRANSFER,after=3,partial=yes,times=2", "abcdef", 6, 0, &suite_err));
    suite_ok(venv_storage_get_bytes(s, "mock://r/b", 100, &data, &size, &suite_err));
    assert_int_equal(size, 6);
    free(data);
    venv_storage_free(s);

    venv_storage_retry policy = { 5, { 100 }, { 350 }, { 0 }, 0 };
    venv_storage_error err = { .retryable = true };
    venv_span wait = { -1 };
    static const int64_t waits[] = { 100, 200, 350, 350 };
    for (uint32_t i = 1; i <= 4; i++) {
        assert_true(venv_storage_retry_next(&policy, &err, i, (venv_span){ 0 }, 0, &wait));
        assert_int_equal(wait.ns, waits[i - 1]);
    }
    assert_false(venv_storage_retry_next(&policy, &err, 5, (venv_span){ 0 }, 0, &wait));
    err.retry_after.ns = 9000;
    assert_true(venv_storage_retry_next(&policy, &err, 1, (venv_span){ 0 }, 0, &wait));
    assert_int_equal(wait.ns, 9000);
    policy.total_max.ns = 9500;
    assert_false(venv_storage_retry_next(&policy, &err, 1, (venv_span){ 1000 }, 0, &wait));
    err.retryable = false;
    assert_false(venv_storage_retry_next(&policy, &err, 1, (venv_span){ 0 }, 0, &wait));
}

static bool count(void *user, const char *name, const venv_storage_info *info)
{
    (void)name;
    (void)info;
    ++*(unsigned *)user;
    return true;
}

static void test_copies_that_fail(void **state)
{
    (void)state;
    static const struct { const char *from, *to; venv_storage_class klass; venv_storage_scope scope; } cases[] = {
        { "mock://f/a#op=get,class=TRANSFER,after=5", "mock://t1/x", VENV_STORAGE_TRANSFER, VENV_STORAGE_SOURCE },
        { "mock://f/a", "mock://t2/x#op=put,class=NO_SPACE,after=5", VENV_STORAGE_NO_SPACE, VENV_STORAGE_DESTINATION },
        { "mock://f/a", "mock://t3/x#op=rename,class=PERMISSION,phase=commit", VENV_STORAGE_PERMISSION, VENV_STORAGE_DESTINATION },
        { "mock://f/a", "mock://t4/x#corrupt=4", VENV_STORAGE_INTEGRITY, VENV_STORAGE_BETWEEN },
        { "mock://f/a#op=stat,class=CREDENTIAL", "mock://t5/x", VENV_STORAGE_CREDENTIAL, VENV_STORAGE_SOURCE },
    };
    venv_storage *s = make(2, NULL);
    suite_ok(venv_storage_put_bytes(s, "mock://f/a", "0123456789", 10, 0, &suite_err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char plain[64];
        uint8_t *data = NULL;
        size_t size = 0;
        (void)snprintf(plain, sizeof plain, "mock://t%zu/x", i + 1);
        suite_ok(venv_storage_put_bytes(s, plain, "old", 3, 0, &suite_err));
        suite_fails(venv_storage_copy(s, cases[i].from, cases[i].to, NULL, NULL, &suite_err), cases[i].klass);
        assert_int_equal(suite_err.scope, cases[i].scope);
        suite_ok(venv_storage_get_bytes(s, plain, 100, &data, &size, &suite_err));
        assert_int_equal(size, 3); /* the old one, whole */
        free(data);
        unsigned entries = 0;
        plain[strlen(plain) - 1] = 0;
        suite_ok(venv_storage_list(s, plain, count, &entries, &suite_err));
        assert_int_equal(entries, 1); /* and no temporary beside it */
    }
    venv_storage_copied copied = { 0 };
    suite_ok(venv_storage_copy(s, "mock://f/a", "mock://t6/x#op=put,class=TRANSFER,after=5,times=1", NULL, &copied, &suite_err));
    assert_int_equal(copied.attempts, 2);
    uint8_t wrong[32] = { 0 };
    venv_storage_copy_options options = VENV_STORAGE_COPY_INIT;
    options.sha256 = wrong;
    suite_fails(venv_storage_copy(s, "mock://f/a", "mock://t7/x", &options, NULL, &suite_err), VENV_STORAGE_INTEGRITY);
    assert_int_equal(suite_err.scope, VENV_STORAGE_SOURCE);
    venv_storage_free(s);
}

/* A name service that says one thing first and another later: this one is asked by libcurl instead of libc's. */
static unsigned lookups;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
    (void)hints;
    struct { struct addrinfo info; struct sockaddr_in address; } *one = calloc(1, sizeof *one);
    if (!one)
        return EAI_MEMORY;
    one->address.sin_family = AF_INET;
    one->address.sin_port = htons((uint16_t)(service ? strtoul(service, NULL, 10) : 0));
    bool number = node && inet_aton(node, &one->address.sin_addr) != 0; /* octal, hexadecimal and short forms as libc */
    if (!number)
        one->address.sin_addr.s_addr = htonl(lookups++ % 2 == 0 ? INADDR_LOOPBACK : 0xc0000201u);
    one->info = (struct addrinfo){ .ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_addrlen = sizeof one->address,
                                   .ai_addr = (struct sockaddr *)&one->address };
    *ret_list = &one->info;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    free(list);
}

static int listen_on(int family, uint16_t *port)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(*port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(*port) };
    int on = 1;
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    int bound = family == AF_INET ? bind(fd, (struct sockaddr *)&v4, sizeof v4) : bind(fd, (struct sockaddr *)&v6, sizeof v6);
    if (bound != 0 || listen(fd, 128) != 0) {
        (void)close(fd);
        return -1;
    }
    socklen_t size = sizeof v4;
    if (family == AF_INET && getsockname(fd, (struct sockaddr *)&v4, &size) == 0)
        *port = ntohs(v4.sin_port);
    return fd;
}

static void test_the_canary_hears_nothing(void **state)
{
    (void)state;
    static const char *const hosts[] = {
        "127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "127.0.0.2", "0", "0.0.0.0", "0x7f000001", "0x7f.1", "0x7f.0.0.1",
        "0177.0.0.1", "0177.1", "017700000001", "2130706433", "127.0.0.1.", "localhost", "LOCALHOST", "localhost.",
        "foo.localhost", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
        "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fc00::1]", "[fd12:3456::1]", "[ff02::1]", "[::ffff:169.254.169.254]",
        "169.254.169.254", "169.254.1.1", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "10.0.0.1", "10.255.255.255", "012.1",
        "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.1", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1",
        "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "ali@127.0.0.1", "example.org@127.0.0.1",
        "ali:pw@127.0.0.1", "a@b@127.0.0.1", "127.0.0.1%2f", "127.0.0.1%00", "\xe2\x91\xa0.0.0.1", ("127\xe3\x80\x82" "0.0.1"),
        "127.0.0.1#@example.org", "example.org#@127.0.0.1", "rebinding.example.org", "rebinding.example.org.", "127.0.0.1\\@x.org",
        "[::1%25lo]", "[::1%lo]", "metadata.google.internal", "2130706433.", "00000177.0.0.1" };
    static const char *const schemes[] = { "http", "https", "ftp", "sftp", "dav" };
    uint16_t port = 0;
    int v4 = listen_on(AF_INET, &port), v6 = listen_on(AF_INET6, &port);
    assert_true(v4 >= 0 && sizeof hosts / sizeof *hosts >= 60);
    venv_storage *s = make(1, NULL);
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        for (size_t j = 0; j < sizeof schemes / sizeof *schemes; j++) {
            char url[256];
            uint8_t *data = NULL;
            size_t size = 0;
            (void)snprintf(url, sizeof url, "%s://%s:%u/x", schemes[j], hosts[i], (unsigned)port);
            venv_rc rc = venv_storage_get_bytes(s, url, 10, &data, &size, &suite_err);
            assert_int_not_equal(rc, VENV_OK);
            assert_null(strstr(suite_err.text, "ali:pw"));
        }
        assert_int_equal(accept(v4, NULL, NULL), -1);
        assert_true(v6 < 0 || accept(v6, NULL, NULL) == -1);
    }
    venv_storage_free(s);
    /* The canary does hear who may speak to it. */
    s = make(1, "loopback");
    char url[64];
    venv_storage_info info;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/x", (unsigned)port);
    venv_storage_options options = VENV_STORAGE_OPTIONS_INIT;
    venv_storage *quick = NULL;
    options.schemes = "http";
    options.networks = "127.0.0.0/8";
    options.timeout = (venv_span){ VENV_NS_PER_S / 2 };
    options.retry.attempts_max = 1;
    suite_ok(venv_storage_new(&options, &quick, &suite_err));
    suite_fails(venv_storage_stat(quick, url, &info, &suite_err), VENV_STORAGE_TIMEOUT);
    assert_true(accept(v4, NULL, NULL) >= 0);
    venv_storage_free(quick);
    options.hosts = "example.org,*.example.net";
    suite_ok(venv_storage_new(&options, &quick, &suite_err));
    suite_fails(venv_storage_stat(quick, url, &info, &suite_err), VENV_STORAGE_PERMISSION);
    assert_int_equal(accept(v4, NULL, NULL), -1);
    venv_storage_free(quick);
    venv_storage_free(s);
    (void)close(v4);
    if (v6 >= 0)
        (void)close(v6);
}

static void test_credentials_go_nowhere_else(void **state)
{
    (void)state;
    venv_storage_credential credential = { .name = "prod", .for_url = "https://store.example.org/a", .user = "u", .secret = "env:X" };
    venv_storage_options options = VENV_STORAGE_OPTIONS_INIT;
    venv_storage *s = NULL;
    venv_storage_info info;
    options.credentials = &credential;
    options.credential_count = 1;
    options.retry.attempts_max = 1;
    suite_ok(venv_storage_new(&options, &s, &suite_err));
    static const char *const elsewhere[] = { "https://evil.example.org/#credential=prod", "https://store.example.org/b#credential=prod",
        "https://store.example.org:444/a#credential=prod", "https://store.example.org/ab#credential=prod",
        "https://store.example.org/a#credential=other", "davs://store.example.org.evil.org/a#credential=prod" };
    for (size_t i = 0; i < 6; i++)
        suite_fails(venv_storage_stat(s, elsewhere[i], &info, &suite_err), VENV_STORAGE_CREDENTIAL);
    suite_fails(venv_storage_stat(s, "http://store.example.org/a#credential=prod", &info, &suite_err), VENV_STORAGE_PERMISSION);
    suite_fails(venv_storage_stat(s, "https://u:hidden@store.example.org/a", &info, &suite_err), VENV_STORAGE_INVALID);
    assert_null(strstr(suite_err.text, "hidden"));
    venv_storage_free(s);
    credential.secret = "a secret in plain text";
    suite_fails(venv_storage_new(&options, &s, &suite_err), VENV_STORAGE_INVALID);
    assert_null(strstr(suite_err.text, "plain text"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_row), cmocka_unit_test(test_each_class_at_each_phase), cmocka_unit_test(test_retries),
        cmocka_unit_test(test_copies_that_fail), cmocka_unit_test(test_the_canary_hears_nothing),
        cmocka_unit_test(test_credentials_go_nowhere_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
