/*
 * The hash chain: how records are tied to each other, for the writer, the readers, and anyone who checks the
 * log with tools of their own.
 *
 * Form of the log, version 1
 *
 * The log of an instance is the files INSTANCE-NNNNNNNN.jsonl in the order of their eight-digit numbers. A
 * file is UTF-8 text, one record a line, a line ends with LF (0x0a). A record is one JSON object (RFC 8259)
 * without blanks between its tokens, and begins and ends with these members in this order (others stand where
 * the dots are, fields.def):
 *
 *     {"seq":S,"time":"T","prev":"P","kind":"K" ... ,"hash":"H"}
 *
 *   S  the sequence number, decimal, from 1, always one more than in the record before
 *   T  when the record was made: RFC 3339, UTC, six digits of microseconds, 27 characters. Within a file it
 *      never runs backwards (after a step of the clock it stands still); from file to file it may.
 *   P  H of the record before, in 64 lower-case hex digits; 64 zeros when S is 1
 *   K  call, attempt, outcome, recovery, suppressed, service or head
 *   H  SHA-256 (FIPS 180-4), 64 lower-case hex digits, of the bytes of this line from its `{` up to and not
 *      including the last `,"hash":`. As P is among them, H stands for this record and all before it.
 *
 * A file that nobody writes any more may be there compressed instead, as INSTANCE-NNNNNNNN.jsonl.zst (zstd,
 * RFC 8878): what is said here holds of its content. Where both are, the plain one counts, and
 * both say the same.
 *
 * A line is at most 393,216 bytes with its LF.
 *
 * Files. The first record of every file has kind service and a member "segment":
 *     {"number":N,"after":A,"because":B,"open_attempts":[{"request_id":R,"operation":O} ... ]}
 *   N  the number of this file
 *   A  the number of the file that holds the record before this one; 0 when there is none. Files numbered
 *      between A and N hold nothing that counts (they failed before anything in them was acknowledged) and
 *      may be gone.
 *   B  new: the log begins · start: the writer was closed in good order before · crash: it was not ·
 *      full: file A was full · age: file A was as old as a file may get · asked: the operator asked for a new
 *      file · failed: writing to file A, or to one between A and N, failed · lost: file A was no longer in
 *      its place while it was written, so what stands under its name, if anything, is not what was written
 * What stands in file A behind the record whose hash is P was never acknowledged and does not count.
 * Something may stand there only when B is crash or failed. open_attempts are attempts without outcome at
 * this point; store_revision and store_digest in the same record repeat the newest keystore mark, so that the
 * newest file alone tells both.
 *
 * End of a file. A file that is being written, or whose writer was killed, is followed by NUL bytes up to its
 * preallocated size, and its last byte is NUL; a file closed in good order ends after an LF and has no NUL.
 * Readers stop at the first NUL. A line cut off by NUL or by the end of the file was not acknowledged and
 * does not count.
 *
 * Signed heads. A record of kind head has a member
 *     "head":{"sequence":S,"hash":"H","key_id":"I","signature":"G"}
 *   S  the sequence number of a record before it, at most 65,536 back
 *   H  the hash of that record
 *   I  SHA-256 of the SubjectPublicKeyInfo (DER) of the key that signed
 *   G  the signature, base64 of DER (RFC 3279): ECDSA on P-256 with SHA-256, made inside the security module,
 *      over the text  kms-audit-head-v1 LF INSTANCE LF S LF H LF  (INSTANCE as in the names of the files)
 * As H stands for all records up to S, so does G. A log closed in good order ends in a record of kind head
 * over the record just before it. `kmsctl audit key` prints the public key. An anchor file has for each
 * signed head a line     {"time":"T","instance":"INSTANCE","head":{ ... the same ... }}
 *
 * To check a head by hand, in a POSIX shell with OpenSSL:
 *     printf 'kms-audit-head-v1\n%s\n%s\n%s\n' INSTANCE S H >text
 *     printf %s G | openssl base64 -d -A >signature
 *     openssl dgst -sha256 -verify key.pem -signature signature text
 *
 * To check by hand:  line=$(sed -n 5p FILE); printf %s "${line%,\"hash\":*}" | sha256sum
 *
 * What the chain cannot show: that records are missing at its end, or that someone with write access made all
 * of it anew from some record on. Signed heads show the second, up to the newest head that is left; heads
 * kept elsewhere, signed (an anchor file) or not, show the first. Nothing shows what was changed behind the
 * last of them, nor what whoever controls kmsd itself lets it write.
 */
#ifndef KMS_AUDIT_CHAIN_H
#define KMS_AUDIT_CHAIN_H

#include "base/bytes.h"
#include "base/clock.h"
#include "base/digest.h"

enum {
    KMS_AUDIT_HASH_HEX = 2 * KMS_DIGEST_BYTES,
    KMS_AUDIT_FRAME_BYTES = 240, /* at most what seal adds to a body: leading members, hash, line feed */
};

/* The last record of a chain: sequence 0 and 64 zeros before the first. */
struct kms_audit_head {
    uint64_t sequence;
    char hash[KMS_AUDIT_HASH_HEX + 1];
};
extern const struct kms_audit_head kms_audit_no_head;

/* The writing end of a chain. Zero-initialised but for digest (borrowed) and head. */
struct kms_audit_chain {
    kms_digest *digest;
    struct kms_audit_head head; /* the record that the next one is tied to */
    uint64_t second;            /* of `time`, so that its text is made once a second only */
    char time[KMS_TIME_TEXT];
};

/* Writes the line of body (the members from `,"kind":` on) with its LF, and moves head on to it. line has
 * room for body.len + KMS_AUDIT_FRAME_BYTES. INTERNAL: no digest. */
KMS_MUST_USE kms_err kms_audit_seal(struct kms_audit_chain *chain, uint64_t time_us, struct kms_bytes body,
                                    uint8_t *line, size_t *ret_len);

/* What stands at fixed places of a line; views into it, not NUL-terminated. */
struct kms_audit_record {
    uint64_t sequence;
    const char *time; /* KMS_TIME_TEXT - 1 characters */
    const char *prev; /* KMS_AUDIT_HASH_HEX characters */
    struct kms_bytes kind;
    struct kms_bytes hashed; /* what the hash covers */
    const char *hash;        /* KMS_AUDIT_HASH_HEX characters, as stated */
};

/* A line without its LF. False: it has not the form of a record. Says nothing about its hashes, not even
 * that they are hex digits: whoever uses them compares them with computed ones. */
bool kms_audit_scan_record(struct kms_bytes line, struct kms_audit_record *ret_record);
/* The stated hash is that of the line. INTERNAL: no digest. */
KMS_MUST_USE kms_err kms_audit_check_record(kms_digest *digest, const struct kms_audit_record *record,
                                            bool *ret_same);
void kms_audit_head_of(const struct kms_audit_record *record, struct kms_audit_head *ret_head);

#endif
