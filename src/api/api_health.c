#include "api_internal.h"
#include "arena.h"
#include "clock.h"
#include "db.h"
#include "fiber.h"
#include "log.h"

enum { PING_EVERY_MS = 2000, PING_MS = 2000, METRICS_BYTES_MAX = 8 * 1024 * 1024 };

static void look_at_models(struct api *api);

bool api_healthz_get(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct api *api = api_request_of(req)->api;
    bool live = health_live(api->options.observe->health);
    http_reply_header(reply, TEXT("Cache-Control"), TEXT("no-store"));
    return http_reply_send(reply, live ? 200 : 503, TEXT("application/json"),
                           live ? TEXT("{\"status\":\"ok\"}") : TEXT("{\"status\":\"failing\"}"),
                           st);
}

bool api_readyz_get(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct api *api = api_request_of(req)->api;
    look_at_models(api);
    struct text_buf buf = text_buf_in(req->arena, 64 * KIB);
    bool ready = health_ready(api->options.observe->health, &buf);
    http_reply_header(reply, TEXT("Cache-Control"), TEXT("no-store"));
    return http_reply_send(reply, ready ? 200 : 503, TEXT("application/json"), text_buf_text(&buf),
                           st);
}

bool api_metrics_get(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct api *api = api_request_of(req)->api;
    if (!text_equal(req->path, TEXT("/metrics")))
        return status_fail(st, STATUS_NOT_FOUND, "there is only /metrics here");
    struct text_buf buf = text_buf_in(req->arena, METRICS_BYTES_MAX);
    metrics_write(api->options.observe->metrics, &buf);
    return http_reply_send(reply, 200, TEXT("text/plain; version=0.0.4"), text_buf_text(&buf), st);
}

/* Shown only: a model that cannot be run takes nothing from the others. */
static void look_at_models(struct api *api)
{
    AUTO(relay_snapshot) struct relay_snapshot *models = relay_registry_take(api->registry);
    char reason[RELAY_TARGET_REASON_BYTES], memory[HEALTH_TEXT_BYTES_MAX];
    struct text_out why = text_out_over(memory, sizeof(memory));
    for (size_t i = 0; i < models->models_count && why.len == 0; i++) {
        const struct relay_model *model = &models->models[i];
        int percent;
        if (model->usable &&
            relay_target_phase(model->target, &percent, reason) == RELAY_PHASE_FAILED) {
            relay_model_reason_public(model, reason); /* anybody may ask */
            text_out_addf(&why, "the model %.*s has failed%s%s", TEXT_ARG(model->id),
                          reason[0] == '\0' ? "" : ": ", reason);
        }
    }
    health_check_set(api->models_health, why.len == 0, text_out_text(&why));
}

void api_health_watch(void *arg)
{
    struct api *api = arg;
    struct status st = {0};
    do {
        bool ok = db_ping(api->options.db, clock_deadline_ms(PING_MS), &st);
        if (!ok && st.code == STATUS_CANCELLED)
            return;
        if (!ok)
            LOG_WARN("the database does not answer", LOG_TEXT("why", status_text(&st)));
        health_check_set(api->database_health, ok,
                         ok ? TEXT("") : TEXT("the database does not answer"));
        look_at_models(api);
    } while (loop_sleep(clock_deadline_ms(PING_EVERY_MS), &st));
}
