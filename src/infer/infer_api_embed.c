/* What /v1/embeddings and /v1/rerank share, and what is told of a model that makes vectors. */
#include "clock.h"
#include "fiber.h"
#include "http_server.h"
#include "infer_api_embed_internal.h"
#include "json.h"
#include "loop.h"
#include "observe.h"
#include "timing.h"
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES_MAX = 1024 };

/* For a thread of the pool. */
struct reading {
    struct infer_api_embed_step *step;
    struct text body;
    bool ok;
    struct status *st;
};
struct writing {
    const struct infer_api_embed_step *step;
    void (*write)(void *call, struct text_buf *buf);
    struct text_buf *buf;
};

static void rows_free(void *rows);
static struct engine_tokens *row_start(struct infer_api_rows *rows);
static void add_tokens(struct engine_tokens *to, const int32_t *tokens, size_t count);
static bool row_end(struct infer_api_rows *rows, size_t count, size_t second, const char *field,
                    struct status *st);
static bool prepare(struct infer_api_embed_step *step, struct status *st);
static void read_now(void *reading);
static void write_now(void *writing);

void infer_api_rows_start(struct infer_api_rows *rows, const struct engine_embed *embed,
                          struct arena *arena, size_t size)
{
    rows->backend = engine_embed_backend(embed);
    rows->facts = engine_embed_facts(embed);
    rows->rows = ARENA_ARRAY(arena, size, struct engine_embed_row);
    rows->tokens = ARENA_ARRAY(arena, size, struct engine_tokens);
    rows->size = size;
    float *out = ARENA_ARRAY(arena, size * rows->facts->dimensions, float);
    for (size_t i = 0; i < size; i++)
        rows->rows[i].out = out + i * rows->facts->dimensions;
    arena_at_end(arena, rows_free, rows);
}

static void rows_free(void *arg)
{
    struct infer_api_rows *rows = arg;
    for (size_t i = 0; i < rows->count; i++)
        engine_tokens_free(&rows->tokens[i]);
    engine_tokens_free(&rows->query);
}

bool infer_api_rows_text(struct infer_api_rows *rows, struct text text, const char *field,
                         struct status *st)
{
    struct engine_tokens *tokens = row_start(rows);
    size_t count = 0;
    if (text.len == 0)
        return status_fail_field(st, STATUS_INVALID, field, "%s must not be empty", field);
    return rows->backend->ops->tokenize(rows->backend, text, rows->facts->context, tokens, &count,
                                        st) &&
           row_end(rows, count, 0, field, st);
}

bool infer_api_rows_tokens(struct infer_api_rows *rows, const int32_t *given, size_t count,
                           const char *field, struct status *st)
{
    struct engine_tokens *tokens = row_start(rows);
    if (count == 0)
        return status_fail_field(st, STATUS_INVALID, field, "%s must not be empty", field);
    for (size_t i = 0; i < count; i++)
        if (given[i] < 0 || (uint32_t)given[i] >= rows->facts->vocab)
            return status_fail_field(st, STATUS_INVALID, field,
                                     "%s has the token %d, which the model lacks", field, given[i]);
    if (count <= rows->facts->context)
        add_tokens(tokens, given, count);
    return row_end(rows, count, 0, field, st);
}

bool infer_api_rows_query(struct infer_api_rows *rows, struct text query, struct status *st)
{
    return rows->backend->ops->tokenize(rows->backend, query, rows->facts->context, &rows->query,
                                        &rows->query_count, st);
}

bool infer_api_rows_pair(struct infer_api_rows *rows, struct text document, const char *field,
                         struct status *st)
{
    const struct engine_embed_ops *ops = rows->backend->ops;
    const int32_t *before, *between, *behind;
    uint32_t before_count, between_count, behind_count;
    struct engine_tokens *tokens = row_start(rows);
    size_t count = 0;
    ops->frame(rows->backend, &before, &before_count, &between, &between_count, &behind,
               &behind_count);
    add_tokens(tokens, rows->query.at, rows->query.count);
    add_tokens(tokens, between, between_count);
    size_t second_at = tokens->count;
    return ops->tokenize(rows->backend, document, rows->facts->context, tokens, &count, st) &&
           row_end(rows, rows->query_count + between_count + count, second_at, field, st);
}

