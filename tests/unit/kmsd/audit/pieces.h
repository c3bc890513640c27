/*
 * A log of two files with signed heads, as lines that can be changed, moved and put together anew, with all
 * hashes made anew: what somebody can do who has the files but not the key.
 */
#ifndef KMS_TESTS_AUDIT_PIECES_H
#define KMS_TESTS_AUDIT_PIECES_H

#include "kmsd/audit/chain.h"
#include "kmsd/audit/reader.h"
#include "tests/unit/kmsd/audit/log.h"
#include "tests/unit/kmsd/audit/signer.h"

enum { LINES = 40, LINE_BYTES = 2048 };

/* The lines of a log as pieces that can be put together anew. */
struct pieces {
    size_t count;
    struct piece {
        uint32_t file;
        char text[LINE_BYTES]; /* without LF */
    } line[LINES];
};

/* 1: opening 1, calls 2 and 3, head 4 over 3, calls 5 and 6.
 * 2: opening 7, call 8, head 9 over 8, calls 10 and 11, head 12 over 11: closed in good order. */
void pieces_log(char dir[128]);
void pieces_take(const char *dir, struct pieces *pieces);
void pieces_put(const char *dir, const struct pieces *pieces);
/* Sequence numbers and hashes from line `from` on. */
void pieces_seal(struct pieces *pieces, size_t from);
void pieces_replace(struct pieces *pieces, size_t line, const char *old, const char *new);
void pieces_remove(struct pieces *pieces, size_t line);
void pieces_insert(struct pieces *pieces, size_t before, size_t copy_of);
void pieces_head(const struct pieces *pieces, size_t line, struct kms_audit_head *ret_head);
/* The head in a line becomes one over another line, as signed for that instance. */
void pieces_sign_anew(struct pieces *pieces, size_t line, const char *instance, size_t over);

const char *pieces_key(void); /* path of a file that holds the public key of now */
void pieces_write_file(const char *path, struct kms_bytes data);
/* Verify says so; NULL: all is good. */
void pieces_expect(const struct kms_audit_check *check, const char *want);

#endif
