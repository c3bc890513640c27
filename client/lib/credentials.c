/* Reads and checks the three PEM files. The private key stays in locked memory until core has its copy. */
#include "client/lib/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/secret.h"

enum { PUBLIC_BYTES = 1024 * 1024, KEY_BYTES = 32 * 1024 - 64 };

typedef X509 x509;
static void x509_drop(x509 **cert)
{
    X509_free(*cert);
}

typedef EVP_PKEY pkey;
static void pkey_drop(pkey **key)
{
    EVP_PKEY_free(*key);
}

typedef BIO bio;
static void bio_drop(bio **b)
{
    BIO_free(*b);
}

static kms_err refuse(struct kms_why *why, const char *what, const char *path, const char *cause)
{
    ERR_clear_error();
    kms_why_set(why, "%s %.200s: %s", what, path, cause);
    return KMS_FAIL(CONFIG_INVALID);
}

static kms_err check_given(const char *what, const char *path, struct kms_why *why)
{
    if (path != NULL) return KMS_OK;
    kms_why_set(why, "%s is missing: HOST:PORT needs a CA file, a certificate file and a key file", what);
    return KMS_FAIL(CONFIG_INVALID);
}

static bool looks_like_pem(const void *text)
{
    return text != NULL && strstr(text, "-----BEGIN ") != NULL;
}

static kms_err read_public(const char *what, const char *path, kms_buf *pem, struct kms_why *why)
{
    struct kms_why cause;
    KMS_TRY(check_given(what, path, why));
    if (kms_failed(kms_read_file(path, PUBLIC_BYTES, pem, &cause))) {
        kms_why_set(why, "%s: %.300s", what, cause.text);
        return KMS_FAIL(CONFIG_INVALID);
    }
    return looks_like_pem(pem->data) ? KMS_OK : refuse(why, what, path, "is not a PEM file");
}

/* With a NUL behind it. */
static kms_err read_key(const char *path, kms_secret **ret_pem, struct kms_why *why)
{
    KMS_TRY(check_given("key file", path, why));
    KMS_OWN_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    KMS_OWN(kms_secret) pem = NULL;
    KMS_TRY(kms_secret_new(KEY_BYTES, &pem));
    size_t len = 0;
    for (ssize_t got = fd >= 0 ? 1 : -1; got != 0; len += (size_t)got) {
        if (got > 0) got = read(fd, kms_secret_data(pem) + len, KEY_BYTES - 1 - len);
        if (got < 0) return refuse(why, "key file", path, strerror(errno));
    }
    if (len == KEY_BYTES - 1 || !looks_like_pem(kms_secret_data(pem)))
        return refuse(why, "key file", path, "is not a PEM file");
    *ret_pem = KMS_GIVE(pem);
    return KMS_OK;
}

static bio *bio_of(const void *pem)
{
    return BIO_new_mem_buf(pem, -1);
}

/* Nobody is there to be asked: an encrypted key is refused. */
static int no_passphrase(char *buffer, int size, int writing, void *user)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}

static kms_err check_ca(const struct kms_client_options *options, const kms_buf *pem, struct kms_why *why)
{
    KMS_OWN(bio) input = bio_of(pem->data);
    KMS_OWN(x509) ca = PEM_read_bio_X509(input, NULL, NULL, NULL);
    return ca != NULL ? KMS_OK : refuse(why, "CA file", options->ca_file, "holds no certificate");
}

static kms_err check_pair(const struct kms_client_options *options, const kms_buf *cert_pem,
                          kms_secret *key_pem, struct kms_why *why)
{
    KMS_OWN(bio) cert_input = bio_of(cert_pem->data);
    KMS_OWN(bio) key_input = bio_of(kms_secret_data(key_pem));
    KMS_OWN(x509) cert = PEM_read_bio_X509(cert_input, NULL, NULL, NULL);
    KMS_OWN(pkey) key = PEM_read_bio_PrivateKey(key_input, NULL, no_passphrase, NULL);
    if (cert == NULL) return refuse(why, "certificate file", options->cert_file, "holds no certificate");
    if (key == NULL)
        return refuse(why, "key file", options->key_file, "holds no private key without a passphrase");
    if (X509_check_private_key(cert, key) != 1)
        return refuse(why, "key file", options->key_file, "is not the key of the certificate");
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
        return refuse(why, "certificate file", options->cert_file, "has expired");
    return KMS_OK;
}

kms_err kms_credentials_new(const struct kms_client_options *options,
                            grpc_channel_credentials **ret_credentials, struct kms_why *why)
{
    KMS_OWN_BUF ca = {0};
    KMS_OWN_BUF cert = {0};
    KMS_OWN(kms_secret) key = NULL;
    KMS_TRY(read_public("CA file", options->ca_file, &ca, why));
    KMS_TRY(read_public("certificate file", options->cert_file, &cert, why));
    KMS_TRY(read_key(options->key_file, &key, why));
    KMS_TRY(check_ca(options, &ca, why));
    KMS_TRY(check_pair(options, &cert, key, why));
    grpc_ssl_pem_key_cert_pair pair = {.private_key = (char *)kms_secret_data(key),
                                       .cert_chain = (char *)cert.data};
    *ret_credentials = grpc_ssl_credentials_create((char *)ca.data, &pair, NULL, NULL);
    return KMS_OK;
}
