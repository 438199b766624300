#include "relay_registry.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "clock.h"
#include "fiber.h"
#include "log.h"
#include "rand.h"
#include "relay_tasks.h"

enum { SNAPSHOT_BYTES_MAX = 16 * 1024 * 1024, WATCH_MS = 1000 };

/* What hangs on a snapshot; the public part comes first. */
struct snapshot {
    struct relay_snapshot public;
    _Atomic int64_t refs;
    struct arena *arena;
    struct relay_target **targets;
    size_t targets_count;
    int64_t rows_version;
    bool locked; /* a key in it could not be opened */
};

struct relay_registry {
    struct relay_store store;
    char *run_folder;
    bool local_served;
    pthread_mutex_t lock; /* of `current` alone */
    struct snapshot *current;
    _Atomic int64_t version, retries;
};

static struct snapshot *snapshot_new(void);
static void snapshot_fill(struct relay_registry *registry, const struct snapshot *before,
                          const struct relay_rows *rows, struct snapshot *out);
static struct relay_target *target_get(const struct snapshot *before, struct snapshot *out,
                                       struct text key, struct text url, struct text authorization,
                                       bool local);
static struct relay_target *upstream_target(struct relay_registry *registry,
                                            const struct snapshot *before, struct snapshot *out,
                                            const struct relay_upstream_row *row);
static struct relay_target *local_target(struct relay_registry *registry,
                                         const struct snapshot *before, struct snapshot *out,
                                         const struct relay_rows *rows,
                                         const struct relay_model_row *row);
static void join_base(const struct relay_snapshot *snapshot, struct relay_model *model);
static void install(struct relay_registry *registry, struct snapshot *fresh);

struct relay_registry *relay_registry_open(const struct relay_registry_options *options)
{
    struct relay_registry *registry = calloc(1, sizeof(*registry));
    WEIR_ASSERT(registry != NULL);
    registry->store = options->store;
    registry->local_served = options->local_served;
    registry->run_folder = strndup(options->run_folder.at == NULL ? "" : options->run_folder.at,
                                   options->run_folder.len);
    WEIR_ASSERT(registry->run_folder != NULL);
    (void)pthread_mutex_init(&registry->lock, NULL);
    registry->current = snapshot_new();
    return registry;
}

void relay_registry_close(struct relay_registry *registry)
{
    if (registry == NULL)
        return;
    relay_snapshot_release(&registry->current->public);
    (void)pthread_mutex_destroy(&registry->lock);
    free(registry->run_folder);
    free(registry);
}

struct relay_store *relay_registry_store(struct relay_registry *registry)
{
    return &registry->store;
}

bool relay_registry_refresh(struct relay_registry *registry, struct status *st)
{
    int64_t version;
    struct relay_rows rows;
    if (!relay_store_version(&registry->store, &version, st))
        return false;
    AUTO(relay_snapshot) struct relay_snapshot *held = relay_registry_take(registry);
    const struct snapshot *before = (const struct snapshot *)held;
    if (version == before->rows_version && !before->locked)
        return true;
    struct snapshot *fresh = snapshot_new();
    if (!relay_store_load(&registry->store, fresh->arena, &rows, st)) {
        relay_snapshot_release(&fresh->public);
        return false;
    }
    snapshot_fill(registry, before, &rows, fresh);
    install(registry, fresh);
    return true;
}

void relay_registry_watch(void *arg)
{
    struct relay_registry *registry = arg;
    struct status st = {0};
    bool failed = false;
    while (loop_sleep(clock_deadline_ms(WATCH_MS), &st)) {
        if (relay_registry_refresh(registry, &st)) {
            failed = false;
        } else if (!failed && st.code != STATUS_CANCELLED) {
            LOG_WARN("could not look for changed models", LOG_TEXT("why", status_text(&st)));
            failed = true; /* said once, until it works again */
        }
    }
}

int64_t relay_registry_version(const struct relay_registry *registry)
{
    return atomic_load_explicit(&registry->version, memory_order_acquire);
}

void relay_registry_retry(struct relay_registry *registry)
{
    atomic_fetch_add(&registry->retries, 1);
}

int64_t relay_registry_retries(const struct relay_registry *registry)
{
    return atomic_load(&registry->retries);
}

struct relay_snapshot *relay_registry_take(struct relay_registry *registry)
{
    (void)pthread_mutex_lock(&registry->lock);
    struct relay_snapshot *snapshot = relay_snapshot_take(&registry->current->public);
    (void)pthread_mutex_unlock(&registry->lock);
    return snapshot;
}

struct relay_snapshot *relay_snapshot_take(struct relay_snapshot *snapshot)
{
    atomic_fetch_add_explicit(&((struct snapshot *)snapshot)->refs, 1, memory_order_relaxed);
    return snapshot;
}

