/* POST /v1/completions: plain text, or tokens, goes on as it is: no template, and in a text no
 * control token unless it is asked for. */
#include "infer_generate.h"
#include "infer_prompt.h"
#include "infer_text_call.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What read leaves for the others. */
struct own {
    struct infer_text_completion asked;
    size_t *told; /* streaming: characters of each answer whose logprobs were told */
};

static bool read_completion(struct infer_generate *g, struct text body, struct status *st);
static bool make_prompt(struct infer_generate *g, const struct infer_text_completion *asked,
                        size_t index, struct status *st);
static struct text echoed(const struct infer_generate *g, size_t index);
static void add_start(struct infer_generate *g, size_t index);
static void add_text(struct infer_generate *g, size_t index, struct text text);
static void add_finish(struct infer_generate *g, size_t index, bool last);
static void choose(struct infer_generate *g);
static void add_choice(struct infer_generate *g, size_t index, struct text_buf *buf);
static void add_token(struct infer_generate *g, const struct engine_event *event,
                      struct text_buf *buf);
static void add_logs(struct infer_generate *g, size_t index, struct text_buf *buf);

static const struct infer_form form = {
    .id_prefix = "cmpl-",
    .object = "text_completion",
    .chunk_object = "text_completion",
    .read = read_completion,
    .add_start = add_start,
    .add_text = add_text,
    .add_finish = add_finish,
    .add_token = add_token,
    .choose = choose,
    .add_choice = add_choice,
};

bool infer_api_completions(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return infer_generate_post(&form, req, reply, st);
}

static bool read_completion(struct infer_generate *g, struct text body, struct status *st)
{
    struct infer_server *server = g->server;
    struct own *own = ARENA_NEW(g->req->arena, struct own);
    struct infer_text_completion *asked = &own->asked;
    uint32_t vocab = model_vocab_count(model_llama_vocab(server->options.backend));
    if (!infer_text_read_completion(body, vocab, g->req->arena, asked, st) ||
        !infer_server_model(server, asked->call.model, &g->job.adapter, st))
        return false;
    g->call = asked->call;
    g->own = own;
    own->told = ARENA_ARRAY(g->req->arena, asked->prompts_count * asked->call.n, size_t);
    infer_generate_prompts(g, asked->prompts_count);
    for (size_t i = 0; i < asked->prompts_count; i++)
        if (!make_prompt(g, asked, i, st))
            return false;
    return true;
}

/* Its tokens; and its text, where that is to be said again. */
static bool make_prompt(struct infer_generate *g, const struct infer_text_completion *asked,
                        size_t index, struct status *st)
{
    const struct model_vocab *vocab = model_llama_vocab(g->server->options.backend);
    struct infer_text_prompt *from = &asked->prompts[index];
    struct engine_tokens *to = &g->prompts[index];
    char field[32] = "prompt";
    if (asked->listed)
        (void)snprintf(field, sizeof field, "prompt[%zu]", index);
    if (from->tokens == NULL) {
        if (!model_vocab_tokenize(vocab, from->text, true, asked->parse_special, UINT32_MAX, to,
                                  st))
            return false;
    } else {
        to->at = malloc((from->tokens_count + 1) * sizeof *to->at);
        WEIR_ASSERT(to->at != NULL);
        memcpy(to->at, from->tokens, from->tokens_count * sizeof *to->at);
        to->count = to->size = (uint32_t)from->tokens_count;
    }
    if (!infer_prompt_fits(to, engine_facts(g->server->options.engine)->context, field, st))
        return false;
    if (from->tokens == NULL || !asked->echo)
        return true;
    struct text_buf text = text_buf_in(g->req->arena, 64 * MIB);
    if (!model_vocab_text(vocab, to->at, to->count, false, &text))
        return status_fail_field(st, STATUS_TOO_LARGE, field, "%s is too long", field);
    from->text = text_buf_text(&text);
    return true;
}

static struct text echoed(const struct infer_generate *g, size_t index)
{
    const struct infer_text_completion *asked = &((const struct own *)g->own)->asked;
    return asked->echo ? asked->prompts[index / g->call.n].text : TEXT("");
}

