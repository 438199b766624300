/* The context is made anew at each reload and swapped under a lock; a session holds a reference of
 * its own on the context that it came from. That of a client that believes the system's authorities
 * is made on first use: most servers never need it. */
#include "http_tls_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include "fiber.h"

struct http_tls {
    bool is_server;
    char *certificate_file, *key_file, *ca_file; /* fixed after open */
    pthread_mutex_t lock;                        /* of ctx */
    SSL_CTX *ctx;                                /* NULL: not needed so far */
    pthread_mutex_t first_lock;                  /* held by the one that makes the first ctx */
};

struct first_use {
    struct http_tls *tls;
    struct status st;
    bool ok;
};

static struct http_tls *tls_new(bool is_server, const char *certificate_file, const char *key_file,
                                const char *ca_file);
static char *copy_name(const char *name);
static bool renew(struct http_tls *tls, struct status *st);
static bool is_made(struct http_tls *tls);
static void make_first(void *arg);
static SSL_CTX *context_new(const struct http_tls *tls, struct status *st);
static bool load_certificate(const struct http_tls *tls, SSL_CTX *ctx, struct status *st);
static bool load_authorities(const struct http_tls *tls, SSL_CTX *ctx, struct status *st);
static bool fail_with_file(struct status *st, const char *what, const char *file);
static int no_password(char *buffer, int size, int writing, void *user);
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *offered, unsigned int offered_len, void *user);

/* In the form of RFC 7301: each name behind its length. */
static const unsigned char protocols[] = "\x08http/1.1";

bool http_tls_server_open(const struct http_tls_server_options *options, struct http_tls **out,
                          struct status *st)
{
    WEIR_ASSERT(options->certificate_file != NULL && options->key_file != NULL);
    AUTO(http_tls)
    struct http_tls *tls =
        tls_new(true, options->certificate_file, options->key_file, options->client_ca_file);
    if (!renew(tls, st))
        return false;
    *out = TAKE(tls);
    return true;
}

bool http_tls_client_open(const struct http_tls_client_options *options, struct http_tls **out,
                          struct status *st)
{
    AUTO(http_tls)
    struct http_tls *tls =
        tls_new(false, options->certificate_file, options->key_file, options->ca_file);
    bool nothing_named = options->ca_file == NULL && options->certificate_file == NULL;
    if (!nothing_named && !renew(tls, st))
        return false;
    *out = TAKE(tls);
    return true;
}

bool http_tls_reload(struct http_tls *tls, struct status *st)
{
    return !is_made(tls) || renew(tls, st);
}

int64_t http_tls_expires_s(struct http_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    X509 *certificate = tls->ctx == NULL ? NULL : SSL_CTX_get0_certificate(tls->ctx);
    struct tm end = {0};
    bool known = certificate != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1;
    pthread_mutex_unlock(&tls->lock);
    return known ? (int64_t)timegm(&end) : 0;
}

void http_tls_close(struct http_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->ctx);
    pthread_mutex_destroy(&tls->lock);
    pthread_mutex_destroy(&tls->first_lock);
    free(tls->certificate_file);
    free(tls->key_file);
    free(tls->ca_file);
    free(tls);
}

bool http_tls_ready(struct http_tls *tls, struct status *st)
{
    struct first_use first = {.tls = tls};
    if (is_made(tls))
        return true;
    if (!offload(make_first, &first, st))
        return false;
    if (!first.ok)
        *st = first.st;
    return first.ok;
}

bool http_tls_session(struct http_tls *tls, struct ssl_st **out, struct status *st)
{
    pthread_mutex_lock(&tls->lock);
    WEIR_ASSERT(tls->ctx != NULL); /* see http_tls_ready */
    SSL *ssl = SSL_new(tls->ctx);
    pthread_mutex_unlock(&tls->lock);
    if (ssl == NULL)
        return http_tls_fail(st, STATUS_INTERNAL, "could not make a TLS session");
    *out = ssl;
    return true;
}

bool http_tls_fail(struct status *st, enum status_code code, const char *what)
{
    char text[200] = "no reason given";
    unsigned long error = ERR_peek_last_error();
    if (error != 0)
        ERR_error_string_n(error, text, sizeof(text));
    ERR_clear_error();
    return status_fail(st, code, "%s: %s", what, text);
}

