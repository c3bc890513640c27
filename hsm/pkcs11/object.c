/* Finding, describing and destroying keys. */
#include <string.h>

#include "hsm/pkcs11/cryptoki.h"

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY, private_key = CKO_PRIVATE_KEY,
                       public_key = CKO_PUBLIC_KEY;
static CK_KEY_TYPE aes = CKK_AES, generic = CKK_GENERIC_SECRET, rsa = CKK_RSA, ec = CKK_EC;
static CK_ULONG secret_bytes[] = {32, 48, 64};
/* Enforced by the token at C_UnwrapKey: what root-wrap wraps comes out sensitive or not at all. */
static CK_ATTRIBUTE unwrap_template[] = {{CKA_SENSITIVE, &yes, sizeof yes}};

static void add(CK_ATTRIBUTE *attributes, CK_ULONG *count, CK_ATTRIBUTE_TYPE type, void *value, size_t len)
{
    attributes[(*count)++] = (CK_ATTRIBUTE){type, value, len};
}

struct flag {
    CK_ATTRIBUTE_TYPE type;
    bool value;
};

static void add_flags(CK_ATTRIBUTE *attributes, CK_ULONG *count, const struct flag *flags, size_t flag_count)
{
    for (size_t i = 0; i < flag_count; i++)
        add(attributes, count, flags[i].type, flags[i].value ? &yes : &no, sizeof yes);
}

static void add_label(CK_ATTRIBUTE *attributes, CK_ULONG *count, const char *label)
{
    if (label != NULL) add(attributes, count, CKA_LABEL, kms_unconst((const uint8_t *)label), strlen(label));
}

static CK_ULONG secret_template(const struct kms_key_shape *shape, bool generate, CK_ATTRIBUTE *attributes)
{
    CK_ULONG n = 0;
    const bool mac = shape->use == KMS_USE_MAC, cipher = shape->use == KMS_USE_CIPHER,
               wrap = shape->use == KMS_USE_WRAP, unwrap = wrap || shape->use == KMS_USE_UNWRAP;
    const struct flag flags[] = {{CKA_TOKEN, shape->label != NULL},
                                 {CKA_PRIVATE, true},
                                 {CKA_SENSITIVE, !shape->readable},
                                 {CKA_EXTRACTABLE, shape->extractable},
                                 {CKA_ENCRYPT, cipher},
                                 {CKA_DECRYPT, cipher},
                                 {CKA_WRAP, wrap},
                                 {CKA_UNWRAP, unwrap},
                                 {CKA_SIGN, mac},
                                 {CKA_VERIFY, mac},
                                 {CKA_DERIVE, false}};
    CK_ULONG *bytes = &secret_bytes[shape->bits == 512 ? 2 : shape->bits == 384 ? 1 : 0];
    add(attributes, &n, CKA_CLASS, &secret_key, sizeof secret_key);
    add(attributes, &n, CKA_KEY_TYPE, mac ? &generic : &aes, sizeof aes);
    add_flags(attributes, &n, flags, sizeof flags / sizeof flags[0]);
    if (generate) add(attributes, &n, CKA_VALUE_LEN, bytes, sizeof *bytes);
    if (wrap) add(attributes, &n, CKA_UNWRAP_TEMPLATE, unwrap_template, sizeof unwrap_template);
    add_label(attributes, &n, shape->label);
    return n;
}

static CK_ULONG private_template(const struct kms_key_shape *shape, CK_ATTRIBUTE *attributes)
{
    CK_ULONG n = 0;
    const bool decrypts = shape->use == KMS_USE_RSA_DECRYPT;
    const struct flag flags[] = {{CKA_TOKEN, shape->label != NULL},
                                 {CKA_PRIVATE, true},
                                 {CKA_SENSITIVE, !shape->readable},
                                 {CKA_EXTRACTABLE, shape->extractable},
                                 {CKA_SIGN, !decrypts},
                                 {CKA_DECRYPT, decrypts},
                                 {CKA_UNWRAP, false},
                                 {CKA_DERIVE, false}};
    add(attributes, &n, CKA_CLASS, &private_key, sizeof private_key);
    add(attributes, &n, CKA_KEY_TYPE, shape->use == KMS_USE_EC_SIGN ? &ec : &rsa, sizeof rsa);
    add_flags(attributes, &n, flags, sizeof flags / sizeof flags[0]);
    add_label(attributes, &n, shape->label);
    return n;
}

CK_ULONG kms_shape_template(const struct kms_key_shape *shape, bool generate, CK_ATTRIBUTE *attributes)
{
    return shape->use < KMS_USE_RSA_SIGN ? secret_template(shape, generate, attributes)
                                         : private_template(shape, attributes);
}

struct find_step {
    const char *label;
    CK_OBJECT_CLASS *class;
    CK_OBJECT_HANDLE found[2];
    CK_ULONG count;
};

