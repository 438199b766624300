#include "trace.h"
#include "check.h"

static const char good[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

static void read_and_write(void **state)
{
    (void)state;
    struct trace trace;
    char out[TRACE_PARENT_BYTES + 1], id[33];
    assert_true(trace_parse(text_of(good), &trace));
    trace_write(&trace, out);
    assert_string_equal(out, good);
    trace_id_write(&trace, id);
    assert_string_equal(id, "4bf92f3577b34da6a3ce929d0e0e4736");
    struct trace child = trace_child(&trace);
    assert_memory_equal(child.trace_id, trace.trace_id, sizeof(trace.trace_id));
    assert_memory_not_equal(child.span_id, trace.span_id, sizeof(trace.span_id));
    assert_int_equal(child.flags, TRACE_SAMPLED);
}

static const struct {
    const char *name, *text;
    bool valid;
} headers[] = {
    {"not sampled", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true},
    {"other flags", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", true},
    {"later version", "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true},
    {"later and longer", "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", true},
    {"later, without a dash", "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
     false},
    {"ours, but longer", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", false},
    {"version ff", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
    {"capitals", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false},
    {"trace of zeros", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
    {"span of zeros", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false},
    {"no hexadecimal", "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01", false},
    {"a dash elsewhere", "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01", false},
    {"too short", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", false},
    {"empty", "", false},
};
static void rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct trace trace = {.flags = 77}, from;
        check_case(headers[i].name);
        assert_int_equal(trace_parse(text_of(headers[i].text), &trace), headers[i].valid);
        from = trace_from(text_of(headers[i].text));
        if (headers[i].valid)
            assert_memory_equal(from.trace_id, trace.trace_id, sizeof(from.trace_id));
        else
            assert_int_equal(trace.flags, 77);
        char out[TRACE_PARENT_BYTES + 1];
        trace_write(&from, out);
        assert_true(trace_parse(text_of(out), &trace));
        assert_true((from.flags & ~TRACE_SAMPLED) == 0);
    }
}

static void fresh(void **state)
{
    (void)state;
    struct trace a = trace_new(), b = trace_new();
    assert_memory_not_equal(a.trace_id, b.trace_id, sizeof(a.trace_id));
    assert_memory_not_equal(a.span_id, b.span_id, sizeof(a.span_id));
    assert_int_equal(a.flags, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_and_write),
        cmocka_unit_test(rules),
        cmocka_unit_test(fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
