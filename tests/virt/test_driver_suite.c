/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The libvirt driver: the suite of all drivers over libvirt's built-in test hypervisor and over a libvirtd of our
 * own with QEMU, and then what only a daemon can do: be killed, hang, and come back.
 */
#include "suite.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS(n) ((venv_span){ (n) * VENV_NS_PER_S })

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* One hypervisor behind a URI, with a connection of the test's own beside those of the driver. */
typedef struct rig {
    char uri[160];
    char folder[64];       /* of the daemon; empty for the built-in hypervisor */
    virConnectPtr conn;
    venv_id foreign_id;
    const char *foreign_name;
} rig;

static venv_error err;

static venv_hypervisor *open_uri(void *self, const char *cluster)
{
    rig *r = self;
    venv_hypervisor_options options = VENV_HYPERVISOR_OPTIONS_INIT;
    options.cluster = cluster;
    options.keepalive = SECONDS(1);
    options.saves = suite_saves();
    venv_hypervisor *hypervisor = NULL;
    if (venv_hypervisor_open(r->uri, &options, &hypervisor, &err) == VENV_OK)
        return hypervisor;
    print_error("open: %s\n", err.text);
    return NULL;
}

static venv_id foreign(void *self)
{
    return ((rig *)self)->foreign_id;
}

static const char *foreign_name(void *self)
{
    return ((rig *)self)->foreign_name;
}

static bool foreign_runs(void *self)
{
    rig *r = self;
    virDomainPtr domain = virDomainLookupByUUID(r->conn, r->foreign_id.bytes);
    bool runs = domain && virDomainIsActive(domain) == 1;
    if (domain)
        virDomainFree(domain);
    return runs;
}

/* --- the built-in test hypervisor ------------------------------------------------------------------- */

static void end_test_guest(void *self, venv_id id)
{
    rig *r = self;
    virDomainPtr domain = virDomainLookupByUUID(r->conn, id.bytes);
    assert_non_null(domain);
    assert_int_equal(virDomainShutdown(domain), 0);
    virDomainFree(domain);
}

static int run_on_test_hypervisor(void)
{
    rig r = { .uri = "test:///default", .foreign_name = "test" };
    /* Its domains last as long as anybody in the process is connected. */
    r.conn = virConnectOpen(r.uri);
    virDomainPtr domain = r.conn ? virDomainLookupByName(r.conn, "test") : NULL;
    if (!domain || virDomainGetUUID(domain, r.foreign_id.bytes) < 0)
        return 1;
    virDomainFree(domain);
    suite_driver driver = {
        .name = r.uri, .kind = VENV_HYPERVISOR_TEST, .obedient = true, .open = open_uri, .foreign = foreign,
        .foreign_name = foreign_name, .foreign_runs = foreign_runs, .end_guest = end_test_guest, .no_console = true, .self = &r,
    };
    int failed = suite_run(&driver);
    virConnectClose(r.conn);
    return failed;
}

/* --- a daemon of our own ---------------------------------------------------------------------------- */

static rig daemon_rig = { .foreign_name = "theirs" };

/* Run a program and wait for it; the first line of its output, if wanted. */
static bool run(const char *const *argv, char *ret_line, size_t size)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    char line[160] = "";
    if (!output || child < 0 || !fgets(line, sizeof line, output))
        line[0] = '\0';
    while (output && fgetc(output) != EOF)
        continue;
    if (output)
        fclose(output);
    int status = -1;
    if (child > 0)
        waitpid(child, &status, 0);
    line[strcspn(line, "\n")] = '\0';
    if (ret_line)
        snprintf(ret_line, size, "%s", line);
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool script(const char *verb, char *ret_line, size_t size)
{
    return run((const char *const[]){ "sh", VENV_LIBVIRTD_SH, verb, daemon_rig.folder, NULL }, ret_line, size);
}

static bool connect_to_daemon(void)
{
    if (daemon_rig.conn)
        virConnectClose(daemon_rig.conn);
    daemon_rig.conn = virConnectOpen(daemon_rig.uri);
    return daemon_rig.conn != NULL;
}

