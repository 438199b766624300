/* POST /v1/tokenize and /v1/detokenize: text to this model's tokens and back, in the shape that
 * vLLM gave them (the only one that names the model, which a front needs). Nothing is computed. */
#include "arena.h"
#include "engine_embed.h"
#include "fiber.h"
#include "http_request.h"
#include "infer_server_internal.h"
#include "infer_text_call.h"
#include "model_vocab.h"
#include "json.h"
#include <string.h>

enum { ANSWER_BYTES_MAX = 128 << 20, TOKENS_MAX = 8 << 20 };

/* One request, read and answered by a thread of the pool where it is long. */
struct work {
    struct infer_server *server;
    struct arena *arena;
    struct text body;
    struct text_buf answer;
    bool (*make)(struct work *work, struct status *st);
    bool ok;
    struct status *st;
};

static bool post(struct http_request *req, struct http_reply *reply,
                 bool (*make)(struct work *work, struct status *st), struct status *st);
static void make_now(void *arg);
static bool is_ready(const struct infer_server *server);
static bool tokenize(struct work *work, struct status *st);
static bool cut(const struct work *work, const struct infer_text_tokenize *asked,
                struct engine_tokens *tokens, struct status *st);
static bool cut_framed(const struct engine_embed_backend *backend,
                       const struct infer_text_tokenize *asked, struct engine_tokens *tokens,
                       struct status *st);
static void add_tokens(struct engine_tokens *to, const int32_t *tokens, uint32_t count);
static void end_tokens(void *tokens);
static void add_strings(const struct engine_tokens *tokens, struct work *work);
static bool detokenize(struct work *work, struct status *st);

bool infer_api_tokenize(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return post(req, reply, tokenize, st);
}

bool infer_api_detokenize(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return post(req, reply, detokenize, st);
}

static bool post(struct http_request *req, struct http_reply *reply,
                 bool (*make)(struct work *work, struct status *st), struct status *st)
{
    struct infer_server *server = infer_server_of(req);
    struct work work = {
        .server = server,
        .arena = req->arena,
        .answer = text_buf_in(req->arena, ANSWER_BYTES_MAX),
        .make = make,
        .st = st,
    };
    if (!is_ready(server) || server->draining)
        return status_fail(st, STATUS_UNAVAILABLE, "the model is not ready");
    if (!http_request_body(req, INFER_CALL_BODY_BYTES_MAX, &work.body, st)) /* waits */
        return false;
    if (work.body.len <= JSON_INLINE_BYTES)
        make_now(&work);
    else if (!offload(make_now, &work, st)) /* waits */
        return false;
    if (!work.ok)
        return false;
    if (work.answer.cut)
        return status_fail(st, STATUS_TOO_LARGE, "the answer would be too long");
    return http_reply_send(reply, 200, TEXT("application/json"), text_buf_text(&work.answer), st);
}

static void make_now(void *arg)
{
    struct work *work = arg;
    work->ok = work->make(work, work->st);
}

static bool tokenize(struct work *work, struct status *st)
{
    const struct infer_server_options *options = &work->server->options;
    struct infer_text_tokenize asked;
    uint32_t adapter; /* all have the same vocabulary */
    if (!infer_text_read_tokenize(work->body, work->arena, &asked, st) ||
        !infer_server_model(work->server, asked.model, &adapter, st))
        return false;
    struct engine_tokens *tokens = ARENA_NEW(work->arena, struct engine_tokens);
    arena_at_end(work->arena, end_tokens, tokens);
    if (!cut(work, &asked, tokens, st))
        return false;
    text_buf_addf(&work->answer, "{\"count\":%u,\"max_model_len\":%u,\"tokens\":[", tokens->count,
                  options->embed != NULL ? engine_embed_facts(options->embed)->context
                                         : engine_facts(options->engine)->context);
    for (uint32_t i = 0; i < tokens->count; i++)
        text_buf_addf(&work->answer, i > 0 ? ",%d" : "%d", tokens->at[i]);
    text_buf_add(&work->answer, TEXT("],\"token_strs\":"));
    if (asked.return_token_strs)
        add_strings(tokens, work);
    else
        text_buf_add(&work->answer, TEXT("null"));
    text_buf_add(&work->answer, TEXT("}"));
    return true;
}

static bool is_ready(const struct infer_server *server)
{
    if (server->options.embed != NULL)
        return engine_embed_state(server->options.embed, NULL, NULL) == ENGINE_READY;
    return server->chat != NULL;
}

