/* A hash table (uthash) by text. */
#include "kmsd/keys/documents.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->out_of_memory = true)
#include <uthash.h>

enum { SWEEP_LEAST = 64 };

struct document {
    kms_policy *policy; /* reference held; the key of the table is its source */
    bool out_of_memory;
    UT_hash_handle hh;
};

struct kms_documents {
    pthread_mutex_t lock;
    struct document *all;
    struct document *last; /* that was asked for: with one template for all keys it is the next, too */
    size_t sweep_at;       /* when there are so many */
};

kms_err kms_documents_new(kms_documents **ret_documents)
{
    kms_documents *documents = calloc(1, sizeof *documents);
    if (documents == NULL) return KMS_FAIL(NO_MEMORY);
    pthread_mutex_init(&documents->lock, NULL);
    documents->sweep_at = SWEEP_LEAST;
    *ret_documents = documents;
    return KMS_OK;
}

static void forget(kms_documents *documents, struct document *document)
{
    HASH_DEL(documents->all, document);
    if (documents->last == document) documents->last = NULL;
    kms_policy_unref(document->policy);
    free(document);
}

void kms_documents_free(kms_documents *documents)
{
    struct document *document, *next;
    if (documents == NULL) return;
    HASH_ITER(hh, documents->all, document, next)
    {
        forget(documents, document);
    }
    pthread_mutex_destroy(&documents->lock);
    free(documents);
}

void kms_documents_drop(kms_documents **documents)
{
    kms_documents_free(*documents);
}

/* Lets go of what nobody else has; with the lock, which alone gives out further references. Each document
 * that is new pays for looking at two. */
static void sweep(kms_documents *documents)
{
    struct document *document, *next;
    if (HASH_COUNT(documents->all) < documents->sweep_at) return;
    HASH_ITER(hh, documents->all, document, next)
    {
        if (!kms_policy_shared(document->policy)) forget(documents, document);
    }
    size_t left = HASH_COUNT(documents->all);
    documents->sweep_at = left > SWEEP_LEAST / 2 ? left * 2 : SWEEP_LEAST;
}

static kms_err compile(kms_documents *documents, const char *json, struct document **ret_document,
                       struct kms_why *why)
{
    struct document *document = calloc(1, sizeof *document);
    if (document == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = kms_policy_parse(KMS_POLICY_KEY, kms_bytes_text(json), &document->policy, why);
    if (!kms_failed(err)) {
        sweep(documents);
        const char *source = kms_policy_source(document->policy);
        HASH_ADD_KEYPTR(hh, documents->all, source, strlen(source), document);
        if (document->out_of_memory) err = KMS_FAIL(NO_MEMORY);
    }
    if (kms_failed(err)) {
        kms_policy_unref(document->policy);
        free(document);
        return err;
    }
    *ret_document = document;
    return KMS_OK;
}

kms_err kms_documents_policy(kms_documents *documents, const char *json, kms_policy **ret_policy,
                             struct kms_why *why)
{
    struct document *document;
    kms_err err = KMS_OK;
    pthread_mutex_lock(&documents->lock);
    document = documents->last;
    if (document == NULL || strcmp(kms_policy_source(document->policy), json) != 0)
        HASH_FIND_STR(documents->all, json, document);
    if (document == NULL) err = compile(documents, json, &document, why);
    if (!kms_failed(err)) {
        *ret_policy = kms_policy_ref(document->policy);
        documents->last = document;
    }
    pthread_mutex_unlock(&documents->lock);
    return err;
}

size_t kms_documents_count(kms_documents *documents)
{
    pthread_mutex_lock(&documents->lock);
    size_t count = HASH_COUNT(documents->all);
    pthread_mutex_unlock(&documents->lock);
    return count;
}
