#include "relay_stream.h"
#include "check.h"
#include <stdio.h>
#include <stdlib.h>

#define CHUNK(text)                                                                                \
    "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define USAGE                                                                                      \
    "data: {\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,"                        \
    "\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":1}},"                    \
    "\"timings\":{\"queue_ms\":1.5,\"prefill_ms\":20,\"decode_ms\":300}}\n\n"
#define DONE "data: [DONE]\n\n"

/* What comes in, whether usage is stripped, what goes out, and the state in the end. */
static const struct {
    const char *name, *in;
    bool strip;
    const char *out;
    enum relay_stream_state state;
} streams[] = {
    {"as it came", CHUNK("a") CHUNK("b") DONE, true, CHUNK("a") CHUNK("b") DONE, RELAY_STREAM_DONE},
    {"the usage chunk left out", CHUNK("a") USAGE DONE, true, CHUNK("a") DONE, RELAY_STREAM_DONE},
    {"the usage chunk asked for", CHUNK("a") USAGE DONE, false, CHUNK("a") USAGE DONE,
     RELAY_STREAM_DONE},
    {"other line ends", "data: {\"choices\":[]}\r\n\r\ndata: [DONE]\r\r", true,
     "data: {\"choices\":[]}\n\n" DONE, RELAY_STREAM_DONE},
    {"no space, comments, names", ": hi\n\nevent: x\nid: 1\ndata:{\"choices\":[]}\n\n" DONE, true,
     "data: {\"choices\":[]}\n\n" DONE, RELAY_STREAM_DONE},
    {"a chunk of two lines", "data: {\"choices\":\ndata: []}\n\n" DONE, true,
     "data: {\"choices\":\ndata: []}\n\n" DONE, RELAY_STREAM_DONE},
    {"another name", "data: {\"id\":1,\"model\":\"theirs\",\"choices\":[]}\n\n" DONE, true,
     "data: {\"id\":1,\"model\":\"m\",\"choices\":[]}\n\n" DONE, RELAY_STREAM_DONE},
    {"nothing behind the end", DONE CHUNK("late"), true, DONE, RELAY_STREAM_DONE},
    {"empty data means nothing", "data:\n\n" DONE, true, DONE, RELAY_STREAM_DONE},
    {"no end", CHUNK("a") "data: {\"choi", true, CHUNK("a"), RELAY_STREAM_OPEN},
    {"no JSON", CHUNK("a") "data: oops\n\n" DONE, true, CHUNK("a"), RELAY_STREAM_FAILED},
    {"no object", CHUNK("a") "data: [1]\n\n", true, CHUNK("a"), RELAY_STREAM_FAILED},
    {"an error", CHUNK("a") "data: {\"error\":{\"message\":\"broke\"}}\n\n" DONE, true, CHUNK("a"),
     RELAY_STREAM_FAILED},
    {"a null error is none", "data: {\"error\":null,\"choices\":[]}\n\n" DONE, true,
     "data: {\"error\":null,\"choices\":[]}\n\n" DONE, RELAY_STREAM_DONE},
    {"bytes that are not UTF-8", "data: {\"a\":\"\xff\"}\n\n", true, "", RELAY_STREAM_FAILED},
};

/* Feeds `in` in pieces of `step` bytes, each in memory of its own, and gathers what goes out. */
static enum relay_stream_state feed(struct relay_stream *stream, struct text in, size_t step,
                                    struct text_buf *out)
{
    enum relay_stream_state state = RELAY_STREAM_OPEN;
    struct status st = {0};
    while (in.len > 0) {
        struct text piece = text_take(in, step), got;
        char *copy = malloc(piece.len);
        assert_non_null(copy);
        memcpy(copy, piece.at, piece.len);
        state = relay_stream_feed(stream, (struct text){copy, piece.len}, &got, &st);
        text_buf_add(out, got);
        free(copy);
        in = text_skip(in, step);
    }
    if (state == RELAY_STREAM_FAILED)
        assert_int_equal(st.code, STATUS_UPSTREAM);
    return state;
}

/* Wherever the stream is cut into pieces, the same goes out. */
static void passes_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        check_case(streams[i].name);
        for (size_t step = 1; step <= strlen(streams[i].in); step++) {
            AUTO(arena) struct arena *arena = arena_open(MIB);
            AUTO(relay_stream)
            struct relay_stream *stream = relay_stream_new(TEXT("m"), streams[i].strip);
            struct text_buf out = text_buf_in(arena, 64 * KIB);
            assert_int_equal(feed(stream, text_of(streams[i].in), step, &out), streams[i].state);
            check_text(text_buf_text(&out), streams[i].out);
        }
    }
}

