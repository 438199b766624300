#include "engine_radix.h"
#include <stdlib.h>
#include <string.h>

enum { BLOCK = ENGINE_RADIX_BLOCK, SCOPE_BUCKETS = 256 };

struct node {
    struct node *parent, *child; /* any of them */
    struct node *before, *after; /* with the same parent, in no order */
    struct engine_radix_entry *entries;
    uint64_t hash;
    int32_t tokens[BLOCK];
};

struct scope {
    struct scope *next;             /* in its bucket */
    struct engine_radix_scope name; /* its text is a copy */
    uint64_t hash, bytes;
    uint32_t entries;
    struct node root; /* no tokens */
};

struct engine_radix_entry {
    struct scope *scope;
    struct node *node;
    struct engine_radix_entry *next;          /* at the same node */
    struct engine_radix_entry *older, *newer; /* by use */
    void *blob;
    size_t bytes;
    uint32_t count, tail_count;
    int32_t tail[BLOCK]; /* fewer than that */
};

struct engine_radix {
    struct engine_radix_options options;
    struct scope *scopes[SCOPE_BUCKETS];
    struct engine_radix_entry *oldest, *newest;
    struct engine_radix_stats stats;
};

struct search {
    const int32_t *tokens;
    uint32_t count, window;
    struct engine_radix_found best;
};

static struct scope *scope_find(const struct engine_radix *p, const struct engine_radix_scope *name,
                                bool is_public);
static struct scope *scope_take(struct engine_radix *p, const struct engine_radix_scope *name);
static void scope_drop(struct engine_radix *p, struct scope *scope);
static void search_scope(struct search *s, struct scope *scope);
static void search_below(struct search *s, struct node *top, uint32_t common);
static void offer(struct search *s, struct engine_radix_entry *entry, uint32_t common);
static void drop_replaced(struct engine_radix *p, const struct engine_radix_scope *name,
                          const int32_t *tokens, uint32_t count);
static bool make_room(struct engine_radix *p, const struct engine_radix_scope *name, size_t bytes);
static struct engine_radix_entry *victim(const struct engine_radix *p, const struct scope *scope,
                                         size_t bytes);
static struct node *node_take(struct scope *scope, const int32_t *tokens, uint32_t count);
static struct node *child_of(const struct node *node, const int32_t *tokens);
static void prune(struct node *node);
static void link_newest(struct engine_radix *p, struct engine_radix_entry *entry);
static void unlink_used(struct engine_radix *p, struct engine_radix_entry *entry);
static uint64_t hash_of(const void *at, size_t len, uint64_t seed);

struct engine_radix *engine_radix_new(const struct engine_radix_options *options)
{
    struct engine_radix *p = base_alloc(sizeof *p);
    p->options = *options;
    if (p->options.scope_bytes_max == 0)
        p->options.scope_bytes_max = options->bytes_max / 4;
    return p;
}

void engine_radix_free(struct engine_radix *p)
{
    if (p == NULL)
        return;
    while (p->oldest != NULL)
        engine_radix_remove(p, p->oldest);
    free(p);
}

void engine_radix_find(const struct engine_radix *p, const struct engine_radix_scope *scope,
                       const int32_t *tokens, uint32_t count, struct engine_radix_found *out)
{
    struct search s = {.tokens = tokens, .count = count, .window = p->options.window};
    if (!scope->is_public)
        search_scope(&s, scope_find(p, scope, false));
    search_scope(&s, scope_find(p, scope, true));
    *out = s.best;
}