static bool cut(const struct work *work, const struct infer_text_tokenize *asked,
                struct engine_tokens *tokens, struct status *st)
{
    const struct infer_server_options *options = &work->server->options;
    if (options->embed != NULL)
        return cut_framed(engine_embed_backend(options->embed), asked, tokens, st);
    return model_vocab_tokenize(model_llama_vocab(options->backend), asked->prompt,
                                asked->add_special_tokens, asked->parse_special, UINT32_MAX, tokens,
                                st);
}

/* As /v1/embeddings would compute it. */
static bool cut_framed(const struct engine_embed_backend *backend,
                       const struct infer_text_tokenize *asked, struct engine_tokens *tokens,
                       struct status *st)
{
    const int32_t *before, *between, *behind;
    uint32_t before_count, between_count, behind_count;
    size_t count;
    if (asked->parse_special)
        return status_fail_field(st, STATUS_INVALID, "parse_special",
                                 "parse_special is not for models that make embeddings: what looks "
                                 "like a control token is text to them");
    backend->ops->frame(backend, &before, &before_count, &between, &between_count, &behind,
                        &behind_count);
    if (asked->add_special_tokens)
        add_tokens(tokens, before, before_count);
    if (!backend->ops->tokenize(backend, asked->prompt, TOKENS_MAX, tokens, &count, st))
        return false;
    if (count > TOKENS_MAX)
        return status_fail_field(st, STATUS_TOO_LARGE, "prompt", "the text has %zu tokens", count);
    if (asked->add_special_tokens)
        add_tokens(tokens, behind, behind_count);
    return true;
}

static void add_tokens(struct engine_tokens *to, const int32_t *tokens, uint32_t count)
{
    if (count == 0)
        return;
    if (to->count + count > to->size) {
        to->size = to->count + count;
        to->at = base_resize(to->at, to->size * sizeof *to->at);
    }
    memcpy(to->at + to->count, tokens, count * sizeof *tokens);
    to->count += count;
}

static void end_tokens(void *tokens)
{
    engine_tokens_free(tokens);
}

/* Each by itself: of a character that is in several tokens every one has a part, U+FFFD. */
static void add_strings(const struct engine_tokens *tokens, struct work *work)
{
    const struct infer_server_options *options = &work->server->options;
    const struct engine_embed_backend *embed =
        options->embed != NULL ? engine_embed_backend(options->embed) : NULL;
    struct text_buf one = text_buf_in(work->arena, (size_t)4 * MODEL_PIECE_BYTES_MAX);
    text_buf_add(&work->answer, TEXT("["));
    for (uint32_t i = 0; i < tokens->count; i++) {
        one.len = 0;
        if (embed != NULL)
            embed->ops->piece(embed, tokens->at[i], &one);
        else if (!model_vocab_text(model_llama_vocab(options->backend), &tokens->at[i], 1, true,
                                   &one))
            break; /* three times the longest piece fits */
        if (i > 0)
            text_buf_add(&work->answer, TEXT(","));
        text_buf_add_json(&work->answer, text_buf_text(&one));
    }
    text_buf_add(&work->answer, TEXT("]"));
}

static bool detokenize(struct work *work, struct status *st)
{
    const struct infer_server_options *options = &work->server->options;
    const struct engine_embed_backend *embed =
        options->embed != NULL ? engine_embed_backend(options->embed) : NULL;
    const struct model_vocab *vocab = embed == NULL ? model_llama_vocab(options->backend) : NULL;
    struct infer_text_detokenize asked;
    uint32_t adapter;
    uint32_t known =
        embed != NULL ? engine_embed_facts(options->embed)->vocab : model_vocab_count(vocab);
    if (!infer_text_read_detokenize(work->body, known, work->arena, &asked, st) ||
        !infer_server_model(work->server, asked.model, &adapter, st))
        return false;
    struct text_buf text = text_buf_in(work->arena, ANSWER_BYTES_MAX / 4);
    if (embed != NULL) {
        if (!embed->ops->text(embed, asked.tokens, asked.tokens_count, &text, st))
            return false;
    } else if (!model_vocab_text(vocab, asked.tokens, asked.tokens_count, true, &text))
        return status_fail_field(st, STATUS_TOO_LARGE, "tokens", "the text would be too long");
    text_buf_add(&work->answer, TEXT("{\"prompt\":"));
    text_buf_add_json(&work->answer, text_buf_text(&text));
    text_buf_add(&work->answer, TEXT("}"));
    return true;
}
