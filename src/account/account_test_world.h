/* account_test_world: a database, a vault and an account for the tests of this folder, with cheap
 * hashes, and an owner on request. */
#pragma once
#include "account_internal.h"
#include "account_setup.h"
#include "account_user.h"
#include "db_scratch.h"

struct world {
    struct db_scratch scratch;
    struct vault *vault;
    struct account *account;
    struct arena *arena;
    struct account_caller owner; /* after world_owner */
};

#define WORLD_EMAIL TEXT("Owner@Example.com")
#define WORLD_PASSWORD TEXT("a long sentence of mine")

/* `options` NULL: the cheap ones. Its database and vault are filled in. */
void world_open(struct world *world, const struct account_options *options);
void world_close(struct world *world);
void world_owner(struct world *world);
/* Closes and opens account and vault again: all that was in memory is gone. */
void world_again(struct world *world);
/* One number of one row, in a system scope. */
int64_t world_number(struct world *world, const char *sql);
bool world_same(const struct account_caller *a, const struct account_caller *b);
/* Runs `main(arg)` in a fiber of a loop of its own, to its end. */
void world_on_loop(void (*main)(void *arg), void *arg);
