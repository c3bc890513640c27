/* What the tests of the stations stand on: calls, and a core with real keystore, keyring, authn, policies. */
#ifndef KMS_TESTS_SERVICE_WORLD_H
#define KMS_TESTS_SERVICE_WORLD_H

#include "kmsd/keys/state.h"
#include "kmsd/service/access.h"
#include "kmsd/service/dispatch.h"
#include "kmsd/service/pipeline.h"
#include "tests/harness/suite.h"

#define WORLD_ARN "arn:aws:kms:us-east-1:000000000000:"

struct world {
    struct kms_core core;
    struct kms_authn_options authn;
};

/* Zeros in options: no rate limit, 8 calls in flight, 2 refusals recorded in a second. */
void world_open(struct world *world, const struct kms_authn_options *options);
void world_close(struct world *world);

/* A policy that lets principal do actions, comma-separated names without "kms:". */
kms_policy *world_policy(const char *principal, const char *actions, bool service);
void world_service_policy(struct world *world, const char *principal, const char *actions);

struct kms_id world_id(unsigned number);
/* Key `number` in the keyring, one version; its policy lets "app" do actions. The caller owns a reference. */
struct kms_key *world_key(struct world *world, unsigned number, enum kms_level level, const char *actions);
void world_add_key(struct world *world, unsigned number, enum kms_level level, const char *actions);
/* The same key with one change: a new generation in the keyring. The caller owns a reference. */
struct kms_key *world_change(struct world *world, struct kms_key *key, bool enabled, uint32_t more_versions);
void world_alias(struct world *world, const char *name, unsigned number, bool deleted);

/* A call of principal "app" as rpc hands it over, admitted to nothing yet; kms_call_end ends it. */
void world_call(struct world *world, struct kms_call *call, const struct kms_method *method);
/* The same of another principal; NULL: of nobody. */
void world_call_of(struct world *world, struct kms_call *call, const struct kms_method *method,
                   const char *principal);

#endif
