/* POST /v1/completions: plain text, or tokens, goes on as it is: no template, and in a text no
 * control token unless it is asked for. */
#include "infer_generate.h"
#include "infer_prompt.h"
#include "infer_text_call.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_completion(struct infer_generate *g, struct text body, struct status *st);
static bool make_prompt(struct infer_generate *g, const struct infer_text_completion *asked,
                        size_t index, struct status *st);
static struct text echoed(const struct infer_generate *g, size_t index);
static void add_start(struct infer_generate *g, size_t index);
static void add_text(struct infer_generate *g, size_t index, struct text text);
static void add_finish(struct infer_generate *g, size_t index, bool last);
static void add_choice(struct infer_generate *g, size_t index, struct text_buf *buf);

static const struct infer_form form = {
    .id_prefix = "cmpl-",
    .object = "text_completion",
    .chunk_object = "text_completion",
    .read = read_completion,
    .add_start = add_start,
    .add_text = add_text,
    .add_finish = add_finish,
    .add_choice = add_choice,
};

bool infer_api_completions(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return infer_generate_post(&form, req, reply, st);
}

static bool read_completion(struct infer_generate *g, struct text body, struct status *st)
{
    struct infer_server *server = g->server;
    struct infer_text_completion *asked = ARENA_NEW(g->req->arena, struct infer_text_completion);
    uint32_t vocab = infer_vocab_count(infer_llama_vocab(server->options.backend));
    if (!infer_text_read_completion(body, vocab, g->req->arena, asked, st) ||
        !infer_server_is_model(server, asked->call.model, st))
        return false;
    g->call = asked->call;
    g->own = asked;
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
    const struct infer_vocab *vocab = infer_llama_vocab(g->server->options.backend);
    struct infer_text_prompt *from = &asked->prompts[index];
    struct infer_tokens *to = &g->prompts[index];
    char field[32] = "prompt";
    if (asked->listed)
        (void)snprintf(field, sizeof field, "prompt[%zu]", index);
    if (from->tokens == NULL) {
        if (!infer_vocab_tokenize(vocab, from->text, true, asked->parse_special, UINT32_MAX, to,
                                  st))
            return false;
    } else {
        to->at = malloc((from->tokens_count + 1) * sizeof *to->at);
        WEIR_ASSERT(to->at != NULL);
        memcpy(to->at, from->tokens, from->tokens_count * sizeof *to->at);
        to->count = to->size = (uint32_t)from->tokens_count;
    }
    if (!infer_prompt_fits(to, infer_engine_facts(g->server->options.engine)->context, field, st))
        return false;
    if (from->tokens == NULL || !asked->echo)
        return true;
    struct text_buf text = text_buf_in(g->req->arena, 64 * MIB);
    if (!infer_vocab_text(vocab, to->at, to->count, false, &text))
        return status_fail_field(st, STATUS_TOO_LARGE, field, "%s is too long", field);
    from->text = text_buf_text(&text);
    return true;
}

static struct text echoed(const struct infer_generate *g, size_t index)
{
    const struct infer_text_completion *asked = g->own;
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
    text_buf_addf(&g->out, ",\"index\":%zu,\"logprobs\":null,\"finish_reason\":null}", index);
    infer_generate_event_end(g, false);
}

static void add_finish(struct infer_generate *g, size_t index, bool last)
{
    infer_generate_event(g);
    text_buf_addf(&g->out,
                  "{\"text\":\"\",\"index\":%zu,\"logprobs\":null,\"finish_reason\":\"%s\"}", index,
                  g->choices[index].finish);
    infer_generate_event_end(g, last);
}

static void add_choice(struct infer_generate *g, size_t index, struct text_buf *buf)
{
    struct text said = echoed(g, index), text = text_buf_text(&g->choices[index].text);
    struct text_buf both = text_buf_in(g->req->arena, said.len + text.len);
    if (said.len > 0) {
        text_buf_add(&both, said);
        text_buf_add(&both, text);
        text = text_buf_text(&both);
    }
    text_buf_add(buf, TEXT("{\"text\":"));
    text_buf_add_json(buf, text);
    text_buf_addf(buf, ",\"index\":%zu,\"logprobs\":null,\"finish_reason\":\"%s\"}", index,
                  g->choices[index].finish);
}
