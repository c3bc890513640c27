/* The subcommands of kms-env. Each takes its own argv, with its name in argv[0], and returns the exit status.
 */
#ifndef KMS_CLIENT_KMS_ENV_COMMAND_H
#define KMS_CLIENT_KMS_ENV_COMMAND_H

int kms_env_command_encrypt(int argc, char **argv);
int kms_env_command_run(int argc, char **argv);
int kms_env_command_check(int argc, char **argv);
int kms_env_command_render(int argc, char **argv);
int kms_env_command_import(int argc, char **argv);
int kms_env_command_credentials(int argc, char **argv);

#endif
