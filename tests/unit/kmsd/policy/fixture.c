/* Documents and requests in short notation. */
#include "tests/unit/kmsd/policy/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct kms_bytes quoted(const char *json)
{
    static char text[KMS_POLICY_BYTES * 2];
    size_t len = strlen(json);
    if (len >= sizeof text) abort();
    for (size_t i = 0; i <= len; i++) text[i] = json[i] == '\'' ? '"' : json[i];
    return kms_bytes_of(text, len);
}

kms_err parse(const char *json, kms_policy **ret_policy, struct kms_why *why)
{
    return kms_policy_parse(KMS_POLICY_KEY, quoted(json), ret_policy, why);
}

kms_policy *parsed(const char *json)
{
    kms_policy *policy = NULL;
    struct kms_why why = {""};
    kms_err err = parse(json, &policy, &why);
    if (kms_failed(err)) {
        fprintf(stderr, "\n%s: %s\n%s\n", kms_err_reason(err), why.text, json);
        exit(2);
    }
    return policy;
}

bool says(const struct kms_why *why, const char *words)
{
    if (strstr(why->text, words) != NULL) return true;
    fprintf(stderr, "\nsays: %s\nnot:  %s\n", why->text, words);
    return false;
}

enum kms_action action_called(const char *name)
{
    enum kms_action action = 0;
    while (action < KMS_ACT_COUNT && strcmp(kms_action_name(action), name) != 0) action++;
    return action;
}

static uint64_t time_us(const char *text)
{
    struct tm tm = {0};
    if (strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) == NULL) abort();
    return (uint64_t)timegm(&tm) * 1000000;
}

static bool set_text(struct asked *asked, const char *name, const char *value)
{
    struct kms_access_request *request = &asked->request;
    struct kms_operation_inputs *inputs = &asked->inputs;
    const struct {
        const char *name;
        struct kms_bytes *to;
    } rows[] = {
        {"who", &request->principal},
        {"resource", &request->resource},
        {"alias", &request->request_alias},
        {"via", &request->via_service},
        {"spec", &request->key_spec},
        {"usage", &request->key_usage},
        {"origin", &request->key_origin},
        {"ip", &request->source_ip},
        {"algorithm", &request->encryption_algorithm},
        {"signing", &inputs->signing_algorithm},
        {"mac", &inputs->mac_algorithm},
        {"label", &inputs->oaep_label},
        {"message", &inputs->message_type},
        {"pair", &inputs->data_key_pair_spec},
        {"grantee", &inputs->grantee_principal},
        {"retiring", &inputs->retiring_principal},
        {"constraint", &inputs->grant_constraint_type},
        {"expiration", &inputs->expiration_model},
        {"wrapping", &inputs->wrapping_algorithm},
        {"wrapspec", &inputs->wrapping_key_spec},
        {"name", &inputs->secret_name},
        {"kmskey", &inputs->secret_kms_key_id},
        {"kmsarn", &inputs->secret_kms_key_arn},
        {"version", &inputs->secret_version_id},
        {"stage", &inputs->secret_version_stage},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        if (strcmp(name, rows[i].name) == 0) {
            *rows[i].to = kms_bytes_text(value);
            return true;
        }
    return false;
}

/* Fields that can stand there several times. */
static bool set_item(struct asked *asked, const char *name, const char *value)
{
    struct kms_operation_inputs *inputs = &asked->inputs;
    const char *colon = strchr(name, ':');
    struct kms_bytes text = kms_bytes_text(value);
    struct kms_pair pair = {colon == NULL ? text : kms_bytes_text(colon + 1), text};
    if (strncmp(name, "ctx:", 4) == 0)
        asked->pairs[asked->request.context_count++] = pair;
    else if (strncmp(name, "tag:", 4) == 0)
        asked->tags[asked->request.resource_tag_count++] = pair;
    else if (strncmp(name, "newtag:", 7) == 0)
        asked->new_tags[inputs->request_tag_count++] = pair;
    else if (strcmp(name, "rmtag") == 0)
        asked->removed[inputs->removed_tag_key_count++] = text;
    else if (strcmp(name, "grantop") == 0)
        asked->operations[inputs->grant_operation_count++] = text;
    else
        return false;
    return true;
}

/* Flags that may not be known: "1" or "0". */
static bool set_flag(struct asked *asked, const char *name, const char *value)
{
    struct kms_access_request *request = &asked->request;
    struct kms_operation_inputs *inputs = &asked->inputs;
    const struct {
        const char *name;
        bool *known, *to;
    } rows[] = {
        {"same", &request->reencrypt_on_same_key_known, &request->reencrypt_on_same_key},
        {"bypass", &request->bypass_lockout_known, &request->bypass_lockout},
        {"force", &inputs->force_delete_known, &inputs->force_delete},
        {"rules", &inputs->modify_rotation_rules_known, &inputs->modify_rotation_rules},
        {"now", &inputs->rotate_immediately_known, &inputs->rotate_immediately},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        if (strcmp(name, rows[i].name) == 0) {
            *rows[i].known = true;
            *rows[i].to = strcmp(value, "1") == 0;
            return true;
        }
    return false;
}

static void set(struct asked *asked, const char *name, const char *value)
{
    struct kms_access_request *request = &asked->request;
    if (set_text(asked, name, value) || set_item(asked, name, value) || set_flag(asked, name, value)) return;
    if (strcmp(name, "action") == 0)
        request->action = action_called(value);
    else if (strcmp(name, "time") == 0)
        request->now_us = time_us(value);
    else if (strcmp(name, "validto") == 0)
        asked->inputs.valid_to_us = time_us(value);
    else if (strcmp(name, "rotation") == 0)
        asked->inputs.rotation_period_days = (uint32_t)atoi(value);
    else if (strcmp(name, "window") == 0)
        asked->inputs.pending_window_days = (uint32_t)atoi(value);
    else if (strcmp(name, "tls") == 0)
        request->secure_transport = strcmp(value, "1") == 0;
    else if (strcmp(name, "recovery") == 0)
        asked->inputs.recovery_window_days = (uint32_t)atoi(value);
    else {
        fprintf(stderr, "no such field of a request: %s\n", name);
        exit(2);
    }
}

void ask(const char *line, struct asked *ret_asked)
{
    char *rest = ret_asked->text, *field;
    ret_asked->request = (struct kms_access_request){.principal = kms_bytes_text(APP),
                                                     .action = KMS_ACT_DECRYPT,
                                                     .resource = kms_bytes_text(KEY_A),
                                                     .context = ret_asked->pairs,
                                                     .now_us = time_us(PERIOD),
                                                     .secure_transport = true,
                                                     .resource_tags = ret_asked->tags,
                                                     .inputs = &ret_asked->inputs};
    ret_asked->inputs = (struct kms_operation_inputs){.request_tags = ret_asked->new_tags,
                                                      .grant_operations = ret_asked->operations,
                                                      .removed_tag_keys = ret_asked->removed};
    snprintf(ret_asked->text, sizeof ret_asked->text, "%s", line);
    while ((field = strsep(&rest, "|")) != NULL) {
        char *value = strchr(field, '=');
        if (value == NULL) continue;
        *value = '\0';
        set(ret_asked, field, value + 1);
    }
}

struct kms_decision decided(const kms_policy *policy, const char *line)
{
    struct asked asked;
    ask(line, &asked);
    return kms_policy_decide(policy, &asked.request);
}
