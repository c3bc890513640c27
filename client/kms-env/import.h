/*
 * Moves the plain values of a file of variables into secrets: which go where, what is there already, and what
 * then stands in the file. Knows neither files nor the service. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMS_ENV_IMPORT_H
#define KMS_CLIENT_KMS_ENV_IMPORT_H

#include "base/secret.h"
#include "client/kms-env/resolve.h"

/* Where secrets are kept. */
struct kms_env_store {
    /* *ret_value NULL: it is empty. NOT_FOUND; ACCESS_DENIED, also for what is not there. */
    kms_err (*get)(void *self, const char *name, kms_secret **ret_value, struct kms_why *why);
    kms_err (*create)(void *self, const char *name, struct kms_bytes value,
                      struct kms_why *why); /* ALREADY_EXISTS */
    kms_err (*put)(void *self, const char *name, struct kms_bytes value, struct kms_why *why);
    void *self;
};

struct kms_env_import_options {
    const char *prefix;        /* each value becomes the secret PREFIX/VARIABLE; or: */
    const char *json_secret;   /* all become members of this one, beside those that it has */
    struct kms_env_names only; /* these variables alone */
    bool replace;              /* other values that are there already may be replaced, by a new version */
};

enum kms_env_import_action { KMS_ENV_IMPORT_CREATE, KMS_ENV_IMPORT_PUT, KMS_ENV_IMPORT_SAME };
const char *kms_env_import_action_name(enum kms_env_import_action action); /* "create", "put", "same" */

/* One variable that moves. */
struct kms_env_import_row {
    struct kms_bytes variable; /* in the document */
    unsigned line;
    const char *reference; /* what will stand in the file */
    enum kms_env_import_action action;
};

typedef struct kms_env_import kms_env_import;

/* Values that are ciphertext, references or empty stay. document and options are borrowed while the import
 * lives. Errors: INVALID_ARGUMENT (a name that is none; a value longer than 64 KiB; a name of only that is
 * not there). */
KMS_MUST_USE kms_err kms_env_import_new(const kms_dotenv *document,
                                        const struct kms_env_import_options *options,
                                        kms_env_import **ret_import, struct kms_why *why);
void kms_env_import_free(kms_env_import *import); /* wipes; NULL is a no-op */
void kms_env_import_drop(kms_env_import **import);

/* Looks what is there and decides what to do; stores nothing. ALREADY_EXISTS: another value is there, and may
 * not be replaced; INVALID_ARGUMENT: the JSON secret is no object, or would be too long; else the store's. */
KMS_MUST_USE kms_err kms_env_import_look(kms_env_import *import, struct kms_env_store store,
                                         struct kms_why *why);
/* Stores, after a look. When it fails some may be stored and the file has all of them still: doing both
 * again finishes it. ALREADY_EXISTS: what is there could not be looked at, and may not be replaced. */
KMS_MUST_USE kms_err kms_env_import_store(kms_env_import *import, struct kms_env_store store,
                                          struct kms_why *why);

size_t kms_env_import_count(const kms_env_import *import);
struct kms_env_import_row kms_env_import_row(const kms_env_import *import, size_t index);
/* For kms_dotenv_write: one for each entry of the document; borrowed. */
const struct kms_bytes *kms_env_import_values(const kms_env_import *import);

#endif