struct engine_radix_entry *engine_radix_put(struct engine_radix *p,
                                            const struct engine_radix_scope *name,
                                            const int32_t *tokens, uint32_t count, size_t bytes)
{
    struct engine_radix_found found;
    if (count == 0 || bytes == 0 || bytes > p->options.bytes_max)
        return NULL;
    engine_radix_find(p, name, tokens, count, &found);
    if (found.tokens == count) {
        engine_radix_used(p, found.entry);
        return NULL;
    }
    drop_replaced(p, name, tokens, count);
    if (!make_room(p, name, bytes))
        return NULL;
    void *blob = malloc(bytes);
    if (blob == NULL)
        return NULL;
    struct engine_radix_entry *entry = base_alloc(sizeof *entry);
    entry->blob = blob;
    entry->bytes = bytes;
    entry->count = count;
    entry->tail_count = count % BLOCK;
    if (entry->tail_count > 0)
        memcpy(entry->tail, tokens + (count - entry->tail_count),
               entry->tail_count * sizeof *tokens);
    entry->scope = scope_take(p, name);
    entry->node = node_take(entry->scope, tokens, count);
    entry->next = entry->node->entries;
    entry->node->entries = entry;
    entry->scope->bytes += bytes;
    entry->scope->entries++;
    p->stats.bytes += bytes;
    p->stats.entries++;
    link_newest(p, entry);
    return entry;
}

void engine_radix_remove(struct engine_radix *p, struct engine_radix_entry *entry)
{
    struct engine_radix_entry **at = &entry->node->entries;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    unlink_used(p, entry);
    prune(entry->node);
    WEIR_ASSERT(p->stats.bytes >= entry->bytes && entry->scope->bytes >= entry->bytes);
    p->stats.bytes -= entry->bytes;
    p->stats.entries--;
    entry->scope->bytes -= entry->bytes;
    entry->scope->entries--;
    scope_drop(p, entry->scope);
    free(entry->blob);
    free(entry);
}

void engine_radix_used(struct engine_radix *p, struct engine_radix_entry *entry)
{
    unlink_used(p, entry);
    link_newest(p, entry);
}

void *engine_radix_blob(struct engine_radix_entry *entry, size_t *bytes)
{
    *bytes = entry->bytes;
    return entry->blob;
}

uint32_t engine_radix_tokens(const struct engine_radix_entry *entry)
{
    return entry->count;
}

struct engine_radix_stats engine_radix_stats(const struct engine_radix *p)
{
    return p->stats;
}

uint32_t engine_radix_common(const int32_t *a, const int32_t *b, uint32_t count)
{
    uint32_t same = 0;
    while (count - same >= BLOCK && memcmp(a + same, b + same, BLOCK * sizeof *a) == 0)
        same += BLOCK;
    while (same < count && a[same] == b[same])
        same++;
    return same;
}

uint32_t engine_radix_usable(uint32_t window, uint32_t count, uint32_t common)
{
    if (window == 0 || count <= window)
        return common < count ? common : count;
    return count <= common ? count : 0;
}

static uint64_t scope_hash(const struct engine_radix_scope *name, bool is_public)
{
    uint64_t seed = ((uint64_t)name->adapters << 1) | (is_public ? 1 : 0);
    return is_public ? hash_of("", 0, seed) : hash_of(name->tenant.at, name->tenant.len, seed);
}

static struct scope *scope_find(const struct engine_radix *p, const struct engine_radix_scope *name,
                                bool is_public)
{
    uint64_t hash = scope_hash(name, is_public);
    struct scope *scope = p->scopes[hash % SCOPE_BUCKETS];
    while (scope != NULL && (scope->hash != hash || scope->name.is_public != is_public ||
                             scope->name.adapters != name->adapters ||
                             (!is_public && !text_equal(scope->name.tenant, name->tenant))))
        scope = scope->next;
    return scope;
}

static struct scope *scope_take(struct engine_radix *p, const struct engine_radix_scope *name)
{
    struct scope *scope = scope_find(p, name, name->is_public);
    if (scope != NULL)
        return scope;
    scope = base_alloc(sizeof *scope);
    scope->hash = scope_hash(name, name->is_public);
    scope->name =
        (struct engine_radix_scope){.adapters = name->adapters, .is_public = name->is_public};
    if (!name->is_public && name->tenant.len > 0) {
        char *copy = base_alloc(name->tenant.len);
        memcpy(copy, name->tenant.at, name->tenant.len);
        scope->name.tenant = (struct text){copy, name->tenant.len};
    }
    struct scope **bucket = &p->scopes[scope->hash % SCOPE_BUCKETS];
    scope->next = *bucket;
    *bucket = scope;
    p->stats.scopes++;
    return scope;
}

