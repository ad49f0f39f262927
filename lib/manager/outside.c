/* SPDX-License-Identifier: Apache-2.0 */
/* The sections that say where mail, webhooks and plug-ins go. Pure: nothing is looked up or connected to. */
#include "manager/outside.h"

#include <stdio.h>
#include <string.h>

#define SECOND VENV_NS_PER_S
#define ADDRESS_MAX 254u

static const venv_config_row address_row = { "address", VENV_CONFIG_STRING, .min = 3, .max = ADDRESS_MAX };
static const venv_config_row addresses_row = { "addresses", VENV_CONFIG_LIST, .of = &address_row, .one_or_list = true, .min = 1,
                                               .max = 64, .help = "Who they are." };
static const char *const tls_choices[] = { "required", "none", NULL };

const venv_config_row venv_mgr_outside_mail[] = {
    { "server", VENV_CONFIG_STRING, .required = true, .min = 8, .max = 512,
      .help = "The SMTP server: smtp://HOST[:PORT], or smtps:// for TLS from the first byte." },
    { "from", VENV_CONFIG_STRING, .required = true, .min = 3, .max = ADDRESS_MAX, .help = "The sender's address." },
    { "recipients", VENV_CONFIG_MAP, .of = &addresses_row, .required = true, .min = 1, .max = 256,
      .help = "Names for those who get mail, which the action mail uses, and their addresses." },
    { "tls", VENV_CONFIG_ENUM, .choices = tls_choices, .fallback = "required",
      .help = "Whether smtp:// goes on only with TLS. Take none for a server on this host." },
    { "ca", VENV_CONFIG_PATH, .help = "CA certificates for the server; those of the system if it is left out." },
    { "user", VENV_CONFIG_STRING, .min = 1, .max = 255, .help = "Who logs in; nobody if it is left out." },
    { "password_file", VENV_CONFIG_PATH, .help = "File with the password in its first line, readable by the manager only." },
    { "timeout", VENV_CONFIG_SPAN, .min = SECOND, .max = 600 * SECOND, .fallback = "30s", .help = "Time for one try." },
    { "retries", VENV_CONFIG_INT, .min = 0, .max = 5, .fallback = "2", .help = "Further tries, after 1s, 2s, 4s and so on." },
    { .name = NULL },
};

static const venv_config_row webhook_rows[] = {
    { "url", VENV_CONFIG_STRING, .required = true, .min = 10, .max = 2000,
      .help = "Where the JSON is sent by POST: https:// or http://. Redirects are not followed." },
    { "ca", VENV_CONFIG_PATH, .help = "CA certificates for the server; those of the system if it is left out." },
    { "token_file", VENV_CONFIG_PATH, .help = "File with a bearer token in its first line, readable by the manager only." },
    { "timeout", VENV_CONFIG_SPAN, .min = SECOND, .max = 600 * SECOND, .fallback = "10s", .help = "Time for one try." },
    { "retries", VENV_CONFIG_INT, .min = 0, .max = 5, .fallback = "3", .help = "Further tries, after 1s, 2s, 4s and so on." },
    { .name = NULL },
};
const venv_config_row venv_mgr_outside_webhook = { "webhook", VENV_CONFIG_TABLE, .of = webhook_rows, .help = "One that can be called." };
const venv_config_row venv_mgr_outside_plugin = { "directory", VENV_CONFIG_PATH, .help = "A folder of plug-ins." };

/* Printable ASCII without white space and without what has a meaning in a header or a command of SMTP (RFC 5322 dot-atom). */
static bool is_address(venv_str text)
{
    static const char special[] = "!#$%&'*+-/=?^_`{|}~.";
    size_t at = 0;
    bool local = true;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (c == '@' && local && i > 0) {
            local = false;
            at = i;
        } else if (!word && !(local ? strchr(special, c) != NULL && c != '\0' : c == '.' || c == '-')) {
            return false;
        }
    }
    return !local && at + 1 < text.size && text.size <= ADDRESS_MAX;
}

/* SCHEME://HOST…, printable, and no password in it. */
static bool is_url(venv_str text, const char *first, const char *second)
{
    size_t one = strlen(first), two = strlen(second), begin;
    if (text.size > one && memcmp(text.data, first, one) == 0)
        begin = one;
    else if (text.size > two && memcmp(text.data, second, two) == 0)
        begin = two;
    else
        return false;
    for (size_t i = begin; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f || text.data[i] == '@' || strchr("\"<>\\^`{|}", text.data[i]))
            return false;
    return text.data[begin] != '/' && text.data[begin] != ':';
}

