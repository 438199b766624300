/* relay_room: which local models are to be loaded and unloaded now, by the memory that they need
 * and by who calls them. Decides, and does nothing: relay_local asks it again and again, and does
 * what it says. Nothing here waits, allocates or asks for the time.
 *
 * What is loaded stays loaded until nobody has called it for `idle_us`, or until another model
 * needs its memory. Room is made for a model that calls wait for, and for a pinned one: of what
 * nobody is calling the one that was not used for longest goes, and no more than is needed; a
 * pinned model never does, and never one with a call. When a model's calls have waited for
 * `turn_us` because others are busy without a pause, some that have been ready for as long are
 * held: they get no new call, finish what they have, and go.
 *
 * A model fits when with it all that is loaded needs at most `limit_bytes`; without a limit, when
 * it needs at most `free_bytes`, or nothing else is loaded (the estimate may be wrong: it is
 * tried). */
#pragma once
#include "base.h"

enum relay_room_state {
    RELAY_ROOM_ASLEEP,   /* may be started */
    RELAY_ROOM_STARTING, /* its process is there, and is not ready yet */
    RELAY_ROOM_READY,
    RELAY_ROOM_STOPPING, /* it was told to end */
    RELAY_ROOM_LOOKING,  /* its file is being looked at */
    RELAY_ROOM_OUT,      /* it cannot be run now: it has failed */
    RELAY_ROOM_STATE_COUNT
};
enum relay_room_verdict {
    RELAY_ROOM_LEAVE, /* as it is */
    RELAY_ROOM_START,
    RELAY_ROOM_UNLOAD_IDLE, /* nobody has called it for long */
    RELAY_ROOM_UNLOAD_ROOM, /* another one needs its memory */
    RELAY_ROOM_VERDICT_COUNT
};

struct relay_room_model {
    enum relay_room_state state;
    bool pinned;
    bool eager; /* to be loaded if there is room as it is, although nobody calls it */
    uint64_t need_bytes;
    int64_t calls, waiting; /* under way; waiting for it to be loaded */
    int64_t used_us;        /* when a call was last under way */
    int64_t waited_us;      /* since when some call waits */
    int64_t ready_us;       /* since when it is ready */
    /* What is decided. */
    enum relay_room_verdict verdict;
    bool held;    /* gets no new call, so that it can go */
    bool no_room; /* asleep, wanted, and nothing makes room for it yet */
    bool never;   /* of those: it would not fit if all went that may */
};
struct relay_room {
    uint64_t limit_bytes; /* for all models together; 0: none */
    uint64_t free_bytes;  /* without a limit: what may be taken now; UINT64_MAX: not known */
    int64_t idle_us;      /* 0: nothing is unloaded for being idle */
    int64_t turn_us;      /* how long calls wait before busy models are held */
    int64_t now_us;
};

enum { RELAY_ROOM_MODELS_MAX = 256 };
/* `models` are in the order in which they are to be loaded; at most RELAY_ROOM_MODELS_MAX. */
void relay_room_decide(const struct relay_room *room, struct relay_room_model *models,
                       size_t count);
