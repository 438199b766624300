#include "trace.h"
#include "rand.h"

#include <string.h>

static bool hex_read(struct text text, unsigned char *out, size_t size);
static char *hex_write(const unsigned char *bytes, size_t size, char *out);
static bool is_zero(const unsigned char *bytes, size_t size);
static void random_id(unsigned char *id, size_t size);

struct trace trace_new(void)
{
    struct trace trace = {0};
    random_id(trace.trace_id, sizeof(trace.trace_id));
    random_id(trace.span_id, sizeof(trace.span_id));
    return trace;
}

struct trace trace_child(const struct trace *parent)
{
    struct trace trace = *parent;
    random_id(trace.span_id, sizeof(trace.span_id));
    trace.flags &= TRACE_SAMPLED; /* of later versions of the standard we know no flag */
    return trace;
}

/* A later version may put more behind the flags, after a dash (section 4.3 of the standard). */
bool trace_parse(struct text traceparent, struct trace *out)
{
    struct trace trace;
    unsigned char version;
    if (traceparent.len < TRACE_PARENT_BYTES || traceparent.at[2] != '-' ||
        traceparent.at[35] != '-' || traceparent.at[52] != '-')
        return false;
    if (!hex_read(traceparent, &version, 1) || version == 0xFF ||
        !hex_read(text_skip(traceparent, 3), trace.trace_id, sizeof(trace.trace_id)) ||
        !hex_read(text_skip(traceparent, 36), trace.span_id, sizeof(trace.span_id)) ||
        !hex_read(text_skip(traceparent, 53), &trace.flags, 1))
        return false;
    if (traceparent.len > TRACE_PARENT_BYTES &&
        (version == 0 || traceparent.at[TRACE_PARENT_BYTES] != '-'))
        return false;
    if (is_zero(trace.trace_id, sizeof(trace.trace_id)) ||
        is_zero(trace.span_id, sizeof(trace.span_id)))
        return false;
    *out = trace;
    return true;
}

struct trace trace_from(struct text traceparent)
{
    struct trace parent;
    return trace_parse(traceparent, &parent) ? trace_child(&parent) : trace_new();
}

void trace_write(const struct trace *trace, char out[TRACE_PARENT_BYTES + 1])
{
    char *at = out;
    memcpy(at, "00-", 3);
    at = hex_write(trace->trace_id, sizeof(trace->trace_id), at + 3);
    *at++ = '-';
    at = hex_write(trace->span_id, sizeof(trace->span_id), at);
    *at++ = '-';
    at = hex_write(&trace->flags, 1, at);
    *at = '\0';
}

void trace_id_write(const struct trace *trace, char out[33])
{
    *hex_write(trace->trace_id, sizeof(trace->trace_id), out) = '\0';
}

/* Small letters only, as the standard demands. */
static bool hex_read(struct text text, unsigned char *out, size_t size)
{
    for (size_t i = 0; i < size * 2; i++) {
        char c = text.at[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else
            return false;
        out[i / 2] = (unsigned char)(i % 2 == 0 ? digit << 4 : out[i / 2] | digit);
    }
    return true;
}

static char *hex_write(const unsigned char *bytes, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    return out;
}

static bool is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static void random_id(unsigned char *id, size_t size)
{
    do {
        rand_bytes(id, size);
    } while (is_zero(id, size));
}
