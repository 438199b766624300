/* TLS between our client and our server: who is believed, what is refused, reload, and that the
 * rules of plain connections hold. */
#include "http_tls.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "http_client.h"
#include "http_test_certificates.h"
#include "http_test_rig.h"

static char folder[64];

static const char *path_of(const char *name)
{
    static char paths[8][512];
    static unsigned at;
    char *path = paths[at++ % ARRAY_LEN(paths)];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/weir-tls-XXXXXX");
    assert_non_null(mkdtemp(folder));
    certificate_make(folder, "ca", NULL, NULL, 10);
    certificate_make(folder, "other-ca", NULL, NULL, 10);
    certificate_make(folder, "server", "ca", "127.0.0.1", 10);
    certificate_make(folder, "second", "ca", "127.0.0.1", 20);
    certificate_make(folder, "elsewhere", "ca", "elsewhere.example", 10);
    certificate_make(folder, "expired", "ca", "127.0.0.1", -1);
    certificate_make(folder, "client", "ca", NULL, 10);
    certificate_make(folder, "stranger", "other-ca", NULL, 10);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    DIR *dir = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] != '.')
            (void)unlink(path_of(entry->d_name));
    }
    closedir(dir);
    return rmdir(folder);
}

static struct http_tls *server_tls(const char *name, const char *client_ca)
{
    char pem[64], key[64];
    struct status st;
    struct http_tls *tls;
    (void)snprintf(pem, sizeof(pem), "%s.pem", name);
    (void)snprintf(key, sizeof(key), "%s.key", name);
    const struct http_tls_server_options options = {path_of(pem), path_of(key),
                                                    client_ca == NULL ? NULL : path_of(client_ca)};
    assert_true(http_tls_server_open(&options, &tls, &st));
    return tls;
}

static struct http_tls *client_tls(const char *ca, const char *name)
{
    char pem[64], key[64];
    struct status st;
    struct http_tls *tls;
    (void)snprintf(pem, sizeof(pem), "%s.pem", name == NULL ? "" : name);
    (void)snprintf(key, sizeof(key), "%s.key", name == NULL ? "" : name);
    const struct http_tls_client_options options = {ca == NULL ? NULL : path_of(ca),
                                                    name == NULL ? NULL : path_of(pem),
                                                    name == NULL ? NULL : path_of(key)};
    assert_true(http_tls_client_open(&options, &tls, &st));
    return tls;
}

/* One call over a fresh connection; the body, or empty with the reason in rig->last. */
static struct text call(struct rig *rig, struct http_tls *tls, const char *target, struct text body,
                        const char *name)
{
    struct status st = {0};
    struct text out = TEXT_NONE;
    struct http_client_options options = {0};
    AUTO(http_client) struct http_client *client = http_client_open(rig->loop, &options);
    struct http_origin *origin;
    const struct http_origin_options origin_options = {
        .url = arena_format(rig->arena, "https://127.0.0.1:%u", http_server_port(rig->server)),
        .tls = tls,
        .tls_name = text_of(name)};
    assert_true(http_origin_open(client, &origin_options, &origin, &st));
    const struct http_call call = {.origin = origin,
                                   .method = body.at == NULL ? TEXT("GET") : TEXT("POST"),
                                   .target = text_of(target),
                                   .body = body,
                                   .connect_ms = 5000,
                                   .total_ms = 20000};
    struct http_response *response = NULL;
    if (!http_client_call(client, &call, rig->arena, &response, &st) ||
        !http_response_body(response, 16 * MIB, rig->arena, &out, &st))
        out = TEXT_NONE;
    rig->last = st;
    http_response_close(response);
    return out;
}

static void trusted(struct rig *rig)
{
    AUTO(http_tls) struct http_tls *tls = client_tls("ca.pem", NULL);
    check_text(call(rig, tls, "/hello", TEXT_NONE, ""), "/hello");
    struct text peer = call(rig, tls, "/peer", TEXT_NONE, "");
    assert_true(text_starts(peer, TEXT("127.0.0.1:")) && text_ends(peer, TEXT(" 1 ")));
    check_text(call(rig, tls, "/stream?n=2", TEXT_NONE, ""), "piece 0\npiece 1\nlast\n");
    char *large = arena_alloc(rig->arena, MIB);
    memset(large, 'x', MIB);
    struct text body = {large, MIB};
    assert_true(text_equal(call(rig, tls, "/echo", body, ""), body));
    assert_int_equal(call(rig, tls, "/big?n=4000", TEXT_NONE, "").len, 4000 * 1024);
    rig_wait_connections(rig, 0);
}

