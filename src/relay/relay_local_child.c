/* The process of one local model: its arguments, its token, and what it says. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "child.h"
#include "clock.h"
#include "fiber.h"
#include "http_client.h"
#include "loop.h"
#include "relay_endpoint.h"
#include "relay_json.h"
#include "relay_local_internal.h"

enum { ANSWER_MS = 5000, ARGS_OURS = 9 + RELAY_LOCAL_ADAPTERS_MAX };

static bool write_token(struct relay_slot *slot, const char *path, struct status *st);
static const char *beside_socket(const struct relay_slot *slot, const char *ending,
                                 struct arena *arena);
static unsigned tasks_of(struct relay_json_value list);
static void look_work(void *look);
static struct relay_file_facts facts_of(const char *path);
static void add_facts(struct relay_file_facts *to, struct relay_file_facts more);

const char *const *relay_slot_argv(const struct relay_slot *slot, struct arena *arena)
{
    const struct relay_local_options *options = &slot->local->options;
    const char **argv = ARENA_ARRAY(arena, ARGS_OURS + RELAY_LOCAL_ARGS_MAX, const char *);
    size_t count = 0;
    argv[count++] = slot->local->infer_path;
    argv[count++] = "--report-fd=3";
    argv[count++] = arena_format(arena, "--model=%s", slot->path).at;
    argv[count++] = arena_format(arena, "--name=%s", slot->id).at;
    argv[count++] =
        arena_format(arena, "--listen=%.*s", TEXT_ARG(relay_target_url(slot->target))).at;
    argv[count++] = arena_format(arena, "--token-file=%s", beside_socket(slot, ".token", arena)).at;
    for (size_t i = 0; i < slot->adapters_count; i++)
        argv[count++] = arena_format(arena, "--adapter=%s", slot->adapters[i]).at;
    for (size_t i = 0; i < options->args_count; i++) {
        const struct relay_local_args *args = &options->args[i];
        if (args->model.len > 0 && !text_equal(args->model, text_of(slot->id)))
            continue;
        WEIR_ASSERT(count + args->count < ARGS_OURS + RELAY_LOCAL_ARGS_MAX);
        for (size_t a = 0; a < args->count; a++)
            argv[count++] = arena_cstr(arena, args->args[a]);
    }
    if (slot->context_tokens > 0)
        argv[count++] = arena_format(arena, "--context=%lld", (long long)slot->context_tokens).at;
    argv[count] = NULL;
    return argv;
}

bool relay_slot_start_child(struct relay_slot *slot, struct child **out, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(256 * KIB);
    const char *const *argv = relay_slot_argv(slot, arena);
    int report[2];
    if (!write_token(slot, beside_socket(slot, ".token", arena), st))
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

struct text relay_slot_report(struct relay_slot *slot, char *memory, size_t size)
{
    ssize_t got = read(slot->report_fd, memory, size);
    struct text text = text_trim((struct text){memory, got > 0 ? (size_t)got : 0});
    text = text_take(text, text_find_byte(text, '\n'));
    return text_utf8_valid(text_take(text, text_utf8_whole(text))) ? text : TEXT_NONE;
}

struct look {
    struct relay_slot *slot;
    const char *const *argv; /* NULL: only what the file is */
    bool anew;               /* the facts were asked for: they were not known of this file */
    struct relay_local_facts facts;
    struct status st;
    bool good;
};

bool relay_slot_look(struct relay_slot *slot, bool check, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(256 * KIB);
    struct look look = {.slot = slot, .argv = check ? relay_slot_argv(slot, arena) : NULL};
    if (!offload(look_work, &look, st))
        return false;
    if (!look.good)
        *st = look.st;
    if (!look.good || !check)
        return look.good;
    if (look.anew) {
        slot->need_bytes = look.facts.need_bytes;
        relay_target_set_memory(slot->target, slot->need_bytes);
    }
    if (relay_target_tasks(slot->target) == 0)
        relay_target_set_tasks(slot->target, look.facts.tasks);
    return true;
}

static struct relay_file_facts facts_of(const char *path)
{
    struct stat found;
    if (stat(path, &found) != 0)
        return (struct relay_file_facts){0};
    return (struct relay_file_facts){true, found.st_dev, found.st_ino, found.st_size,
                                     found.st_mtim};
}

/* So that a change of either is a change. */
static void add_facts(struct relay_file_facts *to, struct relay_file_facts more)
{
    bool later =
        more.changed.tv_sec > to->changed.tv_sec ||
        (more.changed.tv_sec == to->changed.tv_sec && more.changed.tv_nsec > to->changed.tv_nsec);
    to->there = to->there && more.there;
    to->number += more.number;
    to->size += more.size;
    to->changed = later ? more.changed : to->changed;
}

bool relay_file_same(const struct relay_file_facts *a, const struct relay_file_facts *b)
{
    return a->there == b->there && a->device == b->device && a->number == b->number &&
           a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

static void look_work(void *arg)
{
    struct look *look = arg;
    struct relay_slot *slot = look->slot;
    const struct relay_local_options *options = &slot->local->options;
    const struct relay_file_facts before = slot->file;
    slot->file = facts_of(slot->path);
    for (size_t i = 0; i < slot->adapters_count; i++)
        add_facts(&slot->file, facts_of(strchr(slot->adapters[i], '=') + 1));
    look->good = true;
    if (look->argv == NULL)
        return;
    if (options->model_check != NULL)
        look->good = options->model_check(slot->path, &look->st);
    else if (access(slot->path, R_OK) != 0)
        look->good =
            status_fail_errno(&look->st, errno, "could not read the model file %s", slot->path);
    look->anew = look->good && (slot->need_bytes == 0 || !relay_file_same(&before, &slot->file));
    if (look->anew && options->model_facts != NULL)
        look->facts = options->model_facts(slot->path, look->argv);
}

bool relay_slot_ask(struct relay_slot *slot, struct http_origin *origin)
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

void relay_slot_stop_child(struct child *child)
{
    struct status st = {0};
    int exit_status;
    child_signal(child, SIGTERM);
    fiber_shield();
    if (!child_wait(child, clock_deadline_ms(RELAY_LOCAL_STOP_MS), &exit_status, &st))
        child_signal(child, SIGKILL);
    fiber_unshield();
}

/* "/…/run/m-….token" of "unix:/…/run/m-….sock". */
static const char *beside_socket(const struct relay_slot *slot, const char *ending,
                                 struct arena *arena)
{
    struct text url = relay_target_url(slot->target);
    struct text stem = text_skip(text_take(url, url.len - strlen(".sock")), strlen("unix:"));
    return arena_format(arena, "%.*s%s", TEXT_ARG(stem), ending).at;
}

static bool write_token(struct relay_slot *slot, const char *path, struct status *st)
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
