#include "relay_local.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "child.h"
#include "clock.h"
#include "fiber.h"
#include "http_client.h"
#include "log.h"
#include "loop.h"
#include "relay_json.h"

enum {
    LOOK_MS = 100,        /* how soon a change of the models is acted on */
    POLL_MS = 50,         /* how often a loading child is asked */
    POLL_READY_MS = 5000, /* a ready one */
    ANSWER_MS = 5000,     /* for its answer */
    STOP_MS = 5000,       /* from SIGTERM to SIGKILL */
    PAUSE_MS_MIN = 250,   /* before the second start in a row */
    PAUSE_MS_MAX = 30000,
    STEADY_MS = 30000, /* ready for so long: the next failure is the first again */
    FAILED_AFTER = 3,  /* starts in a row without becoming ready */
    CHILDREN_MAX = 64,
};

/* One child, run by a fiber of its own. */
struct slot {
    struct relay_local *local;
    struct relay_target *target;
    struct fiber *fiber;
    char *id, *path;
    int64_t context_tokens;
    bool stop; /* its model is gone or disabled */
    bool ended;
    bool ready;
    int failures;
    char why[RELAY_TARGET_REASON_BYTES]; /* what it said of its failure before it ended */
};

struct relay_local {
    struct loop *loop;
    struct relay_registry *registry;
    struct http_client *client;
    char *infer_path, *run_folder;
    bool (*model_check)(const char *path, struct status *st);
    const struct relay_local_args *args;
    size_t args_count;
    struct slot *slots[CHILDREN_MAX];
    size_t slots_count;
};

static void match(struct relay_local *local, const struct relay_snapshot *models);
static bool slot_start(struct relay_local *local, const struct relay_model *model);
static void slot_free(struct slot *slot);
static void slot_run(void *arg);
static bool check_model(const struct slot *slot, struct status *st);
static void check_work(void *check);
static bool run_once(struct slot *slot, struct text *why, char *memory, size_t size);
static bool start_child(struct slot *slot, struct child **out, struct status *st);
static bool write_token(struct slot *slot, const char *path, struct status *st);
static bool ask(struct slot *slot, struct http_origin *origin);
static void stop_child(struct child *child);

