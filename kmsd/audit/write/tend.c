/* What is due between commits, and what others may ask. */
#include <stdio.h>

#include "base/clock.h"
#include "kmsd/audit/write/writer.h"

/* An empty batch goes on in a new file. */
static void change_file(kms_audit *audit, enum kms_audit_because because)
{
    struct kms_why why = {""};
    if (kms_failed(kms_audit_sink_roll(audit->sink, &why))) {
        kms_audit_tell_trouble(audit->told, KMS_AUDIT_TROUBLE_NEXT, why.text);
        return; /* the file is as good as before */
    }
    audit->because = because;
    if (kms_failed(kms_audit_write_batch(audit, true, &why))) {
        audit->because = KMS_AUDIT_FAILED;
        kms_ignore(kms_audit_flush(audit)); /* told */
    } else {
        kms_audit_tell_state(audit, NULL);
    }
}

/* A file that is gone takes acknowledged records along: what comes now shall not go the same way. */
static void replace_lost(kms_audit *audit)
{
    char name[KMS_AUDIT_NAME_BYTES], words[KMS_WHY_BYTES];
    kms_audit_segment_name(audit->instance, audit->head_number, name);
    snprintf(words, sizeof words,
             "%s was removed or replaced while it was written: records %llu to %llu are not in the log any "
             "more unless it is put back; kmsctl audit verify says what is missing",
             name, (unsigned long long)audit->file_first, (unsigned long long)audit->chain.head.sequence);
    kms_audit_tell_trouble(audit->told, KMS_AUDIT_TROUBLE_LOST, words);
    change_file(audit, KMS_AUDIT_LOST);
}

void kms_audit_tend(kms_audit *audit)
{
    struct kms_why why = {""};
    if (audit->packer != NULL) {
        kms_audit_pack_trouble(audit->packer, &why);
        kms_audit_tell_trouble(audit->told, KMS_AUDIT_TROUBLE_PACK, why.text);
    }
    kms_audit_look_at_space(audit);
    if (audit->batch_len > 0 || audit->spoilt || !kms_audit_usable(audit))
        return; /* the next commit sees to it */
    if (!kms_audit_sink_in_place(audit->sink)) {
        replace_lost(audit);
        return;
    }
    bool asked = atomic_load(&audit->asked);
    bool old = audit->segment_age_us > 0 && audit->chain.head.sequence > audit->file_first &&
               kms_monotonic_us() - audit->file_began_us >= audit->segment_age_us;
    bool ready = (asked || old) && kms_audit_sink_ready(audit->sink, &why);
    if (asked || old) kms_audit_tell_trouble(audit->told, KMS_AUDIT_TROUBLE_NEXT, why.text);
    if (!ready) return;
    change_file(audit, asked ? KMS_AUDIT_ASKED : KMS_AUDIT_AGE);
    if (asked) atomic_store(&audit->asked, false);
}

void kms_audit_ask_new_file(kms_audit *audit)
{
    atomic_store(&audit->asked, true);
}

bool kms_audit_last_mark(const kms_audit *audit, uint64_t *ret_revision, uint8_t ret_digest[KMS_DIGEST_BYTES])
{
    struct kms_audit_answers answers;
    kms_audit_ask(audit->told, &answers);
    if (!answers.has_mark) return false;
    *ret_revision = answers.revision;
    kms_copy(ret_digest, answers.digest, KMS_DIGEST_BYTES);
    return true;
}

void kms_audit_head(const kms_audit *audit, uint64_t *ret_sequence,
                    char ret_hash_hex[2 * KMS_DIGEST_BYTES + 1])
{
    struct kms_audit_answers answers;
    kms_audit_ask(audit->told, &answers);
    *ret_sequence = answers.head.sequence;
    kms_copy(ret_hash_hex, answers.head.hash, sizeof answers.head.hash);
}

uint32_t kms_audit_file(const kms_audit *audit)
{
    return audit->head_number;
}

bool kms_audit_writable(const kms_audit *audit)
{
    struct kms_audit_answers answers;
    kms_audit_ask(audit->told, &answers);
    return answers.writable;
}

void kms_audit_trouble(const kms_audit *audit, struct kms_why *ret_why)
{
    struct kms_audit_answers answers;
    kms_audit_ask(audit->told, &answers);
    *ret_why = answers.failed;
}

void kms_audit_troubles(const kms_audit *audit, struct kms_why ret_whys[KMS_AUDIT_TROUBLES])
{
    struct kms_audit_answers answers;
    kms_audit_ask(audit->told, &answers);
    kms_copy(ret_whys, answers.troubles, sizeof answers.troubles);
}
