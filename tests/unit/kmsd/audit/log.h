/* What the tests of the audit log share: small logs, and hands on their files. */
#ifndef KMS_TESTS_AUDIT_LOG_H
#define KMS_TESTS_AUDIT_LOG_H

#include "kmsd/audit/audit.h"
#include "kmsd/audit/reader.h"
#include "tests/harness/suite.h"

enum { LOG_SEGMENT_BYTES = 64 * 1024 };

void log_dir(char dir[128]);                                  /* a new, empty directory */
kms_audit *log_open(const char *dir, uint64_t segment_bytes); /* instance "t"; fatal on failure */
kms_err log_try_open(const char *dir, kms_audit **ret_audit, struct kms_why *why);
struct kms_audit_event log_event(unsigned n);     /* a call; its operation is Op<n> */
void log_call(kms_audit *audit, unsigned n);      /* appended, not committed */
void log_calls(kms_audit *audit, unsigned count); /* each committed */
uint64_t log_head(const kms_audit *audit);        /* sequence */

void log_name(uint32_t number, char name[64]);
void log_read(const char *dir, uint32_t number,
              kms_buf *buf); /* without the NULs at the end; empty: no such file */
void log_write(const char *dir, uint32_t number, const void *data, size_t len); /* replaces the file */
void log_poke(const char *dir, uint32_t number, size_t at, uint8_t value);      /* one byte, in place */
bool log_exists(const char *dir, uint32_t number);
unsigned log_files(const char *dir); /* segments in the directory */

kms_err log_verify(const char *dir, struct kms_audit_report *ret_report, struct kms_why *why);
/* Verify passes; returns how many records. */
uint64_t log_good(const char *dir);
/* How often text stands in what the reader gives. */
unsigned log_count(const char *dir, const char *text);

#endif
