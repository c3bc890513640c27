/*
 * One way to print: a command makes a JSON value, which is written as JSON or as a table for people. An
 * object becomes lines of name and value, a list of objects columns, and lists inside an object tables of
 * their own below it. What holds plaintext is printed after ctl_output_secret, which moves jansson and
 * standard output to locked memory.
 */
#ifndef KMS_CLIENT_KMSCTL_OUTPUT_H
#define KMS_CLIENT_KMSCTL_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "client/kmsctl/ctl.h"

/* -o json was given. */
bool ctl_wants_json(const struct ctl *ctl);
/* Prints value and takes the reference; NULL: memory ran out. False: ctl->error says why. */
bool ctl_print(struct ctl *ctl, json_t *value);
/* What printf has written so far is out. False: ctl->error says why. */
bool ctl_flush(struct ctl *ctl);
/* Text of several lines, indented, below a title; safe as ctl_put_safe, a tab becomes blanks. */
void ctl_put_lines(const char *title, const char *text, FILE *out);
/* Text from outside, where a terminal may be: what would move its cursor becomes '?'. NULL only measures.
 * Tells the width in characters. */
size_t ctl_put_safe(const char *text, FILE *out);
/* The table alone. For ctl_print and its test. */
void ctl_table(const json_t *value, FILE *out);

/* Text that may not be UTF-8, which JSON cannot hold: then with '?' for every byte above 127. A new
 * reference. */
json_t *ctl_json_text(const char *text);
json_t *ctl_json_time(uint64_t us);                       /* RFC 3339 */
json_t *ctl_json_span(uint64_t seconds);                  /* "1d 12h", for people */
json_t *ctl_json_base64(const void *data, size_t len);    /* wipes what it needed on the way */
json_t *ctl_json_ciphertext(const struct kms_blob *blob); /* kms:v1:... */

/* From here on nothing that is printed leaves locked memory on its way out. Before the first json value. */
bool ctl_output_secret(struct ctl *ctl);

/* Prints a value that holds plaintext to a target that is open, and keeps it; takes the reference. After
 * ctl_output_secret. False: ctl->error says why. */
struct ctl_target;
bool ctl_print_into(struct ctl *ctl, struct ctl_target *target, json_t *value);
/* The same to --out (a file of mode 0600, all or nothing) or to standard output. */
bool ctl_print_secret(struct ctl *ctl, json_t *value);

/* Bytes to a file of mode 0600, all or nothing. False: ctl->error says why. */
bool ctl_write_file(struct ctl *ctl, const char *path, struct kms_bytes data);
/* Bytes to --out (a file of mode 0600, all or nothing) or to standard output. False: ctl->error says why. */
bool ctl_write(struct ctl *ctl, struct kms_bytes data);
/* Text to the same, byte for byte, and a newline when it has none: a terminal wants one, JSON does not mind
 * it. */
bool ctl_write_line(struct ctl *ctl, const char *text);
/* Plaintext does not go to a terminal unasked: false with a usage error then. */
bool ctl_may_show(struct ctl *ctl);

#endif
