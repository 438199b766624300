/* engine_leaders: of many prompts, which one begins as another does, without comparing each with
 * each: their beginnings are known by hashes of whole blocks. It says who may be alike; whoever
 * asks compares the tokens. Filled anew for each step. Pure bookkeeping: one thread. */
#pragma once
#include "base.h"

struct engine_leaders;

/* The hashes of a prompt's beginnings: at[k] is of its first (k + 1) * ENGINE_RADIX_BLOCK tokens.
 * `scope` sets apart what must not be shared. */
struct engine_beginnings {
    uint64_t *at;
    uint32_t count;
};
/* Owns: at; free() it. */
struct engine_beginnings engine_beginnings_of(uint64_t scope, const int32_t *tokens,
                                              uint32_t count);

struct engine_leaders *engine_leaders_new(void);
void engine_leaders_free(struct engine_leaders *leaders);
void engine_leaders_clear(struct engine_leaders *leaders);
/* `who` stands for those of its beginnings that are longer than `done` tokens, and that nobody
 * stands for yet. Not NULL. */
void engine_leaders_add(struct engine_leaders *leaders, const struct engine_beginnings *beginnings,
                        uint32_t done, void *who);
/* Who stands for the longest of these; NULL: nobody. */
void *engine_leaders_find(struct engine_leaders *leaders,
                          const struct engine_beginnings *beginnings);
/* How many places were looked at, since it was made; for tests. */
uint64_t engine_leaders_looks(const struct engine_leaders *leaders);
