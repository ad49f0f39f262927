/* SPDX-License-Identifier: Apache-2.0 */
/* What the shell reads and writes by itself: configuration files, /proc, zones, the log, notifications, addresses. */
#include "runtime/addresses.h"
#include "runtime/config_files.h"
#include "runtime/log_stderr.h"
#include "runtime/machine_id.h"
#include "runtime/notify.h"
#include "runtime/refusals.h"
#include "runtime/samples.h"
#include "runtime/zone_files.h"
#include "support/tempdir.h"

#include <venv/daemon.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h> /* needs those before it */

static int set_up(void **state)
{
    *state = tempdir_make();
    return 0;
}

static int tear_down(void **state)
{
    tempdir_remove(*state);
    return 0;
}

static void write_file(const char *folder, const char *name, const char *text)
{
    tempdir_write_text(tempdir_path(folder, name), text, 0644);
}

/* --- the id of the machine ------------------------------------------------------------------------ */

static void a_machine_without_an_id_gets_one(void **state)
{
    const char *folder = *state;
    char system[256], kept[256];
    venv_id id, again, other;
    venv_error err = { 0 };
    snprintf(system, sizeof system, "%s", tempdir_path(folder, "system-id"));
    snprintf(kept, sizeof kept, "%s", tempdir_path(folder, "kept-id"));
    assert_int_equal(venv_machine_id_read(system, kept, &id, &err), VENV_OK); /* drawn… */
    assert_false(venv_id_is_none(id));
    assert_int_equal(venv_machine_id_read(system, kept, &again, &err), VENV_OK); /* …and kept */
    assert_true(venv_id_equal(id, again));
    tempdir_write_text(system, "uninitialized\n", 0644);
    assert_int_equal(venv_machine_id_read(system, kept, &again, &err), VENV_OK);
    assert_true(venv_id_equal(id, again));
    tempdir_write_text(kept, "0123456789abcdef0123456789abcde\n", 0644); /* a digit is missing: what is there is not overwritten */
    assert_int_equal(venv_machine_id_read(system, kept, &again, &err), VENV_EIO);
    assert_true(venv_id_is_none(again));
    assert_non_null(strstr(err.text, kept));
    tempdir_write_text(system, "0123456789abcdef0123456789abcdef\n", 0644);
    assert_int_equal(venv_machine_id_read(system, kept, &other, &err), VENV_OK);
    assert_false(venv_id_equal(id, other));
    assert_int_equal(venv_machine_id_read("/no/such/file", "/no/such/folder/id", &again, &err), VENV_EIO);
}

/* --- configuration files --------------------------------------------------------------------- */

static void included_files_are_read_once_and_sorted(void **state)
{
    venv_config_files files = { 0 };
    venv_error err = { 0 };
    const char *folder = *state;
    assert_int_equal(mkdir(tempdir_path(folder, "conf.d"), 0755), 0);
    write_file(folder, "conf.d/b.yaml", "name: b\n");
    write_file(folder, "conf.d/a.yaml", "name: a\n");
    write_file(folder, "conf.d/c.text", "name: c\n");
    write_file(folder, "extra.yaml", "name: extra\n");
    write_file(folder, "main.yaml", "name: main\ninclude: [conf.d/*.yaml, extra.yaml, conf.d/a.yaml, none*.yaml, main.yaml]\n");
    assert_int_equal(venv_config_files_read(tempdir_path(folder, "main.yaml"), &files, &err), VENV_OK);
    assert_int_equal(files.count, 4);
    static const char *const names[] = { "main", "a", "b", "extra" };
    for (size_t i = 0; i < 4; i++)
        assert_true(venv_value_is_text(venv_value_get(&files.items[i].value, "name"), names[i]));
    venv_config_files_fini(&files);
}

static void a_single_include_and_absolute_ones_are_understood(void **state)
{
    venv_config_files files = { 0 };
    venv_error err = { 0 };
    const char *folder = *state;
    char text[TEMPDIR_PATH_MAX + 64];
    write_file(folder, "more.yaml", "name: more\n");
    snprintf(text, sizeof text, "include: %s\n", tempdir_path(folder, "more.yaml"));
    write_file(folder, "main.yaml", text);
    assert_int_equal(venv_config_files_read(tempdir_path(folder, "main.yaml"), &files, &err), VENV_OK);
    assert_int_equal(files.count, 2);
    venv_config_files_fini(&files);
}

