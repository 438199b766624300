/* trace: W3C Trace Context, level 1: the header `traceparent`, read and made.
 * Any thread. Nothing here waits or allocates. */
#pragma once
#include "base.h"
#include "text.h"

enum {
    TRACE_PARENT_BYTES = 55, /* "00-" 32 hex "-" 16 hex "-" 2 hex */
    TRACE_SAMPLED = 1,       /* of `flags` */
};

struct trace {
    unsigned char trace_id[16];
    unsigned char span_id[8]; /* ours, or the caller's when just read */
    unsigned char flags;
};

/* A new trace, not sampled. */
struct trace trace_new(void);
/* A new span in the same trace. */
struct trace trace_child(const struct trace *parent);
/* False when it is not valid: then the caller makes a new one, as the standard says. */
MUST_CHECK bool trace_parse(struct text traceparent, struct trace *out);
/* A child of what the header says, or a new trace when it says nothing valid. */
struct trace trace_from(struct text traceparent);
/* With a final zero. */
void trace_write(const struct trace *trace, char out[TRACE_PARENT_BYTES + 1]);
void trace_id_write(const struct trace *trace, char out[33]); /* 32 hex digits and a zero */
