/* Roles and leases, in a book or not, as the tests of the room say them. All are in database "main". */
#ifndef KMS_TESTS_LEASES_WORLD_H
#define KMS_TESTS_LEASES_WORLD_H

#include "kmsd/leases/book.h"
#include "tests/unit/kmsd/keys/world.h"

extern struct kms_arn_prefix prefix; /* of role_of */

struct kms_role *role_of(char *name, uint64_t revision); /* the caller's */
struct kms_lease *lease_of(char *role, const char *user, enum kms_lease_state state, uint64_t expires);
void put_role(kms_lease_book *book, const char *name);
/* Its id, which the next but 15 replaces. */
const char *put_lease(kms_lease_book *book, const char *role, const char *user, enum kms_lease_state state,
                      uint64_t expires);

#endif