static void expect_failure(const char *folder, const char *name, venv_rc rc, uint32_t line, uint32_t column, const char *words)
{
    venv_config_files files = { 0 };
    venv_error err = { 0 };
    assert_int_equal(venv_config_files_read(tempdir_path(folder, name), &files, &err), rc);
    assert_int_equal(err.rc, rc);
    assert_non_null(strstr(err.file, name));
    assert_int_equal(err.line, line);
    assert_int_equal(err.column, column);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    const char *folder = *state;
    expect_failure(folder, "absent.yaml", VENV_ENOENT, 0, 0, "No such file");
    write_file(folder, "missing.yaml", "agent: {}\ninclude:\n  - here*.yaml\n  - absent.yaml\n");
    expect_failure(folder, "missing.yaml", VENV_ENOENT, 4, 5, "absent.yaml");
    write_file(folder, "kind.yaml", "include: {a: 1}\n");
    expect_failure(folder, "kind.yaml", VENV_EKIND, 1, 10, "list");
    write_file(folder, "item.yaml", "include: [a*.yaml, 5]\n");
    expect_failure(folder, "item.yaml", VENV_EKIND, 1, 20, "text");
    write_file(folder, "broken.yaml", "agent:\n  name: [unclosed\n");
    venv_config_files files = { 0 };
    venv_error err = { 0 };
    assert_int_equal(venv_config_files_read(tempdir_path(folder, "broken.yaml"), &files, &err), VENV_EINVAL);
    assert_true(err.line > 0 && err.column > 0);
    assert_int_equal(mkdir(tempdir_path(folder, "folder.yaml"), 0755), 0);
    expect_failure(folder, "folder.yaml", VENV_EINVAL, 0, 0, "plain file");
    tempdir_write_text(tempdir_path(folder, "open.yaml"), "a: 1\n", 0666);
    expect_failure(folder, "open.yaml", VENV_EDENIED, 0, 0, "chmod");
}

static void a_file_that_is_too_large_is_not_read(void **state)
{
    const char *folder = *state;
    char *text = malloc(VENV_CONFIG_FILE_SIZE_MAX + 1);
    assert_non_null(text);
    memset(text, '#', VENV_CONFIG_FILE_SIZE_MAX + 1);
    tempdir_write(tempdir_path(folder, "large.yaml"), text, VENV_CONFIG_FILE_SIZE_MAX + 1, 0644);
    free(text);
    expect_failure(folder, "large.yaml", VENV_ELIMIT, 0, 0, "1 MiB");
}

static void too_many_files_are_refused(void **state)
{
    const char *folder = *state;
    venv_config_files files = { 0 };
    venv_error err = { 0 };
    for (unsigned i = 0; i < VENV_CONFIG_FILES_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "part%03u.yaml", i);
        write_file(folder, name, "a: 1\n");
    }
    write_file(folder, "main.yaml", "include: [part*.yaml]\n");
    assert_int_equal(venv_config_files_read(tempdir_path(folder, "main.yaml"), &files, &err), VENV_ELIMIT);
    assert_int_equal(unlink(tempdir_path(folder, "part000.yaml")), 0);
    assert_int_equal(venv_config_files_read(tempdir_path(folder, "main.yaml"), &files, &err), VENV_OK);
    assert_int_equal(files.count, VENV_CONFIG_FILES_MAX);
    venv_config_files_fini(&files);
}

/* --- samples --------------------------------------------------------------------------------- */

static venv_value sampled(venv_samples *samples, venv_builtin_id id)
{
    venv_value value = venv_value_null();
    venv_error err = { 0 };
    if (venv_samples_read(samples, id, &value, &err) != VENV_OK)
        fail_msg("%s", err.text);
    return value;
}