static void calls_over_tls(void **state)
{
    (void)state;
    AUTO(http_tls) struct http_tls *tls = server_tls("server", NULL);
    const struct http_server_options options = {.tls = tls};
    assert_true(http_tls_expires_s(tls) > (int64_t)time(NULL) + 9 * 86400);
    rig_run(trusted, &options);
}

static void refused(struct rig *rig)
{
    AUTO(http_tls) struct http_tls *system = client_tls(NULL, NULL);
    AUTO(http_tls) struct http_tls *other = client_tls("other-ca.pem", NULL);
    AUTO(http_tls) struct http_tls *right = client_tls("ca.pem", NULL);
    struct http_tls *const wrong[] = {system, other};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_null(call(rig, wrong[i], "/hello", TEXT_NONE, "").at);
        assert_int_equal(rig->last.code, STATUS_UPSTREAM);
        assert_non_null(strstr(rig->last.text, "certificate"));
    }
    assert_null(call(rig, right, "/hello", TEXT_NONE, "other.example").at);
    assert_non_null(strstr(rig->last.text, "mismatch"));
    assert_int_equal(rig->calls, 0);
    assert_true(atomic_load(&rig->counters.protocol_errors) >= 2);
}

/* The system's authorities are read when the first connection needs them. */
static void system_trusted(struct rig *rig)
{
    struct status st;
    AUTO(http_tls) struct http_tls *tls = client_tls(NULL, NULL);
    assert_int_equal(http_tls_expires_s(tls), 0);
    assert_int_equal(setenv("SSL_CERT_FILE", path_of("ca.pem"), 1), 0);
    check_text(call(rig, tls, "/hello", TEXT_NONE, ""), "/hello");
    assert_int_equal(setenv("SSL_CERT_FILE", path_of("other-ca.pem"), 1), 0);
    check_text(call(rig, tls, "/hello", TEXT_NONE, ""), "/hello"); /* not read for each */
    assert_true(http_tls_reload(tls, &st));
    assert_null(call(rig, tls, "/hello", TEXT_NONE, "").at);
    assert_non_null(strstr(rig->last.text, "certificate"));
}

static void system_authorities(void **state)
{
    (void)state;
    AUTO(http_tls) struct http_tls *tls = server_tls("server", NULL);
    const struct http_server_options options = {.tls = tls};
    rig_run(system_trusted, &options);
}

static void strangers_refused(void **state)
{
    (void)state;
    AUTO(http_tls) struct http_tls *tls = server_tls("server", NULL);
    const struct http_server_options options = {.tls = tls};
    rig_run(refused, &options);
}

static void wrong_certificate(struct rig *rig)
{
    AUTO(http_tls) struct http_tls *tls = client_tls("ca.pem", NULL);
    assert_null(call(rig, tls, "/hello", TEXT_NONE, "").at);
    assert_int_equal(rig->last.code, STATUS_UPSTREAM);
    assert_int_equal(rig->calls, 0);
}

static void other_name(struct rig *rig)
{
    wrong_certificate(rig);
    AUTO(http_tls) struct http_tls *tls = client_tls("ca.pem", NULL);
    check_text(call(rig, tls, "/hello", TEXT_NONE, "elsewhere.example"), "/hello");
}

static void wrong_certificates_refused(void **state)
{
    (void)state;
    AUTO(http_tls) struct http_tls *expired = server_tls("expired", NULL);
    AUTO(http_tls) struct http_tls *elsewhere = server_tls("elsewhere", NULL);
    struct http_server_options options = {.tls = expired};
    rig_run(wrong_certificate, &options);
    options.tls = elsewhere;
    rig_run(other_name, &options);
}

static void both_sides(struct rig *rig)
{
    AUTO(http_tls) struct http_tls *none = client_tls("ca.pem", NULL);
    AUTO(http_tls) struct http_tls *stranger = client_tls("ca.pem", "stranger");
    AUTO(http_tls) struct http_tls *known = client_tls("ca.pem", "client");
    assert_null(call(rig, none, "/peer", TEXT_NONE, "").at);
    assert_null(call(rig, stranger, "/peer", TEXT_NONE, "").at);
    assert_int_equal(rig->calls, 0);
    assert_true(text_ends(call(rig, known, "/peer", TEXT_NONE, ""), TEXT(" 1 CN=client")));
}

static void mutual_certificates(void **state)
{
    (void)state;
    AUTO(http_tls) struct http_tls *tls = server_tls("server", "ca.pem");
    const struct http_server_options options = {.tls = tls};
    rig_run(both_sides, &options);
}

static void copy_file(const char *from, const char *to)
{
    char bytes[8192];
    FILE *in = fopen(path_of(from), "r"), *out = fopen(path_of(to), "w");
    assert_true(in != NULL && out != NULL);
    size_t len = fread(bytes, 1, sizeof(bytes), in);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    (void)fclose(in);
    (void)fclose(out);
}

