/* api_json: writes JSON answers, in order, into the request's arena.
 *
 *     struct api_json json = api_json_in(req->arena);
 *     api_json_open(&json, NULL, '{');
 *     api_json_text(&json, "id", thread->id);
 *     api_json_close(&json, '}');
 *     return api_json_send(&json, reply, 200, st);
 *
 * `name` is the member's name, or NULL for an array's item and the outermost value. */
#pragma once
#include "arena.h"
#include "base.h"
#include "status.h"
#include "text.h"

struct api_page;
struct http_reply;

struct api_json {
    struct text_buf buf;
    bool comma; /* the next value needs one before it */
};

struct api_json api_json_in(struct arena *arena);
void api_json_open(struct api_json *json, const char *name, char bracket); /* '{' or '[' */
void api_json_close(struct api_json *json, char bracket);
void api_json_text(struct api_json *json, const char *name, struct text value);
void api_json_text_or_null(struct api_json *json, const char *name,
                           struct text value); /* "" is null */
void api_json_int(struct api_json *json, const char *name, int64_t value);
void api_json_int_or_null(struct api_json *json, const char *name, int64_t value); /* 0 is null */
void api_json_number(struct api_json *json, const char *name, double value);       /* NaN is null */
void api_json_bool(struct api_json *json, const char *name, bool value);
void api_json_null(struct api_json *json, const char *name);
void api_json_raw(struct api_json *json, const char *name, struct text value); /* JSON already */
struct text api_json_done(const struct api_json *json);

/* {"data":[ … ],"next_cursor":…}: open, then one value per row, then close. `next_id` "" is the
 * last page. */
void api_json_list_open(struct api_json *json);
void api_json_list_close(struct api_json *json, int64_t next_key, struct text next_id);

/* Sends it as application/json. Waits. Fails: as http_reply_send. */
MUST_CHECK bool api_json_send(struct api_json *json, struct http_reply *reply, int http_status,
                              struct status *st);
/* 204. Waits. */
MUST_CHECK bool api_json_send_nothing(struct http_reply *reply, struct status *st);
