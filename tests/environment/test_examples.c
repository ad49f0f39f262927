/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files in examples/environments: each is a definition that is accepted, with its expressions, and that libvirt's own
 * schema takes as a domain. The names of the files are given on the command line, with the folder before them.
 */
#include <venv/codec.h>
#include <venv/environment.h>
#include <venv/expr.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static venv_environment_words words;
static venv_error err;

static char *load(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, 65536);
    if (!file || !text)
        exit(2);
    *ret_size = fread(text, 1, 65535, file);
    (void)fclose(file);
    return text;
}

/* `user_data: FILE` of a file beside it, whose text venvctl puts in its place: here only its name is one of the node. */
static void take_user_data(char *text)
{
    char *at = strstr(text, "user_data: ");
    at = at ? at + strlen("user_data: ") : NULL;
    if (at && *at != '/')
        *at = '/';
}

/* As the agent draws it, with whatever it would have made. */
static int draw(const venv_environment *environment)
{
    const venv_definition *is = venv_environment_peek(environment);
    static uint32_t cpus[VENV_ENVIRONMENT_VCPUS_MAX];
    venv_domain_files files = { .seed = is->cloud_init.given ? "/made/seed.iso" : NULL, .cpus = cpus };
    for (size_t i = 0; i < is->disk_count; i++) {
        if (is->disks[i].source != VENV_DISK_MADE)
            continue;
        files.disks[i].path = "/made/disk";
        files.disks[i].base = is->disks[i].image ? "/images/base" : NULL;
        files.disks[i].base_format = VENV_DISK_QCOW2;
    }
    venv_machine_mark mark = { .id = { { 1, 2, 3 } }, .epoch = 1, .cluster = "lab" };
    snprintf(mark.instance, sizeof mark.instance, "example-1");
    char *xml = NULL;
    if (venv_environment_domain_xml(environment, &mark, &files, &xml, &err) != VENV_OK)
        return 1;
    char path[] = "/tmp/venv-example-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file || fputs(xml, file) < 0 || fclose(file) != 0)
        return 1;
    free(xml);
    char command[256];
    snprintf(command, sizeof command, "xmllint --noout --nonet --relaxng /usr/share/libvirt/schemas/domain.rng %s", path);
    int status = system(command); /* NOLINT: both parts are ours */
    (void)remove(path);
    return status == 0 ? 0 : 1;
}

static int check(const char *path)
{
    size_t size = 0, count = 0;
    char *text = load(path, &size);
    take_user_data(text);
    venv_value whole = venv_value_null();
    venv_yaml_marks *marks = NULL;
    int bad = venv_yaml_parse(text, size, path, &whole, &marks, &err) != VENV_OK;
    const venv_value *all = bad ? NULL : venv_value_get(&whole, "environments"), *key, *value;
    const venv_mark *mark = all ? venv_mark_get(venv_yaml_marks_root(marks), &whole, "environments") : NULL;
    for (size_t i = 0; !bad && all && venv_value_entry(all, i, &key, &value); i++, count++) {
        char name[VENV_NAME_MAX + 1];
        venv_environment *environment = NULL;
        venv_str said = venv_value_peek_text(key);
        snprintf(name, sizeof name, "%.*s", (int)said.size, said.data);
        venv_value definition = venv_value_ref(value);
        bad = venv_environment_from_value(name, &definition, venv_mark_at(mark, i), &words, &environment, &err) != VENV_OK || draw(environment);
        venv_environment_unref(environment);
        venv_value_unref(&definition);
    }
    if (bad || count == 0)
        fprintf(stderr, "%s:%u:%u: %s\n", path, err.line, err.column, err.text);
    venv_yaml_marks_free(marks);
    venv_value_unref(&whole);
    free(text);
    return bad || count == 0;
}

int main(int argc, char **argv)
{
    int bad = argc < 6; /* there are five */
    if (venv_environment_expr_env(&words.place, &err) != VENV_OK)
        return 1;
    for (int i = 1; i < argc; i++)
        bad |= check(argv[i]);
    venv_expr_env_unref(words.place);
    printf("%d files%s\n", argc - 1, bad ? ", and not all are right" : "");
    return bad;
}
