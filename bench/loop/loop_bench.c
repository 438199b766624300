/* loop_bench: what fibers cost. One line per measurement, the best of several rounds; the ratio is
 * to swapcontext, which stands for what the C library offers.
 *     build/release/bench/loop_bench */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include "clock.h"
#include "fiber.h"
#include "fiber_switch.h"
#include "loop.h"
#include "net.h"

enum { ROUNDS = 7, STACK_BYTES = 64 * 1024 };

static struct loop *loop;
static double swapcontext_ns;

static void report(const char *what, double ns)
{
    printf("%-58s %10.1f ns  %6.3f x swapcontext\n", what, ns, ns / swapcontext_ns);
}

/* The time of one of `count` repetitions, the best of ROUNDS, in nanoseconds. */
static double best_ns(void (*run)(int count), int count)
{
    double best = 1e18;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start_us = clock_mono_us();
        run(count);
        double ns = (double)(clock_mono_us() - start_us) * 1000 / count;
        best = ns < best ? ns : best;
    }
    return best;
}

static struct fiber_context thread, other;
static void bounce(void *arg)
{
    (void)arg;
    for (;;)
        fiber_context_switch(&other, &thread);
}
static void switches(int count)
{
    for (int i = 0; i < count; i += 2)
        fiber_context_switch(&thread, &other);
}

static ucontext_t uthread, uother;
static void ubounce(void)
{
    for (;;)
        (void)swapcontext(&uother, &uthread);
}
static void uswitches(int count)
{
    for (int i = 0; i < count; i += 2)
        (void)swapcontext(&uthread, &uother);
}

static void must(bool ok, const struct status *st)
{
    if (ok)
        return;
    (void)fprintf(stderr, "loop_bench: %s\n", st->text);
    exit(EXIT_FAILURE);
}

static void nothing(void *arg)
{
    (void)arg;
}
static void starts(int count)
{
    struct status st;
    for (int i = 0; i < count; i++) {
        struct fiber *fiber;
        must(fiber_start_joinable(loop, "nothing", nothing, NULL, &fiber, &st), &st);
        fiber_join(fiber);
    }
}

/* Two fibers wake each other; each wait has a deadline, as a request's waits have. */
struct ball {
    struct fiber *players[2];
    int left;
};
static void play(struct ball *ball, int me)
{
    struct status st;
    while (ball->left > 0) {
        ball->left--;
        fiber_wake(ball->players[!me]);
        if (ball->left > 0)
            must(fiber_wait(clock_deadline_ms(30000), &st), &st);
    }
    fiber_wake(ball->players[!me]);
}
static void second_player(void *arg)
{
    play(arg, 1);
}
static void wakes(int count)
{
    struct status st;
    struct ball ball = {.left = count};
    ball.players[0] = fiber_current();
    must(fiber_start_joinable(loop, "player", second_player, &ball, &ball.players[1], &st), &st);
    play(&ball, 0);
    fiber_join(ball.players[1]);
}

/* Deadlines among ten thousand others that wait as well. */
static void sleeper(void *arg)
{
    struct status st;
    (void)arg;
    (void)!loop_sleep(clock_deadline_ms(3600000), &st);
}

static void turns(int count)
{
    for (int i = 0; i < count; i++)
        fiber_yield();
}

static struct net_conn *client, *server;
static void echo(void *arg)
{
    struct status st;
    char bytes[1024];
    size_t got;
    (void)arg;
    while (net_read(server, bytes, sizeof(bytes), clock_deadline_ms(30000), &got, &st)) {
        struct iovec piece = {bytes, got};
        must(net_write(server, &piece, 1, clock_deadline_ms(30000), &st), &st);
    }
}
static void round_trips(int count)
{
    struct status st;
    char bytes[1024] = "";
    size_t got;
    for (int i = 0; i < count; i++) {
        struct iovec piece = {bytes, sizeof(bytes)};
        must(net_write(client, &piece, 1, clock_deadline_ms(30000), &st), &st);
        must(net_read(client, bytes, sizeof(bytes), clock_deadline_ms(30000), &got, &st), &st);
    }
}

static void measure(void *arg)
{
    struct status st;
    struct net_listener *listener;
    struct net_address address = {.host = TEXT("127.0.0.1")};
    struct net_listen_options options = {0};
    (void)arg;
    report("a fiber started, run and joined", best_ns(starts, 100000));
    report("a wake, a wait with a deadline", best_ns(wakes, 1000000));
    for (int i = 0; i < 10000; i++)
        must(fiber_start(loop, "sleeper", sleeper, NULL, &st), &st);
    fiber_yield();
    report("the same among 10,000 waiting fibers", best_ns(wakes, 1000000));
    report("a turn of the loop", best_ns(turns, 100000));
    must(net_listen(loop, &address, &options, &listener, &st), &st);
    address.port = net_listener_port(listener);
    must(net_connect(loop, &address, NULL, CLOCK_NEVER, &client, &st), &st);
    must(net_accept(listener, &server, &st), &st);
    must(fiber_start(loop, "echo", echo, NULL, &st), &st);
    report("1 KiB there and back over TCP, both ends on this loop", best_ns(round_trips, 20000));
    net_shutdown_write(client);
    (void)!loop_sleep(clock_deadline_ms(20), &st);
    net_close(client);
    net_close(server);
    net_listener_close(listener);
    loop_stop(loop);
}

int main(void)
{
    struct status st;
    struct loop_options options = {.name = "bench", .cpu = -1};
    void *stacks[2] = {malloc(STACK_BYTES), malloc(STACK_BYTES)};
    if (stacks[0] == NULL || stacks[1] == NULL)
        return EXIT_FAILURE;
    (void)getcontext(&uother);
    uother.uc_stack.ss_sp = stacks[0];
    uother.uc_stack.ss_size = STACK_BYTES;
    makecontext(&uother, ubounce, 0);
    swapcontext_ns = best_ns(uswitches, 400000);
    report("swapcontext", swapcontext_ns);
    fiber_context_make(&other, stacks[1], STACK_BYTES, bounce, NULL);
    report("the switch alone", best_ns(switches, 4000000));
    must(loop_open(&options, &loop, &st), &st);
    must(fiber_start(loop, "measure", measure, NULL, &st), &st);
    loop_run(loop);
    loop_close(loop);
    free(stacks[0]);
    free(stacks[1]);
    return EXIT_SUCCESS;
}
