/* A place in the grammar is a node: an element, and the node to go on with behind its rule. Equal
 * nodes are one node (nodes are found by hash), so a set of places is a list of numbers, and equal
 * sets are one state. A rule's last element needs no node to return to: what repeats stays flat. */
#include "grammar_matcher.h"
#include "grammar_internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    NODES_MAX = 1 << 15,       /* kept; more than half of it in use at once: stuck */
    PLACES_MAX = 1 << 11,      /* of one state */
    STEPS_MAX = 1 << 14,       /* to find one state */
    STATES_MAX = 1 << 12,      /* kept */
    TRANSITIONS_MAX = 1 << 20, /* kept, of all states */
    ITEMS_MAX = 1 << 18,       /* kept, of all states */
    WORK_MAX = 1 << 21,        /* for one token: steps, and eighths of places looked at */
    WORK_FORGETTING = 1 << 12, /* what it takes to begin anew */
    HASH_SIZE = NODES_MAX * 2,
    SETS_SIZE = STATES_MAX * 2,
};
static const uint32_t dead = 0, unknown = UINT32_MAX;

struct node {
    uint32_t element, parent; /* parent 0: the end of the grammar */
};
struct state {
    uint32_t first, count; /* in `items`: nodes whose elements are characters, in order */
    bool ends;             /* the grammar may end here */
    uint32_t *next;        /* by class: a state, `dead` or `unknown` */
};
/* Inside a token: a state, and a character that is not complete. */
struct walk {
    uint32_t state, code;
    uint32_t left; /* bytes of the character still to come */
};

struct grammar_matcher {
    struct grammar *grammar;
    const struct grammar_pieces *pieces;
    struct walk at;
    bool waiting, stuck;
    struct grammar_trigger triggers[INFER_TRIGGERS_MAX];
    size_t triggers_count;
    char trigger_bytes[INFER_TRIGGERS_MAX][INFER_TRIGGER_BYTES_MAX];
    char tail[INFER_TRIGGER_BYTES_MAX]; /* of what came while waiting */
    size_t tail_len;
    bool tail_cut; /* more came before it */

    struct node *nodes;
    uint32_t nodes_count, nodes_size;
    uint32_t *marks; /* by node: the turn that saw it */
    uint32_t turn;
    uint32_t *hash; /* of nodes; 0: free */
    struct state *states;
    uint32_t states_count, states_size, states_max;
    uint32_t *sets; /* hash of states; 0: free */
    uint32_t *items;
    uint32_t items_count, items_size;
    uint32_t *todo; /* of one search */
    uint32_t todo_count, steps;
    uint32_t *found;
    uint32_t found_count;
    bool found_end, too_much;
    bool full;     /* something was not found for want of room alone: see make_room */
    uint32_t work; /* since the last token was accepted */
};

static void copy_triggers(struct grammar_matcher *m, const struct grammar_start *begin);
static void start(struct grammar_matcher *m);
static void forget(struct grammar_matcher *m);
static void keep_only(struct grammar_matcher *m);
static uint32_t node_of(struct grammar_matcher *m, uint32_t element, uint32_t parent);
static void push(struct grammar_matcher *m, uint32_t node);
static void expand(struct grammar_matcher *m, uint32_t node);
static uint32_t close_set(struct grammar_matcher *m);
static uint32_t state_of_found(struct grammar_matcher *m);
static uint32_t hash_of(const uint32_t *items, uint32_t count, bool ends);
static int by_number(const void *left, const void *right);
static uint32_t next_state(struct grammar_matcher *m, uint32_t state, uint32_t class);
static bool walk_byte(struct grammar_matcher *m, struct walk *walk, unsigned char byte);
static bool second_is_good(const struct walk *walk);
static bool walk_text(struct grammar_matcher *m, struct walk *walk, struct text text);
static bool walk_from_here(struct grammar_matcher *m, struct text text, struct walk *walk);
static bool make_room(struct grammar_matcher *m);
static bool walk_piece(struct grammar_matcher *m, const struct grammar_piece *piece, size_t from,
                       struct walk *walks, size_t *reached);
