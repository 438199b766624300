/* api_chat: how threads and messages are written, for the two files that do. */
#pragma once
#include "api_body.h"
#include "api_json.h"
#include "chat_message.h"
#include "chat_thread.h"

struct chat_person api_chat_person(const struct http_request *req);
void api_chat_write_message(struct api_json *json, const char *name,
                            const struct chat_message *message);
/* Without `messages` when they are NULL. */
void api_chat_write_thread(struct api_json *json, const char *name,
                           const struct chat_thread *thread, const struct chat_message *messages,
                           size_t count);
/* The object `parameters`, checked, with only what is set; in the request's arena. */
MUST_CHECK bool api_chat_parameters(struct http_request *req, struct relay_json_value object,
                                    struct text *out, struct status *st);
