/* kmsctl lease generate: a user of a database, with its password. */
#include <kms/leases.h>

#include "client/kmsctl/commands.h"
#include "client/kmsctl/lease.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/target.h"

static json_t *value_of(const struct ctl *ctl, const struct kms_database_credentials *made)
{
    const char *password = (const char *)kms_plaintext_data(made->password);
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "lease_id", ctl_json_text(made->lease_id), "username",
                     ctl_json_text(made->username), "password",
                     json_stringn(password, kms_plaintext_len(made->password)), "lease_duration",
                     ctl_lease_span(ctl, made->lease_duration_s), "expires", ctl_json_time(made->expires_us));
}

/* A user whose password nobody got is of no use: its lease is given back. */
static void give_back(struct ctl *ctl, const char *lease_id)
{
    struct kms_error error;
    kms_client *client = ctl_client(ctl);
    if (client != NULL && !kms_client_revoke_lease(client, lease_id, NULL, &error))
        fprintf(stderr, "kmsctl: lease %s expires by itself: %s: %s\n", lease_id, error.reason,
                error.message);
}

/* Where the password goes is open before there is one. */
static bool generate(struct ctl *ctl, uint64_t ttl_s, struct ctl_target *target)
{
    const struct kms_generate_credentials_request request = {.role_name = ctl->arguments[0], .ttl_s = ttl_s};
    struct kms_database_credentials *made;
    kms_client *client = ctl_client(ctl);
    if (client == NULL || !ctl_target_open(ctl, target) ||
        !kms_client_generate_credentials(client, &request, NULL, &made, &ctl->error))
        return false;
    bool ok = ctl_output_secret(ctl) && ctl_print_into(ctl, target, value_of(ctl, made));
    if (!ok) give_back(ctl, made->lease_id);
    kms_database_credentials_free(made);
    return ok;
}

bool ctl_lease_generate(struct ctl *ctl)
{
    uint64_t ttl_s;
    struct ctl_target target;
    if (!ctl_may_show(ctl) || !ctl_lease_ttl(ctl, &ttl_s) || !ctl_target_check(ctl, ctl->out, true, &target))
        return false;
    bool ok = generate(ctl, ttl_s, &target);
    ctl_target_drop(&target);
    return ok;
}
