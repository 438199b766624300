/* The life of one local model: looked at, asleep, loaded, asleep again; and what is done when it
 * fails. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "child.h"
#include "clock.h"
#include "fiber.h"
#include "http_client.h"
#include "log.h"
#include "loop.h"
#include "machine.h"
#include "relay_local_internal.h"

enum {
    POLL_MS = 50,         /* how often a loading child is asked */
    POLL_READY_MS = 5000, /* a ready one */
    PAUSE_MS_MIN = 250,   /* before the second start in a row */
    PAUSE_MS_MAX = 30000,
    STEADY_MS = 30000, /* ready for so long: the next failure is the first again */
    CHANGE_MS = 1000,  /* how often the file of a model that failed for good is looked at */
};

enum ending {
    ENDING_TOLD,  /* to stop */
    ENDING_SLEEP, /* to sleep */
    ENDING_FAILED
};

static enum ending run_once(struct relay_slot *slot, struct text_out *why);
static bool look(struct relay_slot *slot, struct status *st);
static bool wait_for_go(struct relay_slot *slot, struct status *st);
static enum ending stay(struct relay_slot *slot, struct http_origin *origin, struct text_out *why);
static void set_ready(struct relay_slot *slot);
static void say_ended(struct relay_slot *slot, int exit_status, struct text_out *why);
static bool after_failure(struct relay_slot *slot, struct text why, int64_t ready_us);
static bool wait_for_change(struct relay_slot *slot, struct status *st);
static void measure(void *measuring);

void relay_slot_run(void *arg)
{
    struct relay_slot *slot = arg;
    char memory[RELAY_TARGET_REASON_BYTES];
    while (!slot->stop && !fiber_cancelled()) {
        struct text_out why = text_out_over(memory, sizeof(memory));
        slot->go = slot->lasting = false;
        slot->ready_us = slot->stop_us = 0;
        slot->retries = relay_registry_retries(slot->local->options.registry);
        enum ending ending = run_once(slot, &why);
        slot->state = RELAY_ROOM_OUT;
        slot->child = NULL;
        if (slot->report_fd >= 0)
            (void)close(slot->report_fd);
        slot->report_fd = -1;
        relay_target_hold(slot->target, false);
        if (ending == ENDING_TOLD) {
            if (slot->ready_us != 0 && slot->local->options.metrics != NULL)
                relay_metrics_unloaded(slot->local->options.metrics, text_of(slot->id),
                                       TEXT("stopped"));
            break;
        }
        if (ending == ENDING_SLEEP) {
            slot->failures = 0;
            continue;
        }
        if (!after_failure(slot, text_out_text(&why), slot->ready_us))
            break;
    }
    relay_target_set_phase(slot->target, RELAY_PHASE_STOPPED, -1, TEXT(""));
    slot->ended = true;
}

/* Looks at the file, sleeps until it is to be loaded, starts the child and stays with it until it
 * ends; `why` says what became of it. */
static enum ending run_once(struct relay_slot *slot, struct text_out *why)
{
    struct status st = {0};
    AUTO(child) struct child *child = NULL;
    AUTO(http_origin) struct http_origin *origin = NULL;
    struct http_origin_options options = {.url = relay_target_url(slot->target)};
    if (!look(slot, &st) || !wait_for_go(slot, &st) ||
        !http_origin_open(slot->local->client, &options, &origin, &st) ||
        !relay_slot_start_child(slot, &child, &st)) {
        text_out_add(why, status_text(&st));
        return fiber_cancelled() ? ENDING_TOLD : ENDING_FAILED;
    }
    slot->child = child;
    enum ending ending = stay(slot, origin, why);
    if (ending == ENDING_TOLD)
        relay_slot_stop_child(child);
    return ending;
}

/* A file that is broken is said to be so here, in one sentence, instead of by a child's end. */
static bool look(struct relay_slot *slot, struct status *st)
{
    slot->looked_us = clock_mono_us();
    if (slot->state != RELAY_ROOM_STARTING)
        slot->state = RELAY_ROOM_LOOKING;
    if (relay_slot_look(slot, true, st))
        return true;
    slot->lasting = st->code != STATUS_CANCELLED;
    return false;
}

/* The supervisor shows meanwhile what it thinks of it (relay_local.c). */
static bool wait_for_go(struct relay_slot *slot, struct status *st)
{
    slot->state = RELAY_ROOM_ASLEEP;
    while (!slot->go)
        if (!fiber_wait(CLOCK_NEVER, st))
            return false;
    return look(slot, st); /* it may have slept for long */
}

