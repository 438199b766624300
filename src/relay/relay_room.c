#include "relay_room.h"

/* What is decided on the way. */
struct plan {
    const struct relay_room *room;
    struct relay_room_model *models;
    size_t count;
    uint64_t held_bytes;   /* by what is loaded, being loaded, or on its way out */
    uint64_t coming_bytes; /* of that, by what is on its way out */
    uint64_t free_bytes;
    bool looking, starting;
};

static void look(struct plan *plan);
static void unload_idle(struct plan *plan);
static void serve_waiting(struct plan *plan);
static void start_unasked(struct plan *plan, bool pinned);
static bool fits(const struct plan *plan, uint64_t need_bytes, uint64_t gone_bytes);
static void start(struct plan *plan, struct relay_room_model *model);
static void make_room(struct plan *plan, struct relay_room_model *model, bool hold);
static void choose(struct plan *plan, struct relay_room_model *model, bool hold);
static bool may_go(const struct relay_room_model *model, bool busy_too);
static bool may_be_held(const struct plan *plan, const struct relay_room_model *model);
static bool is_idle(const struct relay_room_model *model);
static bool before(const struct relay_room_model *a, const struct relay_room_model *b);
static void unload(struct plan *plan, struct relay_room_model *model,
                   enum relay_room_verdict verdict);

void relay_room_decide(const struct relay_room *room, struct relay_room_model *models, size_t count)
{
    WEIR_ASSERT(count <= RELAY_ROOM_MODELS_MAX);
    struct plan plan = {
        .room = room, .models = models, .count = count, .free_bytes = room->free_bytes};
    look(&plan);
    unload_idle(&plan);
    serve_waiting(&plan);
    start_unasked(&plan, true);
    start_unasked(&plan, false);
}

static void look(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct relay_room_model *model = &plan->models[i];
        model->verdict = RELAY_ROOM_LEAVE;
        model->held = model->no_room = model->never = false;
        plan->looking |= model->state == RELAY_ROOM_LOOKING;
        plan->starting |= model->state == RELAY_ROOM_STARTING;
        if (model->state == RELAY_ROOM_STOPPING)
            plan->coming_bytes += model->need_bytes;
        if (model->state == RELAY_ROOM_STARTING || model->state == RELAY_ROOM_READY ||
            model->state == RELAY_ROOM_STOPPING)
            plan->held_bytes += model->need_bytes;
    }
}

static void unload_idle(struct plan *plan)
{
    for (size_t i = 0; i < plan->count && plan->room->idle_us > 0; i++) {
        struct relay_room_model *model = &plan->models[i];
        if (may_go(model, false) && plan->room->now_us - model->used_us >= plan->room->idle_us)
            unload(plan, model, RELAY_ROOM_UNLOAD_IDLE);
    }
}

/* Those with calls, the longest wait first. While one of them waits for room, a later one may still
 * be started in what is left: a wait has its end (relay_limits), and holding comes before it. */
static void serve_waiting(struct plan *plan)
{
    bool done[RELAY_ROOM_MODELS_MAX] = {false};
    for (;;) {
        struct relay_room_model *next = NULL;
        for (size_t i = 0; i < plan->count; i++) {
            struct relay_room_model *model = &plan->models[i];
            if (!done[i] && model->state == RELAY_ROOM_ASLEEP && model->waiting > 0 &&
                (next == NULL || model->waited_us < next->waited_us))
                next = model;
        }
        if (next == NULL)
            return;
        done[next - plan->models] = true;
        if (fits(plan, next->need_bytes, 0)) {
            start(plan, next);
            continue;
        }
        make_room(plan, next, plan->room->now_us - next->waited_us >= plan->room->turn_us);
    }
}

/* Pinned ones that are asleep, and what was there at the start: one after the other, in their
 * order, so that the first is ready soonest. */
static void start_unasked(struct plan *plan, bool pinned)
{
    for (size_t i = 0; i < plan->count && !plan->looking && !plan->starting; i++) {
        struct relay_room_model *model = &plan->models[i];
        if (model->state != RELAY_ROOM_ASLEEP || model->verdict != RELAY_ROOM_LEAVE ||
            model->waiting > 0 || model->pinned != pinned || (!pinned && !model->eager))
            continue;
        if (fits(plan, model->need_bytes, 0)) {
            start(plan, model);
        } else if (pinned) {
            make_room(plan, model, false);
            model->eager = false; /* it is as long as it is pinned */
        } else if (plan->coming_bytes == 0) {
            model->no_room = true;
            model->eager = false;
        }
    }
}

