/* POST /v1/chat/completions: a conversation becomes a prompt by the model's template. */
#include "infer_generate.h"
#include "model_llama.h"

static bool read_chat(struct infer_generate *g, struct text body, struct status *st);
static void add_start(struct infer_generate *g, size_t index);
static void add_text(struct infer_generate *g, size_t index, struct text text);
static void add_part(struct infer_generate *g, size_t index, const struct model_part *part);
static void begin_delta(struct infer_generate *g, size_t index);
static void end_delta(struct infer_generate *g, size_t index);
static void add_finish(struct infer_generate *g, size_t index, bool last);
static void add_logs(struct infer_generate *g, size_t index, struct text_buf *buf);
static void add_choice(struct infer_generate *g, size_t index, struct text_buf *buf);
static void add_calls(const struct infer_choice *choice, struct text_buf *buf);
static void add_token(struct infer_generate *g, const struct engine_event *event,
                      struct text_buf *buf);
static void add_likely(struct text_buf *buf, const struct model_vocab *vocab, int32_t token,
                       float logprob);
static void add_repaired(struct text_buf *buf, struct text text);

static const struct infer_form form = {
    .id_prefix = "chatcmpl-",
    .object = "chat.completion",
    .chunk_object = "chat.completion.chunk",
    .read = read_chat,
    .add_start = add_start,
    .add_text = add_text,
    .add_finish = add_finish,
    .add_part = add_part,
    .add_token = add_token,
    .add_choice = add_choice,
};

bool infer_api_chat(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return infer_generate_post(&form, req, reply, st);
}

static bool read_chat(struct infer_generate *g, struct text body, struct status *st)
{
    struct infer_server *server = g->server;
    const struct model_vocab *vocab = model_llama_vocab(server->options.backend);
    struct infer_call_model model = {vocab, model_chat_takes_tools(server->chat)};
    uint32_t context = engine_facts(server->options.engine)->context;
    if (!infer_call_read(body, &model, g->req->arena, &g->call, st) ||
        !infer_server_model(server, g->call.model, &g->job.adapter, st))
        return false;
    infer_generate_prompts(g, 1);
    if (!infer_prompt_make(server->chat, vocab, &g->call, context, &g->shape, st))
        return false;
    g->prompts[0] = g->shape.tokens;
    g->shape.tokens = (struct engine_tokens){0};
    return infer_generate_take_grammar(g, st);
}

/* Content that is sure not to come is null, as it is in a whole answer. */
static void add_start(struct infer_generate *g, size_t index)
{
    begin_delta(g, index);
    text_buf_add(&g->out, TEXT("\"role\":\"assistant\",\"content\":"));
    text_buf_add(&g->out,
                 g->call.tools.choice == INFER_TOOLS_REQUIRED ? TEXT("null") : TEXT("\"\""));
    end_delta(g, index);
}

static void add_text(struct infer_generate *g, size_t index, struct text text)
{
    begin_delta(g, index);
    text_buf_add(&g->out, TEXT("\"content\":"));
    text_buf_add_json(&g->out, text);
    end_delta(g, index);
}

static void add_part(struct infer_generate *g, size_t index, const struct model_part *part)
{
    const struct infer_choice *choice = &g->choices[index];
    begin_delta(g, index);
    if (part->kind == MODEL_PART_REASONING) {
        text_buf_add(&g->out, TEXT("\"reasoning_content\":"));
        text_buf_add_json(&g->out, part->text);
    } else if (part->kind == MODEL_PART_CALL) {
        text_buf_addf(&g->out,
                      "\"tool_calls\":[{\"index\":%u,\"id\":\"call_%s\",\"type\":\"function\","
                      "\"function\":{\"name\":",
                      part->call, choice->calls[part->call].id.bytes + IDS_PREFIX_BYTES);
        text_buf_add_json(&g->out, part->text);
        text_buf_add(&g->out, TEXT(",\"arguments\":\"\"}}]"));
    } else {
        text_buf_addf(&g->out,
                      "\"tool_calls\":[{\"index\":%u,\"function\":{\"arguments\":", part->call);
        text_buf_add_json(&g->out, part->text);
        text_buf_add(&g->out, TEXT("}}]"));
    }
    end_delta(g, index);
}

static void begin_delta(struct infer_generate *g, size_t index)
{
    infer_generate_event(g);
    text_buf_addf(&g->out, "{\"index\":%zu,\"delta\":{", index);
}

static void end_delta(struct infer_generate *g, size_t index)
{
    text_buf_add(&g->out, TEXT("},\"logprobs\":"));
    add_logs(g, index, &g->out);
    text_buf_add(&g->out, TEXT(",\"finish_reason\":null}"));
    infer_generate_event_end(g, false);
}

