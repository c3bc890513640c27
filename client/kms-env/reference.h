/*
 * What may stand in the place of a value: where the value is. A text that begins with one of the two schemes
 * is a reference as a whole; inside a longer text they mean nothing.
 *
 *     kms-secret://NAME[#FIELD][?stage=STAGE | ?version=VERSION-ID]
 *     kms-db://ROLE#username|password
 *
 * That is the canonical form; kms-secret://NAME?...#FIELD means the same. NAME and ROLE are what the service
 * takes as names: A-Z a-z 0-9 / _ + = . @ -, without empty, "." and ".." parts between slashes. FIELD is a
 * member of the secret, which is a JSON object then: any UTF-8 but # ? and control characters. Nothing is
 * percent-decoded. Thread-safe: no state.
 */
#ifndef KMS_CLIENT_KMS_ENV_REFERENCE_H
#define KMS_CLIENT_KMS_ENV_REFERENCE_H

#include "base/bytes.h"

enum {
    KMS_ENV_REFERENCE_NAME_BYTES = 512, /* longest name of a secret or role */
    KMS_ENV_REFERENCE_FIELD_BYTES = 256,
    KMS_ENV_REFERENCE_STAGE_BYTES = 256,
    KMS_ENV_REFERENCE_VERSION_BYTES = 64,
};

#define KMS_ENV_SECRET_SCHEME "kms-secret://"
#define KMS_ENV_DB_SCHEME     "kms-db://"
#define KMS_ENV_DEFAULT_STAGE "AWSCURRENT"

enum kms_env_reference_kind { KMS_ENV_REFERENCE_SECRET, KMS_ENV_REFERENCE_DB };

struct kms_env_reference {
    enum kms_env_reference_kind kind;
    struct kms_bytes name;    /* in the text, as are the others */
    struct kms_bytes field;   /* empty: the whole value; of a role "username" or "password" */
    struct kms_bytes stage;   /* of a secret: KMS_ENV_DEFAULT_STAGE unless one or a version is said */
    struct kms_bytes version; /* empty, or the version id, and then stage is empty */
};

/* It begins with one of the schemes, and so claims to be a reference. */
bool kms_env_reference_is(struct kms_bytes text);

bool kms_env_reference_is_role(struct kms_bytes text); /* with the one of database roles */

/* INVALID_ARGUMENT: why has the column, from 1 and in bytes, and what is wrong there; it repeats nothing of
 * the text, which may be a password that happens to look like this. */
KMS_MUST_USE kms_err kms_env_reference_parse(struct kms_bytes text, struct kms_env_reference *ret_reference,
                                             struct kms_why *why);

/* 1 to KMS_ENV_REFERENCE_NAME_BYTES of what a name may have. */
bool kms_env_reference_name_valid(struct kms_bytes name);

#endif
