#include "infer_public.h"
#include "arena.h"
#include "clock.h"
#include "engine_radix.h"
#include "fiber.h"
#include "infer_call.h"
#include "infer_prompt.h"
#include "infer_server_internal.h"
#include "model_llama.h"

/* Where a user's message may begin: what differs between any two of these is not the system's. */
static const char *const users[] = {"A", "7", " x", "\n\n-", "\xc3\xa9", "\xe6\x97\xa5"};

struct work {
    const struct infer_server *server;
    struct text system;
    struct engine_tokens tokens;
    bool ok;
    struct status st;
};

static void make(void *work);
static bool make_one(const struct work *work, const char *user, struct engine_tokens *out,
                     struct status *st);
static bool compute(struct infer_server *server, const struct engine_tokens *tokens,
                    struct status *st);

bool infer_public_compute(struct infer_server *server, struct text system, uint32_t *tokens,
                          struct status *st)
{
    struct work work = {.server = server, .system = system};
    struct engine_stats stats;
    WEIR_ASSERT(server->chat != NULL);
    if (!offload(make, &work, st)) { /* waits */
        engine_tokens_free(&work.tokens);
        return false;
    }
    if (!work.ok)
        *st = work.st;
    bool ok = work.ok && compute(server, &work.tokens, st);
    *tokens = work.tokens.count;
    engine_tokens_free(&work.tokens);
    engine_stats(server->options.engine, &stats);
    if (ok && stats.prefix_entries == 0)
        return status_fail(st, STATUS_LIMIT,
                           "it is not kept: there is no memory for it, or this "
                           "model keeps no prompts");
    return ok;
}

/* Of all prompts, what they begin with alike. */
static void make(void *arg)
{
    struct work *work = arg;
    work->ok = true;
    for (size_t i = 0; i < ARRAY_LEN(users) && work->ok; i++) {
        struct engine_tokens one = {0};
        work->ok = make_one(work, users[i], i == 0 ? &work->tokens : &one, &work->st);
        if (i > 0 && work->ok) {
            uint32_t most = work->tokens.count < one.count ? work->tokens.count : one.count;
            work->tokens.count = engine_radix_common(work->tokens.at, one.at, most);
        }
        engine_tokens_free(&one);
    }
    if (work->ok && work->tokens.count < ENGINE_RADIX_BLOCK)
        work->ok = status_fail(&work->st, STATUS_INVALID,
                               "prompts with it begin with %u tokens alike; fewer than %d are not "
                               "worth keeping",
                               work->tokens.count, ENGINE_RADIX_BLOCK);
}

/* By the same way that a request takes. */
static bool make_one(const struct work *work, const char *user, struct engine_tokens *out,
                     struct status *st)
{
    const struct infer_server *server = work->server;
    const struct model_vocab *vocab = model_llama_vocab(server->options.backend);
    struct infer_call_model model = {vocab, model_chat_takes_tools(server->chat)};
    AUTO(arena) struct arena *arena = arena_open(64 * MIB);
    struct text_buf body = text_buf_in(arena, 8 * (size_t)INFER_PUBLIC_BYTES_MAX);
    struct infer_call call;
    struct infer_prompt prompt;
    text_buf_add(&body, TEXT("{\"model\":"));
    text_buf_add_json(&body, server->options.name);
    text_buf_add(&body, TEXT(",\"messages\":[{\"role\":\"system\",\"content\":"));
    text_buf_add_json(&body, work->system);
    text_buf_add(&body, TEXT("},{\"role\":\"user\",\"content\":"));
    text_buf_add_json(&body, text_of(user));
    text_buf_add(&body, TEXT("}]}"));
    if (!infer_call_read(text_buf_text(&body), &model, arena, &call, st))
        return false;
    bool ok = infer_prompt_make(server->chat, vocab, &call,
                                engine_facts(server->options.engine)->context, &prompt, st);
    if (ok) {
        *out = prompt.tokens;
        prompt.tokens = (struct engine_tokens){0};
    }
    infer_prompt_free(&prompt);
    return ok;
}

static bool compute(struct infer_server *server, const struct engine_tokens *tokens,
                    struct status *st)
{
    AUTO(engine_request) struct engine_request *request = NULL;
    struct engine_event event = {.ending = ENGINE_ENDING_NONE};
    struct engine_job job = {
        .prompt = tokens->at,
        .prompt_count = tokens->count,
        .output_max = 1,
        .is_public = true,
        .sampling = engine_sampling_default(),
    };
    if (!engine_submit(server->options.engine, &job, &request, st))
        return false;
    while (event.ending == ENGINE_ENDING_NONE)
        if (!engine_request_next(request, CLOCK_NEVER, &event, st)) /* waits */
            return false;
    if (event.ending == ENGINE_ENDING_FAILED || event.ending == ENGINE_ENDING_CANCELLED)
        return status_fail(st, STATUS_INTERNAL, "the model failed while it was computed");
    return true;
}
