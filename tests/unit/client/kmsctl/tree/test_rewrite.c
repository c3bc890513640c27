/* A window of files against a server that answers what the test says. */
#include "client/kmsctl/tree/rewrite.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "kms/v1/crypto.pb-c.h"
#include "tests/unit/client/kmsctl/tree/sample.h"
#include "tests/unit/client/lib/client_fixture.h"

/* What the server does with a value whose name or pair is "odd"; others become version 2. */
enum odd { ODD_REFUSED, ODD_NO_CIPHERTEXT, ODD_AWAY };

struct fixture {
    enum odd odd;
    kms_buf moved; /* what becomes of every value */
    fake_server *server;
    ctl_outcome outcome;
    struct ctl_rewrite rewrite;
    ctl_window window;
};

static const char *context_value(const Kms__V1__ReEncryptRequest *m, const char *name)
{
    for (size_t i = 0; i < m->n_source_encryption_context; i++)
        if (strcmp(m->source_encryption_context[i]->key, name) == 0)
            return m->source_encryption_context[i]->value;
    return "";
}

static bool same_context(const Kms__V1__ReEncryptRequest *m)
{
    bool same = m->n_source_encryption_context == m->n_destination_encryption_context;
    for (size_t i = 0; same && i < m->n_source_encryption_context; i++)
        same =
            strcmp(m->source_encryption_context[i]->value, m->destination_encryption_context[i]->value) == 0;
    return same;
}

static void answer(void *user, const char *path, struct kms_bytes request, struct fake_answer *ret_answer)
{
    (void)path;
    const struct fixture *f = user;
    Kms__V1__ReEncryptRequest *m = kms__v1__re_encrypt_request__unpack(NULL, request.len, request.ptr);
    bool is_odd = strcmp(context_value(m, "kms-env:name"), "odd") == 0 || !same_context(m);
    bool known =
        strcmp(context_value(m, "kms-env:app"), "shop") == 0 || strcmp(context_value(m, "a"), "b") == 0;
    struct kms_bytes moved = kms_buf_view(&f->moved);
    if (is_odd && f->odd == ODD_NO_CIPHERTEXT) moved.len = 7;
    Kms__V1__ReEncryptResponse reply;
    kms__v1__re_encrypt_response__init(&reply);
    reply.ciphertext_blob = (ProtobufCBinaryData){.data = f->moved.data, .len = moved.len};
    reply.ciphertext_crc32c = kms_crc32c(0, moved);
    reply.verified_ciphertext_crc32c = true;
    if (!known || (is_odd && f->odd == ODD_REFUSED))
        *ret_answer = (struct fake_answer){.status = 3, .reason = "INVALID_CIPHERTEXT"};
    else if (is_odd && f->odd == ODD_AWAY)
        *ret_answer = (struct fake_answer){.status = 8, .reason = "LIMIT_EXCEEDED"};
    else
        fake_answer_message(ret_answer, &reply.base);
    kms__v1__re_encrypt_request__free_unpacked(m, NULL);
}

static char root[256];

static const char *in_root(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

/* A file of the window, all of its values selected. path must live as long. */
static void add(ctl_window *window, const char *path, const char *format)
{
    struct ctl_job job = {.path = path, .format = ctl_format_of(path)};
    KMS_OWN_BUF text = {0};
    sample_text(format, &text);
    KMS_OWN_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, text.data, text.len) == (ssize_t)text.len);
    KMS_ASSERT_OK_FATAL(ctl_source_read(path, false, 1 << 20, &job.source, NULL));
    job.values = ctl_values_of(ctl_source_text(&job.source));
    KMS_ASSERT_OK_FATAL(ctl_find(job.format, KMS_DOTENV_COMPOSE, &job.values, NULL));
    job.selected = calloc(job.values.count + 1, sizeof *job.selected);
    for (size_t i = 0; i < job.values.count; i++) job.selected[i] = true;
    ctl_window_add(window, &job);
}

/* The file is format with values of that version. */
static bool holds(const char *path, const char *format, uint32_t version)
{
    KMS_OWN_BUF old = {0}, new = {0}, want = {0}, got = {0};
    sample_value(1, &old);
    sample_value(version, &new);
    sample_text(format, &want);
    for (uint8_t *at; (at = memmem(want.data, want.len, old.data, old.len)) != NULL && version != 1;)
        kms_copy(at, new.data, new.len); /* of the same length */
    KMS_ASSERT_OK_FATAL(kms_read_file(path, 1 << 20, &got, NULL));
    return kms_bytes_equal(kms_buf_view(&want), kms_buf_view(&got));
}

static bool always(void)
{
    return true;
}

static bool never(void)
{
    return false;
}

static void start(struct fixture *f, enum odd odd)
{
    const char *socket = fresh_socket();
    KMS_OWN_BUF text = {0};
    *f = (struct fixture){.odd = odd};
    sample_value(2, &text);
    KMS_ASSERT_OK_FATAL(kms_ciphertext_from_text(kms_buf_view(&text), &f->moved, NULL));
    snprintf(root, sizeof root, "%s", kms_temp_dir());
    f->server =
        fake_server_start(&(struct fake_server_options){.socket = socket, .handler = answer, .user = f});
    KMS_ASSERT_OK_FATAL(ctl_outcome_init(&f->outcome));
    f->rewrite = (struct ctl_rewrite){.client = open_client(socket, 20000),
                                      .app = "shop",
                                      .fallback_app = "default",
                                      .outcome = &f->outcome};
}

