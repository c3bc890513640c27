/*
 * What can change a credential where it is used: in a PostgreSQL database, by a program of the operator's,
 * or, for values that live nowhere else, as a random value. Databases and rotators are declared in
 * kmsd.yaml and known by name; a value can never choose where kmsd connects to or what it runs. This room
 * knows neither stages nor the keystore: it gets values, and gives new ones back.
 *
 * Steps are those of AWS Secrets Manager, in this order. Each may be repeated at any time, also when an
 * earlier run of it was cut off: it first looks whether its work is done. Everything blocks, but never
 * longer than the time-outs of the configuration say; one call takes a few connections at most.
 * Thread-safe: kms_rotators is read-only after kms_rotators_new; a kms_rotation belongs to one thread.
 * Needs SIGPIPE ignored.
 */
#ifndef KMS_ROTATORS_ROTATOR_H
#define KMS_ROTATORS_ROTATOR_H

#include "base/secret.h"
#include "kmsd/conf/conf.h"

typedef struct kms_rotators kms_rotators;
typedef struct kms_runner kms_runner; /* runner.h */

/* conf and runner (NULL: no rotator is a program) are borrowed and outlive it. CONFIG_INVALID: a random
 * value that cannot be made as asked; NO_MEMORY. */
KMS_MUST_USE kms_err kms_rotators_new(const struct kmsd_conf *conf, kms_runner *runner,
                                      kms_rotators **ret_rotators, struct kms_why *why);
void kms_rotators_free(kms_rotators *rotators); /* NULL is a no-op */
void kms_rotators_drop(kms_rotators **rotators);

/* NULL: no rotator, or no database, of that name is declared. */
const struct kmsd_conf_rotator *kms_rotators_find(const kms_rotators *rotators, const char *name);
const struct kmsd_conf_database *kms_rotators_database(const kms_rotators *rotators, const char *name);
/* The name of the stored secret whose value must be in kms_rotation.admin; "": none is used. NULL: no such
 * rotator. */
const char *kms_rotators_admin_secret(const kms_rotators *rotators, const char *name);

/* A database names it as its admin_secret. */
bool kms_rotators_administers(const kms_rotators *rotators, const char *secret_name);

enum kms_rotation_step {
    KMS_ROTATION_CREATE, /* makes the new value */
    KMS_ROTATION_SET,    /* puts the pending value into force where it is used */
    KMS_ROTATION_TEST,   /* shows that the pending value works */
    KMS_ROTATION_FINISH, /* what is left to do before the stages move: programs only */
    /* Beyond AWS's four. Undoes SET, when a rotation is given up: afterwards the current value works. Only
     * type postgresql has something to undo. */
    KMS_ROTATION_REVERT,
    /* After FINISH, in an emergency: what previous is can no longer be used, and its sessions end. */
    KMS_ROTATION_REVOKE_PREVIOUS,
};
const char *kms_rotation_step_name(enum kms_rotation_step step); /* "createSecret", as AWS writes it */

struct kms_rotation_value {
    struct kms_bytes bytes; /* borrowed, in locked memory; ptr NULL: there is no such version */
    bool binary;            /* SecretBinary, not SecretString */
};

enum { KMS_ROTATION_SAID_BYTES = 300 };

struct kms_rotation {
    const char *secret_name, *arn, *token; /* token: version id of the pending version */
    struct kms_rotation_value current, pending, previous;
    struct kms_bytes admin; /* SecretString of kms_rotators_admin_secret, in locked memory; or empty */

    kms_secret
        *created; /* KMS_ROTATION_CREATE: the new value, now the caller's; NULL when pending is there */
    bool created_binary;
    /* What a program wrote on standard error, for the operational log: printable, cut, values blanked out. */
    char said[KMS_ROTATION_SAID_BYTES];
};

/*
 * One step by the rotator called name. Never a value in why. Errors:
 *   ROTATOR_UNKNOWN      no rotator of that name is declared
 *   VALUE_NOT_ROTATABLE  a value is missing or not what the rotator needs: no JSON object, no user, another
 *                        host than the declared one, another user than the current or alternate one
 *   DATABASE_UNAVAILABLE no connection, or no answer in time
 *   DATABASE_REFUSED     user name or password is wrong
 *   DATABASE_FAILED      the database refused a statement, or asks for no password, so that a log-in proves
 *                        nothing
 *   ROTATOR_TIMEOUT      a program did not end in time and was killed
 *   ROTATOR_FAILED       a program could not be started, ended with another status than 0 or by a signal, or
 *                        said Error
 *   ROTATOR_ANSWER       what a program printed is too long or not the JSON object that was asked for
 *   UNSUPPORTED          the type has no such step
 *   NO_MEMORY, INTERNAL
 */
KMS_MUST_USE kms_err kms_rotator_step(const kms_rotators *rotators, const char *name,
                                      enum kms_rotation_step step, struct kms_rotation *rotation,
                                      struct kms_why *why);

#endif
