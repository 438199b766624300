/* model_threads: how many compute threads are worth using now. They wait for one another by
 * spinning, some hundred times per step; when another process takes a core away, all wait for the
 * one without a core, and two threads are several times slower than one. So, while steps run, this
 * looks at what the process got and at what lies idle, a few times per second, and says how many
 * threads would each have a core. What a further thread would get where nothing is idle (the others
 * may have less claim to the cores than we) is seen only by trying it: for a short while, and ever
 * more seldom while it fails. A step of many rows has long pieces of work and waits seldom: it has
 * all threads always, since what another process leaves of a core is a gain to it. (Measured with
 * one of two cores busy: 312 prompt tokens in 1.9 s with two threads, 2.1 s with one; steps of 4
 * rows 37 to 47 ms, and 700 ms at times, against 32 ms.) One thread. Reads /proc/stat. */
#pragma once
#include "base.h"

struct model_threads {
    int max, now;
    int64_t window_us;  /* when the window began, 0: none is open */
    int64_t last_us;    /* end of the last step */
    int64_t busy_us;    /* of the window's time, inside steps */
    int64_t cpu_us;     /* the process's processor time when the window began */
    int64_t idle_ticks; /* of the processors that we may use, when it began */
    bool trying;        /* the window has a thread more than the rule gave */
    int rest, rest_max; /* windows since the last try, and how many there are between two */
};

void model_threads_open(struct model_threads *threads, int max);
/* Around each step. The first returns how many threads a step of so many rows should have. */
int model_threads_before(struct model_threads *threads, uint32_t rows);
void model_threads_after(struct model_threads *threads);

/* The rule: `own` cores' worth of time was got, `idle` cores' worth was nobody's. */
int model_threads_choose(int max, double own, double idle);
/* What follows from a window for which the rule says `fit`: the threads of the next one. */
int model_threads_next(struct model_threads *threads, int fit);
