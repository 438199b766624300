/* Requests and responses as bytes: what is taken, what is refused and with which status, whatever
 * the places where the bytes are cut. */
#include "http_message_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include "arena.h"
#include "check.h"

/* TEXT() is no constant expression for a static table. */
#define TEXT_INIT(literal) {"" literal, sizeof(literal) - 1}
static const struct http_message_limits limits = {32 * 1024, 8 * 1024, 100};

/* What came of a message that was fed in pieces of `step` bytes. */
struct outcome {
    enum http_message_result head, body;
    int bad_status;
    char body_text[512];
    size_t body_len, used;
    struct http_message msg;
};

static void feed(struct outcome *out, enum http_message_kind kind, struct text input, size_t step,
                 struct arena *arena)
{
    char *copy = arena_cstr(arena, input); /* an own allocation: overruns show */
    size_t at = 0, used, len;
    *out = (struct outcome){.head = HTTP_MESSAGE_MORE, .body = HTTP_MESSAGE_MORE};
    http_message_start(&out->msg, kind, &limits, arena);
    while (out->head == HTTP_MESSAGE_MORE && at < input.len) {
        len = input.len - at < step ? input.len - at : step;
        out->head = http_message_head(&out->msg, copy + at, len, &used);
        at += used;
    }
    while (out->head == HTTP_MESSAGE_DONE && out->body == HTTP_MESSAGE_MORE) {
        struct text piece;
        len = input.len - at < step ? input.len - at : step;
        out->body = http_message_body(&out->msg, copy + at, len, &used, &piece);
        assert_true(out->body_len + piece.len <= sizeof(out->body_text));
        if (piece.len > 0)
            memcpy(out->body_text + out->body_len, piece.at, piece.len);
        out->body_len += piece.len;
        at += used;
        if (len == 0)
            break;
    }
    out->used = at;
    out->bad_status = out->msg.bad_status;
}

#define HOST "Host: a\r\n"
#define FIELDS10 "a:1\r\nb:1\r\nc:1\r\nd:1\r\ne:1\r\nf:1\r\ng:1\r\nh:1\r\ni:1\r\nj:1\r\n"
#define CHUNKED "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"

