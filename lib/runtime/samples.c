/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/samples.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* A file of /proc as text: what fits. */
static venv_rc read_text(const venv_samples *samples, const char *name, char *ret_text, size_t size, venv_error *err)
{
    char path[PATH_MAX];
    size_t used = 0;
    int n = snprintf(path, sizeof path, "%s/%s", samples->proc, name);
    int fd = n > 0 && (size_t)n < sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return venv_error_set(err, VENV_EIO, "cannot read %s/%s: %s", samples->proc, name, strerror(errno));
    while (used < size - 1) {
        ssize_t got = read(fd, ret_text + used, size - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    (void)close(fd);
    ret_text[used] = '\0';
    return used > 0 ? VENV_OK : venv_error_set(err, VENV_EIO, "%s/%s is empty", samples->proc, name);
}

static venv_rc malformed(const char *name, venv_error *err)
{
    return venv_error_set(err, VENV_EIO, "/proc/%s does not look as expected", name);
}

/* The number after `key` at the beginning of a line. */
static bool find_number(const char *text, const char *key, uint64_t *ret_number)
{
    size_t size = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, size) != 0)
            continue;
        char *end = NULL;
        errno = 0;
        *ret_number = strtoull(line + size, &end, 10);
        return end != line + size && errno == 0;
    }
    return false;
}

static venv_rc read_memory(const venv_samples *samples, const char *key, venv_value *ret_value, venv_error *err)
{
    char text[8192];
    uint64_t number;
    venv_rc rc = read_text(samples, "meminfo", text, sizeof text, err);
    if (rc != VENV_OK)
        return rc;
    if (!find_number(text, key, &number) || number > INT64_MAX)
        return malformed("meminfo", err);
    *ret_value = venv_value_int((int64_t)number);
    return VENV_OK;
}

static venv_rc read_load(const venv_samples *samples, int index, venv_value *ret_value, venv_error *err)
{
    char text[256];
    double load[3];
    venv_rc rc = read_text(samples, "loadavg", text, sizeof text, err);
    if (rc != VENV_OK)
        return rc;
    char *at = text;
    for (int i = 0; i < 3; i++) {
        char *end = NULL;
        load[i] = strtod(at, &end);
        if (end == at)
            return malformed("loadavg", err);
        at = end;
    }
    *ret_value = venv_value_double(load[index]);
    return VENV_OK;
}

/* "0.52 0.58 0.59 2/345 6789": the number after the stroke is that of all tasks. */
static venv_rc read_processes(const venv_samples *samples, venv_value *ret_value, venv_error *err)
{
    char text[256];
    venv_rc rc = read_text(samples, "loadavg", text, sizeof text, err);
    if (rc != VENV_OK)
        return rc;
    const char *stroke = strchr(text, '/');
    char *end = NULL;
    long long number = stroke ? strtoll(stroke + 1, &end, 10) : 0;
    if (!stroke || end == stroke + 1 || number < 0)
        return malformed("loadavg", err);
    *ret_value = venv_value_int(number);
    return VENV_OK;
}

static venv_rc read_uptime(const venv_samples *samples, venv_value *ret_value, venv_error *err)
{
    char text[128];
    venv_rc rc = read_text(samples, "uptime", text, sizeof text, err);
    if (rc != VENV_OK)
        return rc;
    char *end = NULL;
    double seconds = strtod(text, &end);
    if (end == text || !(seconds >= 0 && seconds < 1e12))
        return malformed("uptime", err);
    *ret_value = venv_value_int((int64_t)seconds);
    return VENV_OK;
}

static venv_rc read_cpus(venv_value *ret_value, venv_error *err)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    if (count < 1)
        return venv_error_set(err, VENV_EIO, "the system does not tell how many processors are online");
    *ret_value = venv_value_int(count);
    return VENV_OK;
}

/*
 * The first line of /proc/stat (proc(5)): user nice system idle iowait irq softirq steal guest guest_nice, in ticks since
 * boot. Guests' time is in user and nice already.
 */
static venv_rc read_cpu_used(venv_samples *samples, venv_value *ret_value, venv_error *err)
{
    char text[4096];
    uint64_t field[8] = { 0 }, total = 0;
    venv_rc rc = read_text(samples, "stat", text, sizeof text, err);
    if (rc != VENV_OK)
        return rc;
    if (sscanf(text, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
               &field[0], &field[1], &field[2], &field[3], &field[4], &field[5], &field[6], &field[7]) < 4)
        return malformed("stat", err);
    for (size_t i = 0; i < 8; i++)
        total += field[i];
    uint64_t idle = field[3] + field[4];
    uint64_t past_total = total - samples->cpu_total, past_idle = idle - samples->cpu_idle;
    bool went_back = total < samples->cpu_total || idle < samples->cpu_idle; /* iowait may */
    samples->cpu_total = total;
    samples->cpu_idle = idle;
    /* The first reading tells the share since boot: a true answer, and better than none. */
    if (past_total == 0 || went_back || past_idle > past_total)
        return venv_error_set(err, VENV_EIO, "no time has passed since the last reading of /proc/stat");
    *ret_value = venv_value_double((double)(past_total - past_idle) / (double)past_total);
    return VENV_OK;
}

static venv_rc read_uname(bool kernel, venv_value *ret_value, venv_error *err)
{
    struct utsname name;
    if (uname(&name) != 0)
        return venv_error_set(err, VENV_EIO, "uname: %s", strerror(errno));
    return venv_value_string_z(kernel ? name.release : name.machine, ret_value, err);
}

venv_rc venv_samples_read(venv_samples *samples, venv_builtin_id id, venv_value *ret_value, venv_error *err)
{
    switch (id) {
    case VENV_BUILTIN_LOAD1: return read_load(samples, 0, ret_value, err);
    case VENV_BUILTIN_LOAD5: return read_load(samples, 1, ret_value, err);
    case VENV_BUILTIN_LOAD15: return read_load(samples, 2, ret_value, err);
    case VENV_BUILTIN_CPUS: return read_cpus(ret_value, err);
    case VENV_BUILTIN_CPU_USED: return read_cpu_used(samples, ret_value, err);
    case VENV_BUILTIN_MEMTOTAL: return read_memory(samples, "MemTotal:", ret_value, err);
    case VENV_BUILTIN_MEMFREE: return read_memory(samples, "MemAvailable:", ret_value, err);
    case VENV_BUILTIN_SWAPTOTAL: return read_memory(samples, "SwapTotal:", ret_value, err);
    case VENV_BUILTIN_SWAPFREE: return read_memory(samples, "SwapFree:", ret_value, err);
    case VENV_BUILTIN_UPTIME: return read_uptime(samples, ret_value, err);
    case VENV_BUILTIN_PROCESSES: return read_processes(samples, ret_value, err);
    case VENV_BUILTIN_KERNEL: return read_uname(true, ret_value, err);
    case VENV_BUILTIN_ARCH: return read_uname(false, ret_value, err);
    case VENV_BUILTIN_DISKTOTAL:
    case VENV_BUILTIN_DISKFREE:
    case VENV_BUILTIN_HYPERVISOR:
    case VENV_BUILTIN__COUNT: break;
    }
    return venv_error_set(err, VENV_EUNSUPPORTED, "this property is not measured here");
}
