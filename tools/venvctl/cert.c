/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs cert: the cluster's CA, certificates and their files. Local; no manager is asked. */
#include "venvctl.h"

#include <venv/identity.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CA_SIZE_MAX    65536 /* bytes of ca.crt */
#define HOSTS_SIZE_MAX 4096  /* bytes of --hosts */

static int read_options(venvctl *app, venv_cert_options *ret_options)
{
    venv_cert_options options = { .replace = app_has(app, OPTION_REPLACE) };
    int64_t days = 0;
    int code = app_number(app, OPTION_DAYS, 1, VENV_CERT_DAYS_MAX, &days);
    if (code != EXIT_DONE)
        return code;
    options.days = (uint32_t)days;
    const char *key = app->value[OPTION_KEY];
    if (key && strcmp(key, "ed25519") == 0)
        options.key = VENV_KEY_ED25519;
    else if (key && strcmp(key, "p256") != 0)
        return app_usage(app, "--key %s: p256 or ed25519 is expected", key);
    *ret_options = options;
    return EXIT_DONE;
}

/* The names of --hosts: copies in `text`, at most VENV_CERT_HOST_COUNT_MAX. */
static int split_hosts(venvctl *app, char *text, size_t size, const char **ret_hosts, size_t *ret_count)
{
    const char *given = app->value[OPTION_HOSTS];
    size_t count = 0;
    if (!given)
        return EXIT_DONE;
    if (strlen(given) >= size)
        return app_usage(app, "--hosts: more than %zu bytes", size - 1);
    memcpy(text, given, strlen(given) + 1);
    for (char *at = text; at; count++) {
        char *comma = strchr(at, ',');
        if (comma)
            *comma = 0;
        if (*at == 0 || count == VENV_CERT_HOST_COUNT_MAX)
            return app_usage(app, "--hosts %s: 1 to %d names, joined by commas, are expected", given, VENV_CERT_HOST_COUNT_MAX);
        ret_hosts[count] = at;
        at = comma ? comma + 1 : NULL;
    }
    *ret_count = count;
    return EXIT_DONE;
}

