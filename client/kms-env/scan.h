/* What the dialects of dotenv.h share: a place in the text, and the document that grows. Private to the
 * parser. */
#ifndef KMS_CLIENT_KMS_ENV_SCAN_H
#define KMS_CLIENT_KMS_ENV_SCAN_H

#include "client/kms-env/dotenv.h"

struct kms_dotenv {
    struct kms_bytes text;
    uint8_t *values; /* locked, as long as the text: decoding never makes a value longer */
    size_t values_len;
    struct kms_dotenv_entry *entries;
    size_t count, cap;
    struct kms_dotenv_header header;
};

struct scan {
    kms_dotenv *document;
    const uint8_t *text;
    size_t at, end;
    unsigned line;     /* of at, from 1 */
    size_t line_start; /* where it begins */
    struct kms_why *why;
};

static inline bool scan_more(const struct scan *s)
{
    return s->at < s->end;
}
static inline int scan_peek(const struct scan *s)
{
    return s->at < s->end ? s->text[s->at] : -1;
}
static inline bool scan_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}
static inline struct kms_bytes scan_from(const struct scan *s, size_t from)
{
    return kms_bytes_of(s->text + from, s->at - from);
}

void scan_step(struct scan *s);        /* one byte on, counting lines */
void scan_blanks(struct scan *s);      /* over blanks of this line */
void scan_end_of_line(struct scan *s); /* to the '\n' or the end; stays in front of it */

/* INVALID_ARGUMENT, with the position of `at` (line is the line it is on, which starts at line_start). */
kms_err scan_refuse(const struct scan *s, const char *what);
/* Where a message should point when it is found out later. */
struct scan_mark {
    size_t at, line_start;
    unsigned line;
};
struct scan_mark scan_mark(const struct scan *s);
kms_err scan_refuse_at(const struct scan *s, struct scan_mark mark, const char *what);

/* A valid name, at `at`. */
KMS_MUST_USE kms_err scan_name(struct scan *s, struct kms_bytes *ret_name);
/* One byte of the value that is being decoded. */
void scan_put(struct scan *s, uint8_t c);
/* The entry whose value began at values_len == start; LIMIT_EXCEEDED, NO_MEMORY. */
KMS_MUST_USE kms_err scan_add(struct scan *s, struct kms_dotenv_entry entry, size_t start);
/* A comment from '#' on: notes the header when it is one; stops in front of the '\n'. */
KMS_MUST_USE kms_err scan_comment(struct scan *s);

/* One statement or blank or comment line, from its beginning to behind its end. */
KMS_MUST_USE kms_err scan_compose(struct scan *s);
KMS_MUST_USE kms_err scan_docker(struct scan *s);
KMS_MUST_USE kms_err scan_systemd(struct scan *s);

#endif
