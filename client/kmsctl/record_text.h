/* A record of the audit log on a line: for people, and as CSV (RFC 4180). Nothing of it can move the cursor
 * of a terminal or become a formula in a spreadsheet. Thread-safe. */
#ifndef KMS_CLIENT_KMSCTL_RECORD_TEXT_H
#define KMS_CLIENT_KMSCTL_RECORD_TEXT_H

#include <stdio.h>

#include "base/bytes.h"

enum ctl_record_form { CTL_RECORD_TABLE, CTL_RECORD_JSON, CTL_RECORD_CSV };
/* "json", "csv", or anything else or NULL for the table. */
enum ctl_record_form ctl_record_form(const char *output);
/* What stands above the records, if anything. */
void ctl_record_head(enum ctl_record_form form, FILE *out);
/* JSON: the record as it is. A line that is no JSON object is written as it is in any form. */
void ctl_record_put(enum ctl_record_form form, struct kms_bytes line, FILE *out);

/* A cell: quoted where it must be, control characters as '?', and "'" before what a spreadsheet would
 * compute. */
void ctl_csv_cell(const char *text, FILE *out);

#endif
