/* Static files, cookies and reply fields, through a server. */
#include "http_static.h"

#include <stdio.h>
#include <stdlib.h>
#include "http_cookie.h"
#include "http_test_rig.h"

#define HOST "Host: a\r\nConnection: close\r\n"

static struct http_static *files;

static void handler(void *ctx, struct http_request *req, struct http_reply *reply)
{
    struct status st;
    (void)ctx;
    const struct http_static_file *file = http_static_find(files, req->path);
    bool sent = file != NULL ? http_static_serve(file, req, reply, &st)
                             : http_reply_send(reply, 404, TEXT("text/plain"), TEXT("none"), &st);
    assert_true(sent);
}

static void open_files(void)
{
    char path[] = "/index.html"; /* need not outlive the call */
    const struct http_static_file rows[] = {
        {.path = text_of(path), .raw = TEXT("<html>plain</html>")},
        {.path = TEXT("/assets/app-3f2a.js"),
         .raw = TEXT("0123456789"),
         .br = TEXT("brbr"),
         .gz = TEXT("gzgzgz"),
         .etag = TEXT("tag"),
         .immutable = true},
        {.path = TEXT("/empty.bin"), .raw = TEXT("")},
    };
    files = http_static_new(rows, ARRAY_LEN(rows));
}

static const struct {
    const char *path, *fields;
    int status;
    const char *body, *has, *has_not;
} rows[] = {
    {"/index.html", "", 200, "<html>plain</html>", "Content-Type: text/html; charset=utf-8\r\n",
     "Vary"},
    {"/index.html", "", 200, NULL, "Cache-Control: no-cache\r\n", "Content-Encoding"},
    {"/index.html", "Accept-Encoding: br\r\n", 200, "<html>plain</html>", NULL, "Content-Encoding"},
    {"/none", "", 404, "none", NULL, NULL},
    {"/assets/app-3f2a.js", "", 200, "0123456789", "ETag: \"tag\"\r\n", "Content-Encoding"},
    {"/assets/app-3f2a.js", "", 200, NULL, "max-age=31536000, immutable\r\n", NULL},
    {"/assets/app-3f2a.js", "", 200, NULL, "Vary: Accept-Encoding\r\n", NULL},
    {"/assets/app-3f2a.js", "Accept-Encoding: gzip, br\r\n", 200, "brbr", "ETag: \"tag-br\"\r\n",
     NULL},
    {"/assets/app-3f2a.js", "Accept-Encoding: gzip, br\r\n", 200, NULL, "Content-Encoding: br\r\n",
     NULL},
    {"/assets/app-3f2a.js", "Accept-Encoding: gzip;q=1, br;q=0.5\r\n", 200, "gzgzgz",
     "Content-Encoding: gzip\r\n", NULL},
    {"/assets/app-3f2a.js", "Accept-Encoding: GZIP , br; q=0\r\n", 200, "gzgzgz",
     "ETag: \"tag-gz\"\r\n", NULL},
    {"/assets/app-3f2a.js", "Accept-Encoding: *\r\n", 200, "brbr", NULL, NULL},
    {"/assets/app-3f2a.js", "Accept-Encoding: *;q=0\r\n", 200, "0123456789", NULL, NULL},
    {"/assets/app-3f2a.js", "Accept-Encoding: identity, br;q=x, gzip;q=7\r\n", 200, "0123456789",
     NULL, NULL},
    {"/assets/app-3f2a.js", "If-None-Match: \"tag\"\r\n", 304, "", "ETag: \"tag\"\r\n",
     "Content-Length"},
    {"/assets/app-3f2a.js", "If-None-Match: \"x\", W/\"tag\"\r\n", 304, "", NULL, NULL},
    {"/assets/app-3f2a.js", "If-None-Match: *\r\n", 304, "", NULL, NULL},
    {"/assets/app-3f2a.js", "If-None-Match: \"tag\"\r\nAccept-Encoding: br\r\n", 200, "brbr", NULL,
     NULL},
    {"/assets/app-3f2a.js", "If-None-Match: \"tag-br\"\r\nAccept-Encoding: br\r\n", 304, "", NULL,
     NULL},
    {"/assets/app-3f2a.js", "If-None-Match: \"ta\"\r\n", 200, "0123456789", NULL, NULL},
    {"/assets/app-3f2a.js", "Range: bytes=2-4\r\n", 206, "234", "Content-Range: bytes 2-4/10\r\n",
     NULL},
    {"/assets/app-3f2a.js", "Range: bytes=7-\r\nAccept-Encoding: br\r\n", 206, "789", NULL,
     "Content-Encoding"},
    {"/assets/app-3f2a.js", "Range: bytes=-3\r\n", 206, "789", "Content-Range: bytes 7-9/10\r\n",
     NULL},
    {"/assets/app-3f2a.js", "Range: bytes=-30\r\n", 206, "0123456789", NULL, NULL},
    {"/assets/app-3f2a.js", "Range: bytes=5-500\r\n", 206, "56789", NULL, NULL},
    {"/assets/app-3f2a.js", "Range: bytes=9-9\r\n", 206, "9", NULL, NULL},
    {"/assets/app-3f2a.js", "Range: bytes=10-\r\n", 416, "", "Content-Range: bytes */10\r\n", NULL},
    {"/assets/app-3f2a.js", "Range: bytes=-0\r\n", 416, "", NULL, NULL},
    {"/assets/app-3f2a.js", "Range: bytes=5-2\r\n", 200, "0123456789", NULL, NULL},
    {"/assets/app-3f2a.js", "Range: bytes=1-2,4-5\r\n", 200, "0123456789", NULL, NULL},
    {"/assets/app-3f2a.js", "Range: bytes=-\r\n", 200, "0123456789", NULL, NULL},
    {"/assets/app-3f2a.js", "Range: bytes=a-b\r\n", 200, "0123456789", NULL, NULL},
    {"/assets/app-3f2a.js", "Range: bytes=--1\r\n", 200, "0123456789", NULL, NULL},
    {"/assets/app-3f2a.js", "Range: bytes=0-99999999999999999999\r\n", 200, "0123456789", NULL,
     NULL},
    {"/assets/app-3f2a.js", "Range: lines=1-2\r\n", 200, "0123456789", NULL, NULL},
    {"/assets/app-3f2a.js", "Range: bytes=2-4\r\nIf-Range: \"tag\"\r\n", 206, "234", NULL, NULL},
    {"/assets/app-3f2a.js", "Range: bytes=2-4\r\nIf-Range: \"old\"\r\n", 200, "0123456789", NULL,
     NULL},
    {"/assets/app-3f2a.js", "Range: bytes=2-4\r\nIf-Range: W/\"tag\"\r\n", 200, "0123456789", NULL,
     NULL},
    {"/empty.bin", "", 200, "", "Content-Type: application/octet-stream\r\n", NULL},
    {"/empty.bin", "Range: bytes=0-\r\n", 416, "", NULL, NULL},
};

