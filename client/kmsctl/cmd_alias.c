/* kmsctl alias: create, update, delete, list. */
#include "client/kmsctl/commands.h"
#include "client/kmsctl/describe.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/pages.h"

bool ctl_alias_create(struct ctl *ctl)
{
    char name[CTL_ALIAS_BYTES];
    kms_client *client = ctl_client(ctl);
    return client != NULL && kms_client_create_alias(client, ctl_alias_name(ctl->arguments[0], name),
                                                     ctl->arguments[1], NULL, &ctl->error);
}

bool ctl_alias_update(struct ctl *ctl)
{
    char name[CTL_ALIAS_BYTES];
    kms_client *client = ctl_client(ctl);
    return client != NULL && kms_client_update_alias(client, ctl_alias_name(ctl->arguments[0], name),
                                                     ctl->arguments[1], NULL, &ctl->error);
}

bool ctl_alias_delete(struct ctl *ctl)
{
    char name[CTL_ALIAS_BYTES];
    kms_client *client = ctl_client(ctl);
    return client != NULL &&
           kms_client_delete_alias(client, ctl_alias_name(ctl->arguments[0], name), NULL, &ctl->error);
}

static bool add_aliases(struct ctl *ctl, kms_client *client, const struct kms_list_request *request,
                        json_t *rows, kms_buf *marker)
{
    struct kms_alias_list *list;
    if (!kms_client_list_aliases(client, request, NULL, &list, &ctl->error)) return false;
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(rows, ctl_describe_alias(&list->aliases[i]));
    bool ok = ctl_next_page(ctl, list->truncated ? list->next_marker : "", marker);
    kms_alias_list_free(list);
    return ok;
}

bool ctl_alias_list(struct ctl *ctl)
{
    return ctl_print_pages(ctl, add_aliases);
}
