/* The dialect of `docker run --env-file`: a line is taken as it stands. */
#include "client/kms-env/scan.h"

static kms_err assignment(struct scan *s)
{
    struct kms_dotenv_entry entry = {.line = s->line};
    size_t start = s->document->values_len;
    KMS_TRY(scan_name(s, &entry.name));
    size_t name_end = s->at;
    scan_end_of_line(s);
    size_t to = s->at;
    if (to > name_end && s->text[to - 1] == '\r') to--; /* CR LF ends a line */
    s->at = name_end;
    entry.assigned = name_end < to && s->text[name_end] == '=';
    if (!entry.assigned && name_end < to)
        return scan_refuse(s, scan_blank(s->text[name_end]) ? "a blank in a name" : "= was expected");
    if (entry.assigned) {
        entry.source = kms_bytes_of(s->text + name_end + 1, to - name_end - 1);
        for (size_t i = name_end + 1; i < to; i++) scan_put(s, s->text[i]);
    }
    KMS_TRY(scan_add(s, entry, start));
    scan_end_of_line(s);
    return KMS_OK;
}

kms_err scan_docker(struct scan *s)
{
    scan_blanks(s);
    int c = scan_peek(s);
    if (c == '#')
        KMS_TRY(scan_comment(s));
    else if (c != -1 && c != '\n')
        KMS_TRY(assignment(s));
    if (scan_more(s)) scan_step(s);
    return KMS_OK;
}
