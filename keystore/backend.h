/*
 * What a back end of the keystore does: keep sealed rows and a few named values, in transactions. It knows
 * neither keys nor what a row means; seals, revisions and digests are the front's work (keystore.c, change.c,
 * scan.c).
 *
 * Private to keystore/. The front calls one slot at a time (its mutex), checks arguments and lengths, and
 * owns every transaction: get, put, erase and the values are called inside one or alone. All slots are
 * mandatory. Every failure fills why. Errors of all slots: KEYSTORE_UNAVAILABLE (the database does not
 * answer, is locked, read-only or full), CORRUPT (the database itself is damaged, or a row breaks the limits
 * of keystore.h), NO_MEMORY, INTERNAL; more below.
 */
#ifndef KMS_KEYSTORE_BACKEND_H
#define KMS_KEYSTORE_BACKEND_H

#include "keystore/keystore.h"

struct kms_stored_row {
    uint32_t table;        /* enum kms_table, or one of the front's own (front.h) */
    const char *id;        /* borrowed, less than KMS_ROW_ID_BYTES bytes, valid UTF-8 */
    uint64_t revision;     /* 1..INT64_MAX */
    struct kms_bytes body; /* borrowed, at most KMS_ROW_BODY_BYTES */
    uint8_t seal[KMS_DIGEST_BYTES];
};

/* Takes one row, borrowed for the time of the call. It must not call the back end. */
typedef kms_err kms_stored_visit(void *user, const struct kms_stored_row *row);
struct kms_row_sink {
    kms_stored_visit *visit;
    void *user;
};

struct kms_page {
    uint32_t table;
    const char *after; /* only ids greater than this, byte by byte; "": from the first */
    size_t limit;      /* rows; 0: all, without holding them all in memory */
};

struct kms_backend {
    /* write: no other writer, of any process, until the end. Not write: every read sees one moment. */
    kms_err (*begin)(void *self, bool write, struct kms_why *why);
    /* Durable when it returns OK. On failure the front calls rollback. */
    kms_err (*commit)(void *self, struct kms_why *why);
    void (*rollback)(void *self); /* a no-op outside a transaction */

    /* NOT_FOUND (why untouched), or what visit returns. */
    kms_err (*get)(void *self, uint32_t table, const char *id, const struct kms_row_sink *sink,
                   struct kms_why *why);
    /* By ascending id, byte by byte. Ends early with the error that visit returns. */
    kms_err (*page)(void *self, const struct kms_page *page, const struct kms_row_sink *sink,
                    struct kms_why *why);
    /* Inserts or replaces (table, id). */
    kms_err (*put)(void *self, const struct kms_stored_row *row, struct kms_why *why);
    kms_err (*erase)(void *self, uint32_t table, const char *id, struct kms_why *why);

    /* A named value, appended to ret_value. NOT_FOUND (why untouched). */
    kms_err (*value_get)(void *self, const char *name, kms_buf *ret_value, struct kms_why *why);
    kms_err (*value_put)(void *self, const char *name, struct kms_bytes value, struct kms_why *why);

    /* What was erased or replaced leaves the files; outside a transaction. */
    kms_err (*scrub)(void *self, struct kms_why *why);

    void (*close)(void *self); /* frees self */
};

/* For the open function of a back end: a locked store over it. Takes self over, also when it fails
 * (NO_MEMORY). */
KMS_MUST_USE kms_err kms_keystore_over(const struct kms_backend *backend, void *self,
                                       kms_keystore **ret_store);

#endif