bool relay_local_open(struct loop *loop, const struct relay_local_options *options,
                      struct relay_local **out, struct status *st)
{
    struct relay_local *local = calloc(1, sizeof(*local));
    WEIR_ASSERT(local != NULL);
    local->loop = loop;
    local->registry = options->registry;
    local->model_check = options->model_check;
    local->args = options->args;
    local->args_count = options->args_count;
    local->infer_path = strndup(options->infer_path.at, options->infer_path.len);
    local->run_folder = strndup(options->run_folder.at, options->run_folder.len);
    WEIR_ASSERT(local->infer_path != NULL && local->run_folder != NULL);
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
        AUTO(relay_snapshot) struct relay_snapshot *models = relay_registry_take(local->registry);
        match(local, models);
    } while (loop_sleep(clock_deadline_ms(LOOK_MS), &st));
    for (size_t i = 0; i < local->slots_count; i++)
        local->slots[i]->stop = true;
    for (size_t i = 0; i < local->slots_count; i++) {
        fiber_cancel(local->slots[i]->fiber);
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

/* Children for what is wanted and has none, an end for what is no longer wanted. */
static void match(struct relay_local *local, const struct relay_snapshot *models)
{
    size_t kept = 0;
    for (size_t i = 0; i < local->slots_count; i++) {
        struct slot *slot = local->slots[i];
        bool wanted = false;
        for (size_t m = 0; m < models->models_count; m++)
            wanted |= models->models[m].usable && models->models[m].target == slot->target;
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
        if (!model->local || !model->usable || has)
            continue;
        if (!slot_start(local, model))
            relay_target_set_phase(model->target, RELAY_PHASE_FAILED, -1,
                                   TEXT("there are too many local models"));
    }
}

static bool slot_start(struct relay_local *local, const struct relay_model *model)
{
    struct status st = {0};
    if (local->slots_count == CHILDREN_MAX)
        return false;
    struct slot *slot = calloc(1, sizeof(*slot));
    WEIR_ASSERT(slot != NULL);
    slot->local = local;
    slot->target = relay_target_take(model->target);
    slot->id = strndup(model->id.at, model->id.len);
    slot->path = strndup(model->path.at, model->path.len);
    WEIR_ASSERT(slot->id != NULL && slot->path != NULL);
    slot->context_tokens = model->context_tokens;
    relay_target_set_phase(slot->target, RELAY_PHASE_LOADING, -1, TEXT(""));
    if (!fiber_start_joinable(local->loop, "local model", slot_run, slot, &slot->fiber, &st)) {
        slot_free(slot);
        return false;
    }
    local->slots[local->slots_count++] = slot;
    return true;
}

static void slot_free(struct slot *slot)
{
    relay_target_release(slot->target);
    free(slot->id);
    free(slot->path);
    free(slot);
}

static void slot_run(void *arg)
{
    struct slot *slot = arg;
    struct status st = {0};
    char memory[RELAY_TARGET_REASON_BYTES];
    while (!slot->stop && !fiber_cancelled()) {
        struct text why = TEXT("");
        int64_t began_us = clock_mono_us();
        slot->ready = false;
        slot->why[0] = '\0';
        if (run_once(slot, &why, memory, sizeof(memory)))
            break; /* told to stop */
        bool steady = slot->ready && clock_mono_us() - began_us > (int64_t)STEADY_MS * 1000;
        slot->failures = steady ? 1 : slot->failures + 1;
        LOG_ERROR("a local model has ended and is started again", LOG_CSTR("model", slot->id),
                  LOG_TEXT("why", why), LOG_INT("failures", slot->failures));
        relay_target_set_phase(
            slot->target, slot->failures >= FAILED_AFTER ? RELAY_PHASE_FAILED : RELAY_PHASE_LOADING,
            -1, why);
        int doubled = slot->failures - 2;
        int64_t pause_ms = doubled < 0   ? 0
                           : doubled > 7 ? PAUSE_MS_MAX
                                         : (int64_t)PAUSE_MS_MIN << doubled;
        if (pause_ms > PAUSE_MS_MAX)
            pause_ms = PAUSE_MS_MAX;
        if (!loop_sleep(clock_deadline_ms(pause_ms), &st))
            break;
    }
    relay_target_set_phase(slot->target, RELAY_PHASE_STOPPED, -1, TEXT(""));
    slot->ended = true;
}

/* Starts the child and stays with it until it ends. True when it was told to stop; else `*why` says
 * what became of it. */
static bool run_once(struct slot *slot, struct text *why, char *memory, size_t size)
{
    struct status st = {0};
    AUTO(child) struct child *child = NULL;
    AUTO(http_origin) struct http_origin *origin = NULL;
    struct http_origin_options options = {.url = relay_target_url(slot->target)};
    struct text_out text = text_out_over(memory, size);
    if (!http_origin_open(slot->local->client, &options, &origin, &st) ||
        !start_child(slot, &child, &st)) {
        text_out_add(&text, status_text(&st));
        *why = text_out_text(&text);
        return false;
    }
    for (;;) {
        int exit_status;
        if (child_wait(child, clock_deadline_ms(slot->ready ? POLL_READY_MS : POLL_MS),
                       &exit_status, &st)) {
            if (slot->why[0] != '\0')
                text_out_add(&text, text_of(slot->why));
            else if (exit_status < 0)
                text_out_addf(&text, "its process was ended by signal %d", -exit_status);
            else
                text_out_addf(&text, "its process ended with code %d; its log says why",
                              exit_status);
            *why = text_out_text(&text);
            return slot->stop;
        }
        if (st.code != STATUS_TIMEOUT)
            break;
        if (ask(slot, origin) && !slot->ready) {
            slot->ready = true;
            LOG_INFO("a local model is ready", LOG_CSTR("model", slot->id));
            relay_target_set_phase(slot->target, RELAY_PHASE_READY, -1, TEXT(""));
        }
    }
    stop_child(child);
    return true;
}

static bool start_child(struct slot *slot, struct child **out, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct text url = relay_target_url(slot->target);
    const char *listen = arena_cstr(arena, arena_format(arena, "--listen=%.*s", TEXT_ARG(url)));
    const char *token_path =
        arena_cstr(arena, arena_format(arena, "%.*s.token",
                                       TEXT_ARG(text_skip(text_take(url, url.len - strlen(".sock")),
                                                          strlen("unix:")))));
    const char *argv[8 + RELAY_LOCAL_ARGS_MAX] = {slot->local->infer_path};
    size_t count = 1;
    argv[count++] = arena_format(arena, "--model=%s", slot->path).at;
    argv[count++] = arena_format(arena, "--name=%s", slot->id).at;
    argv[count++] = listen;
    argv[count++] = arena_format(arena, "--token-file=%s", token_path).at;
    for (size_t i = 0; i < slot->local->args_count; i++) {
        const struct relay_local_args *args = &slot->local->args[i];
        if (args->model.len > 0 && !text_equal(args->model, text_of(slot->id)))
            continue;
        WEIR_ASSERT(count + args->count < 8 + RELAY_LOCAL_ARGS_MAX);
        for (size_t a = 0; a < args->count; a++)
            argv[count++] = arena_cstr(arena, args->args[a]);
    }
    if (slot->context_tokens > 0)
        argv[count++] = arena_format(arena, "--context=%lld", (long long)slot->context_tokens).at;
    argv[count] = NULL;
    if (access(slot->path, R_OK) != 0)
        return status_fail_errno(st, errno, "could not read %s", slot->path);
    return check_model(slot, st) && write_token(slot, token_path, st) &&
           child_start(
               slot->local->loop,
               &(struct child_options){.argv = argv, .inherit = {-1, -1, -1, -1}, .quiet = true},
               out, st);
}

struct model_check {
    const struct slot *slot;
    struct status st;
    bool good;
};

/* A file that is broken is said to be so here, in one sentence, instead of by a child's end. */
static bool check_model(const struct slot *slot, struct status *st)
{
    struct model_check check = {.slot = slot};
    if (slot->local->model_check == NULL)
        return true;
    if (!offload(check_work, &check, st))
        return false;
    if (!check.good)
        *st = check.st;
    return check.good;
}

static void check_work(void *arg)
{
    struct model_check *check = arg;
    check->good = check->slot->local->model_check(check->slot->path, &check->st);
}

static bool write_token(struct slot *slot, const char *path, struct status *st)
{
    struct text token = text_skip(relay_target_authorization(slot->target), strlen("Bearer "));
    (void)unlink(path); /* a link or an open mode left there must not be followed or kept */
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        return status_fail_errno(st, errno, "could not write %s", path);
    bool written = write(file, token.at, token.len) == (ssize_t)token.len;
    int error = errno;
    if (close(file) != 0 || !written)
        return status_fail_errno(st, error, "could not write %s", path);
    return true;
}

/* Whether it is ready; notes how far it is otherwise. */
static bool ask(struct slot *slot, struct http_origin *origin)
{
    AUTO(arena) struct arena *arena = arena_open(256 * KIB);
    AUTO(http_response) struct http_response *response = NULL;
    struct status st = {0};
    struct text body;
    struct relay_json_value root, value;
    double progress;
    int64_t context;
    struct http_header header = {TEXT("authorization"), relay_target_authorization(slot->target)};
    struct http_call call = {
        .origin = origin,
        .method = TEXT("GET"),
        .target = TEXT("/readyz"),
        .headers = {&header, 1},
        .total_ms = ANSWER_MS,
    };
    if (!http_client_call(slot->local->client, &call, arena, &response, &st) ||
        !http_response_body(response, 64 * KIB, arena, &body, &st))
        return false; /* not listening yet, or about to end: child_wait tells */
    bool parsed = relay_json_check(body, &root, &st);
    if (response->http_status != 200) {
        if (parsed && relay_json_member(root, TEXT("why"), &value) &&
            value.kind == RELAY_JSON_STRING) {
            struct text why = relay_json_string(arena, value);
            (void)snprintf(slot->why, sizeof(slot->why), "%.*s",
                           TEXT_ARG(text_take(why, sizeof(slot->why) - 1)));
        }
        if (parsed && relay_json_member(root, TEXT("progress"), &value) &&
            relay_json_double(value, &progress) && progress >= 0 && progress <= 1)
            relay_target_set_phase(slot->target, RELAY_PHASE_LOADING, (int)(progress * 100),
                                   TEXT(""));
        return false;
    }
    if (parsed && relay_json_member(root, TEXT("context_tokens"), &value) &&
        relay_json_i64(value, &context) && context > 0)
        relay_target_set_context(slot->target, context);
    return true;
}

static void stop_child(struct child *child)
{
    struct status st = {0};
    int exit_status;
    child_signal(child, SIGTERM);
    fiber_shield();
    if (!child_wait(child, clock_deadline_ms(STOP_MS), &exit_status, &st))
        child_signal(child, SIGKILL);
    fiber_unshield();
}