static void whole_pieces_are_not_copied(void **state)
{
    (void)state;
    AUTO(relay_stream) struct relay_stream *stream = relay_stream_new(TEXT("m"), true);
    struct text piece = text_of(CHUNK("a") CHUNK("b")), out;
    struct status st = {0};
    assert_int_equal(relay_stream_feed(stream, piece, &out, &st), RELAY_STREAM_OPEN);
    assert_ptr_equal(out.at, piece.at);
    assert_int_equal(out.len, piece.len);
}

static void reads_usage(void **state)
{
    (void)state;
    static const struct {
        const char *name, *usage;
        bool known;
    } table[] = {
        {"good", "{\"prompt_tokens\":3,\"completion_tokens\":2}", true},
        {"as floats", "{\"prompt_tokens\":3.0,\"completion_tokens\":2e0}", true},
        {"negative", "{\"prompt_tokens\":-1,\"completion_tokens\":2}", false},
        {"huge", "{\"prompt_tokens\":9223372036854775807,\"completion_tokens\":2}", false},
        {"beyond a number", "{\"prompt_tokens\":1e30,\"completion_tokens\":2}", false},
        {"text", "{\"prompt_tokens\":\"3\",\"completion_tokens\":2}", false},
        {"missing", "{\"prompt_tokens\":3}", false},
        {"a number", "7", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct relay_chunk chunk;
        struct status st = {0};
        check_case(table[i].name);
        struct text data = arena_format(arena, "{\"choices\":[],\"usage\":%s}", table[i].usage);
        assert_true(relay_chunk_read(RELAY_CHAT, data, &chunk, &st));
        assert_int_equal(chunk.usage.known, table[i].known);
        assert_int_equal(chunk.usage.completion_tokens, table[i].known ? 2 : 0);
        assert_int_equal(chunk.bare_usage, table[i].known);
    }
}

static void counts(void **state)
{
    (void)state;
    AUTO(relay_stream) struct relay_stream *stream = relay_stream_new(TEXT("m"), true);
    struct text out;
    struct status st = {0};
    assert_int_equal(
        relay_stream_feed(stream, text_of(CHUNK("a") CHUNK("b") USAGE DONE), &out, &st),
        RELAY_STREAM_DONE);
    assert_int_equal(relay_stream_chunks(stream), 2);
    assert_int_equal(relay_stream_usage(stream)->prompt_tokens, 3);
    assert_int_equal(relay_stream_usage(stream)->cached_tokens, 1);
    assert_true(relay_stream_timings(stream)->decode_ms > 299);
    assert_true(relay_stream_first_us(stream) > 0);
}

/* Times are shown as whole numbers: what fits in none is not known. */
static void times_out_of_range(void **state)
{
    (void)state;
    static const char *const numbers[] = {"-1", "1e300", "1e18", "1e11", "null", "\"5\""};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        char body[200];
        struct relay_chunk chunk;
        struct status st = {0};
        check_case(numbers[i]);
        snprintf(body, sizeof(body), "{\"choices\":[],\"timings\":{\"queue_ms\":%s}}", numbers[i]);
        assert_true(relay_chunk_read(RELAY_CHAT, text_of(body), &chunk, &st));
        assert_true(chunk.timings.queue_ms < 0);
    }
}

static void deltas(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct relay_chunk chunk;
    struct status st = {0};
    struct text content, finish, message, param, code;
    assert_true(relay_chunk_read(RELAY_CHAT,
                                 TEXT("{\"choices\":[{\"delta\":{\"content\":\"a\\nb\"},"
                                      "\"finish_reason\":\"length\"}]}"),
                                 &chunk, &st));
    relay_chunk_delta(&chunk, arena, &content, &finish);
    check_text(content, "a\nb");
    check_text(finish, "length");
    assert_true(relay_chunk_read(RELAY_CHAT, TEXT("{\"choices\":5}"), &chunk, &st));
    relay_chunk_delta(&chunk, arena, &content, &finish);
    check_text(content, "");
    assert_true(relay_chunk_read(RELAY_CHAT,
                                 TEXT("{\"error\":{\"message\":\"m\",\"param\":null,"
                                      "\"code\":\"c\"}}"),
                                 &chunk, &st));
    relay_chunk_error(chunk.error, arena, &message, &param, &code);
    check_text(message, "m");
    check_text(param, "");
    check_text(code, "c");
    assert_true(relay_chunk_read(RELAY_CHAT, TEXT("{\"error\":\"plain\"}"), &chunk, &st));
    relay_chunk_error(chunk.error, arena, &message, &param, &code);
    check_text(message, "plain");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_on),          cmocka_unit_test(whole_pieces_are_not_copied),
        cmocka_unit_test(reads_usage),        cmocka_unit_test(counts),
        cmocka_unit_test(times_out_of_range), cmocka_unit_test(deltas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