static const char *directory(const venvctl *app)
{
    return app->value[OPTION_DIR] ? app->value[OPTION_DIR] : ".";
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* What was made, for people and for programs. */
static int report(venvctl *app, const char *certificate, const char *key, const char *ca)
{
    venv_error err = { 0 };
    venv_cert_info info;
    if (venv_cert_read(certificate, &info, &err) != VENV_OK)
        return app_fail(app, &err);
    char uri[VENV_IDENTITY_URI_MAX], until[VENV_WALL_TEXT_SIZE];
    (void)venv_wall_format(info.not_after, until);
    if (app_has(app, OPTION_JSON)) {
        venv_map_builder map;
        venv_value value = venv_value_null();
        venv_map_init(&map);
        if (ca)
            venv_map_put_z(&map, "identity", venv_identity_format(&info.identity, uri));
        else
            venv_map_put_z(&map, "cluster", info.identity.cluster);
        venv_map_put_z(&map, "certificate", certificate);
        venv_map_put_z(&map, "key", key);
        if (ca)
            venv_map_put_z(&map, "ca", ca);
        venv_map_put(&map, "expires", venv_value_from_wall(info.not_after));
        if (venv_map_take(&map, &value, &err) != VENV_OK)
            return app_fail(app, &err);
        int code = print_json(app, &value);
        venv_value_unref(&value);
        return code;
    }
    if (app_has(app, OPTION_QUIET))
        return EXIT_DONE;
    if (ca)
        fprintf(app->out, "%s until %.10s: %s, %s\n", venv_identity_format(&info.identity, uri), until, certificate, base_name(key));
    else
        fprintf(app->out, "CA of cluster %s until %.10s: %s, %s (keep the key where nobody else can read it)\n",
                info.identity.cluster, until, certificate, base_name(key));
    return EXIT_DONE;
}

int run_cert_init(venvctl *app)
{
    venv_error err = { 0 };
    venv_cert_options options;
    const char *cluster = app->value[OPTION_CLUSTER];
    if (!cluster)
        return app_usage(app, "\"cert init\" needs --cluster NAME: it is part of every identity, and two clusters never talk");
    int code = read_options(app, &options);
    if (code != EXIT_DONE)
        return code;
    if (venv_ca_init(directory(app), cluster, &options, app->now, &err) != VENV_OK)
        return app_fail(app, &err);
    char certificate[VENV_CERT_PATH_MAX], key[VENV_CERT_PATH_MAX];
    (void)snprintf(certificate, sizeof certificate, "%s/ca.crt", directory(app));
    (void)snprintf(key, sizeof key, "%s/ca.key", directory(app));
    return report(app, certificate, key, NULL);
}

static int file_error(venvctl *app, const char *path)
{
    venv_error err = { 0 };
    (void)venv_error_set(&err, errno == ENOENT ? VENV_ENOENT : VENV_EIO, "%s: %s", path, strerror(errno));
    return app_fail(app, &err);
}

/* Write a file so that it is complete or absent. */
static int write_whole(venvctl *app, const char *path, const char *data, size_t size)
{
    char temporary[VENV_CERT_PATH_MAX + 16];
    (void)snprintf(temporary, sizeof temporary, "%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return file_error(app, temporary);
    size_t written = 0;
    while (written < size) {
        ssize_t more = write(fd, data + written, size - written);
        if (more < 0 && errno != EINTR)
            break;
        written += more > 0 ? (size_t)more : 0;
    }
    bool good = written == size && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    if (!good || rename(temporary, path) != 0) {
        int code = file_error(app, temporary);
        (void)unlink(temporary);
        return code;
    }
    return EXIT_DONE;
}

static int read_ca(venvctl *app, const char *path, char *data, size_t *ret_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file_error(app, path);
    size_t size = 0;
    ssize_t got = 1;
    while (size < CA_SIZE_MAX && got != 0) {
        got = read(fd, data + size, CA_SIZE_MAX - size);
        if (got < 0 && errno != EINTR) {
            int code = file_error(app, path);
            (void)close(fd);
            return code;
        }
        size += got > 0 ? (size_t)got : 0;
    }
    (void)close(fd);
    *ret_size = size;
    return EXIT_DONE;
}

/* A directory of certificates is of use only with the CA's: put a copy there, unless it is there already. */
static int copy_ca(venvctl *app, const char *to)
{
    char from_path[VENV_CERT_PATH_MAX], to_path[VENV_CERT_PATH_MAX];
    static char ours[CA_SIZE_MAX], theirs[CA_SIZE_MAX];
    size_t our_size = 0, their_size = 0;
    (void)snprintf(from_path, sizeof from_path, "%s/ca.crt", directory(app));
    (void)snprintf(to_path, sizeof to_path, "%s/ca.crt", to);
    int code = read_ca(app, from_path, ours, &our_size);
    if (code != EXIT_DONE)
        return code;
    if (access(to_path, F_OK) == 0) {
        code = read_ca(app, to_path, theirs, &their_size);
        if (code == EXIT_DONE && our_size == their_size && memcmp(ours, theirs, our_size) == 0)
            return EXIT_DONE;
        if (code == EXIT_DONE && !app_has(app, OPTION_REPLACE)) {
            app_say(app, "%s is the certificate of another CA: choose another directory, or --replace", to_path);
            return EXIT_FAILED;
        }
    }
    return code == EXIT_DONE ? write_whole(app, to_path, ours, our_size) : code;
}

int run_cert_issue(venvctl *app)
{
    venv_error err = { 0 };
    venv_cert_options options;
    venv_role role = VENV_ROLE_NONE;
    const char *word = app->arguments[0], *name = app->arguments[1], *out = app->value[OPTION_OUT];
    static const venv_role roles[] = { VENV_ROLE_MANAGER, VENV_ROLE_AGENT, VENV_ROLE_USER };
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(venv_role_name(roles[i]), word) == 0)
            role = roles[i];
    if (role == VENV_ROLE_NONE)
        return app_usage(app, "there is no role \"%s\"; it is manager, agent or user", word);
    if (!venv_name_is_valid((venv_str){ name, strlen(name) }))
        return app_usage(app, "\"%s\" cannot name a peer; use lower-case letters, digits, '.', '_' and '-', at most %d", name,
                         VENV_NAME_MAX);
    int code = read_options(app, &options);
    char names[HOSTS_SIZE_MAX];
    const char *hosts[VENV_CERT_HOST_COUNT_MAX];
    if (code == EXIT_DONE)
        code = split_hosts(app, names, sizeof names, hosts, &options.host_count);
    if (code != EXIT_DONE)
        return code;
    options.hosts = hosts;
    if (out && mkdir(out, 0700) != 0 && errno != EEXIST)
        return file_error(app, out);
    if (out)
        code = copy_ca(app, out);
    if (code != EXIT_DONE)
        return code;
    if (venv_ca_issue(directory(app), role, name, out, &options, app->now, &err) != VENV_OK)
        return app_fail(app, &err);
    char certificate[VENV_CERT_PATH_MAX], key[VENV_CERT_PATH_MAX], ca[VENV_CERT_PATH_MAX];
    const char *where = out ? out : directory(app);
    (void)venv_cert_path(where, role, name, "crt", certificate);
    (void)venv_cert_path(where, role, name, "key", key);
    (void)snprintf(ca, sizeof ca, "%s/ca.crt", where);
    return report(app, certificate, key, ca);
}

int run_cert_show(venvctl *app)
{
    venv_error err = { 0 };
    venv_cert_info info;
    if (venv_cert_read(app->arguments[0], &info, &err) != VENV_OK)
        return app_fail(app, &err);
    char uri[VENV_IDENTITY_URI_MAX];
    bool valid = info.not_before.ns <= app->now.ns && app->now.ns < info.not_after.ns;
    venv_map_builder map;
    venv_value value = venv_value_null();
    venv_map_init(&map);
    if (!info.is_ca) {
        venv_map_put_z(&map, "identity", venv_identity_format(&info.identity, uri));
        venv_map_put_z(&map, "role", venv_role_name(info.identity.role));
        venv_map_put_z(&map, "name", info.identity.name);
    }
    venv_map_put_z(&map, "cluster", info.identity.cluster);
    venv_map_put(&map, "ca", venv_value_bool(info.is_ca));
    venv_map_put(&map, "from", venv_value_from_wall(info.not_before));
    venv_map_put(&map, "expires", venv_value_from_wall(info.not_after));
    venv_map_put(&map, "valid", venv_value_bool(valid));
    venv_map_put_z(&map, "serial", info.serial);
    venv_map_put_z(&map, "fingerprint", info.fingerprint);
    venv_map_put_z(&map, "key", info.key);
    venv_map_put_z(&map, "hosts", info.hosts);
    if (venv_map_take(&map, &value, &err) != VENV_OK)
        return app_fail(app, &err);
    int code = print_value(app, &value);
    venv_value_unref(&value);
    return code;
}