static pid_t guest_pid(venv_id id)
{
    virDomainPtr domain = virDomainLookupByUUID(daemon_rig.conn, id.bytes);
    if (!domain)
        return 0;
    char path[256];
    snprintf(path, sizeof path, "%s/run/qemu/%s.pid", daemon_rig.folder, virDomainGetName(domain));
    virDomainFree(domain);
    FILE *file = fopen(path, "re");
    int pid = 0;
    if (!file || fscanf(file, "%d", &pid) != 1)
        pid = 0;
    if (file)
        fclose(file);
    return pid;
}

static bool lives(pid_t pid)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    bool alive = file && fgets(line, sizeof line, file) && !strstr(line, ") Z ");
    if (file)
        fclose(file);
    return alive;
}

static void end_qemu_guest(void *self, venv_id id)
{
    (void)self;
    pid_t pid = guest_pid(id);
    assert_true(pid > 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    /* libvirtd has to notice. */
    virDomainPtr domain = virDomainLookupByUUID(daemon_rig.conn, id.bytes);
    assert_non_null(domain);
    for (int i = 0; i < 200 && virDomainIsActive(domain) == 1; i++)
        pause_ms(50);
    assert_int_equal(virDomainIsActive(domain), 0);
    virDomainFree(domain);
}

static bool start_foreign(void)
{
    static const char xml[] =
        "<domain type='qemu'><name>theirs</name><uuid>e5e5e5e5-0000-4000-8000-000000000001</uuid>"
        "<metadata><x:machine xmlns:x='urn:someone:else:1' cluster='suite' instance='a' environment='b' epoch='1'/></metadata>"
        "<memory unit='KiB'>32768</memory><vcpu>1</vcpu><os><type>hvm</type></os></domain>";
    virDomainPtr domain = virDomainDefineXML(daemon_rig.conn, xml);
    bool done = domain && virDomainCreate(domain) == 0 && virDomainGetUUID(domain, daemon_rig.foreign_id.bytes) == 0;
    if (domain)
        virDomainFree(domain);
    return done;
}

static int start_daemon(void)
{
    snprintf(daemon_rig.folder, sizeof daemon_rig.folder, "/tmp/venv-lv-XXXXXX");
    setenv("VENV_LIBVIRT_CACHE", VENV_LIBVIRT_CACHE_DIR, 0);
    if (!mkdtemp(daemon_rig.folder) || !script("start", daemon_rig.uri, sizeof daemon_rig.uri) ||
        !connect_to_daemon() || !start_foreign()) {
        print_error("no libvirtd of our own: %s\n", virGetLastErrorMessage());
        return -1;
    }
    return 0;
}

static int stop_daemon(void)
{
    if (daemon_rig.conn)
        virConnectClose(daemon_rig.conn);
    bool stopped = script("stop", NULL, 0);
    if (!stopped)
        return -1;
    return run((const char *const[]){ "rm", "-rf", daemon_rig.folder, NULL }, NULL, 0) ? 0 : -1;
}

/* --- what only a daemon can do ----------------------------------------------------------------------- */

static venv_hypervisor *hypervisor;

static int set_up(void **state)
{
    (void)state;
    hypervisor = open_uri(&daemon_rig, "suite");
    return hypervisor ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    int rc = venv_machine_destroy(hypervisor, suite_id(1), &err) == VENV_OK ? 0 : -1;
    venv_hypervisor_close(hypervisor);
    return rc;
}

static void start_one(void)
{
    char *xml = suite_xml(VENV_HYPERVISOR_QEMU, 1, "suite", "class2-1", 3);
    assert_rc(venv_machine_start(hypervisor, suite_id(1), xml, &err), VENV_OK, &err);
    free(xml);
}

static void guests_survive_a_daemon_that_is_killed(void **state)
{
    (void)state;
    start_one();
    pid_t pid = guest_pid(suite_id(1)), other = guest_pid(daemon_rig.foreign_id);
    assert_true(pid > 1 && other > 1);
    assert_true(script("kill", NULL, 0));
    /* Events that were told before may come first. */
    venv_hypervisor_event event;
    venv_rc rc = VENV_OK;
    for (int i = 0; i < 100 && rc == VENV_OK; i++)
        rc = venv_hypervisor_wait(hypervisor, SECONDS(20), &event, &err);
    assert_rc(rc, VENV_EUNREACHABLE, &err);
    venv_machine_list list = { 0 };
    venv_machine_info info;
    venv_hypervisor_info node;
    assert_rc(venv_hypervisor_list(hypervisor, &list, &err), VENV_EUNREACHABLE, &err);
    assert_rc(venv_hypervisor_info_get(hypervisor, &node, &err), VENV_EUNREACHABLE, &err);
    assert_rc(venv_machine_get(hypervisor, suite_id(1), &info, &err), VENV_EUNREACHABLE, &err);
    assert_rc(venv_machine_destroy(hypervisor, suite_id(1), &err), VENV_EUNREACHABLE, &err);
    assert_rc(venv_machine_shutdown(hypervisor, suite_id(1), &err), VENV_EUNREACHABLE, &err);
    assert_rc(venv_machine_stop(hypervisor, suite_id(1), SECONDS(5), &err), VENV_EUNREACHABLE, &err);
    char *xml = suite_xml(VENV_HYPERVISOR_QEMU, 2, "suite", "class2-2", 1);
    assert_rc(venv_machine_start(hypervisor, suite_id(2), xml, &err), VENV_EUNREACHABLE, &err);
    free(xml);
    venv_hypervisor *again = NULL;
    assert_rc(venv_hypervisor_open(daemon_rig.uri, NULL, &again, &err), VENV_EUNREACHABLE, &err);
    assert_true(lives(pid) && lives(other));

    assert_true(script("start", NULL, 0));
    assert_true(connect_to_daemon());
    venv_hypervisor_close(hypervisor);
    hypervisor = open_uri(&daemon_rig, "suite");
    assert_non_null(hypervisor);
    assert_rc(venv_hypervisor_list(hypervisor, &list, &err), VENV_OK, &err);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.foreign_count, 1);
    assert_string_equal(list.items[0].instance, "class2-1");
    assert_int_equal(list.items[0].epoch, 3);
    assert_int_equal(list.items[0].state, VENV_MACHINE_RUNNING);
    venv_machine_list_fini(&list);
    /* The same start again finds it. */
    start_one();
    assert_int_equal(guest_pid(suite_id(1)), pid);
    assert_true(lives(pid) && lives(other));
}

