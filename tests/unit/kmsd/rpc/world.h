/*
 * What the tests of the transport stand on: a pipeline and an authn that are doubles, certificates, and a
 * gRPC client. The pipeline echoes: Encrypt answers its plaintext as ciphertext_blob; a key_id "fail" answers
 * KEY_DISABLED. StreamAuditRecords answers `limit` pages (0: without end) with one record of `last` bytes
 * each, the next when the one before is written; a marker "fail" answers KEY_DISABLED after them.
 */
#ifndef KMS_TESTS_RPC_WORLD_H
#define KMS_TESTS_RPC_WORLD_H

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "kmsd/rpc/rpc.h"

/* What the pipeline saw of the last call. */
struct seen {
    enum kms_code err;
    char why[KMS_WHY_BYTES], principal[KMS_PRINCIPAL_BYTES], peer[KMS_CALL_TEXT_BYTES], source_ip[48];
    char client[KMS_CALL_TEXT_BYTES], correlation_id[KMS_CALL_TEXT_BYTES];
    bool decoded, has_deadline;
    uint64_t deadline_in_us;
};

struct kms_pipeline {
    struct kms_transport transport;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct kms_call *calls; /* begun, newest first */
    bool held, stopping;
    atomic_bool commit_fails, direct; /* direct: answers inside begin, without the thread */
    atomic_size_t begun, released, flushed, refused_arenas;
    struct seen last;
    atomic_size_t pages, unwritten; /* made; that gRPC could not write */
    atomic_bool ending;             /* kms_pipeline_end_streams was called */
    struct kms_call *writing;       /* a page of it is with rpc */
    atomic_bool gone;               /* what rpc said of a stream that was held */
};

void pipeline_open(struct kms_pipeline *pipeline);
void pipeline_close(struct kms_pipeline *pipeline);
void pipeline_hold(struct kms_pipeline *pipeline, bool held); /* while held nothing is answered */
void pipeline_wait_begun(struct kms_pipeline *pipeline, size_t count);
/* Lets nobody wait for the client of the stream whose page is with rpc. */
void pipeline_cancel(struct kms_pipeline *pipeline, kms_err err);
struct seen pipeline_last(struct kms_pipeline *pipeline);

struct kms_authn {
    atomic_bool refuse; /* everybody */
    atomic_uint certificates_parsed;
};

extern const struct kms_method world_methods[];
extern const size_t world_method_count; /* Encrypt, Decrypt, DescribeKey, StreamAuditRecords */

/* What world_start serves besides; none unless a test says so. */
extern const struct kms_dialect *world_dialects;
extern size_t world_dialect_count;

/* ca.pem, server.pem, server.key, other.pem, other.key (another server's), client.pem, client.key,
 * stranger.pem, stranger.key (of another CA), expired.pem (server.key's) in kms_temp_dir(). False: openssl
 * failed. */
bool world_certificates(void);
const char *world_path(const char *name); /* in kms_temp_dir(); at most 63 names */
void world_copy(const char *from, const char *to);

/* A server on 127.0.0.1 with a free port. */
struct kms_rpc_options world_options(void);
kms_err world_start(struct kms_rpc_options *options, kms_authn *authn, kms_pipeline *pipeline,
                    kms_rpc **ret_rpc, struct kms_why *why);

/* --- the client --- */

/* certificate NULL: shows none. */
grpc_channel *client_tls(int port, const char *certificate, const char *key);
grpc_channel *client_unix(const char *path);
void client_gzip(bool on); /* channels made from now on compress their requests */

struct reply {
    grpc_status_code status;
    char message[1024], reason[64], domain[32], detail_message[1024], metadata_key[32];
    int detail_code;
    size_t details;
    uint8_t data[70000]; /* of a message */
    size_t data_len;
};

/* One call and its answer. */
void client_call(grpc_channel *channel, const char *method, struct kms_bytes request,
                 struct reply *ret_reply);
/* Encrypt of plaintext; on OK data is the ciphertext_blob. */
void client_encrypt(grpc_channel *channel, const char *key_id, struct kms_bytes plaintext,
                    struct reply *ret_reply);

/* Many Encrypts that are under way at once, evenly on the channels. */
struct crowd;
struct crowd *crowd_start(grpc_channel **channels, size_t channel_count, size_t calls);
/* Ends them all; counts by status. */
void crowd_finish(struct crowd *crowd, size_t counts[17]);

#endif