/* With a child until it has ended, or is to be stopped. */
static enum ending stay(struct relay_slot *slot, struct http_origin *origin, struct text_out *why)
{
    struct status st = {0};
    for (;;) {
        int exit_status;
        int64_t ms = slot->stop_us != 0    ? RELAY_LOCAL_STOP_MS
                     : slot->ready_us != 0 ? POLL_READY_MS
                                           : POLL_MS;
        if (child_wait(slot->child, clock_deadline_ms(ms), &exit_status, &st)) {
            if (slot->stop)
                return ENDING_TOLD;
            if (slot->stop_us != 0)
                return ENDING_SLEEP;
            say_ended(slot, exit_status, why);
            return ENDING_FAILED;
        }
        if (st.code != STATUS_TIMEOUT)
            return ENDING_TOLD;
        if (slot->stop_us != 0) {
            if (clock_mono_us() - slot->stop_us >= (int64_t)RELAY_LOCAL_STOP_MS * 1000)
                child_signal(slot->child, SIGKILL);
        } else if (relay_slot_ask(slot, origin) && slot->ready_us == 0) {
            set_ready(slot);
        }
    }
}

struct measuring {
    int pid;
    uint64_t bytes;
};

static void measure(void *arg)
{
    struct measuring *measuring = arg;
    struct machine_process process;
    if (machine_process_memory(measuring->pid, &process))
        measuring->bytes = process.resident_bytes;
}

/* What it has taken is nearer to the truth than what was thought before. */
static void set_ready(struct relay_slot *slot)
{
    struct status st = {0};
    struct measuring measuring = {.pid = child_pid(slot->child)};
    if (offload(measure, &measuring, &st) && measuring.bytes > 0) {
        slot->need_bytes = measuring.bytes;
        relay_target_set_memory(slot->target, measuring.bytes);
    }
    slot->ready_us = clock_mono_us();
    slot->state = RELAY_ROOM_READY;
    slot->eager = false;
    LOG_INFO("a local model is ready", LOG_CSTR("model", slot->id),
             LOG_INT("memory_mib", (int64_t)(slot->need_bytes / MIB)));
    relay_target_set_phase(slot->target, RELAY_PHASE_READY, -1, TEXT(""));
    if (slot->local->options.metrics != NULL)
        relay_metrics_loaded(slot->local->options.metrics, text_of(slot->id), slot->need_bytes);
}

static void say_ended(struct relay_slot *slot, int exit_status, struct text_out *why)
{
    char report[RELAY_TARGET_REASON_BYTES];
    struct text said = relay_slot_report(slot, report, sizeof(report));
    slot->lasting = exit_status == RELAY_LOCAL_EXIT_NEVER || exit_status == RELAY_LOCAL_EXIT_USAGE;
    if (said.len > 0)
        text_out_add(why, said);
    else if (exit_status < 0)
        text_out_addf(why, "its process was ended by signal %d", -exit_status);
    else
        text_out_addf(why, "its process ended with code %d; its log says why", exit_status);
}

/* Waits until it is to be tried again. `ready_us`: since when it was ready; 0: it was not. False:
 * it is to stop. */
static bool after_failure(struct relay_slot *slot, struct text why, int64_t ready_us)
{
    struct status st = {0};
    slot->eager = true; /* it ran, or was to run */
    if (slot->local->options.metrics != NULL && ready_us != 0)
        relay_metrics_unloaded(slot->local->options.metrics, text_of(slot->id), TEXT("failed"));
    if (slot->lasting) {
        LOG_ERROR("a local model cannot be run: it is tried again when its file changes or on "
                  "SIGHUP",
                  LOG_CSTR("model", slot->id), LOG_TEXT("why", why));
        relay_target_set_phase(slot->target, RELAY_PHASE_FAILED, -1, why);
        slot->need_bytes = 0;
        if (!wait_for_change(slot, &st))
            return false;
        LOG_INFO("a local model is tried again", LOG_CSTR("model", slot->id));
        relay_target_set_phase(slot->target, RELAY_PHASE_LOADING, -1, TEXT(""));
        slot->failures = 0;
        return true;
    }
    bool steady = ready_us != 0 && clock_mono_us() - ready_us > (int64_t)STEADY_MS * 1000;
    slot->failures = steady ? 1 : slot->failures + 1;
    LOG_ERROR("a local model has ended and is started again", LOG_CSTR("model", slot->id),
              LOG_TEXT("why", why), LOG_INT("failures", slot->failures));
    relay_target_set_phase(slot->target,
                           slot->failures >= RELAY_LOCAL_FAILED_AFTER ? RELAY_PHASE_FAILED
                                                                      : RELAY_PHASE_LOADING,
                           -1, why);
    int doubled = slot->failures - 2;
    int64_t pause_ms = doubled < 0   ? 0
                       : doubled > 7 ? PAUSE_MS_MAX
                                     : (int64_t)PAUSE_MS_MIN << doubled;
    return loop_sleep(clock_deadline_ms(pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX), &st);
}

/* Until its file is another one and grows no more, or somebody says to try again. Fails: as a wait.
 */
static bool wait_for_change(struct relay_slot *slot, struct status *st)
{
    const struct relay_file_facts before = slot->file;
    struct relay_file_facts last = slot->file;
    while (slot->retries == relay_registry_retries(slot->local->options.registry)) {
        if (!loop_sleep(clock_deadline_ms(CHANGE_MS), st) || !relay_slot_look(slot, false, st))
            return false;
        if (!relay_file_same(&before, &slot->file) && relay_file_same(&last, &slot->file))
            break;
        last = slot->file;
    }
    return true;
}
