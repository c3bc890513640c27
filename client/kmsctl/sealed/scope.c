/* Scopes, annotations, labels. */
#include "client/kmsctl/sealed/scope.h"

#include <stdio.h>
#include <string.h>

#define ANNOTATION "sealedsecrets.bitnami.com/"
static const char namespace_wide[] = ANNOTATION "namespace-wide", cluster_wide[] = ANNOTATION "cluster-wide";
static const char *const names[] = {"strict", "namespace-wide", "cluster-wide"};

enum ctl_scope ctl_scope_named(const char *name)
{
    for (int i = CTL_SCOPE_NAMESPACE; name != NULL && i <= CTL_SCOPE_CLUSTER; i++)
        if (strcmp(names[i], name) == 0) return (enum ctl_scope)i;
    return CTL_SCOPE_STRICT;
}

const char *ctl_scope_name(enum ctl_scope scope)
{
    return names[scope];
}

static bool is_true(const json_t *annotations, const char *name)
{
    const char *text = json_string_value(json_object_get(annotations, name));
    return text != NULL && strcmp(text, "true") == 0;
}

enum ctl_scope ctl_scope_of(const json_t *metadata)
{
    const json_t *annotations = json_object_get(metadata, "annotations");
    return is_true(annotations, cluster_wide)     ? CTL_SCOPE_CLUSTER
           : is_true(annotations, namespace_wide) ? CTL_SCOPE_NAMESPACE
                                                  : CTL_SCOPE_STRICT;
}

kms_err ctl_scope_note(json_t *metadata, enum ctl_scope scope)
{
    json_t *annotations = json_object_get(metadata, "annotations");
    json_object_del(annotations, namespace_wide);
    json_object_del(annotations, cluster_wide);
    if (scope == CTL_SCOPE_STRICT) return KMS_OK;
    if (!json_is_object(annotations)) {
        annotations = json_object();
        if (json_object_set_new(metadata, "annotations", annotations) != 0) return KMS_FAIL(NO_MEMORY);
    }
    const char *name = scope == CTL_SCOPE_CLUSTER ? cluster_wide : namespace_wide;
    return json_object_set_new(annotations, name, json_string("true")) == 0 ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err ctl_scope_label(enum ctl_scope scope, const char *namespace, const char *name,
                        char label[CTL_LABEL_BYTES], struct kms_why *why)
{
    label[0] = '\0';
    if (scope == CTL_SCOPE_CLUSTER) return KMS_OK;
    if (namespace == NULL || namespace[0] == '\0' ||
        (scope == CTL_SCOPE_STRICT && (name == NULL || name[0] == '\0'))) {
        kms_why_set(why, "scope %s needs a namespace%s", names[scope],
                    scope == CTL_SCOPE_STRICT ? " and a name" : "");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    int len = scope == CTL_SCOPE_STRICT ? snprintf(label, CTL_LABEL_BYTES, "%s/%s", namespace, name)
                                        : snprintf(label, CTL_LABEL_BYTES, "%s", namespace);
    if (len > 0 && len < CTL_LABEL_BYTES) return KMS_OK;
    kms_why_set(why, "namespace and name are longer than %d bytes together", CTL_LABEL_BYTES - 1);
    return KMS_FAIL(INVALID_ARGUMENT);
}
