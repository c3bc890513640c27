/*
 * Between the files that turn JSON into a compiled document. Each parse function returns MALFORMED_POLICY
 * with the place and the cause in why, or NO_MEMORY; what it made belongs to the policy's pool either way.
 */
#ifndef KMS_POLICY_COMPILE_H
#define KMS_POLICY_COMPILE_H

#include <jansson.h>

#include "kmsd/policy/compiled.h"
#include "kmsd/policy/complain.h"
#include "kmsd/policy/locate.h"

struct kms_compile {
    struct kms_policy *policy;
    struct kms_why *why;
    struct kms_bytes json; /* the document; empty until it is known to be well-formed */
    struct kms_path path;  /* to what is being read */
    size_t number;         /* of the statement at hand, from 1; 0: the document itself */
    struct kms_bytes sid;  /* its Sid, if any */
    bool variables;        /* Version 2012-10-17: "${...}" means something */
    uint8_t about;         /* enum kms_about of the variables met since it was last cleared */
    size_t slot_count;
    struct {
        uint8_t key;
        struct kms_bytes name;
    } slots[KMS_KEY_SLOTS];
    size_t variable_count;
    size_t floating_bytes; /* so far: KMS_POLICY_FLOATING_BYTES */
};

enum {
    /*
     * Pattern bytes behind the first '*' of each value, over the whole document. Matching costs at most this
     * times the length of what is matched (8 KiB of encryption context): some 15 ms at the very worst,
     * instead of half a second.
     */
    KMS_POLICY_FLOATING_BYTES = 1024,
    KMS_POLICY_VARIABLES = 128, /* of a document: each costs a copy of its value when it is compared */
    KMS_PRINCIPAL_BYTES = 2048, /* longest principal that a document can name */
};

/* MALFORMED_POLICY; why: "line 9, column 7: Statement 2 (AppUsage): " and the words, for the path's place. */
__attribute__((format(printf, 2, 3))) kms_err kms_complain(const struct kms_compile *compile,
                                                           const char *format, ...);

/* What is read next: a member, or an item of a list (or the single value that stands for one). Who fails need
 * not leave. */
void kms_enter(struct kms_compile *compile, const char *member);
void kms_enter_item(struct kms_compile *compile, size_t index);
void kms_leave(struct kms_compile *compile);

struct kms_bytes kms_json_text(const json_t *string); /* borrowed */
/* A single value stands for an array of one (policy grammar). */
size_t kms_json_list_len(json_t *list);
json_t *kms_json_list_at(json_t *list, size_t index); /* borrowed */

/* Resolves "${*}", "${?}" and "${$}", compiles variables (variable.h) and, if asked, turns wildcards into
 * those of match.h; a copy in the pool. */
KMS_MUST_USE kms_err kms_compile_text(struct kms_compile *compile, struct kms_bytes text, bool wildcards,
                                      struct kms_bytes *ret_text);
/* The same for an ARN with wildcards: six parts, unless variables make them. */
KMS_MUST_USE kms_err kms_compile_arn(struct kms_compile *compile, struct kms_bytes text,
                                     struct kms_bytes *ret_arn);
/* The same for the ARN of what the document is attached to; variables only in the last part. */
KMS_MUST_USE kms_err kms_compile_resource(struct kms_compile *compile, struct kms_bytes text,
                                          struct kms_bytes *ret_arn);

KMS_MUST_USE kms_err kms_compile_statement(struct kms_compile *compile, json_t *json,
                                           struct kms_statement *ret_statement);
/* A service policy grants only what concerns no single key, secret or role. */
KMS_MUST_USE kms_err kms_check_service(struct kms_compile *compile, const struct kms_statement *statement);
KMS_MUST_USE kms_err kms_compile_principals(struct kms_compile *compile, const char *element, json_t *json,
                                            struct kms_statement *statement);
KMS_MUST_USE kms_err kms_compile_conditions(struct kms_compile *compile, json_t *json,
                                            struct kms_statement *statement);
KMS_MUST_USE kms_err kms_compile_value(struct kms_compile *compile, enum kms_operator operator_id,
                                       json_t *json, struct kms_value *ret_value);

#endif
