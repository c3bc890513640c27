/* A copy behind a lock. */
#include "kmsd/audit/write/told.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct kms_audit_told {
    pthread_mutex_t lock;
    struct kms_audit_answers answers;
};

kms_err kms_audit_told_new(kms_audit_told **ret_told)
{
    kms_audit_told *told = calloc(1, sizeof *told);
    if (told == NULL) return KMS_FAIL(NO_MEMORY);
    pthread_mutex_init(&told->lock, NULL);
    *ret_told = told;
    return KMS_OK;
}

void kms_audit_told_free(kms_audit_told *told)
{
    if (told == NULL) return;
    pthread_mutex_destroy(&told->lock);
    free(told);
}

void kms_audit_tell(kms_audit_told *told, const struct kms_audit_head *head,
                    const struct kms_audit_state *durable, const struct kms_why *failed)
{
    struct kms_audit_answers *answers = &told->answers;
    pthread_mutex_lock(&told->lock);
    answers->head = *head;
    answers->writable = failed == NULL;
    answers->has_mark = durable->has_mark;
    answers->revision = durable->revision;
    kms_copy(answers->digest, durable->digest, KMS_DIGEST_BYTES);
    if (failed != NULL) answers->failed = *failed;
    answers->troubles[KMS_AUDIT_TROUBLE_WRITE] = failed != NULL ? *failed : (struct kms_why){""};
    pthread_mutex_unlock(&told->lock);
}

void kms_audit_tell_trouble(kms_audit_told *told, enum kms_audit_trouble which, const char *words)
{
    pthread_mutex_lock(&told->lock);
    if (strcmp(told->answers.troubles[which].text, words) != 0)
        kms_why_set(&told->answers.troubles[which], "%s", words);
    pthread_mutex_unlock(&told->lock);
}

void kms_audit_ask(kms_audit_told *told, struct kms_audit_answers *ret_answers)
{
    pthread_mutex_lock(&told->lock);
    *ret_answers = told->answers;
    pthread_mutex_unlock(&told->lock);
}
