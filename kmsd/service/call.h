/*
 * struct kms_call: the parcel. One for each RPC, it goes from station to station and never back:
 *
 *   crypto lane: rpc decodes -> authn admits -> gather -> decide -> plan -> [kms-hsm] -> finish -> audit
 *                -> rpc replies
 *   admin lane:  rpc decodes -> authn admits -> [admin thread: gather -> decide -> attempt -> act] -> audit
 *                -> rpc replies
 *
 *   streams:     after act: [admin thread: page -> rpc sends it -> gRPC wrote it], again and again (stream.h)
 *
 * Whoever holds the call owns it; there is no lock in it. All its pointers live in its arena or in the
 * references that it holds, until rpc takes it back with `release`.
 */
#ifndef KMS_SERVICE_CALL_H
#define KMS_SERVICE_CALL_H

#include <protobuf-c/protobuf-c.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/id.h"
#include "hsm/hsm.h"
#include "keystore/keystore.h"
#include "kmsd/authn/authn.h"
#include "kmsd/metrics/station.h"
#include "kmsd/policy/policy.h"

struct kms_core; /* core.h: what every call may ask: keyring, keystore, hsm, policies, clock */
struct kms_method;
struct kms_key;
struct kms_granted;
struct kms_batch; /* batch.h */
struct kms_secret_entry;
struct kms_role;
struct kms_lease_list;
struct kms_stream; /* stream.h */

enum { KMS_CALL_ACCESSES = 4, KMS_CALL_EXTRAS = 8, KMS_CALL_TEXT_BYTES = 128 };

/* One question to policy: may the caller do this action on this key? gather asks, decide answers, audit
 * lists. */
struct kms_access {
    enum kms_action action;
    bool service;                    /* answered by the service policy, not by a key's */
    struct kms_bytes named;          /* the key as the caller named it; empty when the ciphertext named it */
    struct kms_bytes alias;          /* "alias/NAME" when the caller used one */
    struct kms_key *key;             /* reference held; NULL: no such key */
    bool of_secret;                  /* about a stored secret, not a key */
    struct kms_secret_entry *secret; /* reference held; NULL: no such secret */
    bool of_role;                    /* about a database role */
    struct kms_role *role;           /* reference held; NULL: no such role */
    bool via_secrets;                /* SecretService uses the key for the caller: kms:ViaService */
    kms_policy *policy;       /* NULL: that of key; else reference held: a document that is about to be */
    uint32_t version;         /* version in use, 0: not known yet */
    struct kms_pair *context; /* encryption context, sorted */
    size_t context_count;
    struct kms_bytes canonical;                /* the same in canonical form */
    const char *encryption_algorithm;          /* static; NULL: SYMMETRIC_DEFAULT where the action encrypts */
    const struct kms_operation_inputs *inputs; /* other inputs of conditions, in the arena; NULL: none */
    struct kms_decision decision;
    bool own;                   /* about nothing but what is the caller's own: allowed */
    char by_grant[KMS_ID_TEXT]; /* the grant that allowed it where policy did not; "" */
    /* In a batch: */
    bool of_reencrypt, on_same_key; /* ReEncrypt asks; its source and destination are one key */
    uint32_t digest;                /* of what makes the question: alike when two questions are */
    uint32_t asked;                 /* where it stands among the distinct questions */
};

/* A name and its value in the record of a call: static, the request's, or in the arena. */
struct kms_call_extra {
    const char *name, *value;
};
/* Gives back the references of accesses. */
void kms_accesses_end(struct kms_access *access, size_t count);

/* What a call has to do with an approval: said in its record, and to its caller when approvals are missing.
 * */
struct kms_approval_note {
    char id[KMS_ID_TEXT]; /* "": nothing */
    /* "requested", "waiting", "approved", "approved before", "rejected", "withdrawn", "used"; of the
     * scheduler "expired", "outdated", "forgotten" */
    const char *event;
    const char *operation; /* what it is for: "PutKeyPolicy" */
    const char *by;        /* who has approved so far, comma-separated */
    uint64_t expires_us;
    uint32_t missing;
    uint64_t revision; /* of its row */
};

/* Where a call is; the last one reached stands in its audit record. */
enum kms_stage {
    KMS_STAGE_RPC,
    KMS_STAGE_AUTHN,
    KMS_STAGE_GATHER,
    KMS_STAGE_DECIDE,
    KMS_STAGE_PLAN,
    KMS_STAGE_HSM,
    KMS_STAGE_ACT,
    KMS_STAGE_FINISH,
};

