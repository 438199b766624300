/* From the tokens of the answers to what they say. */
#include "infer_generate.h"
#include "model_answer.h"
#include "model_llama.h"
#include "model_vocab_kept.h"

struct taking {
    struct infer_generate *g;
    size_t index;
};

static bool take(struct infer_generate *g, size_t index, struct status *st);
static void take_text(struct infer_generate *g, size_t index, struct text text, bool last);
static void take_part(void *arg, const struct model_part *part);
static void stream_part(struct infer_generate *g, size_t index, const struct model_part *part);
static void begin_call(struct infer_generate *g, struct infer_choice *choice,
                       const struct model_part *part);
static void keep_token(struct infer_generate *g, struct infer_choice *choice,
                       const struct engine_event *event);
static void give_tokens(struct infer_choice *choice);
static bool ended(struct infer_choice *choice, enum engine_ending ending, struct status *st);

bool infer_generate_take(struct infer_generate *g, struct status *st)
{
    for (size_t i = 0; i < g->choices_count; i++)
        if (g->choices[i].finish == NULL && !take(g, i, st))
            return false;
    return true;
}

static bool take(struct infer_generate *g, size_t index, struct status *st)
{
    struct infer_choice *choice = &g->choices[index];
    const struct model_vocab *vocab = model_llama_vocab(g->server->options.backend);
    struct engine_event event = {.ending = ENGINE_ENDING_NONE, .token = -1};
    char piece[MODEL_PIECE_BYTES_MAX];
    while (engine_request_poll(choice->request, &event)) {
        if (event.ending != ENGINE_ENDING_NONE)
            break;
        struct text text;
        size_t len = g->shape.chat.format != NULL
                         ? model_vocab_kept_piece(g->server->kept, event.token, piece)
                         : model_vocab_piece(vocab, event.token, piece);
        bool stopped = model_answer_add(choice->answer, (struct text){piece, len}, &text);
        choice->tokens++;
        choice->bytes += len;
        if (g->call.logprobs && g->form->add_token != NULL) {
            keep_token(g, choice, &event);
            give_tokens(choice);
        }
        take_text(g, index, text, stopped);
        if (!stopped)
            continue;
        choice->finish = choice->calls_count > 0 ? "tool_calls" : "stop";
        engine_request_finish(choice->request);
        return true;
    }
    if (event.ending == ENGINE_ENDING_NONE)
        return true;
    struct text rest = model_answer_rest(choice->answer);
    give_tokens(choice);
    take_text(g, index, rest, true);
    choice->tokens = engine_request_outputs(choice->request);
    return ended(choice, event.ending, st);
}

static void take_text(struct infer_generate *g, size_t index, struct text text, bool last)
{
    struct infer_choice *choice = &g->choices[index];
    struct taking taking = {g, index};
    struct model_part part = {MODEL_PART_CONTENT, 0, text};
    if (choice->reader != NULL)
        model_reader_add(choice->reader, text, last, take_part, &taking);
    else if (text.len > 0)
        take_part(&taking, &part);
}

static void take_part(void *arg, const struct model_part *part)
{
    const struct taking *taking = arg;
    struct infer_generate *g = taking->g;
    struct infer_choice *choice = &g->choices[taking->index];
    bool is_call = part->kind == MODEL_PART_CALL || part->kind == MODEL_PART_ARGUMENTS;
    bool begun = part->kind == MODEL_PART_CALL || part->call < choice->calls_count;
    if (is_call && (part->call >= INFER_GENERATE_CALLS_MAX || !begun))
        return;
    if (part->kind == MODEL_PART_CALL)
        begin_call(g, choice, part);
    if (g->call.stream) {
        stream_part(g, taking->index, part);
        return;
    }
    switch (part->kind) {
    case MODEL_PART_CONTENT:
        text_buf_add(&choice->text, part->text);
        break;
    case MODEL_PART_REASONING:
        text_buf_add(&choice->reasoning, part->text);
        break;
    case MODEL_PART_ARGUMENTS:
        text_buf_add(&choice->calls[part->call].arguments, part->text);
        break;
    case MODEL_PART_CALL:
    case MODEL_PART_KIND_COUNT:
        break;
    }
}

static void stream_part(struct infer_generate *g, size_t index, const struct model_part *part)
{
    if (part->kind == MODEL_PART_CONTENT)
        g->form->add_text(g, index, part->text);
    else if (g->form->add_part != NULL)
        g->form->add_part(g, index, part);
}

static void begin_call(struct infer_generate *g, struct infer_choice *choice,
                       const struct model_part *part)
{
    struct arena *arena = g->req->arena;
    if (choice->calls == NULL)
        choice->calls = ARENA_ARRAY(arena, INFER_GENERATE_CALLS_MAX, struct infer_generate_call);
    struct infer_generate_call *call = &choice->calls[part->call];
    call->id = ids_new("cal_");
    call->name = arena_text(arena, part->text);
    call->arguments = text_buf_in(arena, 64 * MIB);
    if (part->call >= choice->calls_count)
        choice->calls_count = part->call + 1;
}

static void keep_token(struct infer_generate *g, struct infer_choice *choice,
                       const struct engine_event *event)
{
    struct arena *arena = g->req->arena;
    struct infer_generate_token *token = ARENA_NEW(arena, struct infer_generate_token);
    struct text_buf json = text_buf_in(arena, 256 * KIB);
    g->form->add_token(g, event, &json);
    *token = (struct infer_generate_token){.end = choice->bytes, .json = text_buf_text(&json)};
    if (choice->last_token != NULL)
        choice->last_token->next = token;
    else
        choice->first_token = token;
    choice->last_token = token;
}

/* Those whose text has been given out, or is being. */
static void give_tokens(struct infer_choice *choice)
{
    uint64_t given = choice->bytes - model_answer_held(choice->answer);
    while (choice->first_token != NULL && choice->first_token->end <= given) {
        struct infer_generate_token *token = choice->first_token;
        if (choice->logs.len > 0)
            text_buf_add(&choice->logs, TEXT(","));
        text_buf_add(&choice->logs, token->json);
        choice->first_token = token->next;
        if (choice->first_token == NULL)
            choice->last_token = NULL;
    }
}

static bool ended(struct infer_choice *choice, enum engine_ending ending, struct status *st)
{
    switch (ending) {
    case ENGINE_ENDING_STOP:
        choice->finish = choice->calls_count > 0 ? "tool_calls" : "stop";
        return true;
    case ENGINE_ENDING_LENGTH:
        choice->finish = "length";
        return true;
    case ENGINE_ENDING_STALLED:
        return status_fail(st, STATUS_TIMEOUT, "the answer was dropped: nobody read it");
    case ENGINE_ENDING_STUCK:
        return status_fail(st, STATUS_INVALID,
                           "the model has no token by which the answer could go on as its grammar "
                           "demands");
    case ENGINE_ENDING_NONE:
    case ENGINE_ENDING_CANCELLED:
    case ENGINE_ENDING_FAILED:
    case ENGINE_ENDING_COUNT:
        break;
    }
    return status_fail(st, STATUS_INTERNAL, "the model failed while it was answering");
}
