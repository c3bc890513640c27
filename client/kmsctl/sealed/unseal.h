/* From a SealedSecret back to a Secret. Not thread-safe: one run. */
#ifndef KMS_CLIENT_KMSCTL_SEALED_UNSEAL_H
#define KMS_CLIENT_KMSCTL_SEALED_UNSEAL_H

#include "client/kmsctl/sealed/keys.h"

/* namespace: where the manifest says none; NULL is "default". A new reference; false: ctl->error, which
 * names the member. */
bool ctl_unseal_secret(struct ctl_sealing_keys *keys, const json_t *sealed, const char *namespace,
                       json_t **ret_secret);

/* The values of Secrets as a file of variables, NAME="value". Takes the reference of secrets. */
bool ctl_write_env(struct ctl *ctl, json_t *secrets);

#endif
