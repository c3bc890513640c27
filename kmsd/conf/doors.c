/* What must hold of listeners, and of what is spoken there, beyond the range of each option. */
#include <string.h>

#include "base/address.h"
#include "kmsd/conf/conf.h"

static kms_err refuse(const char *path, size_t item, const char *cause, struct kms_why *why)
{
    kms_why_set(why, "%s: option 'listen.sops_tcp[%zu].%s", path, item, cause);
    return KMS_FAIL(CONFIG_INVALID);
}

/* sops shows nobody's credentials and encrypts nothing on this way, so it ends at this machine. */
static kms_err check_tcp(const struct kmsd_conf *conf, const char *path, struct kms_why *why)
{
    for (size_t i = 0; i < conf->listen_sops_tcp_count; i++) {
        const struct kmsd_conf_tcp *door = &conf->listen_sops_tcp[i];
        struct sockaddr_storage address;
        socklen_t len;
        if (!kms_loopback_parse(door->address, &address, &len))
            return refuse(path, i,
                          "address': not one of the loopback interface, in numbers and with a port, such as "
                          "127.0.0.1:5000: there is no TLS, so nobody beyond this machine may reach it",
                          why);
        if (!door->i_accept_any_local_user)
            return refuse(path, i,
                          "i_accept_any_local_user': must be true: over TCP nothing says who calls, so every "
                          "user and program of this machine can call as the principal; a Unix socket "
                          "(listen.unix, protocol: sops) tells them apart",
                          why);
    }
    return KMS_OK;
}

static kms_err check_sops_keys(const struct kmsd_conf *conf, const char *path, struct kms_why *why)
{
    for (size_t i = 0; i < conf->sops_keys_count; i++) {
        for (size_t k = 0; k < i; k++) {
            const struct kmsd_conf_sops_key *a = &conf->sops_keys[i], *b = &conf->sops_keys[k];
            if (a->type != b->type || strcmp(a->name, b->name) != 0) continue;
            kms_why_set(why, "%s: option 'sops.keys[%zu].name': there twice", path, i);
            return KMS_FAIL(CONFIG_INVALID);
        }
    }
    return KMS_OK;
}

/* Who asks by KMS v2 names no key: the socket does. */
static kms_err check_keys(const struct kmsd_conf *conf, const char *path, struct kms_why *why)
{
    for (size_t i = 0; i < conf->listen_unix_count; i++) {
        const struct kmsd_conf_unix *unix_socket = &conf->listen_unix[i];
        bool wants = unix_socket->protocol == KMSD_PROTOCOL_KUBERNETES, has = unix_socket->key[0] != '\0';
        if (wants == has) continue;
        kms_why_set(why, "%s: option 'listen.unix[%zu].key': %s", path, i,
                    wants ? "a socket of protocol kubernetes needs the key that seals there"
                          : "only a socket of protocol kubernetes has one");
        return KMS_FAIL(CONFIG_INVALID);
    }
    return KMS_OK;
}

static kms_err refuse_pod(const char *path, size_t socket, size_t pod, const char *cause, struct kms_why *why)
{
    kms_why_set(why, "%s: option 'listen.unix[%zu].pods[%zu]': %s", path, socket, pod, cause);
    return KMS_FAIL(CONFIG_INVALID);
}

static bool same_pods(const struct kmsd_conf_pod *a, const struct kmsd_conf_pod *b)
{
    return strcmp(a->namespace, b->namespace) == 0 && strcmp(a->service_account, b->service_account) == 0;
}

/* Only the driver of a node says for which pod it asks. */
static kms_err check_pods(const struct kmsd_conf *conf, const char *path, struct kms_why *why)
{
    for (size_t i = 0; i < conf->listen_unix_count; i++) {
        const struct kmsd_conf_unix *from = &conf->listen_unix[i];
        bool wants = from->protocol == KMSD_PROTOCOL_CSI, has = from->pods_count > 0;
        if (wants != has) {
            kms_why_set(why, "%s: option 'listen.unix[%zu].pods': %s", path, i,
                        wants ? "a socket of protocol csi needs at least one item: without, no pod may read"
                              : "only a socket of protocol csi has them");
            return KMS_FAIL(CONFIG_INVALID);
        }
        for (size_t k = 0; k < from->pods_count; k++)
            for (size_t l = 0; l < k; l++)
                if (same_pods(&from->pods[k], &from->pods[l]))
                    return refuse_pod(path, i, k, "namespace and service_account are there twice", why);
    }
    return KMS_OK;
}

kms_err kmsd_conf_check_doors(const struct kmsd_conf *conf, const char *path, struct kms_why *why)
{
    KMS_TRY(check_keys(conf, path, why));
    KMS_TRY(check_pods(conf, path, why));
    KMS_TRY(check_tcp(conf, path, why));
    return check_sops_keys(conf, path, why);
}
