/* POST /v1/rerank: documents in the order in which they answer a query. By a model that judges
 * pairs where there is one, its score brought between 0 and 1; else by the cosine of query and
 * document. */
#include "infer_api_embed_internal.h"
#include "json.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_BYTES_MAX = INFER_API_EMBED_BODY_BYTES_MAX, FIELD_BYTES = 32, LONG_ANSWER = 64 };

struct result {
    size_t index;
    double score;
};
struct rerank {
    struct infer_server *server;
    struct arena *arena;
    struct infer_api_rows rows; /* pairs; or the query, then the documents */
    struct text query;
    struct text *documents;
    size_t count;
    int64_t top;
    bool with_documents;
};

static bool read_call(void *call, struct text body, struct status *st);
static bool read_documents(struct rerank *r, const struct json_at *root, struct status *st);
static bool add_rows(struct rerank *r, bool pairs, struct status *st);
static void write_answer(void *call, struct text_buf *buf);
static double score(const struct rerank *r, size_t index);
static int best_first(const void *left, const void *right);

bool infer_api_rerank(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct rerank *r = ARENA_NEW(req->arena, struct rerank);
    r->server = infer_server_of(req);
    r->arena = req->arena;
    struct infer_api_embed_step step = {
        .server = r->server,
        .req = req,
        .read = read_call,
        .call = r,
        .rows = &r->rows,
    };
    return infer_api_embed_run(&step, st) &&
           infer_api_embed_send(&step, reply, r->count > LONG_ANSWER, write_answer, st);
}

static bool read_call(void *call, struct text body, struct status *st)
{
    struct rerank *r = call;
    json_t *value;
    if (!json_read_in(r->arena, body, NULL, &value, st))
        return false;
    struct json_at root = json_at_root(value);
    r->top = INFER_API_EMBED_TEXTS_MAX;
    if (!infer_api_embed_model(&root, r->server, st) ||
        !json_get_text(&root, "query", JSON_REQUIRED, TEXT_BYTES_MAX, &r->query, st) ||
        !json_get_int(&root, "top_n", JSON_OPTIONAL, 1, INT32_MAX, &r->top, st) ||
        !json_get_bool(&root, "return_documents", JSON_OPTIONAL, &r->with_documents, st))
        return false;
    if (r->query.len == 0)
        return json_fail(&root, "query", st, "must not be empty");
    return read_documents(r, &root, st) &&
           add_rows(r, engine_embed_facts(r->server->options.embed)->ranks, st);
}

/* Texts, or objects with one. */
static bool read_documents(struct rerank *r, const struct json_at *root, struct status *st)
{
    struct json_at list, item;
    if (!json_get_array(root, "documents", JSON_REQUIRED, INFER_API_EMBED_TEXTS_MAX, &list, st))
        return false;
    r->count = json_count(&list);
    if (r->count == 0)
        return json_fail(root, "documents", st, "must not be empty");
    r->documents = ARENA_ARRAY(r->arena, r->count, struct text);
    for (size_t i = 0; i < r->count; i++) {
        if (json_is_object(json_item(&list, i).value)) {
            if (!json_item_object(&list, i, &item, st) ||
                !json_get_text(&item, "text", JSON_REQUIRED, TEXT_BYTES_MAX, &r->documents[i], st))
                return false;
        } else if (!json_item_text(&list, i, TEXT_BYTES_MAX, &r->documents[i], st)) {
            return false;
        }
    }
    return true;
}

static bool add_rows(struct rerank *r, bool pairs, struct status *st)
{
    infer_api_rows_start(&r->rows, r->server->options.embed, r->arena, r->count + !pairs);
    if (pairs ? !infer_api_rows_query(&r->rows, r->query, st)
              : !infer_api_rows_text(&r->rows, r->query, "query", st))
        return false;
    for (size_t i = 0; i < r->count; i++) {
        char field[FIELD_BYTES];
        (void)snprintf(field, sizeof field, "documents[%zu]", i);
        bool ok = pairs ? infer_api_rows_pair(&r->rows, r->documents[i], field, st)
                        : infer_api_rows_text(&r->rows, r->documents[i], field, st);
        if (!ok)
            return false;
    }
    return true;
}

static void write_answer(void *call, struct text_buf *buf)
{
    struct rerank *r = call;
    struct result *results = ARENA_ARRAY(r->arena, r->count, struct result);
    for (size_t i = 0; i < r->count; i++)
        results[i] = (struct result){i, score(r, i)};
    qsort(results, r->count, sizeof *results, best_first);
    text_buf_add(buf, TEXT("{\"object\":\"list\",\"results\":["));
    for (size_t i = 0; i < r->count && (int64_t)i < r->top; i++) {
        text_buf_addf(buf, "%s{\"index\":%zu,\"relevance_score\":%.9g", i > 0 ? "," : "",
                      results[i].index, results[i].score);
        if (r->with_documents) {
            text_buf_add(buf, TEXT(",\"document\":{\"text\":"));
            text_buf_add_json(buf, r->documents[results[i].index]);
            text_buf_add(buf, TEXT("}"));
        }
        text_buf_add(buf, TEXT("}"));
    }
    text_buf_add(buf, TEXT("],\"model\":"));
    text_buf_add_json(buf, r->server->options.name);
    text_buf_addf(buf, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}}",
                  (unsigned long long)r->rows.total, (unsigned long long)r->rows.total);
}

static double score(const struct rerank *r, size_t index)
{
    if (r->rows.facts->ranks)
        return 1 / (1 + exp(-(double)r->rows.rows[index].out[0]));
    const float *query = r->rows.rows[0].out, *document = r->rows.rows[1 + index].out;
    double sum = 0;
    for (uint32_t d = 0; d < r->rows.facts->dimensions; d++)
        sum += (double)query[d] * (double)document[d];
    return sum;
}

/* Of equals, the one that stood first in the request. */
static int best_first(const void *left, const void *right)
{
    const struct result *a = left, *b = right;
    if (a->score > b->score)
        return -1;
    if (a->score < b->score)
        return 1;
    return a->index < b->index ? -1 : 1;
}
