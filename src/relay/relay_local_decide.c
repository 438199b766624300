/* Which models are loaded: gathers what relay_room decides by, and does what it says. */
#include <signal.h>
#include "child.h"
#include "clock.h"
#include "fiber.h"
#include "log.h"
#include "machine.h"
#include "relay_local_internal.h"

enum {
    TURN_MS = 10000,   /* how long calls wait before those of a busy model are held for them */
    LOOKING_MS = 5000, /* how long others wait for a file that is being looked at */
    PROMPTS_SHARE = 8, /* the part of the free memory that is left for kept prompts */
    HOLDERS_SHOWN = 3,
};

static uint64_t free_for_models(struct relay_local *local);
static void free_work(void *measuring);
static void gather(struct relay_local *local, struct relay_room_model *models, int64_t now_us);
static void apply(struct relay_slot *slot, const struct relay_room_model *model);
static void put_to_sleep(struct relay_slot *slot, struct text why);
static void show(struct relay_slot *slot);
static void say_no_room(const struct relay_slot *slot, struct text_out *out);
static const char *plural(int64_t count);

void relay_local_decide(struct relay_local *local)
{
    struct relay_room_model models[RELAY_ROOM_MODELS_MAX];
    struct relay_room room = {
        .limit_bytes = local->options.memory_max,
        .free_bytes = free_for_models(local), /* waits; so the rest is gathered after it */
        .idle_us = local->options.idle_ms * 1000,
        .turn_us = (int64_t)TURN_MS * 1000,
        .now_us = clock_mono_us(),
    };
    if (fiber_cancelled())
        return;
    gather(local, models, room.now_us);
    relay_room_decide(&room, models, local->slots_count);
    for (size_t i = 0; i < local->slots_count; i++)
        apply(local->slots[i], &models[i]);
    for (size_t i = 0; i < local->slots_count; i++)
        show(local->slots[i]);
}

static void gather(struct relay_local *local, struct relay_room_model *models, int64_t now_us)
{
    for (size_t i = 0; i < local->slots_count; i++) {
        const struct relay_slot *slot = local->slots[i];
        struct relay_demand demand = relay_target_demand(slot->target);
        bool stuck = slot->state == RELAY_ROOM_LOOKING &&
                     now_us - slot->looked_us > (int64_t)LOOKING_MS * 1000;
        models[i] = (struct relay_room_model){
            .state = slot->stop && slot->child == NULL ? RELAY_ROOM_OUT
                     : slot->stop                      ? RELAY_ROOM_STOPPING
                     : stuck                           ? RELAY_ROOM_OUT
                                                       : slot->state,
            .pinned = slot->pinned,
            .eager = slot->eager,
            .need_bytes = slot->need_bytes,
            .calls = demand.calls,
            .waiting = demand.waiting,
            .used_us = demand.used_us > slot->ready_us ? demand.used_us : slot->ready_us,
            .waited_us = demand.waited_us,
            .ready_us = slot->ready_us,
        };
    }
}

struct free_measuring {
    struct {
        int pid; /* 0: it is about to be started */
        bool ready;
        uint64_t need_bytes;
    } models[RELAY_ROOM_MODELS_MAX];
    size_t count;
    uint64_t free_bytes;
};

/* Only looked at when it matters. */
static uint64_t free_for_models(struct relay_local *local)
{
    struct status st = {0};
    bool matters = false;
    struct free_measuring measuring = {0};
    for (size_t i = 0; i < local->slots_count; i++) {
        const struct relay_slot *slot = local->slots[i];
        struct relay_demand demand = relay_target_demand(slot->target);
        matters |=
            slot->state == RELAY_ROOM_ASLEEP && (demand.waiting > 0 || slot->pinned || slot->eager);
        if (slot->state != RELAY_ROOM_READY && slot->state != RELAY_ROOM_STARTING)
            continue;
        measuring.models[measuring.count].pid = slot->child != NULL ? child_pid(slot->child) : 0;
        measuring.models[measuring.count].ready = slot->state == RELAY_ROOM_READY;
        measuring.models[measuring.count++].need_bytes = slot->need_bytes;
    }
    if (!matters || local->options.memory_max > 0 || !offload(free_work, &measuring, &st))
        return UINT64_MAX;
    return measuring.free_bytes;
}

/* What is free, without a part for prompts that are kept; without the weights that are mapped,
 * which count as free although a model reads them all the time; and without what a model that is
 * being loaded has still to take. */
static void free_work(void *arg)
{
    struct free_measuring *measuring = arg;
    uint64_t left = machine_memory_free();
    if (left == 0) {
        measuring->free_bytes = UINT64_MAX;
        return;
    }
    left -= left / PROMPTS_SHARE;
    for (size_t i = 0; i < measuring->count; i++) {
        struct machine_process process = {0};
        bool known = measuring->models[i].pid > 0 &&
                     machine_process_memory(measuring->models[i].pid, &process);
        uint64_t own = process.resident_bytes - process.mapped_bytes;
        uint64_t need = measuring->models[i].need_bytes;
        uint64_t claim = measuring->models[i].ready ? process.mapped_bytes
                         : !known                   ? need
                         : need > own               ? need - own
                                                    : 0;
        left -= claim < left ? claim : left;
    }
    measuring->free_bytes = left;
}