/* `bad` 0: fine, with `body`. */
static const struct {
    const char *name;
    struct text input;
    int bad;
    const char *body;
} requests[] = {
    {"plain", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "\r\n"), 0, ""},
    {"1.0 without host", TEXT_INIT("GET / HTTP/1.0\r\n\r\n"), 0, ""},
    {"length", TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 13\r\n\r\nhello, world!"),
     0, "hello, world!"},
    {"length 0", TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"), 0, ""},
    {"empty value", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "X-Empty:\r\n\r\n"), 0, ""},
    {"chunks", TEXT_INIT(CHUNKED "5\r\nhello\r\n1\r\n,\r\n7\r\n world!\r\n0\r\n\r\n"), 0,
     "hello, world!"},
    {"upper-case chunk size", TEXT_INIT(CHUNKED "A\r\n0123456789\r\n0\r\n\r\n"), 0, "0123456789"},
    {"chunk extension", TEXT_INIT(CHUNKED "5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n"), 0, "hello"},
    {"trailer", TEXT_INIT(CHUNKED "5\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: b\r\n\r\n"), 0, "hello"},
    {"leading CRLF", TEXT_INIT("\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), 0, ""},
    {"absolute form", TEXT_INIT("GET http://a/x HTTP/1.1\r\n" HOST "\r\n"), 0, ""},
    {"upgrade is ignored",
     TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: h2c\r\n"
               "Content-Length: 2\r\n\r\nok"),
     0, "ok"},
    {"high bytes in a value", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "X: \xc3\xa4\r\n\r\n"), 0, ""},
    {"value with inner spaces", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "X: \t a b \t \r\n\r\n"), 0,
     ""},

    {"bad chunk size", TEXT_INIT(CHUNKED "xyz\r\nhello\r\n0\r\n\r\n"), 400, NULL},
    {"chunk size overflow", TEXT_INIT(CHUNKED "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"), 400,
     NULL},
    {"negative chunk size", TEXT_INIT(CHUNKED "-1\r\nhello\r\n0\r\n\r\n"), 400, NULL},
    {"chunk size 0x", TEXT_INIT(CHUNKED "0xd\r\nhello, world!\r\n0\r\n\r\n"), 400, NULL},
    {"space after chunk size", TEXT_INIT(CHUNKED "5 \r\nhello\r\n0\r\n\r\n"), 400, NULL},
    {"no CRLF behind chunk", TEXT_INIT(CHUNKED "5\r\nhello0\r\n\r\n"), 400, NULL},
    {"chunk longer than its size", TEXT_INIT(CHUNKED "4\r\nhello\r\n0\r\n\r\n"), 400, NULL},
    {"LF alone behind chunk size", TEXT_INIT(CHUNKED "5\nhello\r\n0\r\n\r\n"), 400, NULL},
    {"two lengths that differ",
     TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
     400, NULL},
    {"two equal lengths",
     TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
     400, NULL},
    {"length list", TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\nhello"), 400,
     NULL},
    {"length and chunked",
     TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n"
               "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     400, NULL},
    {"chunked and length",
     TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
               "Content-Length: 5\r\n\r\n0\r\n\r\n"),
     400, NULL},
    {"xchunked",
     TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 501,
     NULL},
    {"identity", TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n"), 501,
     NULL},
    {"gzip, chunked",
     TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501,
     NULL},
    {"chunked, identity",
     TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
     -1, NULL},
    {"chunked twice",
     TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
               "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     -1, NULL},
    {"chunked in 1.0", TEXT_INIT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     400, NULL},
    {"signed length",
     TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Content-Length: +13\r\n\r\nhello, world!"), 400, NULL},
    {"negative length", TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n"), 400,
     NULL},
    {"length overflow",
     TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n"), 400,
     NULL},
    {"empty length", TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n"), 400, NULL},
    {"hex length", TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Content-Length: 0xd\r\n\r\n"), 400, NULL},
    {"space before the colon",
     TEXT_INIT("POST / HTTP/1.1\r\n" HOST "Content-Length : 13\r\n\r\nhello, world!"), 400, NULL},
    {"NUL in a value", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n"), 400, NULL},
    {"NUL in a name", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "X\0: b\r\n\r\n"), 400, NULL},
    {"bare CR in a value", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n"), 400, NULL},
    {"bare LF in a value", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "X: a\nb: c\r\n\r\n"), 400, NULL},
    {"bare LF lines", TEXT_INIT("GET / HTTP/1.1\nHost: a\n\n"), 400, NULL},
    {"space in a name", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "X Y: a\r\n\r\n"), 400, NULL},
    {"line without a colon", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "nonsense\r\n\r\n"), 400, NULL},
    {"empty name", TEXT_INIT("GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n"), 400, NULL},
    {"folded value", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n"), 400, NULL},
    {"space before the first field", TEXT_INIT("GET / HTTP/1.1\r\n X: a\r\n" HOST "\r\n"), 400,
     NULL},
    {"too many fields",
     TEXT_INIT("GET / HTTP/1.1\r\n" HOST FIELDS10 FIELDS10 FIELDS10 FIELDS10 FIELDS10 FIELDS10
                   FIELDS10 FIELDS10 FIELDS10 FIELDS10 "\r\n"),
     431, NULL},
    {"no host", TEXT_INIT("GET / HTTP/1.1\r\n\r\n"), 400, NULL},
    {"two hosts", TEXT_INIT("GET / HTTP/1.1\r\n" HOST HOST "\r\n"), 400, NULL},
    {"malformed host", TEXT_INIT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400, NULL},
    {"host with user", TEXT_INIT("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), 400, NULL},
    {"unknown method", TEXT_INIT("BREW / HTTP/1.1\r\n" HOST "\r\n"), 501, NULL},
    {"lower-case method", TEXT_INIT("get / HTTP/1.1\r\n" HOST "\r\n"), 501, NULL},
    {"CONNECT", TEXT_INIT("CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n"), 501, NULL},
    {"no target", TEXT_INIT("GET HTTP/1.1\r\n" HOST "\r\n"), 400, NULL},
    {"HTTP/0.9", TEXT_INIT("GET /\r\n\r\n"), 505, NULL},
    {"HTTP/0.9 said", TEXT_INIT("GET / HTTP/0.9\r\n" HOST "\r\n"), 505, NULL},
    {"HTTP/1.2", TEXT_INIT("GET / HTTP/1.2\r\n" HOST "\r\n"), 505, NULL},
    {"HTTP/2.0", TEXT_INIT("GET / HTTP/2.0\r\n" HOST "\r\n"), 505, NULL},
    {"HTTP/2 preface", TEXT_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, NULL},
    {"RTSP", TEXT_INIT("OPTIONS / RTSP/1.0\r\n" HOST "\r\n"), 400, NULL},
    {"lower-case http", TEXT_INIT("GET / http/1.1\r\n" HOST "\r\n"), 400, NULL},
    {"two spaces before the target", TEXT_INIT("GET  / HTTP/1.1\r\n" HOST "\r\n"), 400, NULL},
    {"two spaces behind the target", TEXT_INIT("GET /  HTTP/1.1\r\n" HOST "\r\n"), 400, NULL},
    {"space behind the version", TEXT_INIT("GET / HTTP/1.1 \r\n" HOST "\r\n"), 400, NULL},
    {"tab for a space", TEXT_INIT("GET\t/ HTTP/1.1\r\n" HOST "\r\n"), 400, NULL},
    {"NUL in the target", TEXT_INIT("GET /\0 HTTP/1.1\r\n" HOST "\r\n"), 400, NULL},
    {"leading LF", TEXT_INIT("\nGET / HTTP/1.1\r\n" HOST "\r\n"), 400, NULL},
    {"leading CR CR", TEXT_INIT("\r\rGET / HTTP/1.1\r\n" HOST "\r\n"), 400, NULL},
    {"leading space", TEXT_INIT(" GET / HTTP/1.1\r\n" HOST "\r\n"), 400, NULL},
    {"many leading lines", TEXT_INIT("\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), 400,
     NULL},
    {"a TLS hello", TEXT_INIT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400, NULL},
};

static void requests_in_pieces(void **state)
{
    (void)state;
    static const size_t steps[] = {SIZE_MAX, 1, 2, 3, 7, 64};
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        check_case(requests[i].name);
        for (size_t j = 0; j < ARRAY_LEN(steps); j++) {
            AUTO(arena) struct arena *arena = arena_open(MIB);
            struct outcome out;
            feed(&out, HTTP_MESSAGE_REQUEST, requests[i].input, steps[j], arena);
            if (requests[i].bad == 0) {
                assert_int_equal(out.bad_status, 0);
                assert_int_equal(out.head, HTTP_MESSAGE_DONE);
                assert_int_equal(out.body, HTTP_MESSAGE_DONE);
                check_text(((struct text){out.body_text, out.body_len}), requests[i].body);
                assert_int_equal(out.used, requests[i].input.len);
            } else {
                assert_true(out.head == HTTP_MESSAGE_BAD || out.body == HTTP_MESSAGE_BAD);
                if (requests[i].bad > 0)
                    assert_int_equal(out.bad_status, requests[i].bad);
                else
                    assert_true(out.bad_status == 400 || out.bad_status == 501);
                assert_true(out.msg.bad_text.len > 0);
            }
        }
    }
}

/* Every place where a request can be cut in two gives the same result. */
static void request_cut_anywhere(void **state)
{
    (void)state;
    static const struct text input = TEXT_INIT(
        "\r\nPOST /a/b?c=d HTTP/1.1\r\nHost: a:8080\r\nX-One: 1\r\nX-Two:  two words \r\n"
        "Transfer-Encoding: Chunked\r\n\r\n5;x=y\r\nhello\r\n8\r\n, world!\r\n0\r\nT: 1\r\n\r\n");
    for (size_t cut = 1; cut < input.len; cut++) {
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct http_message msg;
        char *copy = arena_cstr(arena, input), body[64];
        size_t at = 0, end = cut, used, body_len = 0;
        struct text piece;
        enum http_message_result result;
        http_message_start(&msg, HTTP_MESSAGE_REQUEST, &limits, arena);
        while ((result = http_message_head(&msg, copy + at, end - at, &used)) ==
               HTTP_MESSAGE_MORE) {
            at += used;
            end = input.len;
        }
        assert_int_equal(result, HTTP_MESSAGE_DONE);
        at += used;
        check_text(http_message_method(&msg), "POST");
        check_text(msg.target, "/a/b?c=d");
        assert_int_equal(msg.fields_count, 4);
        check_text(http_header_get(http_message_headers(&msg), TEXT("x-two")), "two words");
        check_text(http_header_get(http_message_headers(&msg), TEXT("HOST")), "a:8080");
        do {
            result = http_message_body(&msg, copy + at, end - at, &used, &piece);
            if (piece.len > 0)
                memcpy(body + body_len, piece.at, piece.len);
            body_len += piece.len;
            at += used;
            end = input.len;
        } while (result == HTTP_MESSAGE_MORE);
        assert_int_equal(result, HTTP_MESSAGE_DONE);
        assert_int_equal(at, input.len);
        check_text(((struct text){body, body_len}), "hello, world!");
    }
}

/* What stands behind a message is left to the next one. */
static void pipelined(void **state)
{
    (void)state;
    static const struct text first = TEXT_INIT("GET /1 HTTP/1.1\r\n" HOST "\r\n");
    static const struct text all = TEXT_INIT("GET /1 HTTP/1.1\r\n" HOST "\r\n"
                                             "GET /2 HTTP/1.1\r\n" HOST "\r\n");
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct outcome out;
    feed(&out, HTTP_MESSAGE_REQUEST, all, SIZE_MAX, arena);
    assert_int_equal(out.used, first.len);
    check_text(out.msg.target, "/1");
    assert_true(out.msg.keep_alive);
}

static void too_large(void **state)
{
    (void)state;
    static const struct {
        const char *name, *before, *after;
        size_t count;
        int bad;
    } rows[] = {
        {"a head at the limit", "GET / HTTP/1.1\r\n" HOST "X: ", "\r\n\r\n", 32000, 0},
        {"too large a head", "GET / HTTP/1.1\r\n" HOST "X: ", "\r\n\r\n", 33000, 431},
        {"too large a head without end", "GET / HTTP/1.1\r\n" HOST "X: ", "", 33000, 431},
        {"a name without end", "GET / HTTP/1.1\r\n" HOST, "", 33000, 431},
        {"a target at the limit", "GET /", " HTTP/1.1\r\n" HOST "\r\n", 8000, 0},
        {"too long a target", "GET /", " HTTP/1.1\r\n" HOST "\r\n", 9000, 414},
        {"a target without end", "GET /", "", 9000, 414},
        {"a method without end", "", "", 33000, 501},
    };
    static const size_t steps[] = {SIZE_MAX, 4096, 1};
    for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(steps); i++) {
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct outcome out;
        check_case(rows[i / ARRAY_LEN(steps)].name);
        struct text_buf buf = text_buf_in(arena, MIB);
        text_buf_add(&buf, text_of(rows[i / ARRAY_LEN(steps)].before));
        for (size_t j = 0; j < rows[i / ARRAY_LEN(steps)].count; j++)
            text_buf_add(&buf, TEXT("a"));
        text_buf_add(&buf, text_of(rows[i / ARRAY_LEN(steps)].after));
        feed(&out, HTTP_MESSAGE_REQUEST, text_buf_text(&buf), steps[i % ARRAY_LEN(steps)], arena);
        assert_int_equal(out.bad_status, rows[i / ARRAY_LEN(steps)].bad);
    }
}

static void keep_alive(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        bool want;
    } rows[] = {
        {"GET / HTTP/1.1\r\n" HOST "\r\n", true},
        {"GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" HOST "Connection: te, Close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct outcome out;
        check_case(rows[i].input);
        feed(&out, HTTP_MESSAGE_REQUEST, text_of(rows[i].input), SIZE_MAX, arena);
        assert_int_equal(out.head, HTTP_MESSAGE_DONE);
        assert_int_equal(out.msg.keep_alive, rows[i].want);
    }
}

/* Extensions and trailers without end are refused, small chunks without end are not. */
static void chunk_overhead(void **state)
{
    (void)state;
    enum { SIZE = 64 * 1024 };
    AUTO(arena) struct arena *arena = arena_open(MIB);
    for (int kind = 0; kind < 4; kind++) {
        struct http_message msg;
        size_t used;
        struct text piece;
        static const char head[] = CHUNKED;
        http_message_start(&msg, HTTP_MESSAGE_REQUEST, &limits, arena);
        assert_int_equal(http_message_head(&msg, head, sizeof(head) - 1, &used), HTTP_MESSAGE_DONE);
        char *data = arena_alloc(arena, SIZE);
        size_t len = 0;
        static const char *const starts[] = {"1;", "0\r\nX: ", "0", ""};
        static const char *const repeats[] = {"a", "a", "0", "1\r\nx\r\n"};
        len += (size_t)snprintf(data, SIZE, "%s", starts[kind]);
        while (len + 8 < SIZE)
            len += (size_t)snprintf(data + len, SIZE - len, "%s", repeats[kind]);
        enum http_message_result result = http_message_body(&msg, data, len, &used, &piece);
        assert_int_equal(result, kind < 3 ? HTTP_MESSAGE_BAD : HTTP_MESSAGE_MORE);
    }
}

static const struct {
    const char *name;
    struct text input;
    enum http_framing framing;
    enum http_message_result head;
    const char *body;
} responses[] = {
    {"length", TEXT_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), HTTP_FRAMING_LENGTH,
     HTTP_MESSAGE_DONE, "ok"},
    {"no reason", TEXT_INIT("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"), HTTP_FRAMING_LENGTH,
     HTTP_MESSAGE_DONE, "ok"},
    {"chunked",
     TEXT_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
     HTTP_FRAMING_CHUNKED, HTTP_MESSAGE_DONE, "ok"},
    {"until close", TEXT_INIT("HTTP/1.1 200 OK\r\n\r\nok"), HTTP_FRAMING_CLOSE, HTTP_MESSAGE_DONE,
     "ok"},
    {"1.0", TEXT_INIT("HTTP/1.0 200 OK\r\n\r\nok"), HTTP_FRAMING_CLOSE, HTTP_MESSAGE_DONE, "ok"},
    {"204", TEXT_INIT("HTTP/1.1 204 No Content\r\n\r\n"), HTTP_FRAMING_NONE, HTTP_MESSAGE_DONE, ""},
    {"304 with length", TEXT_INIT("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
     HTTP_FRAMING_NONE, HTTP_MESSAGE_DONE, ""},
    {"100", TEXT_INIT("HTTP/1.1 100 Continue\r\n\r\n"), HTTP_FRAMING_NONE, HTTP_MESSAGE_DONE, ""},
    {"two lengths",
     TEXT_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
     HTTP_FRAMING_NONE, HTTP_MESSAGE_BAD, NULL},
    {"both framings",
     TEXT_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"),
     HTTP_FRAMING_NONE, HTTP_MESSAGE_BAD, NULL},
    {"other coding", TEXT_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
     HTTP_FRAMING_NONE, HTTP_MESSAGE_BAD, NULL},
    {"no HTTP", TEXT_INIT("SSH-2.0-OpenSSH\r\n"), HTTP_FRAMING_NONE, HTTP_MESSAGE_BAD, NULL},
    {"ICY", TEXT_INIT("ICY/1.0 200 OK\r\n\r\n"), HTTP_FRAMING_NONE, HTTP_MESSAGE_BAD, NULL},
    {"bad status", TEXT_INIT("HTTP/1.1 2x0 OK\r\n\r\n"), HTTP_FRAMING_NONE, HTTP_MESSAGE_BAD, NULL},
    {"LF lines", TEXT_INIT("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), HTTP_FRAMING_NONE,
     HTTP_MESSAGE_BAD, NULL},
};

static void responses_in_pieces(void **state)
{
    (void)state;
    static const size_t steps[] = {SIZE_MAX, 1, 5};
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        check_case(responses[i].name);
        for (size_t j = 0; j < ARRAY_LEN(steps); j++) {
            AUTO(arena) struct arena *arena = arena_open(MIB);
            struct outcome out;
            feed(&out, HTTP_MESSAGE_RESPONSE, responses[i].input, steps[j], arena);
            assert_int_equal(out.head, responses[i].head);
            if (out.head != HTTP_MESSAGE_DONE)
                continue;
            assert_int_equal(out.msg.framing, responses[i].framing);
            check_text(((struct text){out.body_text, out.body_len}), responses[i].body);
            assert_int_equal(out.body, responses[i].framing == HTTP_FRAMING_CLOSE
                                           ? HTTP_MESSAGE_MORE
                                           : HTTP_MESSAGE_DONE);
        }
    }
}

static void head_response(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct http_message msg;
    size_t used;
    struct text piece;
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
    http_message_start(&msg, HTTP_MESSAGE_RESPONSE, &limits, arena);
    assert_int_equal(http_message_head(&msg, head, sizeof(head) - 1, &used), HTTP_MESSAGE_DONE);
    assert_int_equal(msg.content_length, 500);
    http_message_no_body(&msg);
    char rest[1] = {'H'};
    assert_int_equal(http_message_body(&msg, rest, 1, &used, &piece), HTTP_MESSAGE_DONE);
    assert_int_equal(used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_in_pieces),  cmocka_unit_test(request_cut_anywhere),
        cmocka_unit_test(pipelined),           cmocka_unit_test(too_large),
        cmocka_unit_test(keep_alive),          cmocka_unit_test(chunk_overhead),
        cmocka_unit_test(responses_in_pieces), cmocka_unit_test(head_response),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
