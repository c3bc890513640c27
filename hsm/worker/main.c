/* kms-hsm: started by kmsd's spawner, never by hand. Says hello or why not, then works until its socket
 * ends. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/secret.h"
#include "hsm/worker/worker.h"

struct arguments {
    int socket, page;
    bool init;
    uint32_t cached_keys;
    struct kms_pin_mark refused;
    const char *uri;
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case 's':
        a->socket = atoi(text);
        return 0;
    case 'p':
        a->page = atoi(text);
        return 0;
    case 'k':
        a->cached_keys = (uint32_t)strtoul(text, NULL, 10);
        return 0;
    case 'f':
        snprintf(a->refused.text, sizeof a->refused.text, "%s", text);
        return 0;
    case 'r':
        a->init = strcmp(text, "init") == 0;
        if (!a->init && strcmp(text, "serve") != 0) argp_error(state, "no such role: %s", text);
        return 0;
    case ARGP_KEY_ARG:
        if (a->uri != NULL) argp_usage(state);
        a->uri = text;
        return 0;
    case ARGP_KEY_END:
        if (a->uri == NULL || a->socket < 0 || a->page < 0)
            argp_error(state, "kmsd starts this program, nobody else");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"socket", 's', "FD", 0, "socket to kmsd", 0},
    {"page", 'p', "FD", 0, "page shared with kmsd", 0},
    {"role", 'r', "serve|init", 0, "work, or make the root keys and end", 0},
    {"cached-keys", 'k', "COUNT", 0, "opened keys to keep", 0},
    {"refused-pin", 'f', "MARK", 0, "identity of the PIN file that was refused", 0},
    {0},
};

static kms_err init_token(struct kms_worker *w)
{
    static const char *const needed[] = {"aes-256-gcm",      "hmac-sha-256",    "random",
                                         "aes-key-wrap-pad", "unwrap-template", "ec-p-256"};
    kms_probe(w->token, 0, &w->hello.status);
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (kms_probe_has(&w->hello.status, needed[i])) continue;
        kms_why_set(&w->hello.why, "this token lacks %s, which root keys need", needed[i]);
        return KMS_FAIL(UNSUPPORTED);
    }
    KMS_TRY(kms_roots_make(w->token, &w->hello.why));
    return kms_audit_key_load(w, &w->hello.why);
}

static kms_err fill_ivs(void *token, uint8_t *to, size_t len)
{
    return kms_token_random(token, to, len);
}

static kms_err serve_token(struct kms_worker *w, uint32_t cached_keys)
{
    KMS_TRY(kms_roots_load(w->token, &w->roots, &w->hello.why));
    kms_worker_note_roots(w);
    KMS_TRY(kms_audit_key_load(w, &w->hello.why));
    kms_probe(w->token, kms_roots_get(&w->roots, w->roots.newest)->wrap, &w->hello.status);
    struct kms_key_budget budget = kms_headroom_keys(cached_keys);
    KMS_TRY(kms_keyring_new(w->token, &w->roots, &budget, &w->keyring));
    KMS_TRY(kms_software_new(&w->software));
    w->ivs.fill = fill_ivs;
    w->scratch = kms_locked_alloc(KMS_SCRATCH_BYTES);
    return w->scratch != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err start(struct kms_worker *w, const struct arguments *a)
{
    struct kms_hello *hello = &w->hello;
    KMS_TRY(kms_sandbox_enter(&hello->why));
    KMS_TRY(kms_token_open(a->uri, &a->refused, &w->token, &hello->refused_pin, &hello->why));
    kms_token_names(w->token, hello->status.token_label, hello->status.token_serial);
    return a->init ? init_token(w) : serve_token(w, a->cached_keys);
}

int main(int argc, char **argv)
{
    static const struct argp argp = {options, parse_option, "URI", "Security module worker of kmsd.", 0, 0,
                                     0};
    struct arguments a = {.socket = -1, .page = -1, .cached_keys = 1024};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    struct kms_worker w = {.socket = a.socket};
    w.page = mmap(NULL, KMS_WORKER_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, a.page, 0);
    if (w.page == MAP_FAILED) return KMS_EXIT_START;
    close(a.page);
    w.hello.err = start(&w, &a);
    int status =
        kms_loop_hello(w.socket, &w.hello) && !kms_failed(w.hello.err) ? KMS_EXIT_OK : KMS_EXIT_START;
    if (status == KMS_EXIT_OK && !a.init) status = kms_loop_run(&w);
    kms_keyring_free(w.keyring);
    kms_software_free(w.software);
    kms_locked_free(w.scratch, KMS_SCRATCH_BYTES);
    kms_token_free(w.token);
    _exit(status); /* not through the module's destructors: some crash there, and the kernel frees the rest */
}
