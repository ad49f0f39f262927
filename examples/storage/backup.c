/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies a file of this machine to an object store, verified, and says what it did.
 *
 *      cc backup.c -o backup $(pkg-config --cflags --libs venv)
 *      S3_KEY=… S3_SECRET=… ./backup file:///srv/images/class2.qcow2 \
 *          's3://images/class2.qcow2#endpoint=https://s3.example.org,region=eu-1'
 */
#include <venv/storage.h>

#include <stdio.h>
#include <string.h>

static bool progress(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    fprintf(stderr, "\r%3.0f %%", total > 0 ? 100.0 * (double)done / (double)total : 100.0);
    return true; /* false would stop the copy */
}

int main(int argc, char **argv)
{
    const char *endpoint = argc == 3 ? strstr(argv[2], "endpoint=") : NULL;
    if (!endpoint)
        return fprintf(stderr, "usage: backup file:///PATH 's3://BUCKET/KEY#endpoint=URL,region=NAME'\n"), 2;
    char place[256];
    endpoint += strlen("endpoint=");
    snprintf(place, sizeof place, "%.*s", (int)strcspn(endpoint, ","), endpoint);
    venv_storage_credential credential = { .name = "s3", .for_url = place, .user = "env:S3_KEY", .secret = "env:S3_SECRET" };
    venv_storage_options options = VENV_STORAGE_OPTIONS_INIT;
    options.credentials = &credential;
    options.credential_count = 1;
    options.networks = "private,loopback"; /* the store may be inside */
    options.schemes = strncmp(place, "http:", 5) == 0 ? "file,s3,http" : NULL;
    venv_storage_copy_options how = VENV_STORAGE_COPY_INIT;
    how.progress = progress;
    venv_storage *storage = NULL;
    venv_storage_copied copied;
    venv_storage_error err = { 0 };
    if (venv_storage_new(&options, &storage, &err) != VENV_OK ||
        venv_storage_copy(storage, argv[1], argv[2], &how, &copied, &err) != VENV_OK)
        fprintf(stderr, "\n%s: %s\n%s\n", venv_storage_class_name(err.klass), err.text, venv_storage_class_explain(err.klass));
    else
        fprintf(stderr, "\r%llu bytes copied and verified\n", (unsigned long long)copied.size);
    venv_storage_free(storage);
    return err.rc == VENV_OK ? 0 : 1;
}
