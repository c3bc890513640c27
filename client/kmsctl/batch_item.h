/*
 * The four batches of kmsctl: how a line of JSON becomes an item of a request, and its result a line again.
 * Plaintext stays in locked memory, once ctl_output_secret has moved jansson there. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMSCTL_BATCH_ITEM_H
#define KMS_CLIENT_KMSCTL_BATCH_ITEM_H

#include <jansson.h>
#include <kms/client.h>

#include "client/kmsctl/ctl.h"

/* The service's bounds of one batch (proto/kms/v1/batch.proto); items may be set lower there. */
enum { CTL_BATCH_ITEMS = 256, CTL_BATCH_BYTES = 1024 * 1024 };

/* One item, and what the command line says for all that do not say it themselves. */
struct ctl_batch_item {
    uint64_t line_number;
    json_t *line;  /* owned; the texts below are borrowed from it, or from the command line */
    uint8_t *data; /* decoded; owned, from kms_locked_alloc(data_size) */
    size_t data_len, data_size;
    struct kms_context_entry pairs[2][CTL_LIST_MAX];
    struct kms_context context, to_context;
    const char *key, *to;
    enum kms_data_key_spec spec;
    uint32_t bytes;
    struct kms_why fault; /* why the line is no item; empty: it is one */
};
void ctl_batch_item_free(struct ctl_batch_item *item);

/* The items of one call. */
struct ctl_batch_requests {
    size_t count;
    union {
        struct kms_encrypt_item encrypt[CTL_BATCH_ITEMS];
        struct kms_decrypt_item decrypt[CTL_BATCH_ITEMS];
        struct kms_re_encrypt_item re_encrypt[CTL_BATCH_ITEMS];
        struct kms_data_key_item data_key[CTL_BATCH_ITEMS];
    } of;
};

struct ctl_batch_kind {
    const char *payload;      /* member of a line that is decoded to data; NULL: none */
    bool names_key, names_to; /* a key, a destination must be said */
    size_t answer_bytes;      /* plaintext that an item without payload brings back */
    void (*fill)(struct ctl_batch_requests *requests, const struct ctl_batch_item *item);
    bool (*send)(kms_client *client, struct ctl_batch_requests *requests,
                 const struct kms_call_options *options, struct kms_error *error);
    const struct kms_error *(*error)(const struct ctl_batch_requests *requests, size_t i);
    json_t *(*result)(const struct ctl_batch_requests *requests, size_t i); /* new; NULL: no memory */
    void (*release)(struct ctl_batch_requests *requests, size_t i);
};
extern const struct ctl_batch_kind ctl_batch_encrypt, ctl_batch_decrypt, ctl_batch_re_encrypt,
    ctl_batch_data_key;

/* Reads a line into *item, which holds what the command line says. What is wrong with it goes to
 * item->fault, in words without its content. */
void ctl_batch_item_read(const struct ctl_batch_kind *kind, struct kms_bytes line,
                         struct ctl_batch_item *item);

#endif
