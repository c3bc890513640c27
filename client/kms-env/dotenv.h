/*
 * A file of environment variables (.env): read in one of three dialects, written back with other values in
 * the same places. Comments, order and blank lines belong to the file and survive. Not thread-safe.
 *
 * Dialects: Docker Compose env_file (compose-spec 05-services, format "dotenv"; but `$` is literal, nothing
 * is interpolated), `docker run --env-file`, and systemd EnvironmentFile= (systemd.exec(5)).
 *
 * Refused in each of them: NUL, invalid UTF-8, a name other than [A-Za-z_][A-Za-z0-9_]*, a name that is set
 * twice.
 */
#ifndef KMS_CLIENT_KMS_ENV_DOTENV_H
#define KMS_CLIENT_KMS_ENV_DOTENV_H

#include "base/bytes.h"

enum {
    KMS_DOTENV_BYTES = 256 * 1024, /* longest file: what kms_locked_alloc gives in one piece */
    KMS_DOTENV_ENTRIES = 4096,     /* most variables in a file */
    KMS_DOTENV_APP_BYTES = 128,    /* longest name of an application */
    KMS_DOTENV_KEY_BYTES = 2048,   /* longest name of a key */
};

enum kms_dotenv_dialect {
    KMS_DOTENV_COMPOSE, /* quotes removed, \n \t \" ... decoded in "...", '...' literal, ` #` begins a comment
                         */
    KMS_DOTENV_DOCKER,  /* a line is NAME=VALUE as it stands */
    KMS_DOTENV_SYSTEMD, /* shell-like quotes, a backslash escapes and continues lines, no inline comments */
};

/* "dotenv", "docker", "systemd", as options name them; false: none of these. */
bool kms_dotenv_dialect_named(const char *name, enum kms_dotenv_dialect *ret_dialect);

struct kms_dotenv_entry {
    struct kms_bytes name;   /* in the text */
    struct kms_bytes value;  /* decoded; in locked memory of the document */
    struct kms_bytes source; /* the value as it is written, quotes included; in the text */
    unsigned line;           /* of the name, from 1 */
    bool assigned;           /* false: NAME alone; value and source are empty */
};

/* What `kms-env encrypt` notes on a line of its own: "#kms-env app=NAME key=KEY". Empty when it is not there.
 */
struct kms_dotenv_header {
    struct kms_bytes app, key; /* in the text */
    struct kms_bytes line;     /* the whole line without its end; in the text */
};

typedef struct kms_dotenv kms_dotenv;

/*
 * text is borrowed and must live as long as the document; keep it in locked memory. Errors: INVALID_ARGUMENT
 * (why has line and column, both from 1, the column in bytes, and never a value), LIMIT_EXCEEDED, NO_MEMORY.
 */
KMS_MUST_USE kms_err kms_dotenv_parse(struct kms_bytes text, enum kms_dotenv_dialect dialect,
                                      kms_dotenv **ret_document, struct kms_why *why);
void kms_dotenv_free(kms_dotenv *document); /* wipes the values; NULL is a no-op */
void kms_dotenv_drop(kms_dotenv **document);

size_t kms_dotenv_count(const kms_dotenv *document);
const struct kms_dotenv_entry *kms_dotenv_entry(const kms_dotenv *document, size_t index); /* borrowed */
const struct kms_dotenv_entry *kms_dotenv_find(const kms_dotenv *document,
                                               struct kms_bytes name); /* or NULL */
const struct kms_dotenv_header *kms_dotenv_header(const kms_dotenv *document);

/* Takes the pieces of what is written, in order; an error ends the writing. */
struct kms_dotenv_sink {
    kms_err (*put)(void *self, struct kms_bytes piece);
    void *self;
};

/*
 * The file again, with values[i] (as it is to stand there, needing no quotes) in the place of entry i where
 * its ptr is not NULL, and header, one line without its end, in the place of the old header or as the first
 * line; an empty header leaves things as they are. Pieces come straight from the text: no copy of a value is
 * made. Errors: the sink's.
 */
KMS_MUST_USE kms_err kms_dotenv_write(const kms_dotenv *document, const struct kms_bytes *values,
                                      struct kms_bytes header, struct kms_dotenv_sink sink);

/* [A-Za-z_][A-Za-z0-9_]* */
bool kms_dotenv_name_valid(struct kms_bytes name);
/* 1 to KMS_DOTENV_APP_BYTES of A-Z a-z 0-9 . _ / - */
bool kms_dotenv_app_valid(struct kms_bytes app);
/* 1 to KMS_DOTENV_KEY_BYTES of visible ASCII; the service judges the rest. */
bool kms_dotenv_key_valid(struct kms_bytes key);

#endif
