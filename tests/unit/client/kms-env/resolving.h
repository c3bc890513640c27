/* One run of the resolver from texts, for test_plan and test_resolve. */
#ifndef KMS_TESTS_KMS_ENV_RESOLVING_H
#define KMS_TESTS_KMS_ENV_RESOLVING_H

#include "client/kms-env/bind.h"
#include "tests/unit/client/kms-env/fake_service.h"

enum { MOST = 16 };

struct resolving {
    /* in */
    const char *inherited[MOST]; /* {NAME=VALUE} becomes ciphertext for the application "default" */
    const char *files[3];        /* likewise */
    struct kms_env_options options;
    const char *key;
    bool down;
    /* out */
    kms_err err;
    struct kms_why why;
    kms_buf notes, got; /* got: the child's strings without KMS_ENV=1, '|' behind each */
    struct fake_service service;
};

static inline void print_environment(struct resolving *r, kms_env_plan *plan)
{
    char *const *environment = NULL;
    size_t count = 0;
    KMS_ASSERT_OK_FATAL(kms_env_plan_environment(plan, &environment));
    while (environment[count] != NULL) count++;
    CU_ASSERT_STRING_EQUAL(environment[count - 1], "KMS_ENV=1");
    for (size_t i = 0; i + 1 < count; i++) KMS_ASSERT_OK(kms_buf_print(&r->got, "%s|", environment[i]));
}

static inline void resolve_inputs(struct resolving *r, char *const *environment,
                                  const struct kms_env_input *inputs, size_t count)
{
    KMS_OWN(kms_env_plan) plan = NULL;
    if (r->options.fallback_app == NULL) r->options.fallback_app = KMS_ENV_DEFAULT_APP;
    r->service.down = r->down;
    r->err = kms_env_plan_new((struct kms_env_sources){environment, inputs, count}, &r->options, &plan,
                              &r->notes, &r->why);
    if (!kms_failed(r->err))
        r->err = kms_env_plan_resolve(plan, r->key, fake_providers(&r->service), &r->notes, &r->why);
    if (!kms_failed(r->err)) print_environment(r, plan);
}

static inline void resolve(struct resolving *r)
{
    static const char *const paths[] = {"a.env", "b.env", "c.env"};
    kms_buf strings[MOST] = {0}, texts[3] = {0};
    kms_dotenv *documents[3] = {0};
    struct kms_env_input inputs[3];
    char *environment[MOST + 1] = {0};
    size_t count = 0;
    for (size_t i = 0; i < MOST && r->inherited[i] != NULL; i++) {
        fake_text(&strings[i], "default", r->inherited[i]);
        environment[i] = (char *)strings[i].data;
    }
    for (; count < 3 && r->files[count] != NULL; count++) {
        fake_text(&texts[count], "default", r->files[count]);
        KMS_ASSERT_OK_FATAL(
            kms_dotenv_parse(kms_buf_view(&texts[count]), KMS_DOTENV_COMPOSE, &documents[count], NULL));
        inputs[count] = (struct kms_env_input){paths[count], documents[count]};
    }
    resolve_inputs(r, environment, inputs, count);
    for (size_t i = 0; i < MOST; i++) kms_buf_free(&strings[i]);
    for (size_t i = 0; i < 3; i++) {
        kms_dotenv_free(documents[i]);
        kms_buf_free(&texts[i]);
    }
}

static inline void resolving_done(struct resolving *r)
{
    kms_buf_free(&r->notes);
    kms_buf_free(&r->got);
}

static inline const char *text_of(const kms_buf *buf)
{
    return buf->len > 0 ? (const char *)buf->data : "";
}

#endif