static void proc_is_read_as_the_kernel_writes_it(void **state)
{
    const char *folder = *state;
    venv_samples samples = { .proc = folder };
    venv_value value;
    write_file(folder, "loadavg", "0.52 1.58 2.59 2/345 6789\n");
    write_file(folder, "meminfo", "MemTotal:       16384 kB\nMemFree:         1000 kB\nMemAvailable:    8192 kB\n"
                                  "SwapTotal:       2048 kB\nSwapFree:           0 kB\n");
    write_file(folder, "uptime", "12345.67 54321.00\n");
    write_file(folder, "stat", "cpu  10 0 10 80 0 0 0 0 0 0\ncpu0 10 0 10 80 0 0 0 0 0 0\n");
    value = sampled(&samples, VENV_BUILTIN_LOAD5);
    assert_true(venv_value_peek_double(&value) > 1.57 && venv_value_peek_double(&value) < 1.59);
    value = sampled(&samples, VENV_BUILTIN_PROCESSES);
    assert_int_equal(venv_value_peek_int(&value), 345);
    value = sampled(&samples, VENV_BUILTIN_MEMFREE);
    assert_int_equal(venv_value_peek_int(&value), 8192);
    value = sampled(&samples, VENV_BUILTIN_SWAPFREE);
    assert_int_equal(venv_value_peek_int(&value), 0);
    value = sampled(&samples, VENV_BUILTIN_UPTIME);
    assert_int_equal(venv_value_peek_int(&value), 12345);
    value = sampled(&samples, VENV_BUILTIN_CPU_USED);
    assert_true(venv_value_peek_double(&value) > 0.199 && venv_value_peek_double(&value) < 0.201);
    write_file(folder, "stat", "cpu  110 0 10 80 0 0 0 0 0 0\n");
    value = sampled(&samples, VENV_BUILTIN_CPU_USED);
    assert_true(venv_value_peek_double(&value) > 0.999);
}

static void what_cannot_be_told_is_an_error_and_not_zero(void **state)
{
    const char *folder = *state;
    venv_samples samples = { .proc = folder };
    venv_value value = venv_value_null();
    venv_error err = { 0 };
    assert_int_equal(venv_samples_read(&samples, VENV_BUILTIN_LOAD1, &value, &err), VENV_EIO);
    write_file(folder, "meminfo", "Nothing: 1 kB\n");
    assert_int_equal(venv_samples_read(&samples, VENV_BUILTIN_MEMFREE, &value, &err), VENV_EIO);
    write_file(folder, "loadavg", "what\n");
    assert_int_equal(venv_samples_read(&samples, VENV_BUILTIN_LOAD1, &value, &err), VENV_EIO);
    assert_int_equal(venv_samples_read(&samples, VENV_BUILTIN_PROCESSES, &value, &err), VENV_EIO);
    write_file(folder, "stat", "cpu  10 0 10 80 0 0 0 0 0 0\n");
    assert_int_equal(venv_samples_read(&samples, VENV_BUILTIN_CPU_USED, &value, &err), VENV_OK);
    assert_int_equal(venv_samples_read(&samples, VENV_BUILTIN_CPU_USED, &value, &err), VENV_EIO); /* no time has passed */
    assert_int_equal(venv_value_kind(&value), VENV_DOUBLE);
}

static void every_sample_of_this_machine_has_its_type(void **state)
{
    static const venv_kind kinds[] = { [VENV_PROPERTY_INT] = VENV_INT, [VENV_PROPERTY_DOUBLE] = VENV_DOUBLE,
                                       [VENV_PROPERTY_STRING] = VENV_STRING };
    venv_samples samples = { .proc = "/proc" };
    int measured = 0;
    (void)state;
    for (size_t i = 0; venv_builtin_at(i); i++) {
        const venv_builtin *builtin = venv_builtin_at(i);
        venv_value value = venv_value_null();
        venv_error err = { 0 };
        venv_rc rc = venv_samples_read(&samples, builtin->id, &value, &err);
        if (rc == VENV_EUNSUPPORTED) /* disks and the hypervisor are measured elsewhere */
            continue;
        assert_int_equal(rc, VENV_OK);
        assert_int_equal(venv_value_kind(&value), kinds[builtin->type]);
        venv_value_unref(&value);
        measured++;
    }
    assert_true(measured >= 12);
}

/* --- zones ----------------------------------------------------------------------------------- */