/* With `gone_bytes` of what is held given back. */
static bool fits(const struct plan *plan, uint64_t need_bytes, uint64_t gone_bytes)
{
    uint64_t held = plan->held_bytes > gone_bytes ? plan->held_bytes - gone_bytes : 0;
    if (plan->room->limit_bytes > 0)
        return need_bytes <= plan->room->limit_bytes &&
               held <= plan->room->limit_bytes - need_bytes;
    if (held == 0)
        return true;
    uint64_t free_bytes = plan->free_bytes;
    free_bytes = free_bytes > UINT64_MAX - gone_bytes ? UINT64_MAX : free_bytes + gone_bytes;
    return need_bytes <= free_bytes;
}

static void start(struct plan *plan, struct relay_room_model *model)
{
    model->verdict = RELAY_ROOM_START;
    plan->starting = true;
    plan->held_bytes += model->need_bytes;
    if (plan->free_bytes != UINT64_MAX)
        plan->free_bytes -=
            plan->free_bytes < model->need_bytes ? plan->free_bytes : model->need_bytes;
}

/* For a model that does not fit: says what is to go, when that is enough, and else that there is no
 * room. What is on its way out already counts as gone. */
static void make_room(struct plan *plan, struct relay_room_model *model, bool hold)
{
    choose(plan, model, hold);
    model->no_room = !fits(plan, model->need_bytes, plan->coming_bytes);
}

static void choose(struct plan *plan, struct relay_room_model *model, bool hold)
{
    struct relay_room_model *chosen[RELAY_ROOM_MODELS_MAX];
    size_t count = 0;
    uint64_t gone = plan->coming_bytes, all = gone;
    if (fits(plan, model->need_bytes, gone))
        return; /* it comes */
    for (size_t i = 0; i < plan->count; i++) {
        const struct relay_room_model *other = &plan->models[i];
        bool comes = other->state == RELAY_ROOM_STARTING || other->verdict == RELAY_ROOM_START;
        if (may_go(other, true) || (comes && !other->pinned)) /* it may go when it is there */
            all += other->need_bytes;
    }
    if (!fits(plan, model->need_bytes, all)) {
        model->never = true;
        return;
    }
    while (!fits(plan, model->need_bytes, gone)) {
        struct relay_room_model *next = NULL;
        for (size_t i = 0; i < plan->count; i++) {
            struct relay_room_model *other = &plan->models[i];
            bool has = false;
            for (size_t c = 0; c < count; c++)
                has |= chosen[c] == other;
            bool goes = may_go(other, false) || (hold && may_be_held(plan, other));
            if (!has && goes && (next == NULL || before(other, next)))
                next = other;
        }
        if (next == NULL)
            return; /* calls must end first */
        chosen[count++] = next;
        gone += next->need_bytes;
    }
    for (size_t c = count; c-- > 0;) { /* what was used last stays, if the rest is enough */
        if (fits(plan, model->need_bytes, gone - chosen[c]->need_bytes)) {
            gone -= chosen[c]->need_bytes;
            chosen[c] = NULL;
        }
    }
    for (size_t c = 0; c < count; c++) {
        if (chosen[c] == NULL)
            continue;
        chosen[c]->held = !is_idle(chosen[c]);
        if (chosen[c]->calls == 0)
            unload(plan, chosen[c], RELAY_ROOM_UNLOAD_ROOM);
    }
}

static bool may_go(const struct relay_room_model *model, bool busy_too)
{
    return model->state == RELAY_ROOM_READY && model->verdict == RELAY_ROOM_LEAVE &&
           !model->pinned && (busy_too || is_idle(model));
}

/* Its calls have had their turn. */
static bool may_be_held(const struct plan *plan, const struct relay_room_model *model)
{
    return may_go(model, true) && plan->room->now_us - model->ready_us >= plan->room->turn_us;
}

static bool is_idle(const struct relay_room_model *model)
{
    return model->calls == 0 && model->waiting == 0;
}

/* Whether `a` goes rather than `b`. */
static bool before(const struct relay_room_model *a, const struct relay_room_model *b)
{
    if (a->calls != b->calls)
        return a->calls < b->calls;
    return a->used_us < b->used_us;
}

/* Its memory is still held: it comes when the process has ended. */
static void unload(struct plan *plan, struct relay_room_model *model,
                   enum relay_room_verdict verdict)
{
    model->verdict = verdict;
    plan->coming_bytes += model->need_bytes;
}
