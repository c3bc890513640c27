/* kmsctl status, version. */
#include "client/kmsctl/commands.h"
#include "client/kmsctl/describe.h"
#include "client/kmsctl/output.h"

bool ctl_status(struct ctl *ctl)
{
    kms_client *client = ctl_client(ctl);
    struct kms_status *status;
    if (client == NULL || !kms_client_get_status(client, NULL, &status, &ctl->error)) return false;
    bool ok = ctl_print(ctl, ctl_describe_status(status));
    kms_status_free(status);
    return ok;
}

bool ctl_version(struct ctl *ctl)
{
    return ctl_print(ctl, json_pack("{s:s}", "version", KMS_VERSION));
}
