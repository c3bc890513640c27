/* Which addresses are of this machine alone. */
#include "base/address.h"

#include "tests/harness/suite.h"

static void loopback(void)
{
    static const char *const good[] = {"127.0.0.1:5000", "127.0.0.1:0", "127.255.0.3:65535", "[::1]:5000"};
    for (size_t i = 0; i < KMS_COUNT(good); i++) {
        struct sockaddr_storage address;
        socklen_t len = 0;
        char text[KMS_ADDRESS_BYTES];
        CU_ASSERT_FATAL(kms_loopback_parse(good[i], &address, &len));
        CU_ASSERT(len > 0 && len <= sizeof address);
        kms_address_text(&address, text);
        CU_ASSERT_STRING_EQUAL(text, good[i]);
    }
}

static void others(void)
{
    static const char *const bad[] = {
        "",
        ":5000",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:999999",
        "127.0.0.1:5x",
        "127.0.0.1:-1",
        "127.0.0.1: 5",
        "127.1:5000",
        "[127.0.0.1]:5000",
        "0.0.0.0:5000",
        "128.0.0.1:5000",
        "10.0.0.1:5000",
        "localhost:5000",
        "[::]:5000",
        "::1:5000",
        "[::1]5000",
        "[]:5000",
        "]:5000",
        "[:5000",
        "[::ffff:127.0.0.1]:5000",
        "[fe80::1%lo]:5000",
        "/run/socket",
        "1111111111111111111111111111111111111111111111111111111111111111111111:5000",
    };
    for (size_t i = 0; i < KMS_COUNT(bad); i++) {
        struct sockaddr_storage address;
        socklen_t len;
        CU_ASSERT_FALSE(kms_loopback_parse(bad[i], &address, &len));
    }
    char text[KMS_ADDRESS_BYTES] = "x";
    kms_address_text(&(struct sockaddr_storage){.ss_family = AF_UNIX}, text);
    CU_ASSERT_STRING_EQUAL(text, "");
}

KMS_TEST_MAIN("base/address", {"of the loopback interface", loopback}, {"anything else", others})