/* Once it is empty. */
static void scope_drop(struct engine_radix *p, struct scope *scope)
{
    if (scope->entries > 0)
        return;
    WEIR_ASSERT(scope->bytes == 0 && scope->root.child == NULL);
    struct scope **at = &p->scopes[scope->hash % SCOPE_BUCKETS];
    while (*at != scope)
        at = &(*at)->next;
    *at = scope->next;
    p->stats.scopes--;
    free((void *)(uintptr_t)scope->name.tenant.at);
    free(scope);
}

/* Along the prompt first: what is found there tells which of the others are worth a look. */
static void search_scope(struct search *s, struct scope *scope)
{
    if (scope == NULL)
        return;
    struct node *node = &scope->root;
    uint32_t depth = 0; /* tokens down to `node`, all of them the prompt's */
    for (;;) {
        for (struct engine_radix_entry *e = node->entries; e != NULL; e = e->next) {
            uint32_t left = s->count - depth, most = e->tail_count < left ? e->tail_count : left;
            WEIR_ASSERT(most < BLOCK);
            offer(s, e, depth + engine_radix_common(e->tail, s->tokens + depth, most));
        }
        struct node *next = s->count - depth >= BLOCK ? child_of(node, s->tokens + depth) : NULL;
        if (next == NULL)
            break;
        node = next;
        depth += BLOCK;
    }
    for (const struct node *seen = NULL;; seen = node, node = node->parent, depth -= BLOCK) {
        uint32_t left = s->count - depth, most = left < BLOCK ? left : BLOCK;
        for (struct node *child = node->child; child != NULL; child = child->after)
            if (child != seen)
                search_below(s, child,
                             depth + engine_radix_common(child->tokens, s->tokens + depth, most));
        if (node->parent == NULL)
            return;
    }
}

/* Every entry below `top` shares `common` tokens with the prompt. */
static void search_below(struct search *s, struct node *top, uint32_t common)
{
    if (common == 0 || common < s->best.tokens)
        return;
    for (struct node *node = top; node != NULL;) {
        for (struct engine_radix_entry *e = node->entries; e != NULL; e = e->next)
            offer(s, e, common);
        if (node->child != NULL) {
            node = node->child;
            continue;
        }
        while (node != top && node->after == NULL)
            node = node->parent;
        node = node == top ? NULL : node->after;
    }
}

static void offer(struct search *s, struct engine_radix_entry *entry, uint32_t common)
{
    uint32_t usable = engine_radix_usable(s->window, entry->count, common);
    if (common > s->best.common)
        s->best.common = common;
    if (usable == 0 || usable < s->best.tokens ||
        (usable == s->best.tokens && entry->bytes >= s->best.entry->bytes))
        return;
    s->best.entry = entry;
    s->best.tokens = usable;
}

/* Those on the way to `tokens` that the new entry can stand for. */
static void drop_replaced(struct engine_radix *p, const struct engine_radix_scope *name,
                          const int32_t *tokens, uint32_t count)
{
    struct scope *scope = scope_find(p, name, name->is_public);
    if (scope == NULL || (p->options.window > 0 && count > p->options.window))
        return;
    struct engine_radix_entry *replaced[2 * BLOCK];
    size_t replaced_count = 0;
    uint32_t depth = 0;
    for (struct node *node = &scope->root; node != NULL; depth += BLOCK) {
        struct node *next = count - depth >= BLOCK ? child_of(node, tokens + depth) : NULL;
        bool parts = node->child != NULL && (node->child != next || next->after != NULL);
        for (struct engine_radix_entry *e = node->entries; e != NULL; e = e->next)
            if (!parts && e->count < count && e->count >= count / 2 &&
                memcmp(e->tail, tokens + depth, e->tail_count * sizeof *tokens) == 0 &&
                replaced_count < ARRAY_LEN(replaced))
                replaced[replaced_count++] = e;
        node = next;
    }
    while (replaced_count > 0)
        engine_radix_remove(p, replaced[--replaced_count]);
}