static void add_start(struct infer_generate *g, size_t index)
{
    if (echoed(g, index).len > 0)
        add_text(g, index, echoed(g, index));
}

static void add_text(struct infer_generate *g, size_t index, struct text text)
{
    infer_generate_event(g);
    text_buf_add(&g->out, TEXT("{\"text\":"));
    text_buf_add_json(&g->out, text);
    text_buf_addf(&g->out, ",\"index\":%zu,\"logprobs\":", index);
    add_logs(g, index, &g->out);
    text_buf_add(&g->out, TEXT(",\"finish_reason\":null}"));
    infer_generate_event_end(g, false);
}

static void add_finish(struct infer_generate *g, size_t index, bool last)
{
    infer_generate_event(g);
    text_buf_addf(&g->out, "{\"text\":\"\",\"index\":%zu,\"logprobs\":", index);
    add_logs(g, index, &g->out);
    text_buf_addf(&g->out, ",\"finish_reason\":\"%s\"}", g->choices[index].finish);
    infer_generate_event_end(g, last);
}

static void add_choice(struct infer_generate *g, size_t index, struct text_buf *buf)
{
    const struct infer_text_completion *asked = &((const struct own *)g->own)->asked;
    struct text said = echoed(g, index), text = text_buf_text(&g->choices[index].text);
    struct text_buf both = text_buf_in(g->req->arena, said.len + text.len);
    if (said.len > 0) {
        text_buf_add(&both, said);
        text_buf_add(&both, text);
        text = text_buf_text(&both);
    }
    text_buf_add(buf, TEXT("{\"text\":"));
    text_buf_add_json(buf, text);
    text_buf_addf(
        buf, ",\"index\":%zu,\"logprobs\":", index / g->call.n * asked->shown + index % g->call.n);
    add_logs(g, index, buf);
    text_buf_addf(buf, ",\"finish_reason\":\"%s\"}", g->choices[index].finish);
}

/* --- logprobs ----------------------------------------------------------------------------------
 * The dialect tells them as four lists side by side. Until then a token is one record of fields
 * that end in FIELD and RECORD, which no JSON has. */

#define FIELD '\x1f'
#define RECORD '\x1e'

struct record {
    struct text token, logprob, characters, tops; /* JSON but for the third */
};

static void add_name(struct text_buf *buf, const struct model_vocab *vocab, int32_t token);
static bool next_record(struct text *logs, struct record *out);
static double mean_logprob(const struct infer_choice *choice);

static void add_token(struct infer_generate *g, const struct engine_event *event,
                      struct text_buf *buf)
{
    const struct model_vocab *vocab = model_llama_vocab(g->server->options.backend);
    const struct engine_logprobs *logs = &event->logprobs;
    char piece[MODEL_PIECE_BYTES_MAX];
    size_t len = model_vocab_piece(vocab, event->token, piece), characters = 0;
    bool among = false;
    for (size_t i = 0; i < len; i++)
        characters += ((unsigned char)piece[i] & 0xC0) != 0x80;
    add_name(buf, vocab, event->token);
    text_buf_addf(buf, "%c%.9g%c%zu%c{", FIELD, (double)logs->chosen, FIELD, characters, FIELD);
    for (uint32_t i = 0; i < logs->count; i++) {
        among = among || logs->at[i].token == event->token;
        if (i > 0)
            text_buf_add(buf, TEXT(","));
        add_name(buf, vocab, logs->at[i].token);
        text_buf_addf(buf, ":%.9g", (double)logs->at[i].logprob);
    }
    if (!among) { /* the one that was drawn is always told */
        if (logs->count > 0)
            text_buf_add(buf, TEXT(","));
        add_name(buf, vocab, event->token);
        text_buf_addf(buf, ":%.9g", (double)logs->chosen);
    }
    text_buf_addf(buf, "}%c", RECORD);
}