static bool may_go_on(struct grammar_matcher *m, const struct walk *walk);
static bool trigger_in(const struct grammar_matcher *m, struct text piece, struct walk *begin,
                       size_t *from);
static bool waiting_allows(struct grammar_matcher *m, struct text piece);
static void accept_waiting(struct grammar_matcher *m, struct text piece);

struct grammar_matcher *grammar_matcher_new(struct grammar *grammar,
                                            const struct grammar_pieces *pieces,
                                            const struct grammar_start *begin)
{
    struct grammar_matcher *m = base_alloc(sizeof *m);
    m->grammar = grammar_hold(grammar);
    m->pieces = pieces;
    if (begin != NULL)
        copy_triggers(m, begin);
    m->hash = base_alloc(HASH_SIZE * sizeof *m->hash);
    m->sets = base_alloc(SETS_SIZE * sizeof *m->sets);
    m->todo = base_alloc((STEPS_MAX + 1) * sizeof *m->todo);
    m->found = base_alloc((PLACES_MAX + 1) * sizeof *m->found);
    m->states_max = (uint32_t)TRANSITIONS_MAX / grammar->classes;
    m->states_max = m->states_max > STATES_MAX ? STATES_MAX : m->states_max;
    m->states_max = m->states_max < 16 ? 16 : m->states_max;
    m->nodes_size = 256;
    m->nodes = base_alloc(m->nodes_size * sizeof *m->nodes);
    m->marks = base_alloc(m->nodes_size * sizeof *m->marks);
    m->states_size = 32;
    m->states = base_alloc(m->states_size * sizeof *m->states);
    forget(m);
    start(m);
    if (begin != NULL && begin->written.len > 0)
        m->stuck |= !walk_text(m, &m->at, begin->written);
    return m;
}

void grammar_matcher_free(struct grammar_matcher *m)
{
    if (m == NULL)
        return;
    forget(m);
    grammar_release(m->grammar);
    free(m->nodes);
    free(m->marks);
    free(m->hash);
    free(m->states);
    free(m->sets);
    free(m->items);
    free(m->todo);
    free(m->found);
    free(m);
}

static void copy_triggers(struct grammar_matcher *m, const struct grammar_start *begin)
{
    WEIR_ASSERT(begin->triggers_count <= INFER_TRIGGERS_MAX);
    m->triggers_count = begin->triggers_count;
    m->waiting = begin->triggers_count > 0;
    for (size_t i = 0; i < begin->triggers_count; i++) {
        const struct grammar_trigger *trigger = &begin->triggers[i];
        WEIR_ASSERT(trigger->before < trigger->text.len &&
                    trigger->text.len <= INFER_TRIGGER_BYTES_MAX);
        memcpy(m->trigger_bytes[i], trigger->text.at, trigger->text.len);
        m->triggers[i] = *trigger;
        m->triggers[i].text.at = m->trigger_bytes[i];
    }
}

/* The places at which an answer can begin. */
static void start(struct grammar_matcher *m)
{
    const struct grammar_rule *root = &m->grammar->rules[m->grammar->root];
    m->turn++;
    for (uint32_t i = 0; i < root->count; i++)
        push(m, node_of(m, m->grammar->alternatives[root->first + i], 0));
    m->at = (struct walk){.state = close_set(m)};
    m->stuck = m->at.state == dead;
}

/* Node and state 0 are taken: by the end of the grammar, and by what is dead. */
static void forget(struct grammar_matcher *m)
{
    for (uint32_t i = 1; i < m->states_count; i++)
        free(m->states[i].next);
    memset(m->hash, 0, HASH_SIZE * sizeof *m->hash);
    memset(m->sets, 0, SETS_SIZE * sizeof *m->sets);
    m->nodes_count = m->states_count = 1;
    m->items_count = 0;
}

/* Only the state that the matcher is in, and what its places return to. A node's parent was made
 * before it, so one way up and one way down are enough. */
