/* Certificates from files to gRPC, checked before they are used. */
#include "kmsd/rpc/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"

enum { PEM_BYTES = 256 * 1024, KEY_BYTES = 64 * 1024 };

/* What one handshake configuration is made of. */
typedef struct material {
    kms_buf chain, client_ca;
    kms_secret *key; /* PEM, NUL-terminated */
} material;

struct kms_tls {
    const char *certificate, *key, *client_ca;
    pthread_mutex_t lock;
    material *fresh; /* read, and not yet taken by a handshake */
};

static void material_free(material *m)
{
    if (m == NULL) return;
    kms_buf_free(&m->chain);
    kms_buf_free(&m->client_ca);
    kms_secret_free(m->key);
    free(m);
}

static void material_drop(material **m)
{
    material_free(*m);
}
static void SSL_CTX_drop(SSL_CTX **p)
{
    SSL_CTX_free(*p);
}
static void BIO_drop(BIO **p)
{
    BIO_free(*p);
}
static void X509_drop(X509 **p)
{
    X509_free(*p);
}
static void EVP_PKEY_drop(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static void CONF_drop(CONF **p)
{
    NCONF_free(*p);
}

static atomic_uint connections, most_connections = UINT_MAX;

void kms_tls_limit_connections(uint32_t most)
{
    atomic_store(&most_connections, most);
}

unsigned kms_tls_connections(void)
{
    return atomic_load_explicit(&connections, memory_order_relaxed);
}

/* gRPC makes the connections and has no option for either; OpenSSL asks here about each new one. Without
 * CLEANSE_PLAINTEXT a connection keeps its last decrypted record, up to 16 KiB of plaintext, for as long as
 * it lives. One too many is left no version of TLS, so its handshake fails. */
static void connection_new(void *ssl, void *value, CRYPTO_EX_DATA *data, int index, long number,
                           void *pointer)
{
    (void)value, (void)data, (void)index, (void)number, (void)pointer;
    bool too_many = atomic_fetch_add(&connections, 1) >= atomic_load(&most_connections);
    SSL_set_options(ssl, SSL_OP_CLEANSE_PLAINTEXT | (too_many ? SSL_OP_NO_TLSv1_3 : 0));
}

static void connection_free(void *ssl, void *value, CRYPTO_EX_DATA *data, int index, long number,
                            void *pointer)
{
    (void)ssl, (void)value, (void)data, (void)index, (void)number, (void)pointer;
    atomic_fetch_sub(&connections, 1);
}

/* The names are OpenSSL's (SSL_CONF_cmd(3)). Session tickets would let a connection outlive a revoked
 * certificate. */
static bool load_defaults(void)
{
    static const char text[] =
        "openssl_conf = kmsd\n[kmsd]\nssl_conf = ssl\n[ssl]\nsystem_default = tls13\n[tls13]\n"
        "Protocol = -TLSv1.2\nNumTickets = 0\n";
    OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG,
                     NULL); /* the system's file first: it must not come after ours */
    KMS_OWN(BIO) bio = BIO_new_mem_buf(text, -1);
    KMS_OWN(CONF) conf = NCONF_new(NULL);
    long line = 0;
    if (bio == NULL || conf == NULL || NCONF_load_bio(conf, bio, &line) <= 0) return false;
    OPENSSL_load_builtin_modules();
    if (CONF_modules_load(conf, NULL, 0) <= 0) return false;
    if (SSL_get_ex_new_index(0, NULL, connection_new, NULL, connection_free) < 0) return false;
    KMS_OWN(SSL_CTX) probe = SSL_CTX_new(TLS_server_method());
    return probe != NULL && (SSL_CTX_get_options(probe) & SSL_OP_NO_TLSv1_2) != 0;
}

kms_err kms_tls_only_13(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool done;
    pthread_mutex_lock(&lock);
    done = done || load_defaults();
    bool ok = done;
    pthread_mutex_unlock(&lock);
    return ok ? KMS_OK : KMS_FAIL(INTERNAL);
}

static kms_err read_key(const char *path, kms_secret **ret_key, struct kms_why *why)
{
    KMS_OWN_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        kms_why_set(why, "%s: %s", path, strerror(errno));
        return KMS_FAIL(IO);
    }
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > KEY_BYTES) {
        kms_why_set(why, "%s: not a key file of 1 to %d bytes", path, KEY_BYTES);
        return KMS_FAIL(CONFIG_INVALID);
    }
    if ((st.st_mode & S_IRWXO) != 0) {
        kms_why_set(why, "%s: everybody may read or write this key: chmod o= it", path);
        return KMS_FAIL(CONFIG_INVALID);
    }
    KMS_OWN(kms_secret) key = NULL;
    KMS_TRY(kms_secret_new((size_t)st.st_size + 1, &key));
    for (size_t at = 0; at < (size_t)st.st_size;) {
        ssize_t got = read(fd, kms_secret_data(key) + at, (size_t)st.st_size - at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            kms_why_set(why, "%s: %s", path, got < 0 ? strerror(errno) : "changed while it was read");
            return KMS_FAIL(IO);
        }
        at += (size_t)got;
    }
    *ret_key = KMS_GIVE(key);
    return KMS_OK;
}