/* What is no whole text is told by its bytes, as OpenAI does. */
static void add_name(struct text_buf *buf, const struct model_vocab *vocab, int32_t token)
{
    char piece[MODEL_PIECE_BYTES_MAX], memory[8 + 4 * MODEL_PIECE_BYTES_MAX];
    struct text name = {piece, model_vocab_name(vocab, token, piece)};
    struct text_out out = text_out_over(memory, sizeof memory);
    if (!text_utf8_valid(name)) {
        text_out_add(&out, TEXT("bytes:"));
        for (size_t i = 0; i < name.len; i++)
            text_out_addf(&out, "\\x%02x", (unsigned char)name.at[i]);
        name = text_out_text(&out);
    }
    text_buf_add_json(buf, name);
}

static bool next_record(struct text *logs, struct record *out)
{
    struct text record;
    if (!text_split(logs, RECORD, &record) || record.len == 0)
        return false;
    if (record.at[0] == ',') /* between two */
        record = text_skip(record, 1);
    return text_split(&record, FIELD, &out->token) && text_split(&record, FIELD, &out->logprob) &&
           text_split(&record, FIELD, &out->characters) && text_split(&record, FIELD, &out->tops);
}

/* Of the tokens that were not told yet. Offsets are in characters of the text. */
static void add_logs(struct infer_generate *g, size_t index, struct text_buf *buf)
{
    struct own *own = g->own;
    struct text_buf *logs = &g->choices[index].logs;
    struct text rest;
    struct record record;
    if (!own->asked.logprobs || (g->call.stream && logs->len == 0)) {
        text_buf_add(buf, TEXT("null"));
        return;
    }
    text_buf_add(buf, TEXT("{\"tokens\":["));
    rest = text_buf_text(logs);
    for (bool first = true; next_record(&rest, &record); first = false) {
        text_buf_add(buf, first ? TEXT("") : TEXT(","));
        text_buf_add(buf, record.token);
    }
    text_buf_add(buf, TEXT("],\"token_logprobs\":["));
    rest = text_buf_text(logs);
    for (bool first = true; next_record(&rest, &record); first = false) {
        text_buf_add(buf, first ? TEXT("") : TEXT(","));
        text_buf_add(buf, record.logprob);
    }
    text_buf_add(buf, TEXT("],\"top_logprobs\":["));
    rest = text_buf_text(logs);
    for (bool first = true; next_record(&rest, &record); first = false) {
        text_buf_add(buf, first ? TEXT("") : TEXT(","));
        text_buf_add(buf, record.tops);
    }
    text_buf_add(buf, TEXT("],\"text_offset\":["));
    rest = text_buf_text(logs);
    for (bool first = true; next_record(&rest, &record); first = false) {
        int64_t characters = 0;
        (void)!text_to_i64(record.characters, &characters);
        text_buf_addf(buf, first ? "%zu" : ",%zu", own->told[index]);
        own->told[index] += (size_t)characters;
    }
    text_buf_add(buf, TEXT("]}"));
    buf->cut |= logs->cut;
    logs->len = 0;
}

/* The best stand first among the answers to their prompt; the others are left out. */
static void choose(struct infer_generate *g)
{
    const struct infer_text_completion *asked = &((const struct own *)g->own)->asked;
    uint32_t n = g->call.n;
    if (asked->shown == n)
        return;
    for (size_t p = 0; p < g->prompts_count; p++) {
        struct infer_choice *at = &g->choices[p * n];
        for (uint32_t i = 1; i < n; i++) /* a handful: by insertion */
            for (uint32_t k = i; k > 0 && mean_logprob(&at[k]) > mean_logprob(&at[k - 1]); k--) {
                struct infer_choice held = at[k];
                at[k] = at[k - 1];
                at[k - 1] = held;
            }
        for (uint32_t i = asked->shown; i < n; i++)
            at[i].left_out = true;
    }
}

static double mean_logprob(const struct infer_choice *choice)
{
    struct text logs = text_buf_text(&choice->logs);
    struct record record;
    double sum = 0, one;
    size_t count = 0;
    for (; next_record(&logs, &record); count++)
        if (text_to_double(record.logprob, &one))
            sum += one;
    return count > 0 ? sum / (double)count : 0;
}
