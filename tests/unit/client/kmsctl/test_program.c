/* The program as a user runs it, against a server that answers what this test says: output, files, exit
 * statuses. */
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "client/kmsctl/ctl.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kms/v1/system.pb-c.h"
#include "tests/doubles/fake_server.h"
#include "tests/harness/suite.h"

/* What the server saw last. */
static struct {
    char path[64], token[2][64];
    kms_buf policy;
    unsigned creations, pages;
} seen;

static uint32_t crc(ProtobufCBinaryData data)
{
    return kms_crc32c(0, kms_bytes_of(data.data, data.len));
}

static char *text(const char *t)
{
    return (char *)(uintptr_t)t;
}

/* The ciphertext of a plaintext is "CT" and the plaintext. A key named "denied" is refused. */
static void answer_encrypt(struct kms_bytes request, struct fake_answer *answer)
{
    Kms__V1__EncryptRequest *m = kms__v1__encrypt_request__unpack(NULL, request.len, request.ptr);
    uint8_t blob[70000] = "CT";
    kms_copy(blob + 2, m->plaintext.data, m->plaintext.len);
    Kms__V1__EncryptResponse reply;
    kms__v1__encrypt_response__init(&reply);
    reply.ciphertext_blob = (ProtobufCBinaryData){.data = blob, .len = m->plaintext.len + 2};
    reply.key_id = m->key_id;
    reply.key_version = (uint32_t)m->n_encryption_context;
    reply.ciphertext_crc32c = crc(reply.ciphertext_blob);
    reply.verified_plaintext_crc32c = crc(m->plaintext) == m->plaintext_crc32c;
    if (strcmp(m->key_id, "denied") == 0)
        *answer =
            (struct fake_answer){.status = 7, .reason = "ACCESS_DENIED", .message = "not allowed by policy"};
    else
        fake_answer_message(answer, &reply.base);
    kms__v1__encrypt_request__free_unpacked(m, NULL);
}

static void answer_decrypt(struct kms_bytes request, struct fake_answer *answer)
{
    Kms__V1__DecryptRequest *m = kms__v1__decrypt_request__unpack(NULL, request.len, request.ptr);
    Kms__V1__DecryptResponse reply;
    kms__v1__decrypt_response__init(&reply);
    bool ours = m->ciphertext_blob.len > 2 && memcmp(m->ciphertext_blob.data, "CT", 2) == 0;
    if (ours)
        reply.plaintext = (ProtobufCBinaryData){m->ciphertext_blob.len - 2, m->ciphertext_blob.data + 2};
    reply.plaintext_crc32c = crc(reply.plaintext);
    reply.verified_ciphertext_crc32c = true;
    if (ours)
        fake_answer_message(answer, &reply.base);
    else
        *answer = (struct fake_answer){.status = 3, .reason = "INVALID_CIPHERTEXT"};
    kms__v1__decrypt_request__free_unpacked(m, NULL);
}

static void answer_data_key(struct fake_answer *answer)
{
    Kms__V1__GenerateDataKeyResponse reply;
    kms__v1__generate_data_key_response__init(&reply);
    reply.ciphertext_blob = (ProtobufCBinaryData){.data = (uint8_t *)text("CTkey"), .len = 5};
    reply.plaintext = (ProtobufCBinaryData){.data = (uint8_t *)text("key"), .len = 3};
    reply.ciphertext_crc32c = crc(reply.ciphertext_blob);
    reply.plaintext_crc32c = crc(reply.plaintext);
    reply.key_id = text("arn");
    fake_answer_message(answer, &reply.base);
}

/* The first creation is lost on the way: the client has to ask again with the same token. */
static void answer_create(struct kms_bytes request, struct fake_answer *answer)
{
    Kms__V1__CreateKeyRequest *m = kms__v1__create_key_request__unpack(NULL, request.len, request.ptr);
    snprintf(seen.token[seen.creations % 2], sizeof seen.token[0], "%s", m->client_request_token);
    kms_buf_free(&seen.policy);
    kms_ignore(kms_buf_print(&seen.policy, "%s", m->policy));
    Kms__V1__KeyMetadata metadata;
    kms__v1__key_metadata__init(&metadata);
    metadata.key_id = text("the-id");
    metadata.description = m->description;
    Kms__V1__CreateKeyResponse reply;
    kms__v1__create_key_response__init(&reply);
    reply.key_metadata = &metadata;
    if (seen.creations++ == 0)
        *answer = (struct fake_answer){.status = 14, .reason = "HSM_UNAVAILABLE"};
    else
        fake_answer_message(answer, &reply.base);
    kms__v1__create_key_request__free_unpacked(m, NULL);
}