static void a_guest_that_dies_while_the_daemon_is_away_is_told(void **state)
{
    (void)state;
    start_one();
    pid_t pid = guest_pid(suite_id(1));
    assert_true(script("kill", NULL, 0));
    assert_int_equal(kill(pid, SIGKILL), 0);
    for (int i = 0; i < 100 && lives(pid); i++)
        pause_ms(50);
    assert_true(script("start", NULL, 0));
    assert_true(connect_to_daemon());
    venv_hypervisor_close(hypervisor);
    hypervisor = open_uri(&daemon_rig, "suite");
    assert_non_null(hypervisor);
    venv_machine_info info = { 0 };
    for (int i = 0; i < 100; i++) {
        assert_rc(venv_machine_get(hypervisor, suite_id(1), &info, &err), VENV_OK, &err);
        if (info.state == VENV_MACHINE_STOPPED || info.state == VENV_MACHINE_FAILED)
            break;
        pause_ms(50);
    }
    assert_true(info.state == VENV_MACHINE_STOPPED || info.state == VENV_MACHINE_FAILED);
    start_one();
}

static void a_crash_of_qemu_is_heard(void **state)
{
    (void)state;
    start_one();
    assert_int_equal(kill(guest_pid(suite_id(1)), SIGKILL), 0);
    venv_hypervisor_event event = { 0 };
    while (event.state != VENV_MACHINE_FAILED)
        assert_rc(venv_hypervisor_wait(hypervisor, SECONDS(20), &event, &err), VENV_OK, &err);
    assert_true(venv_id_equal(event.id, suite_id(1)));
    venv_machine_info info = { 0 };
    assert_rc(venv_machine_get(hypervisor, suite_id(1), &info, &err), VENV_OK, &err);
    assert_int_equal(info.state, VENV_MACHINE_FAILED);
    assert_string_equal(info.reason, "crashed");
}

