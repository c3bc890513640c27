/* Reads the words that name a target, connects to it. slice.c drives it. */
#include "tests/bench/load/target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "base/text.h"
#include "tests/bench/load/cpu.h"

enum { WORDS_BYTES = 2048 };

struct words {
    char text[WORDS_BYTES];
    const char *name, *operation, *address, *pids, *key, *ciphertext, *plaintext, *pairs, *keys;
};

static kms_err split(const char *text, struct words *words, struct kms_why *why)
{
    const struct {
        const char *name;
        const char **value;
    } known[] = {{"name", &words->name},
                 {"operation", &words->operation},
                 {"address", &words->address},
                 {"pids", &words->pids},
                 {"key", &words->key},
                 {"ciphertext", &words->ciphertext},
                 {"plaintext", &words->plaintext},
                 {"pairs", &words->pairs},
                 {"keys", &words->keys}};
    snprintf(words->text, sizeof words->text, "%s", text);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) *known[i].value = "";
    char *rest = words->text;
    for (char *word; (word = strsep(&rest, ",")) != NULL;) {
        size_t name_len = strcspn(word, "="), i = 0, count = sizeof known / sizeof known[0];
        while (i < count && (strlen(known[i].name) != name_len || memcmp(word, known[i].name, name_len))) i++;
        if (i == count || word[name_len] != '=') {
            kms_why_set(why, "not a word of a target: %s", word);
            return KMS_FAIL(INVALID_ARGUMENT);
        }
        *known[i].value = word + name_len + 1;
    }
    return KMS_OK;
}

static kms_err read_pids(const char *text, struct load_target *target, struct kms_why *why)
{
    for (const char *at = text; *at != '\0' && target->pid_count < LOAD_PIDS;) {
        char *end;
        target->pids[target->pid_count++] = (pid_t)strtol(at, &end, 10);
        if (end == at) break;
        at = *end == '+' ? end + 1 : end;
        if (*at == '\0') return KMS_OK;
    }
    kms_why_set(why, "pids=1+2, not %s", text);
    return KMS_FAIL(INVALID_ARGUMENT);
}

/* An empty text is the usual value. */
static kms_err read_count(const char *text, unsigned usual, unsigned long most, unsigned *ret_count,
                          struct kms_why *why)
{
    char *end;
    unsigned long count = text[0] == '\0' ? usual : strtoul(text, &end, 10);
    *ret_count = (unsigned)count;
    if (text[0] == '\0' || (*end == '\0' && count >= 1 && count <= most)) return KMS_OK;
    kms_why_set(why, "a number from 1 to %lu, not %s", most, text);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static kms_err make_request(const struct words *words, struct load_target *target, struct kms_why *why)
{
    uint8_t blob[WORDS_BYTES];
    size_t blob_len = 0;
    if (words->ciphertext[0] != '\0' && !kms_unbase64(kms_bytes_text(words->ciphertext), blob, &blob_len)) {
        kms_why_set(why, "ciphertext is not base64");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    struct load_ask ask = {
        .operation = words->operation, .key_id = words->key, .ciphertext = kms_bytes_of(blob, blob_len)};
    KMS_TRY(
        read_count(words->plaintext, LOAD_PLAINTEXT_BYTES, LOAD_PLAINTEXT_MOST, &ask.plaintext_bytes, why));
    KMS_TRY(read_count(words->pairs, 0, LOAD_PAIRS_MOST, &ask.pairs, why));
    if (words->keys[0] != '\0') return load_request_make_random(&ask, words->keys, &target->request, why);
    return load_request_make(&ask, &target->request, why);
}

static kms_err open_events(struct load_target *target, struct kms_why *why)
{
    target->epoll = epoll_create1(EPOLL_CLOEXEC);
    target->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct epoll_event due = {.events = EPOLLIN};
    if (target->epoll >= 0 && target->timer >= 0 &&
        epoll_ctl(target->epoll, EPOLL_CTL_ADD, target->timer, &due) == 0)
        return KMS_OK;
    kms_why_set(why, "epoll: %s", strerror(errno));
    return KMS_FAIL(IO);
}

static kms_err connect_all(const char *address, SSL_CTX *tls, struct load_target *target, struct kms_why *why)
{
    const uint64_t start_ns = load_now_ns();
    target->sessions = calloc(target->plan->connections, sizeof(struct load_session *));
    if (target->sessions == NULL) return KMS_FAIL(NO_MEMORY);
    while (target->session_count < target->plan->connections) {
        struct load_session *session;
        uint64_t begun_ns = load_now_ns();
        KMS_TRY(load_session_new(address, tls, &target->request, &session, why));
        load_histogram_add(&target->tally.connect, load_now_ns() - begun_ns);
        session->user = target;
        session->random = target->random + target->session_count;
        target->sessions[target->session_count++] = session;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};
        if (epoll_ctl(target->epoll, EPOLL_CTL_ADD, session->transport.fd, &event) != 0) {
            kms_why_set(why, "epoll: %s", strerror(errno));
            return KMS_FAIL(IO);
        }
    }
    target->tally.connect_ns = load_now_ns() - start_ns;
    return KMS_OK;
}

kms_err load_target_open(const char *text, const struct load_plan *plan, SSL_CTX *tls,
                         struct load_target *target, struct kms_why *why)
{
    struct words words;
    *target = (struct load_target){.plan = plan, .epoll = -1, .timer = -1, .random = 88172645463325252u};
    KMS_TRY(split(text, &words, why));
    snprintf(target->name, sizeof target->name, "%s", words.name);
    KMS_TRY(read_pids(words.pids, target, why));
    KMS_TRY(make_request(&words, target, why));
    KMS_TRY(open_events(target, why));
    return connect_all(words.address, tls, target, why);
}

void load_target_close(struct load_target *target)
{
    while (target->session_count > 0) load_session_free(target->sessions[--target->session_count]);
    load_request_free(&target->request);
    free(target->sessions);
    target->sessions = NULL;
    kms_fd_drop(&target->epoll);
    kms_fd_drop(&target->timer);
}