static kms_err unfit(const char *path, const char *what, struct kms_why *why)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    kms_why_set(why, "%s: %s%s%s", path, what, reason != NULL ? ": " : "", reason != NULL ? reason : "");
    ERR_clear_error();
    return KMS_FAIL(CONFIG_INVALID);
}

static X509 *read_certificate(const kms_buf *pem)
{
    KMS_OWN(BIO) bio = BIO_new_mem_buf(pem->data, (int)pem->len);
    return bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
}

/* Without it OpenSSL would ask for a passphrase on the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *user)
{
    (void)buf, (void)size, (void)writing, (void)user;
    return 0;
}

/* What gRPC would only log, at a handshake, when it is too late. */
static kms_err check(const kms_tls *tls, const material *m, struct kms_why *why)
{
    ERR_clear_error();
    KMS_OWN(SSL_CTX) ctx = SSL_CTX_new(TLS_server_method());
    KMS_OWN(X509) certificate = read_certificate(&m->chain);
    KMS_OWN(X509) client_ca = read_certificate(&m->client_ca);
    KMS_OWN(BIO) bio = BIO_new_mem_buf(kms_secret_data(m->key), (int)kms_secret_len(m->key) - 1);
    KMS_OWN(EVP_PKEY) key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (ctx == NULL) return KMS_FAIL(NO_MEMORY);
    if (certificate == NULL) return unfit(tls->certificate, "no certificate in PEM", why);
    if (client_ca == NULL) return unfit(tls->client_ca, "no certificate in PEM", why);
    if (key == NULL) return unfit(tls->key, "no private key in PEM without a passphrase", why);
    if (SSL_CTX_use_certificate(ctx, certificate) != 1) return unfit(tls->certificate, "cannot be used", why);
    if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        return unfit(tls->key, "not the key of the certificate", why);
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0)
        return unfit(tls->certificate, "has expired", why);
    return KMS_OK;
}

static kms_err read_material(const kms_tls *tls, material **ret_material, struct kms_why *why)
{
    KMS_OWN(material) m = calloc(1, sizeof *m);
    if (m == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_read_file(tls->certificate, PEM_BYTES, &m->chain, why));
    KMS_TRY(kms_read_file(tls->client_ca, PEM_BYTES, &m->client_ca, why));
    KMS_TRY(read_key(tls->key, &m->key, why));
    KMS_TRY(check(tls, m, why));
    *ret_material = KMS_GIVE(m);
    return KMS_OK;
}

kms_err kms_tls_reload(kms_tls *tls, struct kms_why *why)
{
    material *fresh = NULL;
    KMS_TRY(read_material(tls, &fresh, why));
    pthread_mutex_lock(&tls->lock);
    material *unused = tls->fresh;
    tls->fresh = fresh;
    pthread_mutex_unlock(&tls->lock);
    material_free(unused);
    return KMS_OK;
}

kms_err kms_tls_new(const char *certificate, const char *key, const char *client_ca, kms_tls **ret_tls,
                    struct kms_why *why)
{
    kms_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL) return KMS_FAIL(NO_MEMORY);
    *tls = (kms_tls){.certificate = certificate, .key = key, .client_ca = client_ca};
    pthread_mutex_init(&tls->lock, NULL);
    kms_err err = kms_tls_reload(tls, why);
    if (kms_failed(err))
        kms_tls_free(tls);
    else
        *ret_tls = tls;
    return err;
}

/* gRPC asks at start and before each handshake. It copies the key into memory of its own. */
static grpc_ssl_certificate_config_reload_status fetch(void *self,
                                                       grpc_ssl_server_certificate_config **ret_config)
{
    kms_tls *tls = self;
    pthread_mutex_lock(&tls->lock);
    material *fresh = KMS_GIVE(tls->fresh);
    pthread_mutex_unlock(&tls->lock);
    if (fresh == NULL) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    grpc_ssl_pem_key_cert_pair pair = {.private_key = (const char *)kms_secret_data(fresh->key),
                                       .cert_chain = (const char *)fresh->chain.data};
    *ret_config = grpc_ssl_server_certificate_config_create((const char *)fresh->client_ca.data, &pair, 1);
    material_free(fresh);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

grpc_server_credentials *kms_tls_credentials(kms_tls *tls)
{
    grpc_ssl_server_credentials_options *options =
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, fetch, tls);
    return options == NULL ? NULL : grpc_ssl_server_credentials_create_with_options(options);
}

void kms_tls_free(kms_tls *tls)
{
    if (tls == NULL) return;
    material_free(tls->fresh);
    pthread_mutex_destroy(&tls->lock);
    free(tls);
}