static struct http_tls *tls_new(bool is_server, const char *certificate_file, const char *key_file,
                                const char *ca_file)
{
    struct http_tls *tls = base_alloc(sizeof(*tls));
    tls->is_server = is_server;
    tls->certificate_file = copy_name(certificate_file);
    tls->key_file = copy_name(key_file);
    tls->ca_file = copy_name(ca_file);
    pthread_mutex_init(&tls->lock, NULL);
    pthread_mutex_init(&tls->first_lock, NULL);
    return tls;
}

static char *copy_name(const char *name)
{
    if (name == NULL)
        return NULL;
    size_t size = strlen(name) + 1;
    return memcpy(base_alloc(size), name, size);
}

static bool renew(struct http_tls *tls, struct status *st)
{
    ERR_clear_error();
    SSL_CTX *fresh = context_new(tls, st);
    if (fresh == NULL)
        return false;
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *old = tls->ctx;
    tls->ctx = fresh;
    pthread_mutex_unlock(&tls->lock);
    SSL_CTX_free(old);
    return true;
}

static bool is_made(struct http_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    bool made = tls->ctx != NULL;
    pthread_mutex_unlock(&tls->lock);
    return made;
}

/* On a thread of the pool. Those that come meanwhile wait for the one. */
static void make_first(void *arg)
{
    struct first_use *first = arg;
    pthread_mutex_lock(&first->tls->first_lock);
    first->ok = is_made(first->tls) || renew(first->tls, &first->st);
    pthread_mutex_unlock(&first->tls->first_lock);
}

static SSL_CTX *context_new(const struct http_tls *tls, struct status *st)
{
    /* The ciphers of TLS 1.2 that have forward secrecy and authenticate; 1.3 has no others. */
    static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
    SSL_CTX *ctx = SSL_CTX_new(tls->is_server ? TLS_server_method() : TLS_client_method());
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, ciphers) != 1) {
        SSL_CTX_free(ctx);
        (void)!http_tls_fail(st, STATUS_INTERNAL, "could not make a TLS context");
        return NULL;
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    if (tls->is_server) {
        SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
        SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"weir", 4);
    } else {
        SSL_CTX_set_alpn_protos(ctx, protocols, sizeof(protocols) - 1);
    }
    if (!load_certificate(tls, ctx, st) || !load_authorities(tls, ctx, st)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

static bool load_certificate(const struct http_tls *tls, SSL_CTX *ctx, struct status *st)
{
    if (tls->certificate_file == NULL)
        return true;
    if (SSL_CTX_use_certificate_chain_file(ctx, tls->certificate_file) != 1)
        return fail_with_file(st, "could not use the certificate", tls->certificate_file);
    if (tls->key_file == NULL ||
        SSL_CTX_use_PrivateKey_file(ctx, tls->key_file, SSL_FILETYPE_PEM) != 1)
        return fail_with_file(st, "could not use the key", tls->key_file);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return fail_with_file(st, "the key does not fit the certificate", tls->key_file);
    return true;
}

static bool load_authorities(const struct http_tls *tls, SSL_CTX *ctx, struct status *st)
{
    if (!tls->is_server) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        if (tls->ca_file == NULL && SSL_CTX_set_default_verify_paths(ctx) != 1)
            return http_tls_fail(st, STATUS_SYSTEM, "could not read the system's certificates");
    }
    if (tls->ca_file == NULL)
        return true;
    if (SSL_CTX_load_verify_file(ctx, tls->ca_file) != 1)
        return fail_with_file(st, "could not use the authorities", tls->ca_file);
    if (!tls->is_server)
        return true;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(tls->ca_file);
    if (names == NULL)
        return fail_with_file(st, "could not use the authorities", tls->ca_file);
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

static bool fail_with_file(struct status *st, const char *what, const char *file)
{
    char text[STATUS_TEXT_BYTES_MAX / 2];
    struct text_out out = text_out_over(text, sizeof(text) - 1);
    text_out_addf(&out, "%s %s", what, file == NULL ? "(no file named)" : file);
    text[out.len] = '\0';
    return http_tls_fail(st, STATUS_INVALID, text);
}

/* Without it OpenSSL would ask on the terminal. */
static int no_password(char *buffer, int size, int writing, void *user)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)user;
    return 0;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *offered, unsigned int offered_len, void *user)
{
    (void)ssl;
    (void)user;
    unsigned char *chosen = NULL;
    int found = SSL_select_next_proto(&chosen, out_len, protocols, sizeof(protocols) - 1, offered,
                                      offered_len);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}
