/*
 * The records of the audit log that the command line asks for (--since, --principal ...), one after the
 * other, with a progress bar while they are looked for. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMSCTL_RECORDS_H
#define KMS_CLIENT_KMSCTL_RECORDS_H

#include "client/kmsctl/ctl.h"

struct ctl_records;

/* From the files of --dir or of the context, else, or with --remote, from the server. NULL: ctl->error says
 * why. */
struct ctl_records *ctl_records_open(struct ctl *ctl);
/* Begin with the last `count` records that match, of those that are there now. */
bool ctl_records_last(struct ctl_records *records, uint32_t count);
/* The next record that matches, borrowed until the next call; *ret_more false: the end of what is written.
 * May be called again later, for what came meanwhile. Takes the progress bar away before it answers. False:
 * ctl->error. */
bool ctl_records_next(struct ctl_records *records, struct kms_bytes *ret_line, bool *ret_more);
/* Ends with a complaint when lines were met that are no records: what was printed may lack some. */
bool ctl_records_end(struct ctl_records *records);
bool ctl_records_remote(const struct ctl_records *records); /* the server is asked */
void ctl_records_close(struct ctl_records *records);

/* SIGINT and SIGTERM end a loop over records cleanly instead of the program at once. */
void ctl_catch_stop(void);
bool ctl_stopped(void);

#endif
