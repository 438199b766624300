/* Groups: whose turn a step is, and that the sequences of each stand together. A step that holds
 * sequence numbers with gaps between them is computed in as many parts as there are, and each part
 * reads the weights. */
#include "engine_sched_internal.h"

/* Where the tasks of a group stand. */
struct span {
    uint32_t low, high, count;
};
static const uint32_t nowhere = UINT32_MAX;

static bool got_less(const struct engine_task *a, const struct engine_task *b);
static bool goes_before(const struct engine_sched *s, uint32_t groups, const struct engine_task *a,
                        const struct engine_task *b);
static uint32_t holes(const struct engine_sched *s, uint32_t a, uint32_t b);
static void spans_of(const struct engine_sched *s, struct span *spans, uint32_t a, uint32_t b);
static uint32_t distance_to_others(const struct engine_sched *s, uint32_t at, uint32_t group);
static bool may_go(const struct engine_sched *s, uint32_t from, uint32_t to);
static bool is_better(const struct engine_sched *s, uint32_t from, const struct engine_move *best);

struct engine_sched_turn engine_sched_turn(const struct engine_sched *s)
{
    const struct engine_task *first[ENGINE_SCHED_GROUPS_MAX] = {0}; /* whose tenant got least */
    struct engine_sched_turn turn = {0};
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        const struct engine_task *task = s->running[i];
        if (task == NULL || task->paused)
            continue;
        const struct engine_task **least = &first[task->group];
        turn.groups += *least == NULL;
        if (*least == NULL || got_less(task, *least))
            *least = task;
    }
    bool any = false;
    for (uint32_t g = 0; g < ENGINE_SCHED_GROUPS_MAX; g++) {
        if (first[g] == NULL || (any && !goes_before(s, turn.groups, first[g], first[turn.group])))
            continue;
        turn.group = g;
        any = true;
    }
    return turn;
}

void engine_sched_took_turn(struct engine_sched *s, uint32_t group)
{
    bool active[ENGINE_SCHED_GROUPS_MAX] = {0};
    for (uint32_t i = 0; i < s->options.sequences; i++)
        if (s->running[i] != NULL && !s->running[i]->paused)
            active[s->running[i]->group] = true;
    for (uint32_t g = 0; g < ENGINE_SCHED_GROUPS_MAX; g++)
        s->waited[g] = active[g] && g != group ? s->waited[g] + 1 : 0;
}

/* Beside its own; else as far from the others as can be, so that they have room to grow. */
int32_t engine_sched_place(const struct engine_sched *s, uint32_t group)
{
    int32_t best = -1;
    uint32_t best_holes = 0, best_distance = 0;
    for (uint32_t at = 0; at < s->options.sequences; at++) {
        if (s->running[at] != NULL)
            continue;
        struct span spans[ENGINE_SCHED_GROUPS_MAX];
        spans_of(s, spans, nowhere, nowhere);
        struct span *own = &spans[group];
        uint32_t low = own->count == 0 || at < own->low ? at : own->low;
        uint32_t high = own->count == 0 || at > own->high ? at : own->high;
        uint32_t would = high - low - own->count, distance = distance_to_others(s, at, group);
        if (best >= 0 && (would > best_holes || (would == best_holes && distance <= best_distance)))
            continue;
        best = (int32_t)at;
        best_holes = would;
        best_distance = distance;
    }
    WEIR_ASSERT(best >= 0);
    return best;
}

/* The move that leaves the fewest gaps; of equal ones the one that copies least. */
bool engine_sched_move(const struct engine_sched *s, struct engine_move *out)
{
    uint32_t now = holes(s, nowhere, nowhere), least = now;
    struct span spans[ENGINE_SCHED_GROUPS_MAX];
    if (now == 0)
        return false;
    spans_of(s, spans, nowhere, nowhere);
    for (uint32_t from = s->options.sequences; from-- > 0;) {
        const struct engine_task *task = s->running[from];
        if (task == NULL || (from != spans[task->group].low && from != spans[task->group].high))
            continue; /* between others of its group: it would only leave a gap there */
        for (uint32_t to = 0; to < s->options.sequences; to++) {
            if (!may_go(s, from, to))
                continue;
            uint32_t would = holes(s, from, to);
            if (would >= now || would > least || (would == least && !is_better(s, from, out)))
                continue;
            least = would;
            *out = (struct engine_move){s->running[from], (int32_t)to};
        }
    }
    return least < now;
}

void engine_sched_moved(struct engine_sched *s, const struct engine_move *move)
{
    int32_t from = move->task->sequence;
    struct engine_task *other = s->running[move->to];
    WEIR_ASSERT(s->running[from] == move->task && (other == NULL || other->computed == 0));
    s->running[from] = other;
    s->running[move->to] = move->task;
    move->task->sequence = move->to;
    if (other != NULL)
        other->sequence = from;
}

static bool got_less(const struct engine_task *a, const struct engine_task *b)
{
    return a->vtc.tenant->counter < b->vtc.tenant->counter;
}

/* Of two groups, by the task in each whose tenant got least. Who has waited for a step of each
 * other group goes first, whatever was got. */
static bool goes_before(const struct engine_sched *s, uint32_t groups, const struct engine_task *a,
                        const struct engine_task *b)
{
    uint32_t mine = s->waited[a->group], theirs = s->waited[b->group];
    bool overdue = mine + 1 >= groups || theirs + 1 >= groups;
    if (!overdue && (got_less(a, b) || got_less(b, a)))
        return got_less(a, b);
    return mine > theirs;
}

/* In all groups together, if what stands at `a` and at `b` changed places. */
static uint32_t holes(const struct engine_sched *s, uint32_t a, uint32_t b)
{
    struct span spans[ENGINE_SCHED_GROUPS_MAX];
    uint32_t sum = 0;
    spans_of(s, spans, a, b);
    for (uint32_t g = 0; g < ENGINE_SCHED_GROUPS_MAX; g++)
        if (spans[g].count > 0)
            sum += spans[g].high - spans[g].low + 1 - spans[g].count;
    return sum;
}

static void spans_of(const struct engine_sched *s, struct span *spans, uint32_t a, uint32_t b)
{
    for (uint32_t g = 0; g < ENGINE_SCHED_GROUPS_MAX; g++)
        spans[g] = (struct span){0};
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        const struct engine_task *task = s->running[i == a ? b : i == b ? a : i];
        if (task == NULL)
            continue;
        struct span *span = &spans[task->group];
        span->low = span->count == 0 ? i : span->low;
        span->high = i;
        span->count++;
    }
}

static uint32_t distance_to_others(const struct engine_sched *s, uint32_t at, uint32_t group)
{
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        uint32_t distance = i > at ? i - at : at - i;
        if (s->running[i] != NULL && s->running[i]->group != group && distance < least)
            least = distance;
    }
    return least;
}

/* To a free number, or in the place of one who has nothing in the cache yet. */
static bool may_go(const struct engine_sched *s, uint32_t from, uint32_t to)
{
    const struct engine_task *there = s->running[to];
    return from != to &&
           (there == NULL || (there->computed == 0 && there->group != s->running[from]->group));
}

static bool is_better(const struct engine_sched *s, uint32_t from, const struct engine_move *best)
{
    return s->running[from]->computed < best->task->computed;
}
