/* The table of kmsd's options, and what must hold between them. */
#include "kmsd/conf/conf.h"

#include <stdlib.h>
#include <string.h>

#define KMS_CONF_DEF "kmsd/conf/options.def"
#include "base/conf_table.def"

/* What is being checked, for messages. */
struct check {
    const char *path;
    struct kms_why *why;
};

static kms_err refuse(const struct check *c, const char *option, const char *cause)
{
    kms_why_set(c->why, "%s: option '%s': %s", c->path, option, cause);
    return KMS_FAIL(CONFIG_INVALID);
}

static bool digits(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* "host:port", "[::1]:port" */
static bool is_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || strlen(colon + 1) > 5 || !digits(colon + 1)) return false;
    unsigned long port = strtoul(colon + 1, NULL, 10);
    return port <= 65535 &&
           (memchr(text, ':', (size_t)(colon - text)) == NULL || (text[0] == '[' && colon[-1] == ']'));
}

static kms_err check_tls(const struct check *c, const struct kmsd_conf *conf)
{
    if (conf->listen_tls[0] == '\0')
        return conf->listen_unix_count > 0 ? KMS_OK
                                           : refuse(c, "listen", "neither tls nor unix: nobody could call");
    if (!is_address(conf->listen_tls)) return refuse(c, "listen.tls", "not host:port");
    if (conf->tls_cert[0] == '\0') return refuse(c, "tls.cert", "missing; listen.tls needs it");
    if (conf->tls_key[0] == '\0') return refuse(c, "tls.key", "missing; listen.tls needs it");
    if (conf->tls_client_ca[0] == '\0')
        return refuse(c, "tls.client_ca", "missing; listen.tls needs it: nobody calls without a certificate");
    return KMS_OK;
}

static kms_err check_socket(const struct check *c, const struct kmsd_conf_unix *socket)
{
    if (socket->principal[0] == '\0' && socket->uids_count == 0)
        return refuse(c, "listen.unix", "a socket has neither principal nor uids: nobody could call");
    for (size_t i = 0; i < socket->uids_count; i++) {
        if (socket->uids[i].uid == KMSD_UID_OVERFLOW)
            return refuse(c, "listen.unix",
                          "uid 65534 stands for every user without a mapping and never is a principal");
        for (size_t k = 0; k < i; k++)
            if (socket->uids[k].uid == socket->uids[i].uid)
                return refuse(c, "listen.unix", "a uid is listed twice for one socket");
    }
    return KMS_OK;
}

static kms_err check_unix(const struct check *c, const struct kmsd_conf *conf)
{
    for (size_t i = 0; i < conf->listen_unix_count; i++) {
        KMS_TRY(check_socket(c, &conf->listen_unix[i]));
        for (size_t k = 0; k < i; k++)
            if (strcmp(conf->listen_unix[k].path, conf->listen_unix[i].path) == 0)
                return refuse(c, "listen.unix", "two sockets have one path");
    }
    return KMS_OK;
}

static kms_err check(const struct check *c, const struct kmsd_conf *conf)
{
    KMS_TRY(check_tls(c, conf));
    KMS_TRY(check_unix(c, conf));
    KMS_TRY(kmsd_conf_check_doors(conf, c->path, c->why));
    if (strncmp(conf->hsm_uri, "pkcs11:", 7) != 0) return refuse(c, "hsm.uri", "does not begin with pkcs11:");
    if (strstr(conf->hsm_uri, "pin-value") != NULL) /* the value itself must not reach any message */
        return refuse(c, "hsm.uri",
                      "pin-value would keep the PIN in the configuration: use pin-source=file:/path");
    if (!digits(conf->arn_account)) return refuse(c, "arn.account", "not 12 digits");
    if (strchr(conf->arn_region, ':') != NULL)
        return refuse(c, "arn.region", "holds a colon, which separates the parts of an ARN");
    if (strchr(conf->arn_partition, ':') != NULL)
        return refuse(c, "arn.partition", "holds a colon, which separates the parts of an ARN");
    if (strchr(conf->audit_instance, '/') != NULL)
        return refuse(c, "audit.instance", "holds a slash; it is part of file names");
    return kmsd_conf_check_rotators(conf, c->path, c->why);
}

kms_err kmsd_conf_load(const char *path, struct kmsd_conf **ret_conf, struct kms_why *why)
{
    const struct check c = {path, why};
    KMS_OWN(kmsd_conf) conf = calloc(1, sizeof *conf);
    if (conf == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_conf_load(&kmsd_conf_section, path, conf, why));
    KMS_TRY(check(&c, conf));
    *ret_conf = KMS_GIVE(conf);
    return KMS_OK;
}

void kmsd_conf_free(struct kmsd_conf *conf)
{
    kms_conf_free(&kmsd_conf_section, conf);
    free(conf);
}

void kmsd_conf_drop(struct kmsd_conf **conf)
{
    kmsd_conf_free(*conf);
}

kms_err kmsd_conf_print_sample(kms_buf *out)
{
    KMS_TRY(kms_buf_print(
        out, "# kmsd.yaml: every option of kmsd with its default, made by `kmsd sample-config`.\n"
             "# Durations: ms, s, m, h. Sizes: bytes, KiB, MiB, GiB. Relative paths start from this file's "
             "folder.\n\n"));
    return kms_conf_print_sample(&kmsd_conf_section, out);
}

kms_err kmsd_conf_print(const struct kmsd_conf *conf, kms_buf *out)
{
    return kms_conf_print_values(&kmsd_conf_section, conf, out);
}