static void add_finish(struct infer_generate *g, size_t index, bool last)
{
    infer_generate_event(g);
    text_buf_addf(&g->out, "{\"index\":%zu,\"delta\":{},\"logprobs\":", index);
    add_logs(g, index, &g->out);
    text_buf_addf(&g->out, ",\"finish_reason\":\"%s\"}", g->choices[index].finish);
    infer_generate_event_end(g, last);
}

/* In a stream only where there is something new to tell. */
static void add_logs(struct infer_generate *g, size_t index, struct text_buf *buf)
{
    struct infer_choice *choice = &g->choices[index];
    if (!g->call.logprobs || (g->call.stream && choice->logs.len == 0)) {
        text_buf_add(buf, TEXT("null"));
        return;
    }
    text_buf_add(buf, TEXT("{\"content\":["));
    text_buf_add(buf, text_buf_text(&choice->logs));
    text_buf_add(buf, TEXT("],\"refusal\":null}"));
    buf->cut |= choice->logs.cut;
    choice->logs.len = 0;
}

static void add_choice(struct infer_generate *g, size_t index, struct text_buf *buf)
{
    const struct infer_choice *choice = &g->choices[index];
    text_buf_addf(buf, "{\"index\":%zu,\"message\":{\"role\":\"assistant\",\"content\":", index);
    if (choice->calls_count > 0 && choice->text.len == 0)
        text_buf_add(buf, TEXT("null"));
    else
        text_buf_add_json(buf, text_buf_text(&choice->text));
    text_buf_add(buf, TEXT(",\"refusal\":null"));
    if (choice->reasoning.len > 0) {
        text_buf_add(buf, TEXT(",\"reasoning_content\":"));
        text_buf_add_json(buf, text_buf_text(&choice->reasoning));
    }
    add_calls(choice, buf);
    text_buf_add(buf, TEXT("},\"logprobs\":"));
    add_logs(g, index, buf);
    text_buf_addf(buf, ",\"finish_reason\":\"%s\"}", choice->finish);
}

static void add_calls(const struct infer_choice *choice, struct text_buf *buf)
{
    for (uint32_t i = 0; i < choice->calls_count; i++) {
        const struct infer_generate_call *call = &choice->calls[i];
        text_buf_add(buf, i == 0 ? TEXT(",\"tool_calls\":[") : TEXT(","));
        text_buf_addf(buf, "{\"id\":\"call_%s\",\"type\":\"function\",\"function\":{\"name\":",
                      call->id.bytes + IDS_PREFIX_BYTES);
        text_buf_add_json(buf, call->name);
        text_buf_add(buf, TEXT(",\"arguments\":"));
        text_buf_add_json(buf, text_buf_text(&call->arguments));
        text_buf_add(buf, i + 1 == choice->calls_count ? TEXT("}}]") : TEXT("}}"));
    }
}

/* --- logprobs --------------------------------------------------------------------------------- */

static void add_token(struct infer_generate *g, const struct engine_event *event,
                      struct text_buf *buf)
{
    const struct model_vocab *vocab = model_llama_vocab(g->server->options.backend);
    text_buf_add(buf, TEXT("{"));
    add_likely(buf, vocab, event->token, event->logprobs.chosen);
    text_buf_add(buf, TEXT(",\"top_logprobs\":["));
    for (uint32_t i = 0; i < event->logprobs.count; i++) {
        text_buf_add(buf, i > 0 ? TEXT(",{") : TEXT("{"));
        add_likely(buf, vocab, event->logprobs.at[i].token, event->logprobs.at[i].logprob);
        text_buf_add(buf, TEXT("}"));
    }
    text_buf_add(buf, TEXT("]}"));
}

static void add_likely(struct text_buf *buf, const struct model_vocab *vocab, int32_t token,
                       float logprob)
{
    char piece[MODEL_PIECE_BYTES_MAX];
    struct text name = {piece, model_vocab_name(vocab, token, piece)};
    text_buf_add(buf, TEXT("\"token\":"));
    add_repaired(buf, name);
    text_buf_addf(buf, ",\"logprob\":%.9g,\"bytes\":[", (double)logprob);
    for (size_t i = 0; i < name.len; i++)
        text_buf_addf(buf, "%s%d", i > 0 ? "," : "", (unsigned char)name.at[i]);
    text_buf_add(buf, TEXT("]"));
}

/* As a JSON string: bytes that are no whole character become U+FFFD. */
static void add_repaired(struct text_buf *buf, struct text text)
{
    char memory[3 * MODEL_PIECE_BYTES_MAX];
    struct text_out out = text_out_over(memory, sizeof memory);
    while (text.len > 0) {
        size_t width = 1;
        while (width < 4 && width <= text.len && !text_utf8_valid(text_take(text, width)))
            width++;
        bool whole = width <= text.len && text_utf8_valid(text_take(text, width));
        text_out_add(&out, whole ? text_take(text, width) : TEXT("\xef\xbf\xbd"));
        text = text_skip(text, whole ? width : 1);
    }
    text_buf_add_json(buf, text_out_text(&out));
}
