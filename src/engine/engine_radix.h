/* engine_radix: which computed beginnings of prompts are kept in the host's memory, and which of
 * them a new prompt begins with. Pure bookkeeping: no model, no clock, no lock; one thread.
 *
 * Each scope (a tenant with a set of adapters) has a tree whose nodes are blocks of
 * ENGINE_RADIX_BLOCK tokens. An entry hangs on the node of its last whole block and has the tokens
 * after that as its tail; its blob is the state of a sequence after all of its tokens. Blobs are
 * copied out, never taken: one entry serves any number of prompts, and what it shares with a prompt
 * is counted in tokens, not in blocks.
 * What is kept: an entry from which a longer one of the same line can do all goes when the longer
 * one comes, unless it stands where prompts part or is less than half as long (then it is cheaper
 * to copy). Beyond `bytes_max` the one that was not used for longest goes; while a scope has more
 * than its share, that scope pays. The limits are checked before memory is asked for.
 * A scope never sees another's entries, since the time that a hit saves would tell what others
 * wrote; what is put in as public is seen by all of the same adapters, and does not make room for
 * anything: who puts it there sees to it that it is little. */
#pragma once
#include "base.h"
#include "text.h"

enum { ENGINE_RADIX_BLOCK = 64, ENGINE_RADIX_ENTRIES_MAX = 4096 };

struct engine_radix;
struct engine_radix_entry;

struct engine_radix_options {
    uint64_t bytes_max;       /* of all blobs; 0: nothing is kept */
    uint64_t scope_bytes_max; /* a scope's share; 0: a quarter of bytes_max */
    uint32_t window; /* 0: a state can be cut at any token; else only one of at most so many tokens
                      * can, and a longer one is of use whole or not at all */
};

struct engine_radix_scope {
    struct text tenant;
    uint32_t adapters; /* which set of them; 0: none */
    bool is_public;    /* every tenant's; `tenant` is then not looked at */
};

struct engine_radix_found {
    struct engine_radix_entry *entry; /* NULL: nothing of use */
    uint32_t tokens;                  /* of the prompt, that the entry saves */
    uint32_t common;                  /* the longest beginning that any entry shares */
};

struct engine_radix_stats {
    uint64_t bytes, evicted;
    uint32_t entries, scopes;
};

struct engine_radix *engine_radix_new(const struct engine_radix_options *options);
void engine_radix_free(struct engine_radix *prefix);

/* What saves most of the first `count` tokens of a prompt; the smallest where several save as much.
 * Takes as long as there are blocks in the scope, at most. */
void engine_radix_find(const struct engine_radix *prefix, const struct engine_radix_scope *scope,
                       const int32_t *tokens, uint32_t count, struct engine_radix_found *out);

/* A new entry for `count` tokens whose blob has `bytes` bytes, to be filled by the caller at once,
 * or taken back by engine_radix_remove. NULL: there is one already that can do the same (it then
 * counts as used), it is too big, or there is no memory.
 * Others may have gone for it: a found entry is not valid any more. */
struct engine_radix_entry *engine_radix_put(struct engine_radix *prefix,
                                            const struct engine_radix_scope *scope,
                                            const int32_t *tokens, uint32_t count, size_t bytes);
void engine_radix_remove(struct engine_radix *prefix, struct engine_radix_entry *entry);
/* It was of use: it will stay longer. */
void engine_radix_used(struct engine_radix *prefix, struct engine_radix_entry *entry);

void *engine_radix_blob(struct engine_radix_entry *entry, size_t *bytes);
uint32_t engine_radix_tokens(const struct engine_radix_entry *entry); /* after which the blob is */
struct engine_radix_stats engine_radix_stats(const struct engine_radix *prefix);

/* How many of the first `count` tokens of two prompts are the same. */
uint32_t engine_radix_common(const int32_t *a, const int32_t *b, uint32_t count);
/* How many tokens a state of `count` tokens saves a prompt with which it shares `common`. */
uint32_t engine_radix_usable(uint32_t window, uint32_t count, uint32_t common);
