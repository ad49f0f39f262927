/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that links libvenv: prints the instances that run, and on which node.
 *
 *      cc running.c $(pkg-config --cflags --libs venv) -o running && ./running
 *
 * It finds the manager as venvctl does, see venv-client.yaml(5). The functions are in libvenv-client(3).
 */
#include <venv/client.h>
#include <venv/value.h>

#include <stdio.h>

static void print_running(const venv_value *instances)
{
    for (size_t i = 0; i < venv_value_count(instances); i++) {
        const venv_value *instance = venv_value_at(instances, i);
        venv_str name = venv_value_get_text(instance, "name"), node = venv_value_get_text(instance, "node");
        const venv_value *state = venv_value_get(instance, "state");
        if (state && venv_value_is_text(state, "running"))
            printf("%.*s on %.*s\n", (int)name.size, name.data, (int)node.size, node.data);
    }
}

int main(void)
{
    venv_client_config *config = NULL;
    venv_client *client = NULL;
    venv_value instances = venv_value_null();
    venv_error err = { 0 };
    if (venv_client_config_new(&config, &err) == VENV_OK &&
        venv_client_config_load(config, NULL, &err) == VENV_OK &&
        venv_client_connect(config, &client, &err) == VENV_OK &&
        venv_client_list(client, "instances", &instances, &err) == VENV_OK)
        print_running(&instances);
    else
        fprintf(stderr, "%s\n", err.text);
    venv_value_unref(&instances);
    venv_client_free(client);
    venv_client_config_free(config);
    return err.rc == VENV_OK ? 0 : 1;
}
