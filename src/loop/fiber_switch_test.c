#include "fiber_switch.h"
#include <fenv.h>
#include <stdlib.h>
#include "check.h"

enum { STACK_BYTES = 128 * 1024, FIBERS = 8 };

static struct fiber_context thread;
static struct one {
    struct fiber_context context;
    void *stack;
    int id, rounds;
    double sum;
    int rounding; /* what it found when it began */
} fibers[FIBERS];
static struct one *current;

static void leave(void)
{
    fiber_context_switch(&current->context, &thread);
}

static void enter(struct one *one)
{
    current = one;
    fiber_context_switch(&thread, &one->context);
}

static void fibers_make(void (*entry)(void *arg))
{
    for (int i = 0; i < FIBERS; i++) {
        fibers[i] = (struct one){.id = i, .stack = malloc(STACK_BYTES)};
        assert_non_null(fibers[i].stack);
        memset(fibers[i].stack, 0xa5, STACK_BYTES);
        /* An odd size: the start of the stack must be aligned all the same. */
        fiber_context_make(&fibers[i].context, fibers[i].stack, STACK_BYTES - (size_t)i * 3, entry,
                           &fibers[i]);
    }
}

static void fibers_free(void)
{
    for (int i = 0; i < FIBERS; i++)
        free(fibers[i].stack);
}

/* More live values of both kinds than there are registers to preserve, changed at every round: a
 * register that the switch forgets shows in the sums. */
static void count(void *arg)
{
    struct one *self = arg;
    long a = self->id, b = a + 1, c = a + 2, d = a + 3, e = a + 4, f = a + 5, g = a + 6, h = a + 7;
    double p = (double)a, q = p + 1, r = p + 2, s = p + 3, t = p + 4, u = p + 5, v = p + 6,
           w = p + 7;
    volatile _Alignas(16) char aligned[16];
    assert_int_equal((uintptr_t)aligned % 16, 0);
    for (;;) {
        a += 1, b += a, c ^= b, d += c & 7, e -= d, f += e & 15, g ^= f, h += g & 31;
        p += 1, q += 0.5 * p, r += q * 0.25, s -= r, t += s * 0.125, u -= t, v += u * 0.5, w += p;
        self->sum = (double)(a + b + c + d + e + f + g + h) + p + q + r + s + t + u + v + w;
        self->rounds++;
        leave();
    }
}

/* The same sums without any switch in between. */
static double expected(int id)
{
    long a = id, b = a + 1, c = a + 2, d = a + 3, e = a + 4, f = a + 5, g = a + 6, h = a + 7;
    double p = (double)a, q = p + 1, r = p + 2, s = p + 3, t = p + 4, u = p + 5, v = p + 6,
           w = p + 7;
    for (int i = 0; i < 50; i++) {
        a += 1, b += a, c ^= b, d += c & 7, e -= d, f += e & 15, g ^= f, h += g & 31;
        p += 1, q += 0.5 * p, r += q * 0.25, s -= r, t += s * 0.125, u -= t, v += u * 0.5, w += p;
    }
    return (double)(a + b + c + d + e + f + g + h) + p + q + r + s + t + u + v + w;
}

static void registers_are_kept(void **state)
{
    (void)state;
    fibers_make(count);
    for (int round = 0; round < 50; round++)
        for (int i = 0; i < FIBERS; i++)
            enter(&fibers[round % 2 ? i : FIBERS - 1 - i]);
    for (int i = 0; i < FIBERS; i++) {
        assert_int_equal(fibers[i].rounds, 50);
        assert_true(fibers[i].sum == expected(i)); /* to the last bit */
    }
    fibers_free();
}

/* The rounding mode is a fiber's own, and a new fiber has its maker's. */
static void round_own(void *arg)
{
    static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    struct one *self = arg;
    self->rounding = fegetround();
    (void)fesetround(modes[self->id % 4]);
    for (;;) {
        volatile double three = 3.0;
        self->sum = 1.0 / three;
        self->rounds += fegetround() == modes[self->id % 4];
        leave();
    }
}

static void rounding_modes_are_kept(void **state)
{
    (void)state;
    assert_int_equal(fesetround(FE_DOWNWARD), 0);
    fibers_make(round_own);
    assert_int_equal(fesetround(FE_TONEAREST), 0);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < FIBERS; i++) {
            enter(&fibers[i]);
            assert_int_equal(fegetround(), FE_TONEAREST);
        }
    }
    for (int i = 0; i < FIBERS; i++) {
        assert_int_equal(fibers[i].rounds, 10);
#if FIBER_SWITCH_ASSEMBLY
        assert_int_equal(fibers[i].rounding, FE_DOWNWARD);
#endif
    }
    assert_true(fibers[1].sum > fibers[2].sum); /* upward, downward */
    fibers_free();
}

/* Deep frames on one stack while the others run. */
static int depth_down(int depth)
{
    volatile char frame[256];
    frame[0] = (char)depth;
    leave();
    int below = depth == 0 ? 0 : depth_down(depth - 1);
    return below + (frame[0] == (char)depth);
}

static void deep(void *arg)
{
    struct one *self = arg;
    self->rounds = depth_down(100);
    for (;;)
        leave();
}

static void frames_are_kept(void **state)
{
    (void)state;
    fibers_make(deep);
    for (int round = 0; round < 110; round++)
        for (int i = 0; i < FIBERS; i++)
            enter(&fibers[i]);
    for (int i = 0; i < FIBERS; i++)
        assert_int_equal(fibers[i].rounds, 101);
    fibers_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_are_kept),
        cmocka_unit_test(rounding_modes_are_kept),
        cmocka_unit_test(frames_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
