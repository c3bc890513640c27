/*
 * kms_secret_book: all stored secrets in memory, sealed, so that the crypto lane never waits for the
 * keystore. Loaded at start, then kept by the admin lane: first the keystore, then the book. Thread-safe.
 */
#ifndef KMS_SECRETS_BOOK_H
#define KMS_SECRETS_BOOK_H

#include "keystore/keystore.h"
#include "kmsd/secrets/entry.h"

typedef struct kms_secret_book kms_secret_book;

KMS_MUST_USE kms_err kms_secret_book_new(kms_secret_book **ret_book);
void kms_secret_book_free(kms_secret_book *book); /* NULL is a no-op */
void kms_secret_book_drop(kms_secret_book **book);

/* A reference, or NULL. */
struct kms_secret_entry *kms_secret_book_find(kms_secret_book *book, struct kms_bytes name);
/* By what kms_secret_name_parse found: the first name that a secret has, with that suffix if it says one. */
struct kms_secret_entry *kms_secret_book_resolve(kms_secret_book *book, const struct kms_secret_name *names,
                                                 size_t count);
/* Adds, or replaces an older generation; takes a reference of its own. NO_MEMORY leaves the book as it
 * was. */
KMS_MUST_USE kms_err kms_secret_book_put(kms_secret_book *book, struct kms_secret_entry *entry);
void kms_secret_book_remove(kms_secret_book *book, struct kms_bytes name);

/* Changes of secrets take turns, from the check to the book: a row's revisions begin anew when a secret is
 * deleted and another gets its name, so that the keystore alone would take a change of the first for one
 * of the second. CONFLICT: the secret is not, or not at, what entry was made from (revision 0: it must not
 * be there); then nothing is held. */
KMS_MUST_USE kms_err kms_secret_book_begin(kms_secret_book *book, const struct kms_secret_entry *entry,
                                           struct kms_why *why);
void kms_secret_book_end(kms_secret_book *book);
/* The same turn, whatever the secrets are; kms_secret_book_end ends it. */
void kms_secret_book_turn(kms_secret_book *book);

size_t kms_secret_book_count(kms_secret_book *book);
/* Those that are wanted, which is asked with the book locked: short. */
size_t kms_secret_book_count_of(kms_secret_book *book,
                                bool (*wanted)(const void *user, const struct kms_secret_entry *entry),
                                const void *user);
/* Sealed values of all secrets together, in bytes. */
uint64_t kms_secret_book_bytes(kms_secret_book *book);
/* References to the secrets whose name is greater than after, by ascending name (byte by byte), at most
 * limit, and whether there are more; each for the caller to give back. `wanted` (NULL: all) is asked with
 * the book locked: short. */
struct kms_secret_list {
    struct kms_secret_entry **entries; /* owned */
    size_t count;
    bool more;
};
KMS_MUST_USE kms_err kms_secret_book_list(kms_secret_book *book, const char *after, size_t limit,
                                          bool (*wanted)(const void *user,
                                                         const struct kms_secret_entry *entry),
                                          const void *user, struct kms_secret_list *ret_list);
void kms_secret_list_free(struct kms_secret_list *list);
#define KMS_OWN_SECRET_LIST __attribute__((cleanup(kms_secret_list_free))) struct kms_secret_list

/* The rows of secrets, one by one, in the order of the keystore (a kms_row_visit); then end, which puts
 * them into the book, or says what is missing, and frees what was collected, also after an error. prefix:
 * of ARNs. */
struct kms_secret_loading {
    kms_secret_book *book;
    const struct kms_arn_prefix *prefix;
    struct kms_why *why;
    struct kms_secret_entry **entries; /* by ascending row id */
    size_t count, room;
    size_t at, read_at;    /* whose values, and whose days, are being read */
    size_t promised, seen; /* values */
};
KMS_MUST_USE kms_err kms_secret_load_row(void *loading, const struct kms_row *row);
KMS_MUST_USE kms_err kms_secret_load_end(struct kms_secret_loading *loading, kms_err so_far);

#endif