static void keep_only(struct grammar_matcher *m)
{
    struct state state = m->states[m->at.state];
    uint32_t count = m->nodes_count;
    struct node *old = base_alloc(count * sizeof *old);
    uint32_t *moved = base_alloc(count * sizeof *moved);
    uint32_t *items = base_alloc(state.count * sizeof *items);
    memcpy(old, m->nodes, count * sizeof *old);
    for (uint32_t i = 0; i < state.count; i++) {
        items[i] = m->items[state.first + i];
        moved[items[i]] = 1;
    }
    for (uint32_t i = count; i-- > 1;)
        if (moved[i] != 0)
            moved[old[i].parent] = 1;
    forget(m);
    for (uint32_t i = 1; i < count; i++)
        if (moved[i] != 0)
            moved[i] = node_of(m, old[i].element, old[i].parent == 0 ? 0 : moved[old[i].parent]);
    m->found_count = 0;
    for (uint32_t i = 0; i < state.count; i++)
        m->found[m->found_count++] = moved[items[i]];
    m->found_end = state.ends;
    m->at.state = state_of_found(m);
    m->found_count = 0;
    m->found_end = false;
    m->stuck |= m->nodes_count > NODES_MAX / 2;
    free(old);
    free(moved);
    free(items);
}

static uint32_t node_of(struct grammar_matcher *m, uint32_t element, uint32_t parent)
{
    uint32_t at = (element * 0x9E3779B1U) ^ (parent * 0x85EBCA77U);
    for (at ^= at >> 15;; at++) {
        uint32_t node = m->hash[at & (HASH_SIZE - 1)];
        if (node == 0)
            break;
        if (m->nodes[node].element == element && m->nodes[node].parent == parent)
            return node;
    }
    if (m->nodes_count >= NODES_MAX) {
        m->too_much = m->full = true;
        return 0;
    }
    if (m->nodes_count >= m->nodes_size) {
        uint32_t had = m->nodes_size;
        m->nodes_size = had * 2;
        m->nodes = base_resize(m->nodes, m->nodes_size * sizeof *m->nodes);
        m->marks = base_resize(m->marks, m->nodes_size * sizeof *m->marks);
        memset(m->marks + had, 0, (m->nodes_size - had) * sizeof *m->marks);
    }
    m->nodes[m->nodes_count] = (struct node){element, parent};
    m->hash[at & (HASH_SIZE - 1)] = m->nodes_count;
    return m->nodes_count++;
}

static void push(struct grammar_matcher *m, uint32_t node)
{
    if (m->too_much)
        return;
    if (node == 0) {
        m->found_end = true;
        return;
    }
    if (m->marks[node] == m->turn)
        return;
    m->marks[node] = m->turn;
    if (++m->steps > STEPS_MAX || m->todo_count >= STEPS_MAX) {
        m->too_much = true;
        return;
    }
    m->todo[m->todo_count++] = node;
}

static void expand(struct grammar_matcher *m, uint32_t node)
{
    const struct grammar *g = m->grammar;
    struct node at = m->nodes[node];
    struct grammar_element element = g->elements[at.element];
    if (element.type == GRAMMAR_ELEMENT_END) {
        push(m, at.parent);
    } else if (element.type == GRAMMAR_ELEMENT_RULE) {
        const struct grammar_rule *rule = &g->rules[element.value];
        bool last = g->elements[at.element + 1].type == GRAMMAR_ELEMENT_END;
        uint32_t parent = last ? at.parent : node_of(m, at.element + 1, at.parent);
        for (uint32_t i = 0; i < rule->count && !m->too_much; i++)
            push(m, node_of(m, g->alternatives[rule->first + i], parent));
    } else if (m->found_count >= PLACES_MAX) {
        m->too_much = true;
    } else {
        m->found[m->found_count++] = node;
    }
}

/* What was pushed, as a state; `dead` when it is nothing, or too much. */
static uint32_t close_set(struct grammar_matcher *m)
{
    while (m->todo_count > 0 && !m->too_much)
        expand(m, m->todo[--m->todo_count]);
    uint32_t state = m->too_much ? dead : state_of_found(m);
    m->work += m->steps;
    m->todo_count = m->found_count = m->steps = 0;
    m->found_end = m->too_much = false;
    return state;
}

