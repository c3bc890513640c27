/* Root keys on the token: their names, and which generations are there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hsm/worker/roots.h"

/* Root-wrap is made last and destroyed first: with it a generation begins and ends. */
const struct kms_root_kind kms_root_kinds[KMS_ROOT_KINDS] = {
    {"root-bind", KMS_USE_MAC}, {"root-seal", KMS_USE_CIPHER}, {"root-wrap", KMS_USE_WRAP}};
enum { BIND, SEAL, WRAP };

void kms_root_label(const char *kind, uint32_t n, char label[KMS_LABEL_BYTES])
{
    snprintf(label, KMS_LABEL_BYTES, "%s-%u", kind, n);
}

uint32_t kms_root_number(const char *kind, const char *label)
{
    char again[KMS_LABEL_BYTES];
    size_t len = strlen(kind);
    if (strncmp(label, kind, len) != 0 || label[len] != '-') return 0;
    unsigned long n = strtoul(label + len + 1, NULL, 10);
    if (n > KMS_ROOT_LAST) return 0;
    kms_root_label(kind, (uint32_t)n, again);
    return strcmp(label, again) == 0 ? (uint32_t)n : 0;
}

/* Someone may have put keys of these names there by other means. */
static kms_err check_kept(kms_token *token, const struct kms_root *root, struct kms_why *why)
{
    const kms_object keys[] = {root->wrap, root->seal, root->bind};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (!kms_failed(kms_token_check_unreadable(token, keys[i]))) continue;
        kms_why_set(why, "a root key of generation %u can be read or extracted: kmsd never makes it so",
                    root->id);
        return KMS_FAIL(CORRUPT);
    }
    return KMS_OK;
}

/* 0: not there. */
static kms_err find_listed(const struct kms_labels *labels, const char *kind, uint32_t n, kms_object *ret_key,
                           struct kms_why *why)
{
    char label[KMS_LABEL_BYTES];
    kms_object key = 0;
    kms_root_label(kind, n, label);
    for (size_t i = 0; i < labels->count; i++) {
        if (strcmp(labels->text[i], label) != 0) continue;
        if (key != 0) {
            kms_why_set(why, "the token holds more than one key with label %s", label);
            return KMS_FAIL(CORRUPT);
        }
        key = labels->key[i];
    }
    *ret_key = key;
    return KMS_OK;
}

static kms_err load_generation(kms_token *token, const struct kms_labels *labels, uint32_t n,
                               struct kms_root *ret_root, struct kms_why *why)
{
    kms_object key[KMS_ROOT_KINDS] = {0};
    for (size_t i = 0; i < KMS_ROOT_KINDS; i++)
        KMS_TRY(find_listed(labels, kms_root_kinds[i].kind, n, &key[i], why));
    struct kms_root root = {.id = n, .wrap = key[WRAP], .seal = key[SEAL], .bind = key[BIND]};
    if (root.wrap == 0 || root.seal == 0 || root.bind == 0) {
        kms_why_set(
            why, "generation %u of the root keys is not complete: root-wrap %s, root-seal %s, root-bind %s",
            n, root.wrap ? "there" : "missing", root.seal ? "there" : "missing",
            root.bind ? "there" : "missing");
        return KMS_FAIL(CORRUPT);
    }
    KMS_TRY(check_kept(token, &root, why));
    *ret_root = root;
    return KMS_OK;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = ((const struct kms_root *)a)->id, y = ((const struct kms_root *)b)->id;
    return (x > y) - (x < y);
}

/* No generation has its root-wrap. What else is there shows that one was lost. */
static kms_err none_there(kms_token *token, const struct kms_labels *labels, struct kms_why *why)
{
    struct kms_root ignored;
    for (size_t i = 0; i < labels->count; i++) {
        uint32_t n = kms_root_number("root-seal", labels->text[i]);
        if (n == 0) n = kms_root_number("root-bind", labels->text[i]);
        if (n != 0) return load_generation(token, labels, n, &ignored, why);
    }
    kms_why_set(why, "the token holds no root keys: run kmsd init");
    return KMS_FAIL(ROOT_KEYS_MISSING);
}

/*
 * Each key that is opened needs seal and bind, and SoftHSM locks and reads a file for each look at a stored
 * key: 40 of 100 us. A session object is in memory, on the token as well, protected alike, and ends with
 * the session. What wraps stays as it is: its unwrap template is more than a token might copy.
 */
static void take_copies(kms_token *token, struct kms_roots *roots)
{
    for (unsigned i = 0; i < roots->count; i++) {
        struct kms_root *root = &roots->generations[i];
        kms_object *const keys[] = {&root->seal, &root->bind};
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            root->copies[k] = kms_token_copy(token, *keys[k]);
            if (root->copies[k] != 0) *keys[k] = root->copies[k];
        }
    }
}

static void drop_copies(kms_token *token, const struct kms_roots *roots)
{
    for (unsigned i = 0; i < roots->count; i++) {
        kms_token_destroy(token, roots->generations[i].copies[0]);
        kms_token_destroy(token, roots->generations[i].copies[1]);
    }
}

kms_err kms_roots_load(kms_token *token, struct kms_roots *ret_roots, struct kms_why *why)
{
    struct kms_roots roots = {0};
    struct kms_labels labels;
    kms_err err = kms_token_labels(token, &labels);
    if (kms_failed(err)) kms_why_set(why, "looking for root keys: %s", kms_token_trouble(token));
    KMS_TRY(err);
    for (size_t i = 0; i < labels.count; i++) {
        uint32_t n = kms_root_number("root-wrap", labels.text[i]);
        if (n == 0) continue;
        if (roots.count == KMS_HSM_ROOTS) {
            kms_why_set(why, "the token holds more than %d generations of root keys", KMS_HSM_ROOTS);
            return KMS_FAIL(CORRUPT);
        }
        KMS_TRY(load_generation(token, &labels, n, &roots.generations[roots.count++], why));
    }
    if (roots.count == 0) return none_there(token, &labels, why);
    qsort(roots.generations, roots.count, sizeof roots.generations[0], by_number);
    roots.newest = roots.generations[roots.count - 1].id;
    take_copies(token, &roots);
    drop_copies(token, ret_roots);
    *ret_roots = roots;
    return KMS_OK;
}

const struct kms_root *kms_roots_get(const struct kms_roots *roots, uint32_t root_id)
{
    for (unsigned i = 0; i < roots->count; i++)
        if (roots->generations[i].id == root_id) return &roots->generations[i];
    return NULL;
}

const struct kms_root *kms_roots_seek(kms_token *token, struct kms_roots *roots, uint32_t root_id)
{
    struct kms_why why = {{0}};
    if (root_id > roots->newest) kms_ignore(kms_roots_load(token, roots, &why)); /* then it is not there */
    return kms_roots_get(roots, root_id);
}
