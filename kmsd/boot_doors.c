/* The configuration's sockets in the shape of authn, dialects and rpc. */
#include <stdio.h>
#include <stdlib.h>

#include "kmsd/boot.h"
#include "kmsd/keys/name.h"

_Static_assert((int)KMSD_PROTOCOL_SOPS == (int)KMS_PROTOCOL_SOPS &&
                   (int)KMSD_PROTOCOL_KUBERNETES == (int)KMS_PROTOCOL_KUBERNETES &&
                   (int)KMSD_PROTOCOL_CSI == (int)KMS_PROTOCOL_CSI,
               "options.def has the protocols in order");
_Static_assert((int)KMSD_SOPS_GCP_KMS == (int)KMS_SOPS_GCP_KMS &&
                   (int)KMSD_SOPS_AZURE_KV == (int)KMS_SOPS_AZURE_KV &&
                   (int)KMSD_SOPS_HC_VAULT == (int)KMS_SOPS_HC_VAULT &&
                   (int)KMSD_SOPS_HCKMS == (int)KMS_SOPS_HCKMS,
               "and the key types of sops");

/* A key's name; whether there is such a key is seen call by call. */
static kms_err check_key(const struct kms_arn_prefix *arn, const char *list, size_t i, const char *key,
                         struct kms_why *why)
{
    struct kms_key_name name;
    struct kms_why cause = {{0}};
    if (!kms_failed(kms_key_name_parse(arn, kms_bytes_text(key), &name, &cause))) return KMS_OK;
    kms_why_set(why, "option '%s[%zu].key': %s", list, i, cause.text);
    return KMS_FAIL(CONFIG_INVALID);
}

kms_err kms_boot_doors_check(const struct kmsd_conf *conf, struct kms_why *why)
{
    struct kms_arn_prefix arn;
    KMS_TRY(kms_arn_prefix_make(conf->arn_partition, "kms", conf->arn_region, conf->arn_account, &arn, why));
    for (size_t i = 0; i < conf->sops_keys_count; i++)
        KMS_TRY(check_key(&arn, "sops.keys", i, conf->sops_keys[i].key, why));
    for (size_t i = 0; i < conf->listen_unix_count; i++)
        if (conf->listen_unix[i].key[0] != '\0')
            KMS_TRY(check_key(&arn, "listen.unix", i, conf->listen_unix[i].key, why));
    return KMS_OK;
}

static kms_err add_sops_keys(struct kms_boot *boot)
{
    const struct kmsd_conf *conf = boot->conf;
    boot->sops_keys = calloc(conf->sops_keys_count + 1, sizeof *boot->sops_keys);
    if (boot->sops_keys == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < conf->sops_keys_count; i++) {
        const struct kmsd_conf_sops_key *from = &conf->sops_keys[i];
        boot->sops_keys[i] = (struct kms_sops_key){(enum kms_sops_type)from->type, from->name, from->key};
    }
    return KMS_OK;
}

static struct kms_door door_of(const struct kms_boot *boot, enum kms_protocol protocol)
{
    return (struct kms_door){.protocol = protocol,
                             .sops_keys = boot->sops_keys,
                             .sops_key_count = boot->conf->sops_keys_count,
                             .key = "",
                             .mount_objects = boot->conf->limits_mount_objects,
                             .mount_bytes = boot->conf->limits_mount_bytes};
}

static void add_unix(struct kms_boot *boot, const struct kmsd_conf_unix *from,
                     struct kms_unix_mapping *mappings, struct kms_pod_principal *pods)
{
    for (size_t i = 0; i < from->uids_count; i++)
        mappings[i] = (struct kms_unix_mapping){from->uids[i].uid, from->uids[i].principal};
    for (size_t i = 0; i < from->pods_count; i++)
        pods[i] = (struct kms_pod_principal){from->pods[i].namespace, from->pods[i].service_account,
                                             from->pods[i].principal};
    struct kms_door door = door_of(boot, (enum kms_protocol)from->protocol);
    door.key = from->key;
    door.pods = pods;
    door.pod_count = from->pods_count;
    boot->sockets[boot->socket_count++] = (struct kms_rpc_socket){.socket = {.path = from->path,
                                                                             .principal = from->principal,
                                                                             .uids = mappings,
                                                                             .uid_count = from->uids_count},
                                                                  .door = door,
                                                                  .mode = from->mode,
                                                                  .owner = from->owner,
                                                                  .group = from->group};
}

/* Room for what the configuration lists. */
static kms_err make_room(struct kms_boot *boot)
{
    const struct kmsd_conf *conf = boot->conf;
    size_t uids = 0, pods = 0;
    for (size_t i = 0; i < conf->listen_unix_count; i++) {
        uids += conf->listen_unix[i].uids_count;
        pods += conf->listen_unix[i].pods_count;
    }
    boot->sockets = calloc(conf->listen_unix_count + conf->listen_sops_tcp_count + 1, sizeof *boot->sockets);
    boot->mappings = calloc(uids + 1, sizeof *boot->mappings);
    boot->pods = calloc(pods + 1, sizeof *boot->pods);
    bool all = boot->sockets != NULL && boot->mappings != NULL && boot->pods != NULL;
    return all ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err add_sockets(struct kms_boot *boot)
{
    const struct kmsd_conf *conf = boot->conf;
    size_t uids = 0, pods = 0;
    KMS_TRY(make_room(boot));
    for (size_t i = 0; i < conf->listen_unix_count; i++) {
        const struct kmsd_conf_unix *from = &conf->listen_unix[i];
        add_unix(boot, from, &boot->mappings[uids], &boot->pods[pods]);
        uids += from->uids_count;
        pods += from->pods_count;
    }
    for (size_t i = 0; i < conf->listen_sops_tcp_count; i++)
        boot->sockets[boot->socket_count++] =
            (struct kms_rpc_socket){.tcp = true,
                                    .socket = {.path = conf->listen_sops_tcp[i].address,
                                               .principal = conf->listen_sops_tcp[i].principal},
                                    .door = door_of(boot, KMS_PROTOCOL_SOPS)};
    return KMS_OK;
}

/* For GetStatus. */
static kms_err list_doors(struct kms_boot *boot)
{
    struct kms_listening *list = calloc(boot->socket_count + 1, sizeof *list);
    size_t count = 0;
    if (list == NULL) return KMS_FAIL(NO_MEMORY);
    if (boot->conf->listen_tls[0] != '\0')
        list[count++] =
            (struct kms_listening){boot->conf->listen_tls, "tls", kms_protocol_name(KMS_PROTOCOL_KMS), ""};
    for (size_t i = 0; i < boot->socket_count; i++) {
        const struct kms_rpc_socket *s = &boot->sockets[i];
        list[count++] = (struct kms_listening){s->socket.path, s->tcp ? "tcp" : "unix",
                                               kms_protocol_name(s->door.protocol), s->socket.principal};
    }
    boot->listening = list;
    boot->core.listening = list;
    boot->core.listening_count = count;
    return KMS_OK;
}

kms_err kms_boot_doors_start(struct kms_boot *boot, struct kms_why *why)
{
    KMS_TRY(kms_boot_doors_check(boot->conf, why));
    kms_err err = add_sops_keys(boot);
    if (!kms_failed(err)) err = add_sockets(boot);
    if (!kms_failed(err)) err = list_doors(boot);
    if (kms_failed(err)) kms_boot_doors_stop(boot);
    return err;
}

void kms_boot_doors_stop(struct kms_boot *boot)
{
    free(boot->listening);
    free(boot->sockets);
    free(boot->mappings);
    free(boot->pods);
    free(boot->sops_keys);
}