static uint32_t state_of_found(struct grammar_matcher *m)
{
    uint32_t count = m->found_count;
    if (count == 0 && !m->found_end)
        return dead;
    qsort(m->found, count, sizeof *m->found, by_number);
    uint32_t at = hash_of(m->found, count, m->found_end);
    for (;; at++) {
        uint32_t state = m->sets[at & (SETS_SIZE - 1)];
        if (state == 0)
            break;
        const struct state *s = &m->states[state];
        if (s->count == count && s->ends == m->found_end &&
            (count == 0 || memcmp(m->items + s->first, m->found, count * sizeof *m->found) == 0))
            return state;
    }
    if (m->states_count >= m->states_max || m->items_count + count > ITEMS_MAX) {
        m->full = true;
        return dead;
    }
    while (m->items_count + count > m->items_size) {
        m->items_size = m->items_size == 0 ? 256 : m->items_size * 2;
        m->items = base_resize(m->items, m->items_size * sizeof *m->items);
    }
    if (m->states_count >= m->states_size) {
        m->states_size *= 2;
        m->states = base_resize(m->states, m->states_size * sizeof *m->states);
    }
    if (count > 0)
        memcpy(m->items + m->items_count, m->found, count * sizeof *m->found);
    struct state made = {.first = m->items_count, .count = count, .ends = m->found_end};
    made.next = base_alloc(m->grammar->classes * sizeof *made.next);
    memset(made.next, 0xFF, m->grammar->classes * sizeof *made.next); /* unknown */
    m->items_count += count;
    m->states[m->states_count] = made;
    m->sets[at & (SETS_SIZE - 1)] = m->states_count;
    return m->states_count++;
}

static uint32_t hash_of(const uint32_t *items, uint32_t count, bool ends)
{
    uint32_t hash = ends ? 0x811c9dc5U : 0x9E3779B1U;
    for (uint32_t i = 0; i < count; i++)
        hash = (hash ^ items[i]) * 0x01000193U;
    return hash ^ hash >> 16;
}

static int by_number(const void *left, const void *right)
{
    uint32_t a, b;
    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return a < b ? -1 : a > b;
}

static uint32_t next_state(struct grammar_matcher *m, uint32_t state, uint32_t class)
{
    uint32_t known = m->states[state].next[class];
    if (known != unknown)
        return known;
    m->turn++;
    for (uint32_t i = 0; i < m->states[state].count && !m->too_much; i++) {
        struct node place = m->nodes[m->items[m->states[state].first + i]];
        if (grammar_matches(m->grammar, m->grammar->elements[place.element], class))
            push(m, node_of(m, place.element + 1, place.parent));
    }
    uint32_t next = close_set(m);
    m->work += m->states[state].count / 8 + 1;
    m->stuck |= m->work > WORK_MAX;
    if (m->full || m->stuck)
        return dead; /* another time it may be found */
    m->states[state].next[class] = next;
    return next;
}

static bool walk_byte(struct grammar_matcher *m, struct walk *walk, unsigned char byte)
{
    if (walk->left == 0) {
        if (byte >= 0x80) {
            walk->left = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
            walk->code = byte & (0x3FU >> walk->left);
            return byte >= 0xC2 && byte <= 0xF4;
        }
        walk->code = byte;
    } else {
        walk->code = walk->code << 6 | (byte & 0x3FU);
        if ((byte & 0xC0) != 0x80 || !second_is_good(walk))
            return false;
        if (--walk->left > 0)
            return true;
    }
    walk->state = next_state(m, walk->state, grammar_class(m->grammar, walk->code));
    return walk->state != dead;
}

/* Behind the second byte of a character it shows whether it is written with more bytes than it
 * needs, is half of a surrogate pair, or is beyond what there is. */
static bool second_is_good(const struct walk *walk)
{
    uint32_t code = walk->code;
    if (walk->left == 3)
        return code >= 0x10 && code <= 0x10F;
    if (walk->left == 2 && code < 0x400) /* else it is the third of four */
        return code >= 0x20 && !(code >= 0x360 && code <= 0x37F);
    return true;
}