static venv_rc blame(const venv_value *document, const venv_mark *root, const char *path, venv_error *err)
{
    return venv_mark_blame(venv_mark_find(root, document, path), err);
}

static venv_rc check_mail(const venv_value *mail, const venv_value *document, const venv_mark *root, venv_error *err)
{
    venv_str user = venv_config_text(mail, "user"), file = venv_config_text(mail, "password_file");
    if (!is_url(venv_config_text(mail, "server"), "smtp://", "smtps://")) {
        venv_error_set(err, VENV_EINVAL, "mail.server must be smtp://HOST[:PORT] or smtps://HOST[:PORT]");
        return blame(document, root, "mail.server", err);
    }
    if (!is_address(venv_config_text(mail, "from"))) {
        venv_error_set(err, VENV_EINVAL, "mail.from must be an address such as venv@example.org");
        return blame(document, root, "mail.from", err);
    }
    if ((user.size > 0) != (file.size > 0)) {
        venv_error_set(err, VENV_EINVAL, "mail: user and password_file belong together");
        return blame(document, root, "mail", err);
    }
    const venv_value *key, *list;
    for (size_t i = 0; venv_value_entry(venv_config_get(mail, "recipients"), i, &key, &list); i++)
        for (size_t n = 0; n < venv_value_count(list); n++)
            if (!is_address(venv_value_peek_text(venv_value_at(list, n)))) {
                char shown[80];
                venv_value_print(venv_value_at(list, n), shown, sizeof shown);
                venv_error_set(err, VENV_EINVAL, "mail.recipients: %s is no address such as admin@example.org", shown);
                return blame(document, root, "mail.recipients", err);
            }
    return VENV_OK;
}

venv_rc venv_mgr_outside_check(const venv_manager_config *config, const venv_value *document, const venv_mark *root, venv_error *err)
{
    if (venv_value_kind(&config->mail) == VENV_MAP) {
        venv_rc rc = check_mail(&config->mail, document, root, err);
        if (rc != VENV_OK)
            return rc;
    }
    const venv_value *key, *row;
    for (size_t i = 0; venv_value_entry(&config->webhooks, i, &key, &row); i++)
        if (!is_url(venv_config_text(row, "url"), "https://", "http://")) {
            char shown[80];
            venv_value_print(key, shown, sizeof shown);
            venv_error_set(err, VENV_EINVAL, "webhooks: the url of %s must be https://HOST… or http://HOST…, without a password in it", shown);
            return blame(document, root, "webhooks", err);
        }
    return VENV_OK;
}

const venv_value *venv_mgr_outside_webhook_find(const venv_manager_config *config, venv_str to, venv_str *ret_name)
{
    const venv_value *key, *row;
    for (size_t i = 0; venv_value_entry(&config->webhooks, i, &key, &row); i++) {
        venv_str name = venv_value_peek_text(key), url = venv_config_text(row, "url");
        if ((name.size == to.size && memcmp(name.data, to.data, to.size) == 0) ||
            (url.size == to.size && memcmp(url.data, to.data, to.size) == 0)) {
            if (ret_name)
                *ret_name = name;
            return row;
        }
    }
    return NULL;
}

venv_rc venv_mgr_outside_find(const venv_manager_config *config, const char *verb, const venv_value *arguments, const char **ret_key,
                              venv_error *err)
{
    bool is_mail = strcmp(verb, "mail") == 0, is_webhook = strcmp(verb, "webhook") == 0;
    bool is_plugin = strcmp(verb, "plugin") == 0;
    const venv_value *to = venv_value_get(arguments, "to");
    venv_str text = venv_value_get_text(arguments, "to");
    int size = (int)(text.size < 80 ? text.size : 80);
    *ret_key = is_plugin ? "name" : "to";
    if (is_mail && venv_value_kind(&config->mail) != VENV_MAP)
        return venv_error_set(err, VENV_EINVAL, "mail goes nowhere: the configuration has no section mail");
    if (is_mail && !venv_value_find(venv_config_get(&config->mail, "recipients"), to))
        return venv_error_set(err, VENV_EINVAL, "there are no recipients '%.*s' in mail.recipients", size, text.data ? text.data : "");
    if (is_webhook && !venv_mgr_outside_webhook_find(config, text, NULL))
        return venv_error_set(err, VENV_EINVAL, "there is no webhook '%.*s' in the section webhooks", size, text.data ? text.data : "");
    if (is_plugin && venv_value_count(&config->plugins) == 0)
        return venv_error_set(err, VENV_EINVAL, "no plug-in can run: the configuration has no folders under plugins");
    return VENV_OK;
}