static CK_RV find_step(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE session, void *arg)
{
    struct find_step *f = arg;
    CK_ATTRIBUTE wanted[] = {{CKA_LABEL, NULL, strlen(f->label)},
                             {CKA_CLASS, f->class, sizeof *f->class},
                             {CKA_TOKEN, &yes, sizeof yes}};
    memcpy(&wanted[0].pValue, &f->label, sizeof wanted[0].pValue);
    CK_RV rv = fn->C_FindObjectsInit(session, wanted, sizeof wanted / sizeof wanted[0]);
    if (rv != CKR_OK) return rv;
    rv = fn->C_FindObjects(session, f->found, 2, &f->count);
    CK_RV end = fn->C_FindObjectsFinal(session);
    return rv != CKR_OK ? rv : end;
}

static kms_err find_among(kms_token *token, const char *label, CK_OBJECT_CLASS *const classes[],
                          size_t class_count, kms_object *ret_key)
{
    kms_object key = 0;
    for (size_t i = 0; i < class_count; i++) {
        struct find_step f = {.label = label, .class = classes[i]};
        KMS_TRY(kms_ckr_note(token, "C_FindObjects", kms_session_run(token, find_step, &f)));
        if (f.count > 1 || (f.count == 1 && key != 0)) return KMS_FAIL(CORRUPT);
        if (f.count == 1) key = f.found[0];
    }
    *ret_key = key;
    return KMS_OK;
}

kms_err kms_token_find(kms_token *token, const char *label, kms_object *ret_key)
{
    CK_OBJECT_CLASS *const classes[] = {&secret_key, &private_key};
    return find_among(token, label, classes, 2, ret_key);
}

kms_err kms_token_find_public(kms_token *token, const char *label, kms_object *ret_key)
{
    CK_OBJECT_CLASS *const classes[] = {&public_key};
    return find_among(token, label, classes, 1, ret_key);
}

struct labels_step {
    struct kms_labels *labels;
    bool too_many;
};

static CK_RV take_label(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
                        struct labels_step *s)
{
    char text[KMS_LABEL_BYTES] = "";
    CK_ATTRIBUTE label = {CKA_LABEL, text, sizeof text - 1};
    CK_RV rv = fn->C_GetAttributeValue(session, key, &label, 1);
    if (rv == CKR_BUFFER_TOO_SMALL || rv == CKR_OBJECT_HANDLE_INVALID) return CKR_OK; /* long; gone by now */
    if (rv != CKR_OK) return rv;
    s->too_many = s->labels->count == KMS_LABELS;
    if (s->too_many) return CKR_OK;
    memcpy(s->labels->text[s->labels->count], text, sizeof text);
    s->labels->key[s->labels->count++] = key;
    return CKR_OK;
}

static CK_RV labels_step(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE session, void *arg)
{
    struct labels_step *s = arg;
    CK_OBJECT_HANDLE found[32];
    CK_ULONG count;
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &secret_key, sizeof secret_key}, {CKA_TOKEN, &yes, sizeof yes}};
    s->labels->count = 0;
    CK_RV rv = fn->C_FindObjectsInit(session, wanted, sizeof wanted / sizeof wanted[0]);
    if (rv != CKR_OK) return rv;
    do {
        count = 0;
        rv = fn->C_FindObjects(session, found, sizeof found / sizeof found[0], &count);
        for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++) rv = take_label(fn, session, found[i], s);
    } while (rv == CKR_OK && count > 0 && !s->too_many);
    CK_RV end = fn->C_FindObjectsFinal(session);
    return rv != CKR_OK ? rv : end;
}

kms_err kms_token_labels(kms_token *token, struct kms_labels *ret_labels)
{
    struct labels_step s = {.labels = ret_labels};
    KMS_TRY(kms_ckr_note(token, "C_FindObjects", kms_session_run(token, labels_step, &s)));
    return s.too_many ? KMS_FAIL(LIMIT_EXCEEDED) : KMS_OK;
}

kms_object kms_token_copy(kms_token *token, kms_object key)
{
    CK_ATTRIBUTE session[] = {{CKA_TOKEN, &no, sizeof no}};
    CK_OBJECT_HANDLE copy = 0;
    if (token->fn->C_CopyObject(token->pinned, key, session, 1, &copy) != CKR_OK) return 0;
    if (!kms_failed(kms_token_check_unreadable(token, copy))) return copy;
    kms_token_destroy(token, copy);
    return 0;
}

void kms_token_destroy(kms_token *token, kms_object key)
{
    if (key != 0)
        token->fn->C_DestroyObject(token->pinned, key); /* a session object left over dies with its session */
}

kms_err kms_token_check_unreadable(kms_token *token, kms_object key)
{
    CK_BBOOL sensitive = CK_FALSE, extractable = CK_TRUE;
    CK_ATTRIBUTE flags[] = {{CKA_SENSITIVE, &sensitive, sizeof sensitive},
                            {CKA_EXTRACTABLE, &extractable, sizeof extractable}};
    KMS_TRY(kms_ckr_note(token, "C_GetAttributeValue",
                         token->fn->C_GetAttributeValue(token->pinned, key, flags, 2)));
    uint8_t value[64];
    CK_ATTRIBUTE read = {CKA_VALUE, value, sizeof value};
    bool readable = token->fn->C_GetAttributeValue(token->pinned, key, &read, 1) == CKR_OK;
    explicit_bzero(value, sizeof value);
    return sensitive && !extractable && !readable ? KMS_OK : KMS_FAIL(UNSUPPORTED);
}
