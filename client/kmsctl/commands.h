/* What the rows of the table run; one file for each group. Each prints its own output; false: ctl->error says
 * why. */
#ifndef KMS_CLIENT_KMSCTL_COMMANDS_H
#define KMS_CLIENT_KMSCTL_COMMANDS_H

#include "client/kmsctl/ctl.h"

bool ctl_key_create(struct ctl *ctl);
bool ctl_key_list(struct ctl *ctl);
bool ctl_key_describe(struct ctl *ctl);
bool ctl_key_enable(struct ctl *ctl);
bool ctl_key_disable(struct ctl *ctl);
bool ctl_key_rotate(struct ctl *ctl);
bool ctl_key_delete(struct ctl *ctl);
bool ctl_key_cancel_deletion(struct ctl *ctl);
bool ctl_key_usage(struct ctl *ctl);
bool ctl_key_retire(struct ctl *ctl);
bool ctl_key_restore(struct ctl *ctl);
bool ctl_key_set_description(struct ctl *ctl);
bool ctl_key_tag(struct ctl *ctl);
bool ctl_key_untag(struct ctl *ctl);
bool ctl_key_tags(struct ctl *ctl);
bool ctl_rotation_enable(struct ctl *ctl);
bool ctl_rotation_disable(struct ctl *ctl);
bool ctl_rotation_status(struct ctl *ctl);
bool ctl_rotation_list(struct ctl *ctl);
bool ctl_alias_create(struct ctl *ctl);
bool ctl_alias_update(struct ctl *ctl);
bool ctl_alias_delete(struct ctl *ctl);
bool ctl_alias_list(struct ctl *ctl);
bool ctl_grant_create(struct ctl *ctl);
bool ctl_grant_list(struct ctl *ctl);
bool ctl_grant_retirable(struct ctl *ctl);
bool ctl_grant_retire(struct ctl *ctl);
bool ctl_grant_revoke(struct ctl *ctl);
bool ctl_policy_get(struct ctl *ctl);
bool ctl_policy_put(struct ctl *ctl);
bool ctl_policy_check_file(struct ctl *ctl);
bool ctl_policy_test(struct ctl *ctl);
bool ctl_policy_lint(struct ctl *ctl);
bool ctl_policy_diff(struct ctl *ctl);
bool ctl_policy_replay(struct ctl *ctl);
bool ctl_approve(struct ctl *ctl);
bool ctl_reject(struct ctl *ctl);
bool ctl_approval_list(struct ctl *ctl);
bool ctl_approval_show(struct ctl *ctl);
bool ctl_approval_rule(struct ctl *ctl);
bool ctl_approval_set_rule(struct ctl *ctl);
bool ctl_approval_clear_rule(struct ctl *ctl);
bool ctl_encrypt(struct ctl *ctl);
bool ctl_decrypt(struct ctl *ctl);
bool ctl_re_encrypt(struct ctl *ctl);
bool ctl_reencrypt(struct ctl *ctl);
bool ctl_batch_encrypt_lines(struct ctl *ctl);
bool ctl_batch_decrypt_lines(struct ctl *ctl);
bool ctl_batch_re_encrypt_lines(struct ctl *ctl);
bool ctl_batch_data_key_lines(struct ctl *ctl);
bool ctl_file_encrypt(struct ctl *ctl);
bool ctl_file_decrypt(struct ctl *ctl);
bool ctl_file_inspect(struct ctl *ctl);
bool ctl_data_key(struct ctl *ctl);
bool ctl_data_key_pair(struct ctl *ctl);
bool ctl_random(struct ctl *ctl);
bool ctl_sign(struct ctl *ctl);
bool ctl_verify(struct ctl *ctl);
bool ctl_mac(struct ctl *ctl);
bool ctl_verify_mac(struct ctl *ctl);
bool ctl_public_key(struct ctl *ctl);
bool ctl_call_method(struct ctl *ctl);
bool ctl_status(struct ctl *ctl);
bool ctl_import_parameters(struct ctl *ctl);
bool ctl_import_material(struct ctl *ctl);
bool ctl_import_delete(struct ctl *ctl);
bool ctl_root_status(struct ctl *ctl);
bool ctl_root_rotate(struct ctl *ctl);
bool ctl_root_destroy(struct ctl *ctl);
bool ctl_audit_tail(struct ctl *ctl);
bool ctl_audit_query(struct ctl *ctl);
bool ctl_audit_stats(struct ctl *ctl);
bool ctl_audit_verify(struct ctl *ctl);
bool ctl_audit_head(struct ctl *ctl);
bool ctl_audit_key(struct ctl *ctl);
bool ctl_context_list(struct ctl *ctl);
bool ctl_context_show(struct ctl *ctl);
bool ctl_context_use(struct ctl *ctl);
bool ctl_completion_bash(struct ctl *ctl);
bool ctl_completion_words(struct ctl *ctl);
bool ctl_version(struct ctl *ctl);

#endif
