/*
 * A configuration file (YAML, a safe part of it) read through a table. The options of a program stand once,
 * in a .def file; from it come the struct its values live in, the reader, the sample file and the dump of
 * effective values.
 *
 *     conf.h:  #define KMS_CONF_DEF "kmsd/conf/options.def"
 *              #include "base/conf_struct.def"
 *     conf.c:  #define KMS_CONF_DEF "kmsd/conf/options.def"
 *              #include "base/conf_table.def"
 *
 *     KMS_SECTION(kms_conf)
 *         makes struct kms_conf and the table kms_conf_section
 *     KMS_OPT(kms_conf, DURATION, hsm_deadline_ms, "hsm.deadline", "2s", 10, 60000, "", "longest wait")
 *     KMS_CHOICE(kms_conf, enum x, member, "name", "default", "one|two", "help")
 *         the value is the position, from 0
 *     KMS_LIST(kms_conf, item_section, member, "name", most, "help")
 *         struct item_section *member; size_t member_count
 *     KMS_STRINGS(kms_conf, member, "name", most, "help")
 *         char **member; size_t member_count
 *     KMS_SECTION_END(kms_conf)
 *
 * KMS_OPT has section, kind, member, name, default as written in a file (NULL: must be given), least, most,
 * unit, help. A name has at most one dot: `hsm.deadline` is `deadline` in the mapping `hsm`. Sections of
 * lists stand before those who name them. Thread-safe: no state; a value belongs to its owner.
 */
#ifndef KMS_BASE_CONF_H
#define KMS_BASE_CONF_H

#include "base/bytes.h"

enum kms_conf_kind {
    KMS_CONF_STRING,   /* char *; min and max are its length in bytes */
    KMS_CONF_PATH,     /* char *; taken from the folder of the file when it is relative; "" stays empty */
    KMS_CONF_BOOL,     /* bool: true or false */
    KMS_CONF_UNSIGNED, /* uint32_t */
    KMS_CONF_MODE,     /* uint32_t: permission bits in octal, 0660 */
    KMS_CONF_SIZE,     /* uint64_t bytes: 4096, 64KiB, 16MiB, 1GiB */
    KMS_CONF_DURATION, /* uint32_t milliseconds: 500ms, 2s, 1m, 1h; ms when there is no unit */
    KMS_CONF_CHOICE,   /* an enum (or unsigned): the position among the choices */
    KMS_CONF_STRINGS,  /* char **, size_t; each 1 to 1024 bytes */
    KMS_CONF_LIST,     /* struct *, size_t: sections with a table of their own */
};

struct kms_conf_row {
    const char *name;
    enum kms_conf_kind kind;
    size_t offset, count_offset; /* bytes into the struct */
    const char *default_text;    /* NULL: must be given; lists: ignored, empty */
    uint64_t min, max;
    const char *unit, *help;
    const char *choices; /* "one|two" */
    const struct kms_conf_section *items;
};

struct kms_conf_section {
    const struct kms_conf_row *rows;
    size_t count;
    size_t bytes; /* of the struct */
};

enum { KMS_CONF_FILE_BYTES = 1024 * 1024 }; /* longest file */

/* Reads a file into *ret_values, a struct of the section; options that are not there have their default. Free
 * it with kms_conf_free. Errors: IO; CONFIG_INVALID: "FILE:LINE: option 'a.b': cause; allowed: ..." in why.
 */
KMS_MUST_USE kms_err kms_conf_load(const struct kms_conf_section *section, const char *path, void *ret_values,
                                   struct kms_why *why);
/* The same from memory; path is the name in messages and the start of relative paths. */
KMS_MUST_USE kms_err kms_conf_parse(const struct kms_conf_section *section, const char *path,
                                    struct kms_bytes text, void *ret_values, struct kms_why *why);
void kms_conf_free(const struct kms_conf_section *section,
                   void *values); /* what the struct owns, then zeroes it */

/* A file with every option commented out: help, range, default. It can be read as it is unless an option must
 * be given. */
KMS_MUST_USE kms_err kms_conf_print_sample(const struct kms_conf_section *section, kms_buf *out);
/* A file that reads back as these values. */
KMS_MUST_USE kms_err kms_conf_print_values(const struct kms_conf_section *section, const void *values,
                                           kms_buf *out);

#endif
