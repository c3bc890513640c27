/*
 * The files of a log: their names, which of them count, and how each goes on from the one before (chain.h).
 * Needs the files only. Not thread-safe.
 */
#ifndef KMS_AUDIT_SEGMENT_H
#define KMS_AUDIT_SEGMENT_H

#include "kmsd/audit/scan.h"
#include "kmsd/audit/state.h"

enum {
    KMS_AUDIT_INSTANCE_BYTES = 32,
    KMS_AUDIT_NAME_BYTES = KMS_AUDIT_INSTANCE_BYTES + 20, /* "-00000001.jsonl.zst" and NUL */
    KMS_AUDIT_NUMBER_MAX = 99999999,
};

bool kms_audit_instance_valid(const char *instance);
void kms_audit_segment_name(const char *instance, uint32_t number, char name[KMS_AUDIT_NAME_BYTES]);
/* Of the same when it is compressed. */
void kms_audit_packed_name(const char *name, char packed[KMS_AUDIT_NAME_BYTES]);
/* Of one that is being compressed; no more than one is at a time. */
void kms_audit_packing_name(const char *instance, char name[KMS_AUDIT_NAME_BYTES]);
/* The reverse, of both. False: not the name of a segment. */
bool kms_audit_segment_parse(const char *name, char instance[KMS_AUDIT_INSTANCE_BYTES + 1],
                             uint32_t *ret_number);

struct kms_audit_segment {
    uint32_t number;
    uint64_t stored_bytes; /* of the file as it stands there, compressed or not */
    uint64_t bytes;        /* of its content, with the room that is set aside for more */
    /* False: its first record is damaged, so that what follows is not known. Verify says so when it gets
     * there. */
    bool readable;
    struct kms_audit_opening opening;
    uint64_t first_sequence; /* when readable, like what follows: of its first record */
    char prev[KMS_AUDIT_HASH_HEX];
    char first_time[KMS_TIME_TEXT]; /* of the first record, readable or not; "": it has none */
};

struct kms_audit_segments {
    struct kms_audit_segment
        *list; /* owned; in order; only those that count: each goes on from the one before it */
    size_t count;
    uint32_t last_number; /* the largest in the directory, of whatever file; 0: none */
    bool torn_file;       /* the newest file holds nothing but a torn first line */
};

/* From first_number (1: all) on. IO (why names directory or file), NO_MEMORY. An empty list is no error. */
KMS_MUST_USE kms_err kms_audit_segments_read(int dir_fd, const char *instance, uint32_t first_number,
                                             struct kms_audit_segments *ret_segments, struct kms_why *why);
void kms_audit_segments_free(struct kms_audit_segments *segments);

/* The instance whose log is in the directory: INVALID_ARGUMENT when there are several (why names two), IO:
 * none. */
KMS_MUST_USE kms_err kms_audit_only_instance(int dir_fd, char ret_instance[KMS_AUDIT_INSTANCE_BYTES + 1],
                                             struct kms_why *why);
/* There is no file of this name, plain or compressed. */
bool kms_audit_gone(int dir_fd, const char *name);
/* The numbers of all files that are lower than below, in order, whatever they hold. *ret_numbers: owned. IO,
 * NO_MEMORY. */
KMS_MUST_USE kms_err kms_audit_all_numbers(int dir_fd, const char *instance, uint32_t below,
                                           uint32_t **ret_numbers, size_t *ret_count, struct kms_why *why);
/* The numbers of files that have records, are lower than below, and are not compressed, in order.
 * *ret_numbers: owned. IO, NO_MEMORY. */
KMS_MUST_USE kms_err kms_audit_plain_numbers(int dir_fd, const char *instance, uint32_t below,
                                             uint32_t **ret_numbers, size_t *ret_count, struct kms_why *why);
/* A directory for openat and flock. IO: why names it. */
KMS_MUST_USE kms_err kms_audit_open_dir(const char *dir, int *ret_fd, struct kms_why *why);

#endif
