/* Fuzzes the configuration reader: whatever is read prints, and reads back as the same. */
#include <stdlib.h>
#include <string.h>

#include "kmsd/conf/conf.h"

#define KMS_CONF_DEF "kmsd/conf/options.def"
#include "base/conf_table.def"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct kmsd_conf first = {0}, again = {0};
    struct kms_why why;
    KMS_OWN_BUF printed = {0}, second = {0};
    if (kms_failed(kms_conf_parse(&kmsd_conf_section, "/etc/f", kms_bytes_of(data, len), &first, &why)))
        return 0;
    if (kms_failed(kms_conf_print_values(&kmsd_conf_section, &first, &printed))) abort();
    if (kms_failed(kms_conf_parse(&kmsd_conf_section, "/etc/f", kms_buf_view(&printed), &again, &why)))
        abort();
    if (kms_failed(kms_conf_print_values(&kmsd_conf_section, &again, &second))) abort();
    if (!kms_bytes_equal(kms_buf_view(&printed), kms_buf_view(&second))) abort();
    kms_conf_free(&kmsd_conf_section, &first);
    kms_conf_free(&kmsd_conf_section, &again);
    return 0;
}
