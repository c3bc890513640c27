/* One call of a step, as the types of rotators see it. Private to kmsd/rotators. Thread-safe: one call, one
 * thread.
 */
#ifndef KMS_ROTATORS_INTERNAL_H
#define KMS_ROTATORS_INTERNAL_H

#include "kmsd/rotators/random.h"
#include "kmsd/rotators/rotator.h"

struct kms_rotator_call {
    const struct kmsd_conf_rotator *conf;
    size_t item;                               /* its position among the rotators */
    const struct kmsd_conf_database *database; /* NULL: the type has none */
    kms_runner *runner;
    enum kms_rotation_step step;
    struct kms_rotation *rotation;
    struct kms_why *why;
};

/* The types. Errors as kms_rotator_step. */
KMS_MUST_USE kms_err kms_rotator_random(const struct kms_rotator_call *call);
KMS_MUST_USE kms_err kms_rotator_postgres(const struct kms_rotator_call *call);
KMS_MUST_USE kms_err kms_rotator_program(const struct kms_rotator_call *call);

struct kms_password_rules kms_rotator_rules(const struct kmsd_conf_rotator *conf); /* borrows from conf */
/* VALUE_NOT_ROTATABLE with cause in why. */
KMS_MUST_USE kms_err kms_rotator_refuse(const struct kms_rotator_call *call, const char *cause);

#endif