static bool make_room(struct engine_radix *p, const struct engine_radix_scope *name, size_t bytes)
{
    while (p->stats.entries >= ENGINE_RADIX_ENTRIES_MAX ||
           p->options.bytes_max - p->stats.bytes < bytes) {
        struct engine_radix_entry *goes = victim(p, scope_find(p, name, name->is_public), bytes);
        if (goes == NULL)
            return false;
        engine_radix_remove(p, goes);
        p->stats.evicted++;
    }
    return true;
}

/* `scope` (may be NULL) wants `bytes` more. Beyond its share it pays itself; else whoever is beyond
 * theirs; else whoever was not used for longest. What is public stays. */
static struct engine_radix_entry *victim(const struct engine_radix *p, const struct scope *scope,
                                         size_t bytes)
{
    uint64_t share = p->options.scope_bytes_max;
    bool beyond = scope != NULL && !scope->name.is_public && scope->bytes + bytes > share;
    struct engine_radix_entry *other = NULL; /* the oldest that may go */
    for (struct engine_radix_entry *e = p->oldest; e != NULL; e = e->newer) {
        if (e->scope->name.is_public)
            continue;
        if (beyond ? e->scope == scope : e->scope->bytes > share)
            return e;
        other = other == NULL ? e : other;
    }
    return other;
}

/* The node of the last whole block of `tokens`; made with all above it where it is missing. */
static struct node *node_take(struct scope *scope, const int32_t *tokens, uint32_t count)
{
    struct node *node = &scope->root;
    for (; count >= BLOCK; count -= BLOCK, tokens += BLOCK) {
        struct node *child = child_of(node, tokens);
        if (child == NULL) {
            child = base_alloc(sizeof *child);
            memcpy(child->tokens, tokens, sizeof child->tokens);
            child->hash = hash_of(tokens, sizeof child->tokens, 0);
            child->parent = node;
            child->after = node->child;
            if (node->child != NULL)
                node->child->before = child;
            node->child = child;
        }
        node = child;
    }
    return node;
}

static struct node *child_of(const struct node *node, const int32_t *tokens)
{
    if (node->child == NULL)
        return NULL;
    uint64_t hash = hash_of(tokens, BLOCK * sizeof *tokens, 0);
    struct node *child = node->child;
    while (child != NULL &&
           (child->hash != hash || memcmp(child->tokens, tokens, sizeof child->tokens) != 0))
        child = child->after;
    return child;
}

/* Upwards, as long as nothing hangs on it. The root is part of its scope. */
static void prune(struct node *node)
{
    while (node->parent != NULL && node->child == NULL && node->entries == NULL) {
        struct node *parent = node->parent;
        if (node->before != NULL)
            node->before->after = node->after;
        else
            parent->child = node->after;
        if (node->after != NULL)
            node->after->before = node->before;
        free(node);
        node = parent;
    }
}

static void link_newest(struct engine_radix *p, struct engine_radix_entry *entry)
{
    entry->older = p->newest;
    entry->newer = NULL;
    if (p->newest != NULL)
        p->newest->newer = entry;
    else
        p->oldest = entry;
    p->newest = entry;
}

static void unlink_used(struct engine_radix *p, struct engine_radix_entry *entry)
{
    if (entry->older != NULL)
        entry->older->newer = entry->newer;
    else
        p->oldest = entry->newer;
    if (entry->newer != NULL)
        entry->newer->older = entry->older;
    else
        p->newest = entry->older;
}

/* FNV-1a: only to be quick; what is the same is compared in full. */
static uint64_t hash_of(const void *at, size_t len, uint64_t seed)
{
    const unsigned char *bytes = at;
    uint64_t hash = 0xcbf29ce484222325U ^ (seed * 0x9e3779b97f4a7c15U);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3U;
    return hash;
}
