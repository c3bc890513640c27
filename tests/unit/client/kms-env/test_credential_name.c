/* Which addresses are names of a unit and a credential. */
#include "client/kms-env/credential_name.h"

#include "tests/harness/suite.h"

static bool parse(const char *address, size_t len, struct kms_env_credential_name *name)
{
    return kms_env_credential_name_parse(kms_bytes_of(address, len), name);
}

#define PARSE(text, name) parse((text), sizeof(text) - 1, (name))

static void what_systemd_binds(void)
{
    struct kms_env_credential_name name;
    CU_ASSERT_FATAL(PARSE("\0adf9d86b6eda275e/unit/foobar.service/credx", &name));
    CU_ASSERT(kms_bytes_equal(name.unit, kms_bytes_text("foobar.service")));
    CU_ASSERT(kms_bytes_equal(name.credential, kms_bytes_text("credx")));
    CU_ASSERT_FATAL(PARSE("\0f/unit/app@a\\x2db:1.service/tls.key", &name)); /* a small random number */
    CU_ASSERT(kms_bytes_equal(name.unit, kms_bytes_text("app@a\\x2db:1.service")));
    CU_ASSERT(kms_bytes_equal(name.credential, kms_bytes_text("tls.key")));
}

#define ROW(text)                                                                                            \
    {                                                                                                        \
        (text), sizeof(text) - 1                                                                             \
    }

static void anything_else_is_none(void)
{
    static const struct {
        const char *text;
        size_t len;
    } rows[] = {
        {NULL, 0},
        ROW("\0"),
        ROW("/run/adf9d86b6eda275e/unit/a.service/b"), /* a path */
        ROW("adf9d86b6eda275e/unit/a.service/b"),
        ROW("\0/unit/a.service/b"),
        ROW("\0adf9d86b6eda275e0/unit/a.service/b"), /* seventeen digits */
        ROW("\0ADF9D86B6EDA275E/unit/a.service/b"),
        ROW("\0adf9d86b6eda275g/unit/a.service/b"),
        ROW("\0adf9d86b6eda275e"),
        ROW("\0adf9d86b6eda275e/unit/"),
        ROW("\0adf9d86b6eda275e/unit/a.service"),
        ROW("\0adf9d86b6eda275e/unit/a.service/"),
        ROW("\0adf9d86b6eda275e/unit//b"),
        ROW("\0adf9d86b6eda275e/Unit/a.service/b"),
        ROW("\0adf9d86b6eda275e/user/a.service/b"),
        ROW("\0adf9d86b6eda275e/unit/a.service/b/c"),
        ROW("\0adf9d86b6eda275e/unit/a.service/.."),
        ROW("\0adf9d86b6eda275e/unit/a.service/."),
        ROW("\0adf9d86b6eda275e/unit/a service/b"),
        ROW("\0adf9d86b6eda275e/unit/a.service/b c"),
        ROW("\0adf9d86b6eda275e/unit/a.service/b\n"),
        ROW("\0adf9d86b6eda275e/unit/a*/b"),
        ROW("\0adf9d86b6eda275e/unit/a.service\0/b"),
        ROW("\0adf9d86b6eda275e/unit/a.service/b\0"),
        ROW("\0adf9d86b6eda275e\0/unit/a.service/b"),
        ROW("\0\0adf9d86b6eda275e/unit/a.service/b"),
        ROW("\0adf9d86b6eda275e/unit/\xc3\xa9.service/b"),
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_env_credential_name name = {0};
        CU_ASSERT_FALSE(parse(rows[i].text, rows[i].len, &name));
        CU_ASSERT_EQUAL(name.unit.len + name.credential.len, 0);
    }
}

static void lengths_end(void)
{
    static char text[600] = "\0f/unit/";
    struct kms_env_credential_name name;
    const size_t head = 8;
    memset(text + head, 'a', sizeof text - head);
    text[head + 255] = '/';
    CU_ASSERT(parse(text, head + 255 + 1 + 255, &name));
    CU_ASSERT_FALSE(parse(text, head + 255 + 1 + 256, &name));
    text[head + 255] = 'a';
    text[head + 256] = '/';
    CU_ASSERT_FALSE(parse(text, head + 256 + 1 + 1, &name));
}

KMS_TEST_MAIN("client/kms-env/credential_name", {"what systemd binds", what_systemd_binds},
              {"anything else is none", anything_else_is_none}, {"lengths end", lengths_end})