static void reloaded(struct rig *rig)
{
    struct status st;
    struct http_tls *tls = rig->options.tls;
    AUTO(http_tls) struct http_tls *client = client_tls("ca.pem", NULL);
    int64_t before = http_tls_expires_s(tls);
    copy_file("second.pem", "live.pem");
    assert_false(http_tls_reload(tls, &st)); /* its key is still the other's: all stays as it was */
    assert_int_equal(st.code, STATUS_INVALID);
    assert_int_equal(http_tls_expires_s(tls), before);
    check_text(call(rig, client, "/hello", TEXT_NONE, ""), "/hello");
    copy_file("second.key", "live.key");
    assert_true(http_tls_reload(tls, &st));
    assert_true(http_tls_expires_s(tls) > before);
    check_text(call(rig, client, "/hello", TEXT_NONE, ""), "/hello");
}

static void certificates_reloaded(void **state)
{
    (void)state;
    copy_file("server.pem", "live.pem");
    copy_file("server.key", "live.key");
    AUTO(http_tls) struct http_tls *tls = server_tls("live", NULL);
    const struct http_server_options options = {.tls = tls};
    rig_run(reloaded, &options);
}

/* Who speaks no TLS, or stops in the handshake, is closed; who goes while the handler waits cancels
 * it; a client that does not read is given up. */
static void rude(struct rig *rig)
{
    bool closed;
    struct net_conn *conn = rig_connect(rig);
    rig_send(conn, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    (void)rig_receive(rig, conn, 5000, &closed);
    assert_true(closed);
    net_close(conn);
    conn = rig_connect(rig);
    rig_send(conn, TEXT("\x16\x03\x01\x02\x00\x01\x00"));
    (void)rig_receive(rig, conn, 5000, &closed);
    assert_true(closed);
    net_close(conn);
    rig_wait_connections(rig, 0);
    assert_int_equal(rig->calls, 0);
    struct status st;
    struct http_client_options options = {0};
    AUTO(http_tls) struct http_tls *tls = client_tls("ca.pem", NULL);
    AUTO(http_client) struct http_client *client = http_client_open(rig->loop, &options);
    struct http_origin *origin;
    const struct http_origin_options origin_options = {
        .url = arena_format(rig->arena, "https://127.0.0.1:%u", http_server_port(rig->server)),
        .tls = tls};
    assert_true(http_origin_open(client, &origin_options, &origin, &st));
    struct http_call call = {
        .origin = origin, .method = TEXT("GET"), .target = TEXT("/wait"), .first_byte_ms = 100};
    struct http_response *response;
    assert_false(http_client_call(client, &call, rig->arena, &response, &st));
    assert_int_equal(st.code, STATUS_TIMEOUT);
    rig_wait_connections(rig, 0);
    assert_int_equal(rig->cancelled, 1);
    call.target = TEXT("/big?n=20000");
    call.first_byte_ms = 5000;
    assert_true(http_client_call(client, &call, rig->arena, &response, &st));
    rig_wait_connections(rig, 1);
    rig_wait_connections(rig, 0); /* after write_ms */
    assert_int_equal(rig->last.code, STATUS_TIMEOUT);
    http_response_close(response);
}

static void rude_clients(void **state)
{
    (void)state;
    AUTO(http_tls) struct http_tls *tls = server_tls("server", NULL);
    const struct http_server_options options = {.tls = tls,
                                                .limits = {.head_ms = 200, .write_ms = 500}};
    rig_run(rude, &options);
}

static void bad_files(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"none.pem", "server.key", NULL},           {"server.pem", "none.key", NULL},
        {"server.pem", "second.key", NULL},         {"server.key", "server.key", NULL},
        {"server.pem", "server.pem", NULL},         {"server.pem", "server.key", "none.pem"},
        {"server.pem", "server.key", "server.key"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct status st;
        struct http_tls *tls;
        const struct http_tls_server_options options = {path_of(rows[i][0]), path_of(rows[i][1]),
                                                        rows[i][2] == NULL ? NULL
                                                                           : path_of(rows[i][2])};
        check_case(rows[i][0]);
        assert_false(http_tls_server_open(&options, &tls, &st));
        assert_int_equal(st.code, STATUS_INVALID);
        assert_non_null(strstr(st.text, folder));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_over_tls),      cmocka_unit_test(strangers_refused),
        cmocka_unit_test(system_authorities),  cmocka_unit_test(wrong_certificates_refused),
        cmocka_unit_test(mutual_certificates), cmocka_unit_test(certificates_reloaded),
        cmocka_unit_test(rude_clients),        cmocka_unit_test(bad_files),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
