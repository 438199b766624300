/* POST /v1/chat/completions: a conversation becomes a prompt by the model's template. */
#include "infer_generate.h"
#include "infer_prompt.h"

static bool read_chat(struct infer_generate *g, struct text body, struct status *st);
static void add_start(struct infer_generate *g, size_t index);
static void add_text(struct infer_generate *g, size_t index, struct text text);
static void add_delta(struct infer_generate *g, size_t index, const char *before, struct text text);
static void add_finish(struct infer_generate *g, size_t index, bool last);
static void add_choice(struct infer_generate *g, size_t index, struct text_buf *buf);

static const struct infer_form form = {
    .id_prefix = "chatcmpl-",
    .object = "chat.completion",
    .chunk_object = "chat.completion.chunk",
    .read = read_chat,
    .add_start = add_start,
    .add_text = add_text,
    .add_finish = add_finish,
    .add_choice = add_choice,
};

bool infer_api_chat(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return infer_generate_post(&form, req, reply, st);
}

static bool read_chat(struct infer_generate *g, struct text body, struct status *st)
{
    struct infer_server *server = g->server;
    const struct infer_vocab *vocab = infer_llama_vocab(server->options.backend);
    if (!infer_call_read(body, vocab, g->req->arena, &g->call, st) ||
        !infer_server_is_model(server, g->call.model, st))
        return false;
    infer_generate_prompts(g, 1);
    return infer_prompt_make(server->chat, vocab, g->call.messages,
                             infer_engine_facts(server->options.engine)->context, &g->prompts[0],
                             st);
}

static void add_start(struct infer_generate *g, size_t index)
{
    add_delta(g, index, "\"role\":\"assistant\",\"content\":", TEXT(""));
}

static void add_text(struct infer_generate *g, size_t index, struct text text)
{
    add_delta(g, index, "\"content\":", text);
}

static void add_delta(struct infer_generate *g, size_t index, const char *before, struct text text)
{
    infer_generate_event(g);
    text_buf_addf(&g->out, "{\"index\":%zu,\"delta\":{%s", index, before);
    text_buf_add_json(&g->out, text);
    text_buf_add(&g->out, TEXT("},\"logprobs\":null,\"finish_reason\":null}"));
    infer_generate_event_end(g, false);
}

static void add_finish(struct infer_generate *g, size_t index, bool last)
{
    infer_generate_event(g);
    text_buf_addf(&g->out,
                  "{\"index\":%zu,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"%s\"}", index,
                  g->choices[index].finish);
    infer_generate_event_end(g, last);
}

static void add_choice(struct infer_generate *g, size_t index, struct text_buf *buf)
{
    text_buf_addf(buf, "{\"index\":%zu,\"message\":{\"role\":\"assistant\",\"content\":", index);
    text_buf_add_json(buf, text_buf_text(&g->choices[index].text));
    text_buf_addf(buf, ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"%s\"}",
                  g->choices[index].finish);
}
