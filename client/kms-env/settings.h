/* How kms-env reaches the service and where its input is: the options that its subcommands share. Not
 * thread-safe. */
#ifndef KMS_CLIENT_KMS_ENV_SETTINGS_H
#define KMS_CLIENT_KMS_ENV_SETTINGS_H

#include <argp.h>

#include "client/kms-env/resolve.h"

/* From flags, else from KMS_ENDPOINT, KMS_CA, KMS_CERT, KMS_KEY_FILE, KMS_SERVER_NAME, KMS_CONTEXT. NULL: not
 * given. */
struct kms_env_settings {
    const char *endpoint, *ca_file, *cert_file, *key_file, *server_name;
    const char *context; /* name of a context, which says what the others leave open */
};

enum { KMS_ENV_FILES = 64, KMS_ENV_NAMES = 256 };

struct kms_env_arguments {
    struct kms_env_settings settings;
    const char *app;          /* --app; NULL: not given */
    const char *fallback_app; /* KMS_ENV_APP, else "default" */
    const char *key;          /* --key or NULL */
    enum kms_dotenv_dialect dialect;
    const char *env_files[KMS_ENV_FILES];
    size_t env_file_count;
    struct kms_bytes only_names[KMS_ENV_NAMES];
    struct kms_env_names only; /* of only_names */
    bool json;
};

/* What is not said on the command line. */
void kms_env_arguments_from_environment(struct kms_env_arguments *arguments);

/* Children for the argp of a subcommand: --endpoint, --ca, ... and --app, --only, --dialect; those that read
 * many files have --env-file and --output too. Their input is a struct kms_env_arguments. */
extern const struct argp_child kms_env_one_file_children[];
extern const struct argp_child kms_env_many_files_children[];
extern const struct argp_child kms_env_connection_children[]; /* --endpoint, --ca, ... alone */
/* Its inputs: the children get arguments. For ARGP_KEY_INIT. */
void kms_env_give_children(struct argp_state *state, struct kms_env_arguments *arguments,
                           const struct argp_child *children);

/* One more --env-file; too many end the program. */
void kms_env_arguments_add_file(struct kms_env_arguments *arguments, const char *path,
                                const struct argp_state *state);

#endif