static struct engine_tokens *row_start(struct infer_api_rows *rows)
{
    const int32_t *before, *between, *behind;
    uint32_t before_count, between_count, behind_count;
    WEIR_ASSERT(rows->count < rows->size);
    rows->backend->ops->frame(rows->backend, &before, &before_count, &between, &between_count,
                              &behind, &behind_count);
    struct engine_tokens *tokens = &rows->tokens[rows->count++];
    add_tokens(tokens, before, before_count);
    return tokens;
}

static void add_tokens(struct engine_tokens *to, const int32_t *tokens, size_t count)
{
    if (count == 0)
        return;
    if (to->count + count > to->size) {
        to->size = to->count + (uint32_t)count + 16;
        to->at = base_resize(to->at, to->size * sizeof *to->at);
    }
    memcpy(to->at + to->count, tokens, count * sizeof *tokens);
    to->count += (uint32_t)count;
}

/* `count`: what the text has, of which more than the context was not kept. */
static bool row_end(struct infer_api_rows *rows, size_t count, size_t second, const char *field,
                    struct status *st)
{
    const int32_t *before, *between, *behind;
    uint32_t before_count, between_count, behind_count;
    struct engine_tokens *tokens = &rows->tokens[rows->count - 1];
    struct engine_embed_row *row = &rows->rows[rows->count - 1];
    rows->backend->ops->frame(rows->backend, &before, &before_count, &between, &between_count,
                              &behind, &behind_count);
    size_t all = before_count + count + behind_count;
    if (all > rows->facts->context)
        return status_fail_field(st, STATUS_INVALID, field,
                                 "this model's context is %u tokens; %s has %zu",
                                 rows->facts->context, field, all);
    add_tokens(tokens, behind, behind_count);
    if (tokens->count == 0)
        return status_fail_field(st, STATUS_INVALID, field, "%s has nothing the model knows",
                                 field);
    row->tokens = tokens->at;
    row->count = tokens->count;
    row->second = second > 0 ? (uint32_t)second : tokens->count;
    rows->total += tokens->count;
    return true;
}

bool infer_api_embed_run(struct infer_api_embed_step *step, struct status *st)
{
    struct engine_embed *embed = step->server->options.embed;
    if (step->server->draining)
        return status_fail(st, STATUS_UNAVAILABLE, "the model is being shut down");
    if (!engine_embed_admits(embed, 0, st))
        return false;
    engine_embed_expect(embed);
    if (!prepare(step, st)) { /* waits */
        engine_embed_unexpect(embed);
        return false;
    }
    struct engine_job who;
    if (!infer_server_tenant(step->req, &who, st)) {
        engine_embed_unexpect(embed);
        return false;
    }
    int64_t from_us = clock_mono_us();
    if (!engine_embed_run(embed, step->rows->rows, step->rows->count, who.tenant, who.weight,
                          CLOCK_NEVER, &step->queue_us, st)) /* waits */
        return false;
    step->compute_us = clock_mono_us() - from_us - step->queue_us;
    return true;
}

static bool prepare(struct infer_api_embed_step *step, struct status *st)
{
    struct reading reading = {.step = step, .st = st};
    if (!http_request_body(step->req, INFER_API_EMBED_BODY_BYTES_MAX, &reading.body, st))
        return false;
    if (reading.body.len <= JSON_INLINE_BYTES)
        read_now(&reading);
    else if (!offload(read_now, &reading, st))
        return false;
    return reading.ok;
}

static void read_now(void *arg)
{
    struct reading *reading = arg;
    reading->ok = reading->step->read(reading->step->call, reading->body, reading->st);
}