void relay_snapshot_release(struct relay_snapshot *public)
{
    struct snapshot *snapshot = (struct snapshot *)public;
    if (snapshot == NULL ||
        atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < snapshot->targets_count; i++)
        relay_target_release(snapshot->targets[i]);
    free(snapshot->targets);
    arena_close(snapshot->arena);
    free(snapshot);
}

const struct relay_model *relay_snapshot_model(const struct relay_snapshot *snapshot,
                                               struct text id)
{
    for (size_t i = 0; i < snapshot->models_count; i++)
        if (text_equal(snapshot->models[i].id, id))
            return &snapshot->models[i];
    return NULL;
}

const struct relay_upstream *relay_snapshot_upstream(const struct relay_snapshot *snapshot,
                                                     struct text id)
{
    for (size_t i = 0; i < snapshot->upstreams_count; i++)
        if (text_equal(snapshot->upstreams[i].id, id))
            return &snapshot->upstreams[i];
    return NULL;
}

unsigned relay_model_tasks(const struct relay_model *model)
{
    return model->local ? relay_target_tasks(model->target) : model->tasks;
}

void relay_model_reason_public(const struct relay_model *model, char *reason)
{
    struct text folder = model->path;
    while (folder.len > 0 && folder.at[folder.len - 1] != '/')
        folder.len--;
    for (size_t at; folder.len > 0 && (at = text_find(text_of(reason), folder)) < strlen(reason);)
        memmove(reason + at, reason + at + folder.len, strlen(reason + at + folder.len) + 1);
    if (!model->local || strchr(reason, '/') != NULL)
        reason[0] = '\0';
}

static struct snapshot *snapshot_new(void)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    WEIR_ASSERT(snapshot != NULL);
    atomic_init(&snapshot->refs, 1);
    snapshot->arena = arena_open(SNAPSHOT_BYTES_MAX);
    return snapshot;
}

static void snapshot_fill(struct relay_registry *registry, const struct snapshot *before,
                          const struct relay_rows *rows, struct snapshot *out)
{
    struct relay_upstream *upstreams =
        ARENA_ARRAY(out->arena, rows->upstreams_count, struct relay_upstream);
    struct relay_model *models = ARENA_ARRAY(out->arena, rows->models_count, struct relay_model);
    out->targets = calloc(rows->upstreams_count + rows->models_count + 1, sizeof(*out->targets));
    WEIR_ASSERT(out->targets != NULL);
    for (size_t i = 0; i < rows->upstreams_count; i++) {
        const struct relay_upstream_row *row = &rows->upstreams[i];
        upstreams[i] = (struct relay_upstream){
            .id = row->id,
            .name = row->name,
            .base_url = row->base_url,
            .has_key = row->api_key_sealed.len > 0,
            .enabled = row->enabled,
            .managed = row->managed,
            .created_us = row->created_us,
            .target = upstream_target(registry, before, out, row),
        };
    }
    out->rows_version = rows->version;
    out->public =
        (struct relay_snapshot){0, models, upstreams, rows->models_count, rows->upstreams_count};
    for (size_t i = 0; i < rows->models_count; i++) {
        const struct relay_model_row *row = &rows->models[i];
        const struct relay_upstream *upstream =
            row->local ? NULL : relay_snapshot_upstream(&out->public, row->upstream_id);
        WEIR_ASSERT(row->local || upstream != NULL); /* a foreign key says so */
        models[i] = (struct relay_model){
            .id = row->id,
            .name = row->name,
            .local = row->local,
            .enabled = row->enabled,
            .managed = row->managed,
            .pinned = row->pinned,
            .path = row->path,
            .base = row->base,
            .upstream_id = row->upstream_id,
            .upstream_model = row->local ? row->id : row->upstream_model,
            .context_tokens = row->context_tokens,
            .tasks = row->local        ? 0
                     : row->tasks != 0 ? row->tasks
                                       : relay_tasks_guess(row->upstream_model),
            .created_us = row->created_us,
            .usable = row->enabled && (row->local || upstream->enabled),
            .target =
                row->local ? local_target(registry, before, out, rows, row) : upstream->target,
        };
    }
    for (size_t i = 0; i < rows->models_count; i++)
        if (models[i].base.len > 0)
            join_base(&out->public, &models[i]);
}

/* An adapter is served by the process of its model. */
static void join_base(const struct relay_snapshot *snapshot, struct relay_model *model)
{
    const struct relay_model *base = relay_snapshot_model(snapshot, model->base);
    if (base == NULL || !base->local || base->base.len > 0) {
        model->usable = false;
        relay_target_set_phase(model->target, RELAY_PHASE_STOPPED, -1,
                               TEXT("the model that it is an adapter of is not here"));
        return;
    }
    model->target = base->target;
    model->usable = model->enabled && base->usable;
}