/* False when the text cannot stand there. */
static bool walk_text(struct grammar_matcher *m, struct walk *walk, struct text text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!walk_byte(m, walk, (unsigned char)text.at[i]))
            return false;
    return walk->left == 0 || may_go_on(m, walk);
}

/* Whether some end of the character that has begun is allowed. */
static bool may_go_on(struct grammar_matcher *m, const struct walk *walk)
{
    uint32_t low = walk->code << (6 * walk->left), high = low | ((1U << (6 * walk->left)) - 1);
    if (low == 0)
        low = walk->left == 3 ? 0x10000 : 0x800;
    if (high > GRAMMAR_CODE_MAX)
        high = GRAMMAR_CODE_MAX;
    uint32_t first = grammar_class(m->grammar, low);
    uint32_t last = grammar_class(m->grammar, high);
    for (uint32_t class = first; class <= last && !m->stuck; class++, m->work++)
        if (next_state(m, walk->state, class) != dead)
            return true;
    return false;
}

/* The same from where the answer stands. */
static bool walk_from_here(struct grammar_matcher *m, struct text text, struct walk *walk)
{
    *walk = m->at;
    bool good = walk_text(m, walk, text);
    if (!make_room(m))
        return good;
    *walk = m->at;
    good = walk_text(m, walk, text);
    m->full = false; /* it is too much by itself */
    return good;
}

/* After a walk: true when all that was kept had to go, but for where the answer stands, and the
 * walk is to be made again. */
static bool make_room(struct grammar_matcher *m)
{
    if (!m->full)
        return false;
    keep_only(m);
    m->full = false;
    m->work += WORK_FORGETTING;
    m->stuck |= m->work > WORK_MAX;
    return true;
}

bool grammar_matcher_allows(struct grammar_matcher *m, int32_t token)
{
    struct text piece = grammar_pieces_text(m->pieces, token);
    if (m->waiting)
        return waiting_allows(m, piece);
    if (m->pieces->ends[token])
        return m->states[m->at.state].ends && m->at.left == 0;
    struct walk walk;
    return piece.len > 0 && !m->stuck && walk_from_here(m, piece, &walk);
}

/* Along the sorted pieces: what two of them share is walked once, and what shares the bytes that
 * failed fails. */
void grammar_matcher_mask(struct grammar_matcher *m, float *row)
{
    struct walk walks[GRAMMAR_PIECES_BYTES_MAX + 1];
    const struct grammar_pieces *pieces = m->pieces;
    if (m->waiting) {
        for (uint32_t i = 0; i < pieces->count; i++)
            if (!grammar_matcher_allows(m, (int32_t)i))
                row[i] = -INFINITY;
        return;
    }
    bool may_end = m->states[m->at.state].ends && m->at.left == 0;
    for (uint32_t i = 0; i < pieces->count; i++)
        if (pieces->place[i] == UINT32_MAX && !(pieces->ends[i] && may_end))
            row[i] = -INFINITY;
    size_t reached = 0; /* bytes of the piece before that were walked */
    bool failed = false;
    walks[0] = m->at;
    for (uint32_t i = 0; i < pieces->sorted_count; i++) {
        const struct grammar_piece *piece = &pieces->sorted[i];
        bool good = false;
        if (!failed || piece->shared <= reached) {
            good = walk_piece(m, piece, piece->shared, walks, &reached);
            if (make_room(m)) {
                walks[0] = m->at;
                good = walk_piece(m, piece, 0, walks, &reached);
                m->full = false;
            }
            failed = reached < piece->len;
        }
        if (!good)
            row[piece->token] = -INFINITY;
    }
}

/* On from walks[from]; walks[n] is where n bytes lead to. False when the piece cannot stand there.
 */
static bool walk_piece(struct grammar_matcher *m, const struct grammar_piece *piece, size_t from,
                       struct walk *walks, size_t *reached)
{
    bool failed = m->stuck;
    for (*reached = from; *reached < piece->len && !failed;) {
        unsigned char byte = (unsigned char)m->pieces->bytes[piece->at + *reached];
        walks[*reached + 1] = walks[*reached];
        failed = !walk_byte(m, &walks[*reached + 1], byte);
        *reached += !failed;
    }
    const struct walk *walk = &walks[*reached];
    return !failed && (walk->left == 0 || may_go_on(m, walk));
}

