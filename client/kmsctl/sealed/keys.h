/*
 * The keys that may open a sealed value: it does not say which one it is for. Those that the command line
 * names come first, then those that carry the tag of one of these names (kmsctl sealing-key), the newest
 * first. Who opened the last value is asked first. Not thread-safe: one run.
 */
#ifndef KMS_CLIENT_KMSCTL_SEALED_KEYS_H
#define KMS_CLIENT_KMSCTL_SEALED_KEYS_H

#include <jansson.h>

#include "base/id.h"
#include "client/kmsctl/ctl.h"

/* A key made by kmsctl sealing-key has it; the value is its alias without "alias/". */
#define CTL_SEALING_TAG   "sealing-key"
#define CTL_SEALING_ALIAS "sealed-secrets"

enum { CTL_SEALING_KEYS = 64 }; /* most that are tried for one value */

struct ctl_sealing_keys {
    struct ctl *ctl;
    const char *names[CTL_SEALING_KEYS];
    size_t count;
    size_t first;       /* opened the last one */
    bool looked, blind; /* for tags; and was not let */
    char found[CTL_SEALING_KEYS][KMS_ID_TEXT];
    struct kms_error held; /* why a key could not be asked at all */
};

void ctl_sealing_keys_begin(struct ctl *ctl, struct ctl_sealing_keys *ret_keys);

/* The session key. False: ctl->error, INVALID_CIPHERTEXT when no key opens it. */
bool ctl_sealing_keys_open(struct ctl_sealing_keys *keys, struct kms_bytes session, const char *label,
                           struct kms_decrypt_result **ret_result);

/* Keys with the tag, the newest first: [{key_id, creation_time, state}]. A new reference; false:
 * ctl->error. */
bool ctl_sealing_keys_list(struct ctl *ctl, const char *alias, json_t **ret_keys);

#endif