static struct relay_target *upstream_target(struct relay_registry *registry,
                                            const struct snapshot *before, struct snapshot *out,
                                            const struct relay_upstream_row *row)
{
    struct status st = {0};
    struct text plain = TEXT(""), authorization = TEXT("");
    /* The sealed key is part of what it is: a new key makes a new target. So does one that can be
     * opened, or not any more. */
    struct text key =
        arena_format(out->arena, "upstream %.*s %.*s ", TEXT_ARG(row->id), TEXT_ARG(row->base_url));
    struct text_buf whole = text_buf_in(out->arena, 16 * KIB);
    text_buf_add(&whole, key);
    text_buf_add(&whole, row->api_key_sealed);
    AUTO(arena) struct arena *scratch = arena_open(16 * KIB);
    bool opened = relay_store_open_key(&registry->store, row, scratch, &plain, &st);
    if (!opened)
        text_buf_add(&whole, TEXT(" locked"));
    if (plain.len > 0)
        authorization = arena_format(scratch, "Bearer %.*s", TEXT_ARG(plain));
    struct relay_target *target =
        target_get(before, out, text_buf_text(&whole), row->base_url, authorization, false);
    if (!opened) {
        out->locked = true;
        if (!relay_target_is_locked(target)) /* said once */
            LOG_WARN("an upstream cannot be used", LOG_TEXT("why", status_text(&st)));
        relay_target_lock(target, status_text(&st));
    }
    if (plain.len > 0) {
        explicit_bzero((char *)(uintptr_t)plain.at, plain.len);
        explicit_bzero((char *)(uintptr_t)authorization.at, authorization.len);
    }
    return target;
}

/* The socket's name is made of the model's id and path, and those of its adapters, short enough for
 * any folder: so other adapters are another process. */
static struct relay_target *local_target(struct relay_registry *registry,
                                         const struct snapshot *before, struct snapshot *out,
                                         const struct relay_rows *rows,
                                         const struct relay_model_row *row)
{
    struct text_buf whole = text_buf_in(out->arena, SNAPSHOT_BYTES_MAX / 2);
    text_buf_addf(&whole, "local %.*s %.*s %lld", TEXT_ARG(row->id), TEXT_ARG(row->path),
                  (long long)row->context_tokens);
    for (size_t i = 0; i < rows->models_count; i++)
        if (rows->models[i].local && row->base.len == 0 && rows->models[i].base.len > 0 &&
            text_equal(rows->models[i].base, row->id))
            text_buf_addf(&whole, " %.*s=%.*s", TEXT_ARG(rows->models[i].id),
                          TEXT_ARG(rows->models[i].path));
    struct text key = text_buf_text(&whole);
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ (uint8_t)key.at[i]) * UINT64_C(0x100000001b3);
    struct text url = arena_format(out->arena, "unix:%s/m-%016llx.sock", registry->run_folder,
                                   (unsigned long long)hash);
    /* By it weir-infer knows its front. Drawn anew with each target, stored nowhere. */
    struct text token =
        arena_format(out->arena, "Bearer %016llx%016llx", (unsigned long long)rand_u64(),
                     (unsigned long long)rand_u64());
    struct relay_target *target = target_get(before, out, key, url, token, true);
    char reason[RELAY_TARGET_REASON_BYTES];
    int percent;
    if (!row->enabled)
        relay_target_set_phase(target, RELAY_PHASE_STOPPED, -1, TEXT(""));
    else if (!registry->local_served)
        relay_target_set_phase(target, RELAY_PHASE_STOPPED, -1,
                               TEXT("this server runs no local models: start it as weir up"));
    else if (relay_target_phase(target, &percent, reason) == RELAY_PHASE_STOPPED)
        relay_target_set_phase(target, RELAY_PHASE_LOADING, -1,
                               TEXT("")); /* its supervisor comes */
    return target;
}

/* The same target as before where it is the same, else a new one. */
static struct relay_target *target_get(const struct snapshot *before, struct snapshot *out,
                                       struct text key, struct text url, struct text authorization,
                                       bool local)
{
    struct relay_target *target = NULL;
    for (size_t i = 0; i < before->targets_count && target == NULL; i++)
        if (text_equal(relay_target_key(before->targets[i]), key))
            target = relay_target_take(before->targets[i]);
    if (target == NULL)
        target = relay_target_new(key, url, authorization, local);
    out->targets[out->targets_count++] = target;
    return target;
}

/* Of two that were read at the same time the newer stays. One with the same rows is news when its
 * keys could be opened. */
static void install(struct relay_registry *registry, struct snapshot *fresh)
{
    struct snapshot *gone = fresh;
    (void)pthread_mutex_lock(&registry->lock);
    const struct snapshot *current = registry->current;
    if (fresh->rows_version > current->rows_version ||
        (fresh->rows_version == current->rows_version && current->locked && !fresh->locked)) {
        fresh->public.version = current->public.version + 1;
        gone = registry->current;
        registry->current = fresh;
        atomic_store_explicit(&registry->version, fresh->public.version, memory_order_release);
    }
    (void)pthread_mutex_unlock(&registry->lock);
    relay_snapshot_release(&gone->public);
}