static void zones_are_read_and_their_names_are_not_trusted(void **state)
{
    static const char *const bad[] = { "", "../passwd", "/etc/passwd", "Europe/../../etc/passwd", "Europe//Rome", "Europe/",
                                       ".", "Eu rope", "-x", "Europe/Rome\n", "posixrules%00" };
    venv_value file = venv_value_null();
    venv_error err = { 0 };
    (void)state;
    assert_int_equal(venv_zone_file_read(NULL, "Europe/Rome", &file, &err), VENV_OK);
    assert_true(venv_value_peek_text(&file).size > 100);
    venv_value_unref(&file);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(venv_zone_file_read(NULL, bad[i], &file, &err), VENV_ENOENT);
    assert_int_equal(venv_zone_file_read(NULL, "Europe", &file, &err), VENV_ENOENT);      /* a folder */
    assert_int_equal(venv_zone_file_read(NULL, "zone.tab", &file, &err), VENV_ENOENT);    /* a dot is in no name */
    assert_int_equal(venv_zone_file_read(NULL, "Europe/Atlantis", &file, &err), VENV_ENOENT);
}

/* --- the log --------------------------------------------------------------------------------- */

static void nobody_reads_the_log_and_nothing_waits(void **state)
{
    int ends[2], saved = dup(STDERR_FILENO);
    char text[8192];
    venv_log_stderr log;
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    venv_log_stderr_init(&log, VENV_LOG_INFO);
    for (int i = 0; i < 5000; i++) /* far more than a pipe holds; a log that waits would hang here */
        venv_log_print(&log.sink, VENV_LOG_INFO, "line %d: %0100d", i, 0);
    venv_log_print(&log.sink, VENV_LOG_DEBUG, "below the level");
    uint64_t dropped = log.dropped;
    assert_true(dropped > 1000);
    size_t lines = 0;
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    for (ssize_t n; (n = read(ends[0], text, sizeof text)) > 0;) {
        for (ssize_t i = 0; i < n; i++)
            lines += text[i] == '\n';
    }
    assert_true(lines + dropped >= 4999 && lines + dropped <= 5001); /* one may be cut in two */
    venv_log_print(&log.sink, VENV_LOG_WARNING, "after\x1b[31m it");
    ssize_t n = read(ends[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    venv_log_stderr_fini(&log);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    assert_non_null(strstr(text, "lines of the log were dropped"));
    assert_non_null(strstr(text, "Z warning after"));
    assert_null(strchr(text, '\x1b'));
}

static void log_levels_have_names(void **state)
{
    venv_log_level level;
    venv_error err = { 0 };
    (void)state;
    assert_int_equal(venv_log_level_parse(NULL, &level, &err), VENV_OK);
    assert_int_equal(level, VENV_LOG_INFO);
    assert_int_equal(venv_log_level_parse("debug", &level, &err), VENV_OK);
    assert_int_equal(level, VENV_LOG_DEBUG);
    assert_int_equal(venv_log_level_parse("loud", &level, &err), VENV_EINVAL);
    assert_non_null(strstr(err.text, "warning"));
}

static void count_line(void *user, venv_log_level level, const char *line)
{
    (void)level;
    (void)line;
    ++*(int *)user;
}

static void refusals_do_not_flood_the_log(void **state)
{
    static venv_refusals refusals;
    int lines = 0;
    venv_log log = { .write = count_line, .user = &lines, .level = VENV_LOG_DEBUG };
    venv_instant now = { 1000 * VENV_NS_PER_S };
    (void)state;
    venv_refusals_init(&refusals, &log, 1);
    for (int i = 0; i < 1000; i++)
        venv_refusals_add(&refusals, now, "192.0.2.1", "192.0.2.1:5", "no certificate");
    assert_int_equal(lines, 1);
    venv_refusals_add(&refusals, now, "192.0.2.1", "192.0.2.1:6", "another reason");
    venv_refusals_add(&refusals, now, "192.0.2.2", "192.0.2.2:6", "no certificate");
    assert_int_equal(lines, 3);
    now.ns += 61 * VENV_NS_PER_S;
    venv_refusals_add(&refusals, now, "192.0.2.1", "192.0.2.1:5", "no certificate");
    assert_int_equal(lines, 4);
    lines = 0;
    for (int i = 0; i < 10000; i++) {
        char source[32];
        snprintf(source, sizeof source, "198.51.%d.%d", i / 256, i % 256);
        venv_refusals_add(&refusals, now, source, source, "no certificate");
    }
    assert_true(lines <= VENV_REFUSALS_PER_MINUTE);
}

/* --- the service manager --------------------------------------------------------------------- */

static void the_service_manager_is_told(void **state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char text[64] = "";
    const char *path = tempdir_path(*state, "notify");
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    venv_notify("nobody listens");
    setenv("NOTIFY_SOCKET", path, 1);
    venv_notify("READY=1");
    assert_int_equal(recv(fd, text, sizeof text, MSG_DONTWAIT), 7);
    assert_string_equal(text, "READY=1");
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_int_equal(venv_notify_watchdog().ns, 15 * VENV_NS_PER_S);
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(venv_notify_watchdog().ns, 0);
    setenv("WATCHDOG_USEC", "nonsense", 1);
    unsetenv("WATCHDOG_PID");
    assert_int_equal(venv_notify_watchdog().ns, 0);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    close(fd);
}

static void a_pid_file_is_written_whole(void **state)
{
    const char *path = tempdir_path(*state, "daemon.pid");
    char text[32] = "";
    venv_error err = { 0 };
    assert_int_equal(venv_pid_file_write(NULL, &err), VENV_OK);
    tempdir_write_text(path, "an old one", 0644);
    assert_int_equal(venv_pid_file_write(path, &err), VENV_OK);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    assert_int_equal(strtol(text, NULL, 10), getpid());
    venv_pid_file_remove(path);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(venv_pid_file_write("/nonexistent/x.pid", &err), VENV_EIO);
    assert_non_null(strstr(err.text, "/nonexistent/x.pid"));
}

/* --- addresses ------------------------------------------------------------------------------- */

static void addresses_are_cut_and_printed(void **state)
{
    char host[VENV_HOST_MAX], port[VENV_PORT_TEXT_MAX], text[VENV_ADDRESS_TEXT_MAX];
    static const struct { const char *text, *host, *port; } good[] = {
        { "node1:80", "node1", "80" },      { "node1", "node1", "7420" },          { ":0", "", "0" },
        { "[::1]:5", "::1", "5" },          { "[2001:db8::1]", "2001:db8::1", "7420" },
    };
    static const char *const bad[] = { "node1:", "node1:x", "node1:65536", "node1:-1", "::1", "[::1", "[::1]x", "a:1:2" };
    venv_error err = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(venv_address_split(good[i].text, host, port, &err), VENV_OK);
        assert_string_equal(host, good[i].host);
        assert_string_equal(port, good[i].port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(venv_address_split(bad[i], host, port, &err), VENV_EINVAL);
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(99) };
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::1:2:3:4", &six.sin6_addr), 1);
    venv_address_print((const struct sockaddr *)&six, text);
    assert_string_equal(text, "[2001:db8::1:2:3:4]:99");
    venv_address_source((const struct sockaddr *)&six, text);
    assert_string_equal(text, "2001:db8::/64");
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", &six.sin6_addr), 1);
    venv_address_print((const struct sockaddr *)&six, text);
    assert_string_equal(text, "192.0.2.7:99");
    venv_address_source((const struct sockaddr *)&six, text);
    assert_string_equal(text, "192.0.2.7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_machine_without_an_id_gets_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(included_files_are_read_once_and_sorted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_single_include_and_absolute_ones_are_understood, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said_with_its_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_too_large_is_not_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(proc_is_read_as_the_kernel_writes_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_told_is_an_error_and_not_zero, set_up, tear_down),
        cmocka_unit_test(every_sample_of_this_machine_has_its_type),
        cmocka_unit_test(zones_are_read_and_their_names_are_not_trusted),
        cmocka_unit_test(nobody_reads_the_log_and_nothing_waits),
        cmocka_unit_test(log_levels_have_names),
        cmocka_unit_test(refusals_do_not_flood_the_log),
        cmocka_unit_test_setup_teardown(the_service_manager_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pid_file_is_written_whole, set_up, tear_down),
        cmocka_unit_test(addresses_are_cut_and_printed),
    };
    return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