/* Three pages of one key each. */
static void answer_list(struct kms_bytes request, struct fake_answer *answer)
{
    Kms__V1__ListKeysRequest *m = kms__v1__list_keys_request__unpack(NULL, request.len, request.ptr);
    char id[2] = {(char)('a' + atoi(m->marker)), '\0'}, next[2] = {(char)('1' + atoi(m->marker)), '\0'};
    Kms__V1__KeyListEntry key;
    kms__v1__key_list_entry__init(&key);
    key.key_id = id;
    Kms__V1__KeyListEntry *keys[] = {&key};
    Kms__V1__ListKeysResponse reply;
    kms__v1__list_keys_response__init(&reply);
    reply.n_keys = 1;
    reply.keys = keys;
    reply.truncated = next[0] < '3';
    reply.next_marker = next;
    fake_answer_message(answer, &reply.base);
    kms__v1__list_keys_request__free_unpacked(m, NULL);
}

static void serve(void *user, const char *path, struct kms_bytes request, struct fake_answer *ret_answer)
{
    (void)user;
    const char *rpc = strrchr(path, '/') + 1;
    snprintf(seen.path, sizeof seen.path, "%s", rpc);
    if (strcmp(rpc, "Encrypt") == 0) answer_encrypt(request, ret_answer);
    if (strcmp(rpc, "Decrypt") == 0) answer_decrypt(request, ret_answer);
    if (strcmp(rpc, "GenerateDataKey") == 0) answer_data_key(ret_answer);
    if (strcmp(rpc, "CreateKey") == 0) answer_create(request, ret_answer);
    if (strcmp(rpc, "ListKeys") == 0) answer_list(request, ret_answer);
    if (strcmp(rpc, "DisableKey") == 0)
        *ret_answer = (struct fake_answer){.status = 5, .reason = "NOT_FOUND"};
    if (strcmp(rpc, "GetKeyPolicy") == 0)
        *ret_answer = (struct fake_answer){.status = 15, .reason = "CORRUPT"};
}

static fake_server *server;
static char address[300];

static void start(void)
{
    if (server != NULL) return;
    snprintf(address, sizeof address, "unix:%s/fake.sock", kms_temp_dir());
    server = fake_server_start(&(struct fake_server_options){.socket = address, .handler = serve});
    setenv("K", KMSCTL_PROGRAM, 1);
    setenv("E", address, 1);
    setenv("KMSCTL_CONFIG", "/nonexistent/kmsctl.yaml", 1);
    CU_ASSERT_EQUAL(chdir(kms_temp_dir()), 0);
}

static char out[20000], err[4000];

static void read_back(const char *name, char *to, size_t size)
{
    FILE *f = fopen(name, "r");
    size_t len = f != NULL ? fread(to, 1, size - 1, f) : 0;
    to[len] = '\0';
    if (f != NULL) fclose(f);
}

