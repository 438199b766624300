/* relay_metrics: what calls to models count. Models are labels (there are few, and operators name
 * them); people, keys and organisations never are. Any thread. */
#pragma once
#include "base.h"
#include "relay_chunk.h"
#include "text.h"

struct metrics;

/* How a call ended. */
enum relay_ending {
    RELAY_ENDING_FINISHED,
    RELAY_ENDING_STOPPED,  /* by the person who asked */
    RELAY_ENDING_LEFT,     /* the client went away */
    RELAY_ENDING_REFUSED,  /* the upstream said no before it began */
    RELAY_ENDING_UPSTREAM, /* it broke, or was not there */
    RELAY_ENDING_TIMEOUT,
    RELAY_ENDING_COUNT
};
const char *relay_ending_name(enum relay_ending ending); /* "finished" */

struct relay_metrics;
struct relay_metrics *relay_metrics_open(struct metrics *metrics);
void relay_metrics_close(struct relay_metrics *metrics);
AUTO_DEFINE(relay_metrics, relay_metrics_close)

struct relay_record {
    struct text model; /* the public name */
    enum relay_ending ending;
    struct relay_usage usage;
    int64_t first_us;    /* until the first byte of the answer; < 0: none came */
    int64_t duration_us; /* of the whole call */
    int retries;
};
void relay_metrics_record(struct relay_metrics *metrics, const struct relay_record *record);

/* A local model is in memory, and takes so much of it. */
void relay_metrics_loaded(struct relay_metrics *metrics, struct text model, uint64_t memory_bytes);
/* It is not any more; `why`: "idle", "room" (for another one), "failed", "stopped". */
void relay_metrics_unloaded(struct relay_metrics *metrics, struct text model, struct text why);
