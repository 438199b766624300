/* loop_check: what the tests of fibers share. A test is one main fiber on a loop of its own, which
 * stops the loop when it returns. */
#pragma once
#include "check.h"
#include "fiber.h"
#include "loop.h"

static struct loop *loop; /* of the running test */

static inline void loop_check_main(void *arg)
{
    (*(void (**)(void))arg)();
    loop_stop(loop);
}

static inline void on_loop_of(struct loop_options options, void (*main)(void))
{
    struct status st;
    options.name = "test";
    assert_true(loop_open(&options, &loop, &st));
    assert_true(fiber_start(loop, "main", loop_check_main, &main, &st));
    loop_run(loop);
    assert_int_equal(loop_fibers(loop), 0);
    loop_close(loop);
}

static inline void on_loop(void (*main)(void))
{
    on_loop_of((struct loop_options){.cpu = -1}, main);
}
