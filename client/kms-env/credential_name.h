/*
 * The name by which a service manager asks for a credential (LoadCredential= of systemd.exec(5)): its end of
 * the connection is bound to the abstract address
 *
 *     NUL, a random number in hexadecimal, "/unit/", the unit, "/", the id of the credential
 *
 * Any local process can take such a name: only together with the uid of the peer does it mean anything.
 * Thread-safe: no state.
 */
#ifndef KMS_CLIENT_KMS_ENV_CREDENTIAL_NAME_H
#define KMS_CLIENT_KMS_ENV_CREDENTIAL_NAME_H

#include "base/bytes.h"

struct kms_env_credential_name {
    struct kms_bytes unit, credential; /* in the address; 1 to 255 bytes each */
};

/* address: sun_path as getpeername(2) gives it. False: no such name, and nothing in it may be repeated. */
bool kms_env_credential_name_parse(struct kms_bytes address, struct kms_env_credential_name *ret_name);

/* What a unit is called: A-Z a-z 0-9 : - _ . \ @ */
bool kms_env_credential_unit_valid(struct kms_bytes unit);
/* What this server takes as the id of a credential: A-Z a-z 0-9 - _ . @ +, but not "." and ".." */
bool kms_env_credential_id_valid(struct kms_bytes credential);

#endif