struct kms_call {
    /* rpc fills these before kms_pipeline_begin */
    const struct kms_method *method;
    const char *protocol;                     /* static: whose words it came in, "sops"; NULL: our own */
    kms_arena arena;                          /* request, reply, everything in between */
    const ProtobufCMessage *request;          /* in the arena; NULL when decoding failed: then err says why */
    kms_identity *identity;                   /* reference held; NULL when err is UNAUTHENTICATED */
    char peer[KMS_CALL_TEXT_BYTES];           /* "ipv4:127.0.0.1:40512", "unix:uid=1000,pid=812" */
    char source_ip[48];                       /* "" on a Unix socket */
    char client[KMS_CALL_TEXT_BYTES];         /* user agent */
    char correlation_id[KMS_CALL_TEXT_BYTES]; /* metadata x-correlation-id: the client's own */
    uint64_t started_us;                      /* wall clock */
    uint64_t deadline_us;                     /* monotonic; 0: none */
    void *transport;                          /* rpc's own */
    atomic_bool gone; /* of a stream: its client has; rpc says so at any time, whoever holds the call */

    /* the pipeline's */
    const struct kms_core *core;
    struct kms_id request_id;
    enum kms_stage stage;
    struct kms_journey journey; /* rpc begins and ends it; what the service does by itself makes none */
    bool by_service;            /* nobody asked: internal.h */
    unsigned admitted;          /* as so many calls in flight of its principal; 0: not admitted */
    bool passes; /* err LIMIT_EXCEEDED: of calls at once or in a time, so that trying again helps */
    bool silent; /* refused once too often: counted in a summary, no record of its own to wait for */
    struct kms_access access[KMS_CALL_ACCESSES];
    size_t access_count;
    kms_policy *service_policy;              /* the one that answered; reference held */
    bool reencrypt;                          /* access[0] is the source, access[1] the destination */
    bool may_bypass_lockout, bypass_lockout; /* the request has the field; its value */
    struct kms_access
        *spends; /* crypto lane: the access whose key version encrypts, so its budget counts; or NULL */
    bool out_of_budget;        /* plan found the budget of `spends` empty: reserve, then plan again */
    struct kms_hsm_job job;    /* crypto lane; a batch has one in each item instead */
    struct kms_batch *batch;   /* its items, once gathered; in the arena; NULL: not a batch */
    struct kms_call *part_of;  /* of an item: the batch */
    struct kms_stream *stream; /* its answer is many messages; NULL: it is one, or the stream has not begun */
    bool page;                 /* this trip to rpc is that of a page, not of the answer */
    ProtobufCMessage *reply;   /* in the arena; sent when err is OK */
    kms_err err;
    struct kms_why why;
    char new_key_id[KMS_ID_TEXT]; /* CreateKey: of the key that it will make */
    uint8_t new_spec, new_usage;  /* the same: enum kms_key_spec, kms_key_usage; 0: none */
    bool new_external;            /* the same: its material will be imported */
    bool makes_rsa;               /* counts against limits.rsa_keys_per_principal */
    const char *policy_json;      /* the document that CreateKey will store; in the arena or the request */
    const char *noted; /* something that the record should say although the call succeeds; NULL: nothing */
    struct kms_granted
        *grant; /* CreateGrant: the one that it will make; RetireGrant, RevokeGrant: the one that
                                  shall go, NULL: no such grant; reference held */
    struct kms_call_extra extra[KMS_CALL_EXTRAS]; /* what else its record says */
    size_t extra_count;
    struct kms_audit_drop *audit_drop;   /* DropAuditFiles: which; in the arena */
    struct kms_secret_entry *new_secret; /* CreateSecret: the one that it will make; reference held */
    struct kms_role *new_role;           /* PutDatabaseRole: as it will be; reference held */
    struct kms_lease_list *leases;       /* that it is about; in the arena, references held; NULL: none */
    const char *secret_version; /* of a secret: the version that the call is about; "" or NULL: none */
    bool alias_leaves;          /* an alias stops naming alias_left, whose rule holds whatever the method */
    struct kms_id alias_left;
    const char
        *alias_gains; /* who would gain what by that, for approvers to judge; in the arena; NULL: nobody */
    struct kms_approval_note approval;
    bool changed_store; /* admin: mark is what the keystore said */
    struct kms_store_mark mark;
    struct kms_call *next; /* for lists of whoever holds the call */
    sem_t *recorded;       /* admin lane: posted when the attempt is durable, or has failed (err) */
    bool attempt;          /* this trip to the audit log is the attempt's */
};

/* Memory of the call; NO_MEMORY is remembered by no one: check. */
static inline void *kms_call_alloc(struct kms_call *call, size_t len)
{
    return kms_arena_alloc(&call->arena, len);
}

/* Adds to the call's record; an empty value says nothing. */
void kms_call_say(struct kms_call *call, const char *name, const char *value);

/* Fails the call's current step with words: return kms_call_fail(call, KMS_FAIL(X), "..."). */
kms_err kms_call_fail(struct kms_call *call, kms_err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
