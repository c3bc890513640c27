/* The thread that writes the file of metrics. */
#include "kmsd/jobs/metrics_file.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "kmsd/metrics/file.h"
#include "kmsd/service/metrics.h"

struct kms_metrics_file {
    const char *path;
    uint32_t interval_ms;
    const struct kms_core *core;
    bool failing; /* as it was told */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
};

static kms_err write_now(const kms_metrics_file *file, struct kms_why *why)
{
    KMS_OWN_SAMPLES samples = {.count = 0};
    KMS_OWN_BUF text = {0};
    KMS_TRY(kms_metrics_collect(file->core, &samples));
    KMS_TRY(kms_metric_text(&samples, &text));
    return kms_metric_file_write(file->path, kms_buf_view(&text), why);
}

static void tell(kms_metrics_file *file, kms_err err, const struct kms_why *why)
{
    if (kms_failed(err) == file->failing) return;
    file->failing = kms_failed(err);
    if (file->failing)
        kms_log(KMS_LOG_WARN, "metrics.file", "err=%s tried again every %u ms: %s", kms_err_reason(err),
                file->interval_ms, why->text);
    else
        kms_log(KMS_LOG_INFO, "metrics.file", "written again");
}

/* False: it is time to stop. */
static bool wait_a_while(kms_metrics_file *file)
{
    const struct timespec until = kms_in_ms(file->interval_ms);
    int rc = 0;
    pthread_mutex_lock(&file->lock);
    while (!file->stopping && rc == 0) rc = pthread_cond_timedwait(&file->wake, &file->lock, &until);
    bool go_on = !file->stopping;
    pthread_mutex_unlock(&file->lock);
    return go_on;
}

static void *file_main(void *self)
{
    kms_metrics_file *file = self;
    prctl(PR_SET_NAME, "metrics");
    do {
        struct kms_why why = {{0}};
        tell(file, write_now(file, &why), &why);
    } while (wait_a_while(file));
    unlink(file->path);
    return NULL;
}

kms_err kms_metrics_file_start(const char *path, uint32_t interval_ms, const struct kms_core *core,
                               kms_metrics_file **ret_file)
{
    kms_metrics_file *file = calloc(1, sizeof *file);
    if (file == NULL) return KMS_FAIL(NO_MEMORY);
    file->path = path;
    file->interval_ms = interval_ms;
    file->core = core;
    kms_cond_init(&file->wake);
    pthread_mutex_init(&file->lock, NULL);
    if (pthread_create(&file->thread, NULL, file_main, file) != 0) {
        free(file);
        return KMS_FAIL(NO_MEMORY);
    }
    *ret_file = file;
    return KMS_OK;
}

void kms_metrics_file_stop(kms_metrics_file *file)
{
    if (file == NULL) return;
    pthread_mutex_lock(&file->lock);
    file->stopping = true;
    pthread_cond_signal(&file->wake);
    pthread_mutex_unlock(&file->lock);
    pthread_join(file->thread, NULL);
    pthread_cond_destroy(&file->wake);
    pthread_mutex_destroy(&file->lock);
    free(file);
}
