/* What the commands of `kmsctl lease` share. Not thread-safe: one run. */
#ifndef KMS_CLIENT_KMSCTL_LEASE_H
#define KMS_CLIENT_KMSCTL_LEASE_H

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/ctl.h"
#include "client/kmsctl/pages.h"

enum { CTL_LEASES_PAGE = 1000 }; /* the most that the server gives at once */

/* One page of the leases of a role (NULL: of all), added to leases with a short state ("ACTIVE"); marker
 * becomes that of the next page. False: ctl->error. */
bool ctl_leases_page(struct ctl *ctl, const char *role, const struct kms_list_request *page, json_t *leases,
                     kms_buf *marker);
/* Prints leases as a list: of people's columns, or in JSON all that is known of each. */
bool ctl_leases_print(struct ctl *ctl, const json_t *leases);
/* The role in a lease id or a prefix of one, "ROLE/...": to be freed; NULL: there is none. */
char *ctl_lease_role(const char *lease_id);
/* --ttl in seconds; 0 when it is not given. False: ctl->error. */
bool ctl_lease_ttl(struct ctl *ctl, uint64_t *ret_seconds);
/* How long a lease lasts: seconds in JSON, "1h 30m" for people; a new reference. */
json_t *ctl_lease_span(const struct ctl *ctl, uint64_t seconds);

#endif
