/*
 * Generations of root keys on the token: root-wrap-N, root-seal-N and root-bind-N. The newest wraps; older
 * ones still open. A generation is there when its root-wrap is: what is left of one that was being made or
 * destroyed when a process died counts for nothing. Not thread-safe.
 */
#ifndef KMS_HSM_WORKER_ROOTS_H
#define KMS_HSM_WORKER_ROOTS_H

#include "hsm/pkcs11/token.h"

enum { KMS_ROOT_KINDS = 3, KMS_ROOT_LAST = 1000 /* generation: no token sees so many */ };

struct kms_roots {
    struct kms_root {
        uint32_t id; /* generation */
        kms_object wrap, seal, bind;
        kms_object copies[2];     /* session objects that stand for seal and bind; 0: the token makes none */
    } generations[KMS_HSM_ROOTS]; /* ascending */
    unsigned count;
    uint32_t newest; /* 0: none */
};

/* roots.c. Copies of what ret_roots held before, zeroed or loaded, are destroyed. ROOT_KEYS_MISSING, or
 * CORRUPT when a generation is not complete or there twice. */
KMS_MUST_USE kms_err kms_roots_load(kms_token *token, struct kms_roots *ret_roots, struct kms_why *why);
/* NULL: not on the token. */
const struct kms_root *kms_roots_get(const struct kms_roots *roots, uint32_t root_id);
/* The same, after a look at the token for one that is newer than all known: another worker made it. */
const struct kms_root *kms_roots_seek(kms_token *token, struct kms_roots *roots, uint32_t root_id);

/* roots_change.c. The first generation and audit-sign-1. ROOT_KEYS_EXIST: any of their labels is taken;
 * nothing changed. */
KMS_MUST_USE kms_err kms_roots_make(kms_token *token, struct kms_why *why);
/* Generation root_id, one above the newest; nothing to do when it is there. INVALID_ARGUMENT: another
 * number; LIMIT_EXCEEDED: KMS_HSM_ROOTS are there. `roots` is what the token holds afterwards. */
KMS_MUST_USE kms_err kms_roots_add(kms_token *token, struct kms_roots *roots, uint32_t root_id);
/* Destroys a generation, also what is left of it. INVALID_ARGUMENT: the newest, or one that is still to
 * come. */
KMS_MUST_USE kms_err kms_roots_destroy(kms_token *token, struct kms_roots *roots, uint32_t root_id);

/* What the two share. */
extern const struct kms_root_kind {
    const char *kind;
    enum kms_key_use use;
} kms_root_kinds[KMS_ROOT_KINDS]; /* in the order of making */
void kms_root_label(const char *kind, uint32_t n, char label[KMS_LABEL_BYTES]);
uint32_t kms_root_number(const char *kind, const char *label); /* of "KIND-N"; 0: not such a label */
#endif
