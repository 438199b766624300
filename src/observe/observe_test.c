#include "observe.h"
#include "arena.h"
#include "check.h"
#include "clock.h"

#include <stdlib.h>

static double number_of(struct text page, const char *name)
{
    struct text rest = text_skip(page, text_find(page, text_of(name)) + strlen(name));
    char copy[64] = {0};
    memcpy(copy, rest.at, rest.len < sizeof(copy) - 1 ? rest.len : sizeof(copy) - 1);
    return strtod(copy, NULL);
}

static void allocated(void **state)
{
    (void)state;
    enum { COUNT = 100, SMALL_BYTES = 3000, LARGE_BYTES = 4 << 20 }; /* the large one is mapped */
    char *small[COUNT];
    size_t before = observe_allocated_bytes();
    for (size_t i = 0; i < COUNT; i++)
        small[i] = base_alloc(SMALL_BYTES);
    char *large = base_alloc(LARGE_BYTES);
    size_t all = (size_t)COUNT * SMALL_BYTES + LARGE_BYTES;
    size_t grown = observe_allocated_bytes() - before;
    assert_in_range(grown, all, all + all / 10);
    for (size_t i = 0; i < COUNT; i++)
        free(small[i]);
    free(large);
    /* A few freed blocks are kept by the thread, and count as handed out. */
    assert_in_range(observe_allocated_bytes(), before, before + 32 * KIB);
}

static void process(void **state)
{
    (void)state;
    AUTO(observe) struct observe *observe = observe_open("1.2.3", 2);
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct text_buf buf = text_buf_in(arena, MIB);
    metrics_write(observe->metrics, &buf);
    struct text page = text_buf_text(&buf);
    assert_true(text_find(page, TEXT("\nweir_build_info{version=\"1.2.3\"} 1\n")) < page.len);
    assert_true(number_of(page, "\nprocess_resident_memory_bytes ") > 100000);
    assert_true(number_of(page, "\nweir_memory_allocated_bytes ") > 1000);
    double descriptors = number_of(page, "\nprocess_open_fds ");
    assert_true(descriptors >= 3 && descriptors < 1000);
    double now = (double)clock_wall_us() / 1e6;
    double started = number_of(page, "\nprocess_start_time_seconds ");
    assert_true(started > now - 60 && started <= now);
    assert_true(number_of(page, "\nprocess_cpu_seconds_total ") < 60);
    assert_true(health_ready(observe->health, NULL));
    observe_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(allocated), cmocka_unit_test(process)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