static void stop(struct fixture *f)
{
    kms_client_close(f->rewrite.client);
    fake_server_stop(f->server);
    ctl_outcome_free(&f->outcome);
    ctl_window_free(&f->window);
    kms_buf_free(&f->moved);
}

static const char two[] = "A='{V}' # c\r\nB={V}", odd_one[] = "A={V}\nodd={V}\n";

static const char *failure(const struct fixture *f, const char *member)
{
    const json_t *row = json_array_get(f->outcome.failures, 0);
    return row != NULL ? json_string_value(json_object_get(row, member)) : "";
}

static void all_of_a_file_or_nothing(void)
{
    static const struct {
        enum odd odd;
        const char *message;
    } rows[] = {
        {ODD_REFUSED, "damaged, or not made for the variable odd of application shop (--app, --context)"},
        {ODD_NO_CIPHERTEXT, "ciphertext: shorter than its header of 25 bytes"}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct fixture f;
        char good[400], bad[400];
        start(&f, rows[i].odd);
        snprintf(good, sizeof good, "%s", in_root("good.env"));
        snprintf(bad, sizeof bad, "%s", in_root("bad.env"));
        add(&f.window, bad, odd_one);
        add(&f.window, good, two);
        KMS_ASSERT_OK(ctl_window_flush(&f.window, &f.rewrite, always));
        CU_ASSERT_TRUE(holds(bad, odd_one, 1));
        CU_ASSERT_TRUE(holds(good, two, 2));
        CU_ASSERT_EQUAL(f.window.count, 0);
        CU_ASSERT_EQUAL(f.outcome.changed_files, 1);
        CU_ASSERT_EQUAL(f.outcome.re_encrypted, 2);
        CU_ASSERT_EQUAL_FATAL(json_array_size(f.outcome.failures), 1);
        CU_ASSERT_STRING_EQUAL(failure(&f, "name"), "odd");
        CU_ASSERT_STRING_EQUAL(failure(&f, "reason"), "INVALID_CIPHERTEXT");
        CU_ASSERT_STRING_EQUAL(failure(&f, "message"), rows[i].message);
        CU_ASSERT_EQUAL(f.outcome.stop.code, 0);
        stop(&f);
    }
}

static void a_service_that_has_enough_stops_it(void)
{
    struct fixture f;
    char path[400];
    start(&f, ODD_AWAY);
    snprintf(path, sizeof path, "%s", in_root("away.env"));
    add(&f.window, path, odd_one);
    KMS_ASSERT_OK(ctl_window_flush(&f.window, &f.rewrite, always));
    CU_ASSERT_TRUE(holds(path, odd_one, 1));
    CU_ASSERT_STRING_EQUAL(f.outcome.stop.reason, "LIMIT_EXCEEDED");
    CU_ASSERT_EQUAL(json_array_size(f.outcome.failures), 0);
    stop(&f);
}

static void a_signal_stops_writing(void)
{
    struct fixture f;
    char path[400];
    start(&f, ODD_REFUSED);
    snprintf(path, sizeof path, "%s", in_root("signal.env"));
    add(&f.window, path, two);
    KMS_ASSERT_OK(ctl_window_flush(&f.window, &f.rewrite, never));
    CU_ASSERT_TRUE(holds(path, two, 1));
    CU_ASSERT_EQUAL(f.outcome.changed_files, 0);
    stop(&f);
}

static void contexts(void)
{
    static const struct kms_context_entry pair = {"a", "b"};
    static const struct kms_context given = {&pair, 1};
    static const char json[] = "[{\"A\": \"{V}\"}]";
    struct fixture f;
    char env[400], other[400];
    start(&f, ODD_REFUSED);
    snprintf(env, sizeof env, "%s", in_root("contexts.env"));
    snprintf(other, sizeof other, "%s", in_root("contexts.json"));
    f.rewrite.context = &given;
    add(&f.window, env, two); /* bound as kms-env binds it, whatever is given */
    add(&f.window, other, json);
    KMS_ASSERT_OK(ctl_window_flush(&f.window, &f.rewrite, always));
    CU_ASSERT(holds(env, two, 2) && holds(other, json, 2));
    static const char noted[] = "#kms-env app=shop\nA={V}\n";
    f.rewrite.app = NULL; /* then the file says it */
    add(&f.window, env, noted);
    KMS_ASSERT_OK(ctl_window_flush(&f.window, &f.rewrite, always));
    CU_ASSERT_TRUE(holds(env, noted, 2));
    f.rewrite.context = NULL;
    add(&f.window, other, json); /* bound to the application "default" then, which the server refuses */
    KMS_ASSERT_OK(ctl_window_flush(&f.window, &f.rewrite, always));
    CU_ASSERT_TRUE(holds(other, json, 1));
    stop(&f);
}

KMS_TEST_MAIN("client/kmsctl/tree/rewrite", {"all of a file, or nothing", all_of_a_file_or_nothing},
              {"a service that has enough stops it", a_service_that_has_enough_stops_it},
              {"a signal stops writing", a_signal_stops_writing}, {"contexts", contexts})
