/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start a machine on one hypervisor, without any daemon of venv, let it run until it ends, for ten minutes at most, and stop it.
 *      cc night.c $(pkg-config --cflags --libs venv) -o night && ./night qemu:///system vmlinuz initrd
 */
#include <venv/environment.h>
#include <venv/machine.h>

#include <stdio.h>
#include <stdlib.h>

static venv_rc describe(char **files, venv_environment **environment, venv_error *err)
{
    venv_value value = venv_value_null();
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "hypervisor", "qemu");
    venv_map_put(&map, "vcpus", venv_value_int(1));
    venv_map_put_z(&map, "memory", "128MiB");
    venv_map_put_z(&map, "kernel", files[0]);
    venv_map_put_z(&map, "initrd", files[1]);
    venv_rc rc = venv_map_take(&map, &value, err);
    if (rc == VENV_OK)
        rc = venv_environment_from_value("night", &value, NULL, NULL, environment, err);
    venv_value_unref(&value);
    return rc;
}

/* Events say that something changed; what is true is what venv_machine_get() says. */
static venv_rc wait_for_end(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_hypervisor_event event;
    venv_machine_info info = { .state = VENV_MACHINE_RUNNING };
    venv_rc rc = VENV_OK;
    while (rc == VENV_OK && info.state == VENV_MACHINE_RUNNING)
        if ((rc = venv_hypervisor_wait(hypervisor, (venv_span){ 600 * VENV_NS_PER_S }, &event, err)) == VENV_OK)
            rc = venv_machine_get(hypervisor, id, &info, err);
    return rc == VENV_ETIMEDOUT || rc == VENV_ENOENT ? VENV_OK : rc;
}

int main(int argc, char **argv)
{
    venv_error err = { .rc = VENV_EINVAL, .text = "usage: night URI KERNEL INITRD" };
    venv_environment *environment = NULL;
    venv_hypervisor *hypervisor = NULL;
    venv_machine_mark mark = { .id = { { 0x5c, 0xa1, 0xab, 0x1e } }, .cluster = "default", .instance = "night-1", .epoch = 1 };
    char *xml = NULL;
    bool good = argc == 4 && describe(argv + 2, &environment, &err) == VENV_OK &&
                venv_environment_domain_xml(environment, &mark, NULL, &xml, &err) == VENV_OK &&
                venv_hypervisor_open(argv[1], NULL, &hypervisor, &err) == VENV_OK &&
                venv_machine_start(hypervisor, mark.id, xml, &err) == VENV_OK && wait_for_end(hypervisor, mark.id, &err) == VENV_OK &&
                venv_machine_stop(hypervisor, mark.id, (venv_span){ 30 * VENV_NS_PER_S }, &err) == VENV_OK;
    if (!good)
        fprintf(stderr, "night: %s\n", err.text);
    venv_hypervisor_close(hypervisor);
    venv_environment_unref(environment);
    free(xml);
    return good ? 0 : 1;
}
