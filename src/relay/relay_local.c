#include "relay_local.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "clock.h"
#include "fiber.h"
#include "http_client.h"
#include "loop.h"
#include "relay_local_internal.h"

enum { LOOK_MS = 50 }; /* how soon a change of the models, or a call, is acted on */

static void match(struct relay_local *local, const struct relay_snapshot *models);
static bool slot_start(struct relay_local *local, const struct relay_snapshot *models,
                       const struct relay_model *model);
static void add_adapters(struct relay_slot *slot, const struct relay_snapshot *models);
static void slot_free(struct relay_slot *slot);

bool relay_local_open(struct loop *loop, const struct relay_local_options *options,
                      struct relay_local **out, struct status *st)
{
    struct relay_local *local = calloc(1, sizeof(*local));
    WEIR_ASSERT(local != NULL);
    local->loop = loop;
    local->options = *options;
    local->models_version = -1;
    local->infer_path = strndup(options->infer_path.at, options->infer_path.len);
    local->run_folder = strndup(options->run_folder.at, options->run_folder.len);
    WEIR_ASSERT(local->infer_path != NULL && local->run_folder != NULL);
    local->options.infer_path = text_of(local->infer_path);
    local->options.run_folder = text_of(local->run_folder);
    if (mkdir(local->run_folder, 0700) != 0 && errno != EEXIST) {
        (void)status_fail_errno(st, errno, "could not make the folder %s", local->run_folder);
        relay_local_close(local);
        return false;
    }
    local->client = http_client_open(loop, &(struct http_client_options){0});
    *out = local;
    return true;
}

void relay_local_run(void *arg)
{
    struct relay_local *local = arg;
    struct status st = {0};
    do {
        AUTO(relay_snapshot)
        struct relay_snapshot *models = relay_registry_take(local->options.registry);
        match(local, models);
        relay_local_decide(local);
    } while (loop_sleep(clock_deadline_ms(LOOK_MS), &st));
    for (size_t i = 0; i < local->slots_count; i++) { /* all at once: each may take a while */
        local->slots[i]->stop = true;
        fiber_cancel(local->slots[i]->fiber);
    }
    for (size_t i = 0; i < local->slots_count; i++) {
        fiber_join(local->slots[i]->fiber);
        slot_free(local->slots[i]);
    }
    local->slots_count = 0;
}

void relay_local_close(struct relay_local *local)
{
    if (local == NULL)
        return;
    WEIR_ASSERT(local->slots_count == 0);
    http_client_close(local->client);
    free(local->infer_path);
    free(local->run_folder);
    free(local);
}

/* A slot for each model that is to be offered, an end for those that are not any more. */
static void match(struct relay_local *local, const struct relay_snapshot *models)
{
    bool ended = false;
    for (size_t i = 0; i < local->slots_count; i++)
        ended |= local->slots[i]->ended;
    if (!ended && local->models_version == models->version)
        return;
    local->models_version = models->version;
    size_t kept = 0;
    for (size_t i = 0; i < local->slots_count; i++) {
        struct relay_slot *slot = local->slots[i];
        bool wanted = false;
        slot->pinned = false;
        for (size_t m = 0; m < models->models_count; m++) { /* its adapters are, too */
            const struct relay_model *model = &models->models[m];
            wanted |= model->usable && model->target == slot->target;
            slot->pinned |= model->usable && model->target == slot->target && model->pinned;
        }
        if (!wanted && !slot->stop) {
            slot->stop = true;
            fiber_cancel(slot->fiber);
        }
        if (slot->ended) {
            fiber_join(slot->fiber);
            slot_free(slot);
        } else {
            local->slots[kept++] = slot;
        }
    }
    local->slots_count = kept;
    for (size_t m = 0; m < models->models_count; m++) {
        const struct relay_model *model = &models->models[m];
        bool has = false;
        for (size_t i = 0; i < local->slots_count; i++)
            has |= local->slots[i]->target == model->target;
        if (!model->local || !model->usable || model->base.len > 0 || has)
            continue;
        if (!slot_start(local, models, model))
            relay_target_set_phase(model->target, RELAY_PHASE_FAILED, -1,
                                   TEXT("there are too many local models"));
    }
}

static bool slot_start(struct relay_local *local, const struct relay_snapshot *models,
                       const struct relay_model *model)
{
    struct status st = {0};
    if (local->slots_count == RELAY_ROOM_MODELS_MAX)
        return false;
    struct relay_slot *slot = calloc(1, sizeof(*slot));
    WEIR_ASSERT(slot != NULL);
    slot->local = local;
    slot->state = RELAY_ROOM_LOOKING;
    slot->looked_us = clock_mono_us();
    slot->pinned = model->pinned;
    slot->eager = true;
    slot->report_fd = -1;
    slot->target = relay_target_take(model->target);
    slot->id = strndup(model->id.at, model->id.len);
    slot->path = strndup(model->path.at, model->path.len);
    WEIR_ASSERT(slot->id != NULL && slot->path != NULL);
    slot->context_tokens = model->context_tokens;
    add_adapters(slot, models);
    relay_target_set_phase(slot->target, RELAY_PHASE_LOADING, -1, TEXT(""));
    if (!fiber_start_joinable(local->loop, "local model", relay_slot_run, slot, &slot->fiber,
                              &st)) {
        slot_free(slot);
        return false;
    }
    local->slots[local->slots_count++] = slot;
    return true;
}

/* Of those that are disabled too, so that to enable one starts nothing anew. */
static void add_adapters(struct relay_slot *slot, const struct relay_snapshot *models)
{
    for (size_t i = 0; i < models->models_count && slot->adapters_count < RELAY_LOCAL_ADAPTERS_MAX;
         i++) {
        const struct relay_model *model = &models->models[i];
        char *both = NULL;
        if (!text_equal(model->base, text_of(slot->id)) || model->target != slot->target)
            continue;
        int made = asprintf(&both, "%.*s=%.*s", TEXT_ARG(model->id), TEXT_ARG(model->path));
        WEIR_ASSERT(made > 0);
        slot->adapters[slot->adapters_count++] = both;
    }
}

static void slot_free(struct relay_slot *slot)
{
    relay_target_release(slot->target);
    free(slot->id);
    free(slot->path);
    for (size_t i = 0; i < slot->adapters_count; i++)
        free(slot->adapters[i]);
    free(slot);
}