static void served(struct rig *rig)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_case(rows[i].fields[0] == '\0' ? rows[i].path : rows[i].fields);
        struct text response =
            rig_talk(rig, arena_format(rig->arena, "GET %s HTTP/1.1\r\n" HOST "%s\r\n",
                                       rows[i].path, rows[i].fields));
        assert_int_equal(rig_status(response), rows[i].status);
        if (rows[i].body != NULL)
            check_text(rig_body(response), rows[i].body);
        if (rows[i].has != NULL)
            assert_int_equal(rig_count(response, text_of(rows[i].has)), 1);
        if (rows[i].has_not != NULL)
            assert_int_equal(rig_count(response, text_of(rows[i].has_not)), 0);
    }
    struct text response = rig_talk(rig, TEXT("HEAD /index.html HTTP/1.1\r\n" HOST "\r\n"));
    check_text(rig_body(response), "");
    assert_int_equal(rig_count(response, TEXT("Content-Length: 18\r\n")), 1);
}

static void files_served(void **state)
{
    (void)state;
    const struct http_server_options options = {.handler = handler};
    open_files();
    rig_run(served, &options);
    http_static_free(files);
}

static void cookies_read(void **state)
{
    (void)state;
    static const struct {
        const char *field, *value; /* value NULL: there is none named "sid" */
    } cookies[] = {
        {"sid=abc", "abc"},
        {"a=b; sid=abc; c=d", "abc"},
        {"a=b;sid=abc", "abc"},
        {"sid=\"abc\"", "abc"},
        {"sid=", ""},
        {"sid=a=b", "a=b"},
        {"sid=1; sid=2", "1"},
        {"SID=abc", NULL},
        {"xsid=abc", NULL},
        {"sid", NULL},
        {"", NULL},
        {";;;", NULL},
        {"=x; sid=y", "y"},
        {" sid = z ", "z"},
        {"sid=\"", "\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cookies); i++) {
        const struct http_header fields[] = {{TEXT("Other"), TEXT("sid=no")},
                                             {TEXT("cookie"), text_of(cookies[i].field)}};
        struct text value;
        check_case(cookies[i].field);
        bool found = http_cookie_get((struct http_headers){fields, 2}, TEXT("sid"), &value);
        assert_int_equal(found, cookies[i].value != NULL);
        if (found)
            check_text(value, cookies[i].value);
    }
}

static void cookie_handler(void *ctx, struct http_request *req, struct http_reply *reply)
{
    struct status st;
    (void)ctx;
    (void)req;
    const struct http_cookie session = {.name = TEXT("__Host-sid"),
                                        .value = TEXT("v1.abc"),
                                        .max_age_s = 3600,
                                        .secure = true,
                                        .http_only = true,
                                        .same_site = HTTP_COOKIE_SAME_SITE_STRICT};
    const struct http_cookie plain = {.name = TEXT("a"), .path = TEXT("/x"), .max_age_s = -1};
    http_cookie_set(reply, &session);
    http_cookie_set(reply, &plain);
    assert_true(http_reply_has_header(reply, TEXT("set-cookie")));
    assert_false(http_reply_has_header(reply, TEXT("set")));
    assert_true(http_reply_send(reply, 200, TEXT_NONE, TEXT_NONE, &st));
}

static void cookies_sent(struct rig *rig)
{
    struct text response = rig_talk(rig, TEXT("GET / HTTP/1.1\r\n" HOST "\r\n"));
    assert_int_equal(
        rig_count(response, TEXT("\r\nSet-Cookie: __Host-sid=v1.abc; Path=/; Max-Age=3600;"
                                 " Secure; HttpOnly; SameSite=Strict\r\n")),
        1);
    assert_int_equal(rig_count(response, TEXT("\r\nSet-Cookie: a=; Path=/x; SameSite=Lax\r\n")), 1);
}

static void cookies_written(void **state)
{
    (void)state;
    const struct http_server_options options = {.handler = cookie_handler};
    rig_run(cookies_sent, &options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_served),
        cmocka_unit_test(cookies_read),
        cmocka_unit_test(cookies_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
