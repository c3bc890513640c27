/* Socket files: mode, leftovers of the dead, and of the living. */
#include "kmsd/rpc/listener.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/address.h"
#include "tests/harness/suite.h"
#include "world.h"

static struct kms_rpc_socket at(const char *path)
{
    return (struct kms_rpc_socket){.socket = {.path = path, .principal = "p"}, .mode = 0620};
}

static kms_err bind_one(const struct kms_rpc_socket *door, kms_listener **ret_listener, struct kms_why *why)
{
    return kms_listener_bind(door, 1, ret_listener, why);
}

static void test_mode_and_removal(void)
{
    struct kms_rpc_socket door = at(world_path("a.sock"));
    kms_listener *listener = NULL;
    struct stat st;
    char group[16];
    snprintf(group, sizeof group, "%u", getegid());
    door.owner = "";
    door.group = group;
    KMS_ASSERT_OK_FATAL(bind_one(&door, &listener, NULL));
    CU_ASSERT_EQUAL(lstat(door.socket.path, &st), 0);
    CU_ASSERT_TRUE(S_ISSOCK(st.st_mode));
    CU_ASSERT_EQUAL(st.st_mode & 07777, 0620);
    CU_ASSERT_EQUAL(st.st_gid, getegid());
    kms_listener_close(listener);
    CU_ASSERT_NOT_EQUAL(lstat(door.socket.path, &st), 0);
}

static void test_live_one_is_refused(void)
{
    struct kms_rpc_socket door = at(world_path("b.sock"));
    kms_listener *first = NULL, *second = NULL;
    struct kms_why why;
    struct stat st;
    KMS_ASSERT_OK_FATAL(bind_one(&door, &first, NULL));
    KMS_ASSERT_CODE(bind_one(&door, &second, &why), STATE_IN_USE);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "b.sock: another process answers"));
    CU_ASSERT_EQUAL(lstat(door.socket.path, &st), 0);
    kms_listener_close(first);
}

static void test_dead_one_is_replaced(void)
{
    struct kms_rpc_socket door = at(world_path("c.sock"));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", door.socket.path);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    CU_ASSERT_EQUAL_FATAL(bind(dead, (struct sockaddr *)&address, sizeof address), 0);
    close(dead);
    kms_listener *listener = NULL;
    KMS_ASSERT_OK(bind_one(&door, &listener, NULL));
    kms_listener_close(listener);
}

static void test_bad_options(void)
{
    kms_listener *listener = NULL;
    struct kms_why why;
    struct kms_rpc_socket door = at(world_path("file"));
    close(open(door.socket.path, O_CREAT | O_WRONLY, 0600));
    KMS_ASSERT_CODE(bind_one(&door, &listener, &why), CONFIG_INVALID);
    CU_ASSERT_EQUAL(access(door.socket.path, F_OK), 0);
    door = at("relative.sock");
    KMS_ASSERT_CODE(bind_one(&door, &listener, &why), CONFIG_INVALID);
    door = at("/a-very-long-path/a-very-long-path/a-very-long-path/a-very-long-path/a-very-long-path/"
              "a-very-long-path/x.sock");
    KMS_ASSERT_CODE(bind_one(&door, &listener, &why), CONFIG_INVALID);
    door = at("/no/such/directory.sock");
    KMS_ASSERT_CODE(bind_one(&door, &listener, &why), IO);
    door = at(world_path("d.sock"));
    door.owner = "no-such-user";
    KMS_ASSERT_CODE(bind_one(&door, &listener, &why), CONFIG_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "no-such-user"));
    /* the second fails: the first one's file is gone again */
    struct kms_rpc_socket both[] = {at(world_path("e.sock")), at("/no/such/directory.sock")};
    KMS_ASSERT_CODE(kms_listener_bind(both, 2, &listener, &why), IO);
    CU_ASSERT_NOT_EQUAL(access(both[0].socket.path, F_OK), 0);
    CU_ASSERT_PTR_NULL(listener);
}

static void test_tcp(void)
{
    static const char *const bad[] = {"0.0.0.0:0", "localhost:0", "127.0.0.1", "/run/socket"};
    kms_listener *listener = NULL;
    struct kms_why why;
    struct kms_rpc_socket door = at("");
    door.tcp = true;
    for (size_t i = 0; i < KMS_COUNT(bad); i++) {
        door.socket.path = bad[i];
        KMS_ASSERT_CODE(bind_one(&door, &listener, &why), CONFIG_INVALID);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "not an address of the loopback interface"));
    }
    door.socket.path = "127.0.0.1:0";
    KMS_ASSERT_OK_FATAL(bind_one(&door, &listener, &why));
    kms_listener_close(listener);

    /* a port that somebody has */
    struct sockaddr_storage address;
    socklen_t len;
    char taken[KMS_ADDRESS_BYTES];
    int other = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT_FATAL(kms_loopback_parse("127.0.0.1:0", &address, &len));
    CU_ASSERT_FATAL(bind(other, (struct sockaddr *)&address, len) == 0 && listen(other, 1) == 0 &&
                    getsockname(other, (struct sockaddr *)&address, &len) == 0);
    kms_address_text(&address, taken);
    door.socket.path = taken;
    listener = NULL;
    KMS_ASSERT_CODE(bind_one(&door, &listener, &why), IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, taken));
    close(other);
}

KMS_TEST_MAIN("rpc/listener", {"a socket has its mode and goes with its owner", test_mode_and_removal},
              {"a socket that answers is refused", test_live_one_is_refused},
              {"one that a dead process left is replaced", test_dead_one_is_replaced},
              {"bad options", test_bad_options}, {"TCP on the loopback interface", test_tcp})