static void a_daemon_that_hangs_is_given_up(void **state)
{
    (void)state;
    start_one();
    char line[32];
    assert_true(script("pid", line, sizeof line));
    pid_t daemon = (pid_t)strtol(line, NULL, 10);
    assert_true(daemon > 1);
    assert_int_equal(kill(daemon, SIGSTOP), 0);
    venv_machine_list list = { 0 };
    venv_rc rc = venv_hypervisor_list(hypervisor, &list, &err);
    assert_int_equal(kill(daemon, SIGCONT), 0);
    assert_rc(rc, VENV_EUNREACHABLE, &err);
    venv_hypervisor_close(hypervisor);
    assert_true(connect_to_daemon());
    hypervisor = open_uri(&daemon_rig, "suite");
    assert_non_null(hypervisor);
    assert_rc(venv_hypervisor_list(hypervisor, &list, &err), VENV_OK, &err);
    assert_int_equal(list.count, 1);
    venv_machine_list_fini(&list);
}

static void what_does_not_start_leaves_nothing(void **state)
{
    (void)state;
    char *xml = suite_xml(VENV_HYPERVISOR_QEMU, 1, "suite", "class2-1", 3);
    char *file = strstr(xml, "empty.raw");
    assert_non_null(file);
    memcpy(file, "gone.", 5);
    assert_rc(venv_machine_start(hypervisor, suite_id(1), xml, &err), VENV_EIO, &err);
    assert_non_null(strstr(err.text, "gone.")); /* the reason names the file */
    free(xml);
    venv_machine_info info;
    assert_rc(venv_machine_get(hypervisor, suite_id(1), &info, &err), VENV_ENOENT, &err);
}

static void the_console_is_in_its_file(void **state)
{
    (void)state;
    start_one();
    char path[128];
    snprintf(path, sizeof path, "%s/1.log", suite_folder());
    assert_int_equal(access(path, R_OK), 0);
    venv_machine_info info = { 0 };
    assert_rc(venv_machine_get(hypervisor, suite_id(1), &info, &err), VENV_OK, &err);
    assert_string_equal(info.console, path);
}

static void unknown_uris_are_told(void **state)
{
    (void)state;
    venv_hypervisor *other = NULL;
    assert_true(venv_hypervisor_open("nonsense:///", NULL, &other, &err) < 0);
    assert_rc(venv_hypervisor_open("qemu:///system?socket=/nonexistent/socket", NULL, &other, &err),
              VENV_EUNREACHABLE, &err);
    assert_non_null(strstr(err.text, "/nonexistent/socket"));
}

static int run_on_daemon(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(guests_survive_a_daemon_that_is_killed),
        TEST(a_guest_that_dies_while_the_daemon_is_away_is_told),
        TEST(a_crash_of_qemu_is_heard),
        TEST(a_daemon_that_hangs_is_given_up),
        TEST(what_does_not_start_leaves_nothing),
        TEST(the_console_is_in_its_file),
        TEST(unknown_uris_are_told),
    };
#undef TEST
    suite_driver driver = {
        .name = "qemu:///system", .kind = VENV_HYPERVISOR_QEMU, .obedient = false, .open = open_uri,
        .foreign = foreign, .foreign_name = foreign_name, .foreign_runs = foreign_runs,
        .end_guest = end_qemu_guest, .self = &daemon_rig,
    };
    int failed = start_daemon() == 0 ? 0 : 1;
    if (!failed)
        failed = suite_run(&driver) + cmocka_run_group_tests_name("libvirtd killed, hung and back", tests, NULL, NULL);
    if (!failed && !foreign_runs(&daemon_rig)) {
        print_error("the foreign domain does not run any more\n");
        failed = 1;
    }
    return (stop_daemon() == 0 ? 0 : 1) + failed;
}

static void be_quiet(void *user, virErrorPtr error)
{
    (void)user;
    (void)error;
}

int main(void)
{
    virSetErrorFunc(NULL, be_quiet);
    virEventRegisterDefaultImpl();
    int failed = run_on_test_hypervisor();
    if (geteuid() == 0)
        failed += run_on_daemon();
    else
        print_message("not root: no libvirtd of our own, only %s\n", "test:///default");
    suite_clean();
    return failed != 0;
}
