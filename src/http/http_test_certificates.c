#include "http_test_certificates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include "check.h"

static FILE *open_in(const char *folder, const char *name, const char *end, const char *mode);
static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value);

void certificate_make(const char *folder, const char *name, const char *issuer, const char *host,
                      int days)
{
    static long serial = 1;
    char alternatives[128];
    EVP_PKEY *key = EVP_EC_gen("P-256"), *issuer_key = key;
    X509 *certificate = X509_new(), *issuer_certificate = certificate;
    assert_non_null(key);
    assert_non_null(certificate);
    if (issuer != NULL) {
        FILE *file = open_in(folder, issuer, "key", "r");
        issuer_key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        (void)fclose(file);
        file = open_in(folder, issuer, "pem", "r");
        issuer_certificate = PEM_read_X509(file, NULL, NULL, NULL);
        (void)fclose(file);
        assert_true(issuer_key != NULL && issuer_certificate != NULL);
    }
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -172800);
    X509_gmtime_adj(X509_getm_notAfter(certificate), (long)days * 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer_certificate));
    X509_set_pubkey(certificate, key);
    if (issuer == NULL)
        add_extension(certificate, issuer_certificate, NID_basic_constraints, "critical,CA:TRUE");
    if (host != NULL) {
        (void)snprintf(alternatives, sizeof(alternatives), "%s:%s",
                       host[0] >= '0' && host[0] <= '9' ? "IP" : "DNS", host);
        add_extension(certificate, issuer_certificate, NID_subject_alt_name, alternatives);
    }
    assert_true(X509_sign(certificate, issuer_key, EVP_sha256()) > 0);
    FILE *file = open_in(folder, name, "key", "w");
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    (void)fclose(file);
    file = open_in(folder, name, "pem", "w");
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    (void)fclose(file);
    if (issuer != NULL) {
        EVP_PKEY_free(issuer_key);
        X509_free(issuer_certificate);
    }
    EVP_PKEY_free(key);
    X509_free(certificate);
}

static FILE *open_in(const char *folder, const char *name, const char *end, const char *mode)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s.%s", folder, name, end);
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    return file;
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}
