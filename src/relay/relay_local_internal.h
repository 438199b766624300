/* relay_local_internal: the supervisor and its slots, one for each local model, for the files of
 * this folder. All on one loop: between two waits nothing changes. relay_local.c has the slots;
 * relay_local_decide.c decides with relay_room which are loaded; relay_local_slot.c is the life of
 * one; relay_local_child.c its process. */
#pragma once
#include <sys/types.h>
#include <time.h>
#include "relay_local.h"
#include "relay_room.h"

struct child;
struct fiber;
struct http_client;
struct http_origin;

enum {
    RELAY_LOCAL_STOP_MS = 5000,    /* from SIGTERM to SIGKILL */
    RELAY_LOCAL_FAILED_AFTER = 3,  /* starts in a row without becoming ready */
    RELAY_LOCAL_ADAPTERS_MAX = 32, /* of one model: one more than weir-infer takes, which says so */
};

/* By which it is seen that a model's files are other ones, or were written to. */
struct relay_file_facts {
    bool there;
    dev_t device;
    ino_t number;
    off_t size;
    struct timespec changed;
};

/* One model, run by a fiber of its own. */
struct relay_slot {
    struct relay_local *local;
    struct relay_target *target;
    struct fiber *fiber;
    char *id, *path;
    char *adapters[RELAY_LOCAL_ADAPTERS_MAX]; /* "ID=PATH" */
    size_t adapters_count;
    int64_t context_tokens;
    bool pinned;
    bool stop; /* its model is gone or disabled */
    bool ended;

    enum relay_room_state state; /* READY, STOPPING: `child` is there */
    bool eager;                  /* to be loaded if there is room, although nobody calls it */
    bool go;                     /* the supervisor says: start now */
    bool no_room, never;         /* what relay_room says of it */
    uint64_t need_bytes;         /* what it takes, or may take; 0: not known */
    int64_t looked_us, ready_us; /* since when it is looked at; since when it is ready */
    int64_t stop_us;             /* when it was told to end, to sleep; 0: it was not */
    struct child *child;

    int failures;
    bool lasting;                 /* the last failure was one that trying again does not help */
    struct relay_file_facts file; /* as it was before the last start */
    int64_t retries;              /* relay_registry_retries then */
    int report_fd;                /* where the child says why it ends; -1: there is none */
};

struct relay_local {
    struct loop *loop;
    struct relay_local_options options;
    struct http_client *client;
    char *infer_path, *run_folder;
    struct relay_slot *slots[RELAY_ROOM_MODELS_MAX]; /* in the order of their rows */
    size_t slots_count;
    int64_t models_version; /* of the snapshot that the slots follow */
};

/* Starts and ends what is to be started and ended now. Waits. */
void relay_local_decide(struct relay_local *local);
/* The body of a slot's fiber. */
void relay_slot_run(void *slot);

/* Starts its process. Fails: as what stands in the way; `slot->lasting` tells whether trying again
 * helps. Waits. */
MUST_CHECK bool relay_slot_start_child(struct relay_slot *slot, struct child **out,
                                       struct status *st);
/* The arguments of its process, ended by NULL. Owns: `arena`. */
const char *const *relay_slot_argv(const struct relay_slot *slot, struct arena *arena);
/* Asks the process whether it is ready; notes how far it is otherwise. Waits. */
bool relay_slot_ask(struct relay_slot *slot, struct http_origin *origin);
/* What the child has written before it ended; empty when nothing. */
struct text relay_slot_report(struct relay_slot *slot, char *memory, size_t size);
/* Ends it, and waits for that also when the fiber is cancelled. */
void relay_slot_stop_child(struct child *child);
bool relay_file_same(const struct relay_file_facts *a, const struct relay_file_facts *b);
/* Notes what the file is and, if told so, checks what is in it and what it needs. Waits. */
MUST_CHECK bool relay_slot_look(struct relay_slot *slot, bool check, struct status *st);