/* Runs a shell line with $K the program and $E the endpoint; tells the exit status, and fills out and err. */
static int sh(const char *line)
{
    char whole[1000];
    start();
    snprintf(whole, sizeof whole, "( %s ) >stdout 2>stderr", line);
    int status = system(whole);
    read_back("stdout", out, sizeof out);
    read_back("stderr", err, sizeof err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool says(const char *where, const char *what)
{
    if (strstr(where, what) != NULL) return true;
    printf("no \"%s\" in: %s\n", what, where);
    return false;
}

static void encryption_there_and_back(void)
{
    CU_ASSERT_EQUAL(sh("printf 'hello' | $K --endpoint $E encrypt --key k"), 0);
    CU_ASSERT_STRING_EQUAL(out, "CThello");
    CU_ASSERT_EQUAL(sh("printf 'hello' | $K --endpoint $E encrypt --key k --base64"), 0);
    CU_ASSERT_STRING_EQUAL(out, "kms:v1:Q1RoZWxsbw==\n");
    CU_ASSERT_EQUAL(sh("printf 'kms:v1:Q1RoZWxsbw==\\n' | $K --endpoint $E decrypt"), 0);
    CU_ASSERT_STRING_EQUAL(out, "hello");
    CU_ASSERT_EQUAL(sh("printf 'CThello' | $K --endpoint $E decrypt --base64"), 0);
    CU_ASSERT_STRING_EQUAL(out, "aGVsbG8=\n");
    CU_ASSERT_EQUAL(sh("printf 'CThello' | $K -o json --endpoint $E decrypt"), 0);
    CU_ASSERT(says(out, "\"plaintext\": \"aGVsbG8=\""));
    CU_ASSERT_EQUAL(sh("printf 'hi' | $K --endpoint $E encrypt --key k --context a=1 --context b=2 -o json"),
                    0);
    CU_ASSERT(says(out, "\"key_version\": 2")); /* the server counts pairs */
    CU_ASSERT(says(out, "\"ciphertext_blob\": \"kms:v1:Q1RoaQ==\""));
}

static void files(void)
{
    CU_ASSERT_EQUAL(sh("printf 'old' >ct; chmod 644 ct; head -c 65536 /dev/zero >big; "
                       "$K --endpoint $E encrypt --key k --in big --out ct && stat -c %a,%s ct"),
                    0);
    CU_ASSERT_STRING_EQUAL(out, "600,65538\n");
    CU_ASSERT_EQUAL(sh("$K --endpoint $E decrypt --in ct --out pt && cmp pt big"), 0);
    CU_ASSERT_EQUAL(sh("printf 'x' >>big; $K --endpoint $E encrypt --key k --in big"), CTL_FAILED);
    CU_ASSERT(says(err, "kmsctl: INVALID_ARGUMENT: big is longer than 65536 bytes"));
    CU_ASSERT_EQUAL(sh("printf 'x' | $K --endpoint $E encrypt --key k --out /nonexistent/x"), CTL_FAILED);
    CU_ASSERT(says(err, "kmsctl: IO: /nonexistent/x: No such file or directory"));
    CU_ASSERT_EQUAL(sh("$K --endpoint $E decrypt --in ct --out /dev/null; test -c /dev/null"), 0);
    CU_ASSERT_EQUAL(sh("printf 'x' | $K --endpoint $E encrypt --key k >/dev/full"), CTL_FAILED);
    CU_ASSERT(says(err, "standard output: No space left"));
}

static void data_keys(void)
{
    CU_ASSERT_EQUAL(sh("$K --endpoint $E data-key --key k"), 0);
    CU_ASSERT(says(out, "Ciphertext blob: kms:v1:Q1RrZXk=\nPlaintext:       a2V5\n"));
    CU_ASSERT_EQUAL(sh("$K --endpoint $E data-key --key k -o json"), 0);
    CU_ASSERT(says(out, "\"plaintext\": \"a2V5\""));
    CU_ASSERT_EQUAL(sh("$K --endpoint $E data-key --key k --spec AES_128 --bytes 3"), CTL_USAGE);
    CU_ASSERT_EQUAL(sh("$K --endpoint $E data-key"), CTL_USAGE);
}

static void a_key_is_created_once(void)
{
    seen.creations = 0;
    CU_ASSERT_EQUAL(
        sh("$K --endpoint $E key create --admin spiffe://x/a --user spiffe://x/u --description 'for me'"), 0);
    CU_ASSERT(says(out, "the-id"));
    CU_ASSERT(says(out, "for me"));
    CU_ASSERT_EQUAL(seen.creations, 2);
    CU_ASSERT_EQUAL(strlen(seen.token[0]), 36);
    CU_ASSERT_STRING_EQUAL(seen.token[0], seen.token[1]);
    CU_ASSERT(says((const char *)seen.policy.data, "KeyAdministration"));
    CU_ASSERT_EQUAL(sh("printf '{}' | $K --endpoint $E key create --policy - -o json"), 0);
    CU_ASSERT_STRING_EQUAL((const char *)seen.policy.data, "{}");
    CU_ASSERT_STRING_NOT_EQUAL(seen.token[0], seen.token[1]);
    CU_ASSERT_EQUAL(sh("printf '{}' | $K --endpoint $E key create --policy - --user x"), CTL_USAGE);
    CU_ASSERT_EQUAL(sh("$K --endpoint $E key create --user x --admin x"), CTL_FAILED);
}

static void pages_become_one_list(void)
{
    CU_ASSERT_EQUAL(sh("$K --endpoint $E key list"), 0);
    CU_ASSERT_STRING_EQUAL(out, "KEY ID  ARN\na       -\nb       -\nc       -\n");
    CU_ASSERT_EQUAL(sh("$K --endpoint $E key list --limit 2 -o json | grep -c key_id"), 0);
    CU_ASSERT_STRING_EQUAL(out, "2\n");
}

static void exit_statuses_and_hints(void)
{
    static const struct {
        const char *line;
        int status;
        const char *says;
    } rows[] = {
        {"printf x | $K --endpoint $E encrypt --key denied", CTL_DENIED,
         "kmsctl: ACCESS_DENIED: not allowed by policy\nhint: policy decides"},
        {"$K --endpoint $E key disable k", CTL_NOT_FOUND, "kmsctl: NOT_FOUND: scripted\nhint: "},
        {"$K --endpoint $E policy get k", CTL_INTEGRITY, "kmsctl: CORRUPT: "},
        {"printf nonsense | $K --endpoint $E decrypt", CTL_FAILED, "kmsctl: INVALID_CIPHERTEXT: "},
        {"printf 'kms:v1:!' | $K --endpoint $E decrypt", CTL_FAILED, "kmsctl: INVALID_CIPHERTEXT: "},
        {"$K --endpoint unix:/nonexistent/x.sock --timeout 100ms status", CTL_UNAVAILABLE,
         "kmsctl: UNAVAILABLE: "},
        {"$K --endpoint $E --timeout soon status", CTL_USAGE, "--timeout soon is no duration"},
        {"$K --config none.yaml status", CTL_FAILED, "none.yaml"},
        {"$K status", CTL_USAGE, "which kmsd?"},
        {"$K --endpoint nowhere status", CTL_USAGE, "neither HOST:PORT nor unix:/PATH"},
        {"printf x | $K --endpoint $E encrypt", CTL_USAGE, "encrypt under which key? --key KEY"},
        {"printf x | $K --endpoint $E encrypt --key k --context prod", CTL_FAILED, "is not NAME=VALUE"},
        {"$K", CTL_USAGE, "no command"},
        {"$K key", CTL_USAGE, "key what?"},
        {"$K key frob", CTL_USAGE, "no command \"key frob\"; there is: create"},
        {"$K keys", CTL_USAGE, "no command \"keys\""},
        {"$K key list extra", CTL_USAGE, "too many arguments"},
        {"$K key describe", CTL_USAGE, "wanted: KEY"},
        {"$K key list --limit 0", CTL_USAGE, "--limit wants a number from 1"},
        {"$K --output yaml status", CTL_USAGE, "--output is table|json, not yaml"},
        {"$K policy check /dev/null", CTL_FAILED, "/dev/null is empty"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        int status = sh(rows[i].line);
        if (status != rows[i].status) printf("%s: %d\n", rows[i].line, status);
        CU_ASSERT_EQUAL(status, rows[i].status);
        CU_ASSERT(says(err, rows[i].says));
        CU_ASSERT_STRING_EQUAL(out, "");
    }
}

/* Runs words with a terminal as standard output; tells the exit status. */
static int on_terminal(const char *line, char *shown, size_t size)
{
    int master;
    pid_t pid = forkpty(&master, NULL, NULL, NULL);
    CU_ASSERT_FATAL(pid >= 0);
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    size_t len = 0;
    for (ssize_t n; len < size - 1 && (n = read(master, shown + len, size - 1 - len)) > 0;) len += (size_t)n;
    shown[len] = '\0';
    int status;
    waitpid(pid, &status, 0);
    close(master);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A change root without devpts has none to give. */
static bool has_terminals(void)
{
    int master, slave;
    if (openpty(&master, &slave, NULL, NULL, NULL) != 0) return false;
    close(master);
    close(slave);
    return true;
}

static void plaintext_stays_off_the_terminal(void)
{
    char shown[2000];
    if (!has_terminals()) {
        printf("skipped: no pseudo-terminal can be opened here (is devpts mounted?) ");
        return;
    }
    start();
    CU_ASSERT_EQUAL(on_terminal("printf CTsecret | $K --endpoint $E decrypt", shown, sizeof shown),
                    CTL_USAGE);
    CU_ASSERT(says(shown, "plaintext would go to this terminal"));
    CU_ASSERT_PTR_NULL(strstr(shown, "secret"));
    CU_ASSERT_EQUAL(on_terminal("printf CTsecret | $K --endpoint $E decrypt --show", shown, sizeof shown), 0);
    CU_ASSERT(says(shown, "secret"));
    CU_ASSERT_EQUAL(on_terminal("$K --endpoint $E data-key --key k", shown, sizeof shown), CTL_USAGE);
}

static void help_of_a_group(void)
{
    CU_ASSERT_EQUAL(sh("$K key --help"), 0);
    CU_ASSERT(says(out, "Usage: kmsctl [OPTION...] key COMMAND") &&
              says(out, "\n  key rotate KEY         add a"));
    CU_ASSERT_PTR_NULL(strstr(out, "\n  alias"));
    CU_ASSERT_EQUAL(sh("$K --endpoint $E audit '-?'"), 0);
    CU_ASSERT(says(out, "  audit verify "));
}

static void contexts_of_the_file(void)
{
    CU_ASSERT_EQUAL(
        sh("printf 'current_context: a\\ncontexts:\\n- {name: a, endpoint: \"unix:/nonexistent\"}\\n"
           "- {name: b, endpoint: \"%s\"}\\n' \"$E\" >c.yaml; $K --config c.yaml context list"),
        0);
    CU_ASSERT(says(out, "a     unix:/nonexistent"));
    CU_ASSERT_EQUAL(sh("$K --config c.yaml --context b key list"), 0);
    CU_ASSERT_EQUAL(sh("$K --config c.yaml context use b && $K --config c.yaml key list"), 0);
    CU_ASSERT_EQUAL(sh("$K --config c.yaml context show -o json | grep -c '\"name\": \"b\"'"), 0);
    CU_ASSERT_EQUAL(sh("$K --config c.yaml context use c"), CTL_NOT_FOUND);
    CU_ASSERT(says(err, "no context \"c\"; there is: a, b\nhint: ") && says(err, "context list"));
}

static void completion_in_bash(void)
{
    CU_ASSERT_EQUAL(sh("$K completion bash | cmp - " KMS_SOURCE_DIR "/client/completion/kmsctl.bash"), 0);
    if (access("/bin/bash", X_OK) != 0) return;
    CU_ASSERT_EQUAL(sh("bash -c '. <($K completion bash); COMP_WORDS=($K key cr) COMP_CWORD=2; _kmsctl; "
                       "echo \"${COMPREPLY[@]}\"'"),
                    0);
    CU_ASSERT_STRING_EQUAL(out, "create\n");
}

static void finish(void)
{
    fake_server_stop(server);
    kms_buf_free(&seen.policy);
}

KMS_TEST_MAIN("kmsctl", {"encryption there and back", encryption_there_and_back}, {"files", files},
              {"data keys", data_keys}, {"a key is created once", a_key_is_created_once},
              {"pages become one list", pages_become_one_list},
              {"exit statuses and hints", exit_statuses_and_hints},
              {"plaintext stays off the terminal", plaintext_stays_off_the_terminal},
              {"help of a group", help_of_a_group}, {"contexts of the file", contexts_of_the_file},
              {"completion in bash", completion_in_bash}, {"the end", finish})
