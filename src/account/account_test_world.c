#include "account_test_world.h"
#include <stdio.h>
#include "check.h"
#include "db.h"
#include "fiber.h"
#include "loop.h"

static struct account_options used;

void world_open(struct world *world, const struct account_options *options)
{
    *world = (struct world){0};
    used = options != NULL ? *options : (struct account_options){0};
    used.hash_passes = used.hash_passes > 0 ? used.hash_passes : 1;
    used.hash_memory_kib = used.hash_memory_kib > 0 ? used.hash_memory_kib : 64;
    db_scratch_open(&world->scratch);
    world->arena = arena_open(16 * MIB);
    world_again(world);
}

void world_again(struct world *world)
{
    struct status st = {0};
    char folder[200];
    account_close(TAKE(world->account));
    vault_close(TAKE(world->vault));
    snprintf(folder, sizeof(folder), "%s/secrets", world->scratch.folder);
    struct vault_options options = {.folder = text_of(folder), .create = true};
    assert_true(vault_open(&options, &world->vault, &st));
    used.db = world->scratch.db;
    used.vault = world->vault;
    assert_true(account_open(&used, &world->account, &st));
}

void world_close(struct world *world)
{
    account_close(TAKE(world->account));
    vault_close(TAKE(world->vault));
    arena_close(TAKE(world->arena));
    db_scratch_close(&world->scratch);
}

void world_owner(struct world *world)
{
    struct status st = {0};
    struct account_setup setup = {.email = WORLD_EMAIL,
                                  .password = WORLD_PASSWORD,
                                  .name = TEXT("The Owner"),
                                  .organisation = TEXT("Acme")};
    bool ok = account_setup(world->account, &setup, &world->owner, &st);
    if (!ok)
        print_error("%s\n", st.text);
    assert_true(ok);
}

int64_t world_number(struct world *world, const char *sql)
{
    struct status st = {0};
    struct db_row row;
    bool ok = db_read_one(world->scratch.db, DB_SCOPE_SYSTEM(DB_SYSTEM_JOB), world->arena, &row,
                          &st, sql);
    if (!ok)
        print_error("%s\n", st.text);
    assert_true(ok);
    return db_row_int(&row, 0);
}

bool world_same(const struct account_caller *a, const struct account_caller *b)
{
    return text_equal(ids_text(&a->org), ids_text(&b->org)) &&
           text_equal(ids_text(&a->project), ids_text(&b->project)) &&
           text_equal(ids_text(&a->user), ids_text(&b->user)) && a->role == b->role &&
           a->weight == b->weight && strcmp(a->session.bytes, b->session.bytes) == 0 &&
           strcmp(a->key.bytes, b->key.bytes) == 0;
}

struct run {
    void (*main)(void *arg);
    void *arg;
    struct loop *loop;
};

static void main_fiber(void *arg)
{
    struct run *run = arg;
    run->main(run->arg);
    loop_stop(run->loop);
}

void world_on_loop(void (*main)(void *arg), void *arg)
{
    struct status st;
    struct run run = {main, arg, NULL};
    assert_true(loop_open(&(struct loop_options){.name = "test", .cpu = -1}, &run.loop, &st));
    assert_true(fiber_start(run.loop, "main", main_fiber, &run, &st));
    loop_run(run.loop);
    loop_close(run.loop);
}