static void apply(struct relay_slot *slot, const struct relay_room_model *model)
{
    slot->eager = model->eager;
    slot->no_room = model->no_room;
    slot->never = model->never;
    relay_target_hold(slot->target, model->held);
    switch (model->verdict) {
    case RELAY_ROOM_START:
        slot->state = RELAY_ROOM_STARTING;
        slot->go = true;
        if (slot->failures < RELAY_LOCAL_FAILED_AFTER)
            relay_target_set_phase(slot->target, RELAY_PHASE_LOADING, -1, TEXT(""));
        fiber_wake(slot->fiber);
        break;
    case RELAY_ROOM_UNLOAD_IDLE:
        put_to_sleep(slot, TEXT("idle"));
        break;
    case RELAY_ROOM_UNLOAD_ROOM:
        put_to_sleep(slot, TEXT("room"));
        break;
    case RELAY_ROOM_LEAVE:
    case RELAY_ROOM_VERDICT_COUNT:
        break;
    }
}

/* Unless a call has just come. */
static void put_to_sleep(struct relay_slot *slot, struct text why)
{
    if (!relay_target_sleep(slot->target))
        return;
    slot->state = RELAY_ROOM_STOPPING;
    slot->stop_us = clock_mono_us();
    LOG_INFO("a local model is unloaded", LOG_CSTR("model", slot->id), LOG_TEXT("why", why));
    if (slot->local->options.metrics != NULL)
        relay_metrics_unloaded(slot->local->options.metrics, text_of(slot->id), why);
    child_signal(slot->child, SIGTERM);
}

/* What people see of one that is not loaded. */
static void show(struct relay_slot *slot)
{
    char memory[RELAY_TARGET_REASON_BYTES], old[RELAY_TARGET_REASON_BYTES];
    int percent;
    struct text_out reason = text_out_over(memory, sizeof(memory));
    if (!slot->never)
        relay_target_set_hopeless(slot->target, false);
    if (slot->state != RELAY_ROOM_ASLEEP || slot->stop)
        return;
    bool coming = slot->eager || (slot->pinned && !slot->no_room);
    if (coming && slot->failures >= RELAY_LOCAL_FAILED_AFTER)
        return; /* that it has failed is still what there is to say */
    if (slot->no_room && !coming)
        say_no_room(slot, &reason);
    enum relay_phase phase = coming ? RELAY_PHASE_LOADING : RELAY_PHASE_ASLEEP;
    if (relay_target_phase(slot->target, &percent, old) == phase &&
        relay_target_is_hopeless(slot->target) == slot->never &&
        (coming || text_equal(text_of(old), text_out_text(&reason))))
        return;
    relay_target_set_phase(slot->target, phase, -1, text_out_text(&reason));
    relay_target_set_hopeless(slot->target, slot->never); /* now that the reason is there */
    if (reason.len > 0 && old[0] == '\0')
        LOG_WARN("there is no room for a local model", LOG_CSTR("model", slot->id),
                 LOG_TEXT("why", text_out_text(&reason)));
}

/* "it needs about 900 MiB; a (400 MiB, 2 calls), b (300 MiB, pinned) hold the memory". Ids alone:
 * everybody with a key may read it. */
static void say_no_room(const struct relay_slot *slot, struct text_out *out)
{
    const struct relay_local *local = slot->local;
    int64_t shown = 0, more = 0;
    text_out_addf(out, "it needs about %lld MiB", (long long)(slot->need_bytes / MIB));
    for (size_t i = 0; i < local->slots_count; i++) {
        const struct relay_slot *other = local->slots[i];
        if (other->state != RELAY_ROOM_READY && other->state != RELAY_ROOM_STARTING)
            continue;
        if (shown == HOLDERS_SHOWN) {
            more++;
            continue;
        }
        int64_t calls = relay_target_demand(other->target).calls;
        text_out_addf(out, "%s %s (%lld MiB", shown++ == 0 ? ";" : ",", other->id,
                      (long long)(other->need_bytes / MIB));
        if (other->pinned)
            text_out_add(out, TEXT(", pinned"));
        else if (other->state == RELAY_ROOM_STARTING)
            text_out_add(out, TEXT(", loading"));
        else if (calls > 0)
            text_out_addf(out, ", %lld call%s", (long long)calls, plural(calls));
        text_out_add(out, TEXT(")"));
    }
    if (more > 0)
        text_out_addf(out, " and %lld more", (long long)more);
    if (shown > 0)
        text_out_addf(out, " hold%s the memory", shown + more == 1 ? "s" : "");
    else if (local->options.memory_max > 0)
        text_out_addf(out, ", more than the %lld MiB that models may take",
                      (long long)(local->options.memory_max / MIB));
}

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}
