/* A hash table (uthash) of counted texts. */
#include "kmsd/keys/texts.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->out_of_memory = true)
#include <uthash.h>

struct kms_text {
    UT_hash_handle hh;
    size_t taken;
    bool out_of_memory;
    char text[];
};

static struct kms_text *add(struct kms_texts *texts, const char *text)
{
    size_t len = strlen(text);
    struct kms_text *one = calloc(1, sizeof *one + len + 1);
    if (one == NULL) return NULL;
    memcpy(one->text, text, len);
    HASH_ADD(hh, texts->all, text, len, one);
    if (!one->out_of_memory) return one;
    free(one);
    return NULL;
}

const char *kms_texts_take(struct kms_texts *texts, const char *text)
{
    struct kms_text *one;
    HASH_FIND(hh, texts->all, text, strlen(text), one);
    if (one == NULL) one = add(texts, text);
    if (one == NULL) return NULL;
    one->taken++;
    return one->text;
}

void kms_texts_give(struct kms_texts *texts, const char *taken)
{
    struct kms_text *one;
    HASH_FIND(hh, texts->all, taken, strlen(taken), one);
    if (one == NULL || --one->taken > 0) return;
    HASH_DEL(texts->all, one);
    free(one);
}

size_t kms_texts_count(const struct kms_texts *texts)
{
    return HASH_COUNT(texts->all);
}
