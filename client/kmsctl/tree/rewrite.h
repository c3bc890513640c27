/*
 * Files whose values are re-encrypted together: as many values in flight as the connection carries, then each
 * file replaced, or left as it was when one of its values could not be had. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMSCTL_TREE_REWRITE_H
#define KMS_CLIENT_KMSCTL_TREE_REWRITE_H

#include "client/kmsctl/tree/find.h"
#include "client/kmsctl/tree/source.h"
#include "client/kmsctl/tree/versions.h"

/* What the user asked for. */
struct ctl_rewrite {
    kms_client *client;
    const char *to;  /* key of the new ciphertext; NULL: that of the old one */
    const char *app; /* --app; NULL: the file says */
    const char *fallback_app;
    enum kms_dotenv_dialect dialect;
    const struct kms_context *context; /* of values in JSON and YAML; NULL: bound as kms-env binds them */
    ctl_outcome *outcome;
};

struct ctl_job {
    const char *path; /* borrowed */
    enum ctl_format format;
    ctl_source source;
    ctl_values values;
    bool *selected; /* of values.count */
};
void ctl_job_free(struct ctl_job *job); /* the struct itself is the caller's */

enum { CTL_WINDOW_FILES = 64, CTL_WINDOW_VALUES = 256, CTL_WINDOW_BYTES = 8 * 1024 * 1024 };

typedef struct ctl_window {
    struct ctl_job jobs[CTL_WINDOW_FILES];
    size_t count, values, bytes; /* values: selected ones */
} ctl_window;

/* Takes over what job owns and empties it. There must be room. */
void ctl_window_add(ctl_window *window, struct ctl_job *job);
bool ctl_window_full(const ctl_window *window);
/* Does the work and empties the window; how it went is in the outcome. keep_on: asked before each file is
 * written. NO_MEMORY. */
KMS_MUST_USE kms_err ctl_window_flush(ctl_window *window, const struct ctl_rewrite *rewrite,
                                      bool (*keep_on)(void));
void ctl_window_free(ctl_window *window); /* the struct itself is the caller's */

/* The service does not answer at all, or not for now: asking again for other values would be in vain. */
bool ctl_is_stop(const struct kms_error *error);

#endif