bool infer_api_embed_send(const struct infer_api_embed_step *step, struct http_reply *reply,
                          bool long_work, void (*write)(void *call, struct text_buf *buf),
                          struct status *st)
{
    struct text_buf buf = text_buf_in(step->req->arena, 256 * MIB);
    struct writing writing = {step, write, &buf};
    if (!long_work)
        write_now(&writing);
    else if (!offload(write_now, &writing, st))
        return false;
    struct timing header = {0};
    timing_add(&header, "queue", step->queue_us);
    timing_add(&header, "compute", step->compute_us);
    http_reply_header(reply, TEXT("Server-Timing"), timing_text(&header));
    return http_reply_send(reply, 200, TEXT("application/json"), text_buf_text(&buf), st);
}

static void write_now(void *arg)
{
    struct writing *writing = arg;
    writing->write(writing->step->call, writing->buf);
}

bool infer_api_embed_model(const struct json_at *at, const struct infer_server *server,
                           struct status *st)
{
    struct text model;
    return json_get_text(at, "model", JSON_REQUIRED, NAME_BYTES_MAX, &model, st) &&
           infer_server_model(server, model, &(uint32_t){0}, st);
}

void infer_api_embed_meta(struct text_buf *buf, const struct engine_embed *embed)
{
    if (engine_embed_state(embed, NULL, NULL) != ENGINE_READY)
        return;
    const struct engine_embed_facts *facts = engine_embed_facts(embed);
    text_buf_addf(buf,
                  ",\"meta\":{\"context_tokens\":%u,\"dimensions\":%u,\"vocabulary\":%u,"
                  "\"weights_bytes\":%llu}",
                  facts->context, facts->dimensions, facts->vocab,
                  (unsigned long long)facts->weights_bytes);
}

void infer_api_embed_ready(struct text_buf *buf, const struct engine_embed *embed)
{
    const struct engine_embed_facts *facts = engine_embed_facts(embed);
    text_buf_addf(buf,
                  "{\"status\":\"ready\",\"context_tokens\":%u,\"dimensions\":%u,\"tasks\":[%s]}",
                  facts->context, facts->dimensions,
                  facts->ranks ? "\"rerank\"" : "\"embeddings\",\"rerank\"");
}

bool infer_api_embed_metrics(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct text_buf buf = text_buf_in(req->arena, 64 * KIB);
    struct engine_embed_stats s;
    engine_embed_stats(infer_server_of(req)->options.embed, &s);
    const struct {
        const char *name, *type, *help;
        unsigned long long value;
    } rows[] = {
        {"queued_requests", "gauge", "Requests that wait to be computed", s.queued},
        {"queued_tokens", "gauge", "Tokens that wait, with padding", s.queued_tokens},
        {"batch_microseconds", "gauge", "How long a batch takes, moving average",
         (unsigned long long)s.batch_us},
        {"connections_open", "gauge", "HTTP connections open now",
         http_server_connections(infer_server_of(req)->http)},
        {"fibers", "gauge", "Fibers alive: one for each connection and job", loop_fibers_all()},
        {"memory_allocated_bytes", "gauge", "Memory handed out by the allocator and not given back",
         observe_allocated_bytes()},
        {"requests_total", "counter", "Requests queued", s.requests},
        {"requests_refused_total", "counter", "Requests refused by a full queue", s.refused},
        {"requests_cancelled_total", "counter", "Requests whose client went away", s.cancelled},
        {"requests_failed_total", "counter", "Requests that the model failed", s.failed},
        {"texts_total", "counter", "Texts computed", s.texts},
        {"prompt_tokens_total", "counter", "Tokens computed", s.tokens},
        {"padded_tokens_total", "counter", "Tokens computed, with padding", s.padded_tokens},
        {"batches_total", "counter", "Batches computed", s.batches},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        text_buf_addf(
            &buf, "# HELP weir_infer_%s %s\n# TYPE weir_infer_%s %s\nweir_infer_%s %llu\n",
            rows[i].name, rows[i].help, rows[i].name, rows[i].type, rows[i].name, rows[i].value);
    return http_reply_send(reply, 200, TEXT("text/plain; version=0.0.4"), text_buf_text(&buf), st);
}
