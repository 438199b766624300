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
#include "relay_endpoint.h"
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
    ADAPTERS_MAX = 32, /* of one model: one more than weir-infer takes, which says so */
    CHANGE_MS = 1000,  /* how often the file of a model that failed for good is looked at */
};

/* By which it is seen that a model's files are other ones, or were written to. */
struct file_facts {
    bool there;
    dev_t device;
    ino_t number;
    off_t size;
    struct timespec changed;
};

/* One child, run by a fiber of its own. */
struct slot {
    struct relay_local *local;
    struct relay_target *target;
    struct fiber *fiber;
    char *id, *path;
    char *adapters[ADAPTERS_MAX]; /* "ID=PATH" */
    size_t adapters_count;
    int64_t context_tokens;
    bool stop; /* its model is gone or disabled */
    bool ended;
    bool ready;
    int failures;
    bool lasting;           /* the last failure was one that trying again does not help */
    struct file_facts file; /* as it was before the last start */
    int64_t retries;        /* relay_registry_retries then */
    int report_fd;          /* where the child says why it ends; -1: there is none */
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
static bool slot_start(struct relay_local *local, const struct relay_snapshot *models,
                       const struct relay_model *model);
static void add_adapters(struct slot *slot, const struct relay_snapshot *models);
static void slot_free(struct slot *slot);
static void slot_run(void *arg);
static bool fail_lasting(struct slot *slot);
static bool wait_for_change(struct slot *slot, struct status *st);
static bool look_at_model(struct slot *slot, bool check, struct status *st);
static void look_work(void *look);
static struct file_facts facts_of(const char *path);
static void add_facts(struct file_facts *to, struct file_facts more);
static bool file_same(const struct file_facts *a, const struct file_facts *b);
static bool run_once(struct slot *slot, struct text *why, char *memory, size_t size);
static bool start_child(struct slot *slot, struct child **out, struct status *st);
static struct text read_report(struct slot *slot, char *memory, size_t size);
static bool write_token(struct slot *slot, const char *path, struct status *st);
static bool ask(struct slot *slot, struct http_origin *origin);
static unsigned tasks_of(struct relay_json_value list);
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
    for (size_t i = 0; i < local->slots_count; i++) { /* all at once: each may take STOP_MS */
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
    if (local->slots_count == CHILDREN_MAX)
        return false;
    struct slot *slot = calloc(1, sizeof(*slot));
    WEIR_ASSERT(slot != NULL);
    slot->local = local;
    slot->report_fd = -1;
    slot->target = relay_target_take(model->target);
    slot->id = strndup(model->id.at, model->id.len);
    slot->path = strndup(model->path.at, model->path.len);
    WEIR_ASSERT(slot->id != NULL && slot->path != NULL);
    slot->context_tokens = model->context_tokens;
    add_adapters(slot, models);
    relay_target_set_phase(slot->target, RELAY_PHASE_LOADING, -1, TEXT(""));
    if (!fiber_start_joinable(local->loop, "local model", slot_run, slot, &slot->fiber, &st)) {
        slot_free(slot);
        return false;
    }
    local->slots[local->slots_count++] = slot;
    return true;
}

/* Of those that are disabled too, so that to enable one starts nothing anew. */
static void add_adapters(struct slot *slot, const struct relay_snapshot *models)
{
    for (size_t i = 0; i < models->models_count && slot->adapters_count < ADAPTERS_MAX; i++) {
        const struct relay_model *model = &models->models[i];
        char *both = NULL;
        if (!text_equal(model->base, text_of(slot->id)) || model->target != slot->target)
            continue;
        int made = asprintf(&both, "%.*s=%.*s", TEXT_ARG(model->id), TEXT_ARG(model->path));
        WEIR_ASSERT(made > 0);
        slot->adapters[slot->adapters_count++] = both;
    }
}

static void slot_free(struct slot *slot)
{
    relay_target_release(slot->target);
    free(slot->id);
    free(slot->path);
    for (size_t i = 0; i < slot->adapters_count; i++)
        free(slot->adapters[i]);
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
        slot->ready = slot->lasting = false;
        slot->retries = relay_registry_retries(slot->local->registry);
        bool told = run_once(slot, &why, memory, sizeof(memory));
        if (slot->report_fd >= 0)
            (void)close(slot->report_fd);
        slot->report_fd = -1;
        if (told)
            break; /* to stop */
        if (slot->lasting) {
            LOG_ERROR("a local model cannot be run: it is tried again when its file changes or on "
                      "SIGHUP",
                      LOG_CSTR("model", slot->id), LOG_TEXT("why", why));
            relay_target_set_phase(slot->target, RELAY_PHASE_FAILED, -1, why);
            if (!wait_for_change(slot, &st))
                break;
            LOG_INFO("a local model is tried again", LOG_CSTR("model", slot->id));
            relay_target_set_phase(slot->target, RELAY_PHASE_LOADING, -1, TEXT(""));
            slot->failures = 0;
            continue;
        }
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
            char report[RELAY_TARGET_REASON_BYTES];
            struct text said = read_report(slot, report, sizeof(report));
            slot->lasting =
                exit_status == RELAY_LOCAL_EXIT_NEVER || exit_status == RELAY_LOCAL_EXIT_USAGE;
            if (said.len > 0)
                text_out_add(&text, said);
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
    AUTO(arena) struct arena *arena = arena_open(256 * KIB);
    struct text url = relay_target_url(slot->target);
    const char *listen = arena_cstr(arena, arena_format(arena, "--listen=%.*s", TEXT_ARG(url)));
    const char *token_path =
        arena_cstr(arena, arena_format(arena, "%.*s.token",
                                       TEXT_ARG(text_skip(text_take(url, url.len - strlen(".sock")),
                                                          strlen("unix:")))));
    const char *argv[9 + ADAPTERS_MAX + RELAY_LOCAL_ARGS_MAX] = {slot->local->infer_path,
                                                                 "--report-fd=3"};
    size_t count = 2;
    argv[count++] = arena_format(arena, "--model=%s", slot->path).at;
    argv[count++] = arena_format(arena, "--name=%s", slot->id).at;
    argv[count++] = listen;
    argv[count++] = arena_format(arena, "--token-file=%s", token_path).at;
    for (size_t i = 0; i < slot->adapters_count; i++)
        argv[count++] = arena_format(arena, "--adapter=%s", slot->adapters[i]).at;
    for (size_t i = 0; i < slot->local->args_count; i++) {
        const struct relay_local_args *args = &slot->local->args[i];
        if (args->model.len > 0 && !text_equal(args->model, text_of(slot->id)))
            continue;
        WEIR_ASSERT(count + args->count < ARRAY_LEN(argv));
        for (size_t a = 0; a < args->count; a++)
            argv[count++] = arena_cstr(arena, args->args[a]);
    }
    if (slot->context_tokens > 0)
        argv[count++] = arena_format(arena, "--context=%lld", (long long)slot->context_tokens).at;
    argv[count] = NULL;
    /* A file that is broken is said to be so here, in one sentence, instead of by a child's end. */
    if (!look_at_model(slot, true, st))
        return st->code == STATUS_CANCELLED ? false : fail_lasting(slot);
    int report[2];
    if (!write_token(slot, token_path, st))
        return false;
    if (pipe2(report, O_CLOEXEC | O_NONBLOCK) != 0)
        return status_fail_errno(st, errno, "could not make a pipe");
    slot->report_fd = report[0];
    bool started = child_start(
        slot->local->loop,
        &(struct child_options){.argv = argv, .inherit = {report[1], -1, -1, -1}, .quiet = true},
        out, st);
    (void)close(report[1]);
    return started;
}

/* What the child has written before it ended; empty when nothing. */
static struct text read_report(struct slot *slot, char *memory, size_t size)
{
    ssize_t got = read(slot->report_fd, memory, size);
    struct text text = text_trim((struct text){memory, got > 0 ? (size_t)got : 0});
    text = text_take(text, text_find_byte(text, '\n'));
    return text_utf8_valid(text_take(text, text_utf8_whole(text))) ? text : TEXT_NONE;
}

static bool fail_lasting(struct slot *slot)
{
    slot->lasting = true;
    return false;
}

/* --- a model that failed for good ---------------------------------------------------------------
 */

/* Until its file is another one and grows no more, or somebody says to try again. Fails: as a wait.
 */
static bool wait_for_change(struct slot *slot, struct status *st)
{
    const struct file_facts before = slot->file;
    struct file_facts last = slot->file;
    while (slot->retries == relay_registry_retries(slot->local->registry)) {
        if (!loop_sleep(clock_deadline_ms(CHANGE_MS), st) || !look_at_model(slot, false, st))
            return false;
        if (!file_same(&before, &slot->file) && file_same(&last, &slot->file))
            break;
        last = slot->file;
    }
    return true;
}

struct look {
    struct slot *slot;
    bool check;
    struct status st;
    bool good;
};

/* Notes what the file is and, if told so, checks what is in it. */
static bool look_at_model(struct slot *slot, bool check, struct status *st)
{
    struct look look = {.slot = slot, .check = check};
    if (!offload(look_work, &look, st))
        return false;
    if (!look.good)
        *st = look.st;
    return look.good;
}

static void look_work(void *arg)
{
    struct look *look = arg;
    struct slot *slot = look->slot;
    slot->file = facts_of(slot->path);
    for (size_t i = 0; i < slot->adapters_count; i++)
        add_facts(&slot->file, facts_of(strchr(slot->adapters[i], '=') + 1));
    look->good = true;
    if (!look->check)
        return;
    if (slot->local->model_check != NULL)
        look->good = slot->local->model_check(slot->path, &look->st);
    else if (access(slot->path, R_OK) != 0)
        look->good =
            status_fail_errno(&look->st, errno, "could not read the model file %s", slot->path);
}

static struct file_facts facts_of(const char *path)
{
    struct stat found;
    if (stat(path, &found) != 0)
        return (struct file_facts){0};
    return (struct file_facts){true, found.st_dev, found.st_ino, found.st_size, found.st_mtim};
}

/* So that a change of either is a change. */
static void add_facts(struct file_facts *to, struct file_facts more)
{
    bool later =
        more.changed.tv_sec > to->changed.tv_sec ||
        (more.changed.tv_sec == to->changed.tv_sec && more.changed.tv_nsec > to->changed.tv_nsec);
    to->there = to->there && more.there;
    to->number += more.number;
    to->size += more.size;
    to->changed = later ? more.changed : to->changed;
}

static bool file_same(const struct file_facts *a, const struct file_facts *b)
{
    return a->there == b->there && a->device == b->device && a->number == b->number &&
           a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
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
        if (parsed && relay_json_member(root, TEXT("progress"), &value) &&
            relay_json_double(value, &progress) && progress >= 0 && progress <= 1)
            relay_target_set_phase(slot->target, RELAY_PHASE_LOADING, (int)(progress * 100),
                                   TEXT(""));
        return false;
    }
    if (parsed && relay_json_member(root, TEXT("context_tokens"), &value) &&
        relay_json_i64(value, &context) && context > 0)
        relay_target_set_context(slot->target, context);
    if (parsed && relay_json_member(root, TEXT("tasks"), &value) && value.kind == RELAY_JSON_ARRAY)
        relay_target_set_tasks(slot->target, tasks_of(value));
    return true;
}

static unsigned tasks_of(struct relay_json_value list)
{
    struct relay_json_iter iter = relay_json_iter_of(list);
    struct relay_json_value item;
    unsigned tasks = 0;
    for (struct text name; relay_json_next(&iter, &name, &item);)
        for (int i = 0; i < RELAY_ENDPOINT_COUNT; i++) {
            const char *task = relay_endpoint_facts((enum relay_endpoint)i)->task;
            char memory[32];
            struct text said;
            if (task != NULL && item.kind == RELAY_JSON_STRING &&
                relay_json_string_into(item, memory, sizeof(memory), &said) &&
                text_equal(said, text_of(task)))
                tasks |= 1U << i;
        }
    return tasks;
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
