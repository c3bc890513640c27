/*
 * Manifests of Kubernetes as JSON values: documents of YAML, one behind the other, or of JSON. YAML means
 * what it means to Kubernetes (YAML 1.1: `yes` is true). Aliases, tags and members that are there twice are
 * refused.
 *
 * Values of a Secret are in them: call ctl_manifest_guard first, so that jansson has locked memory, and
 * libyaml's is wiped when it is freed. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMSCTL_SEALED_MANIFEST_H
#define KMS_CLIENT_KMSCTL_SEALED_MANIFEST_H

#include <jansson.h>

#include "client/kmsctl/ctl.h"

enum {
    CTL_MANIFEST_BYTES = 2 * 1024 * 1024, /* longest input; Kubernetes takes no object above 1.5 MiB */
    CTL_MANIFEST_DEPTH = 64,
    CTL_MANIFEST_DOCUMENTS = 256,
};

bool ctl_manifest_guard(struct ctl *ctl);

/* A new array; empty documents are left out, items of a List stand in its place. INVALID_ARGUMENT,
 * NO_MEMORY; why has the line, never a value. */
KMS_MUST_USE kms_err ctl_manifest_read(struct kms_bytes text, json_t **ret_documents, struct kms_why *why);

/* The same as text, in locked memory, to --out or standard output: YAML, or JSON with -o json. Takes the
 * reference of documents. */
bool ctl_manifest_write(struct ctl *ctl, json_t *documents);

/* "metadata.name" of a value; NULL: it is not there, or no text. */
const char *ctl_manifest_text(const json_t *value, const char *path);

#endif