void grammar_matcher_accept(struct grammar_matcher *m, int32_t token)
{
    struct text piece = grammar_pieces_text(m->pieces, token);
    struct walk walk;
    if (m->stuck || (!m->waiting && m->pieces->ends[token]))
        return;
    m->work = 0;
    if (m->nodes_count > NODES_MAX / 4 * 3 || m->states_count > m->states_max / 4 * 3 ||
        m->items_count > ITEMS_MAX / 4 * 3)
        keep_only(m);
    if (m->waiting) {
        accept_waiting(m, piece);
        return;
    }
    m->stuck |= !walk_from_here(m, piece, &walk);
    m->at = walk;
}

bool grammar_matcher_done(const struct grammar_matcher *m)
{
    const struct state *state = &m->states[m->at.state];
    return !m->waiting && !m->stuck && state->ends && state->count == 0 && m->at.left == 0;
}

bool grammar_matcher_stuck(const struct grammar_matcher *m)
{
    return m->stuck;
}

/* --- waiting for a trigger -------------------------------------------------------------------- */

/* Whether `piece` completes a trigger: `begin` is where the grammar stands behind the trigger's
 * part in the tail, `*from` where the piece goes on with it. */
static bool trigger_in(const struct grammar_matcher *m, struct text piece, struct walk *begin,
                       size_t *from)
{
    char bytes[INFER_TRIGGER_BYTES_MAX + GRAMMAR_PIECES_BYTES_MAX];
    memcpy(bytes, m->tail, m->tail_len);
    if (piece.len > 0)
        memcpy(bytes + m->tail_len, piece.at, piece.len);
    struct text all = {bytes, m->tail_len + piece.len};
    size_t best = all.len;
    for (size_t i = 0; i < m->triggers_count; i++) {
        const struct grammar_trigger *trigger = &m->triggers[i];
        size_t found = text_find(all, trigger->text);
        if (trigger->at_end)
            found = text_ends(all, trigger->text) ? all.len - trigger->text.len : all.len;
        if (found < all.len && !(trigger->at_start && (found > 0 || m->tail_cut)))
            best = found + trigger->before < best ? found + trigger->before : best;
    }
    *begin = m->at;
    *from = best;
    return best < all.len;
}

/* A token that completes a trigger must go on as the grammar does. */
static bool waiting_allows(struct grammar_matcher *m, struct text piece)
{
    struct walk walk;
    size_t from;
    if (!trigger_in(m, piece, &walk, &from))
        return true;
    return walk_text(m, &walk, text_skip((struct text){m->tail, m->tail_len}, from)) &&
           walk_text(m, &walk, text_skip(piece, from > m->tail_len ? from - m->tail_len : 0));
}

static void accept_waiting(struct grammar_matcher *m, struct text piece)
{
    struct walk walk;
    size_t from, keep = INFER_TRIGGER_BYTES_MAX - 1;
    if (trigger_in(m, piece, &walk, &from)) {
        m->waiting = false;
        m->stuck |= !walk_text(m, &m->at, text_skip((struct text){m->tail, m->tail_len}, from));
        size_t used = from > m->tail_len ? from - m->tail_len : 0;
        m->stuck |= !walk_text(m, &m->at, text_skip(piece, used));
        return;
    }
    if (piece.len >= keep) {
        memcpy(m->tail, piece.at + piece.len - keep, keep);
        m->tail_cut |= m->tail_len > 0 || piece.len > keep;
        m->tail_len = keep;
        return;
    }
    if (m->tail_len + piece.len > keep) {
        size_t over = m->tail_len + piece.len - keep;
        memmove(m->tail, m->tail + over, m->tail_len - over);
        m->tail_len -= over;
        m->tail_cut = true;
    }
    if (piece.len > 0)
        memcpy(m->tail + m->tail_len, piece.at, piece.len);
    m->tail_len += piece.len;
}
