/* SPDX-License-Identifier: Apache-2.0 */
/* The peer of the starts: the same domain defined and created with libvirt alone. bench_life URI FILE.xml */
#include <libvirt/libvirt.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    static char xml[1 << 18];
    FILE *file = argc == 3 ? fopen(argv[2], "re") : NULL;
    if (!file || fread(xml, 1, sizeof xml - 1, file) == 0 || fclose(file) != 0)
        return 2;
    virConnectPtr connection = virConnectOpen(argv[1]);
    virDomainPtr domain = connection ? virDomainDefineXML(connection, xml) : NULL;
    int failed = !domain || virDomainCreate(domain) < 0;
    if (domain)
        virDomainFree(domain);
    if (connection)
        virConnectClose(connection);
    return failed;
}
