/* infer_reader: the text of an answer taken apart while it comes: what is said, what was only
 * thought, and which functions are called with what. One form of it per way of writing:
 * infer_tools_reader_new for our own form, infer_chat_reader_new for a model's own.
 * One answer, one fiber. Nothing here waits. */
#pragma once
#include "base.h"
#include "text.h"

enum infer_part_kind {
    INFER_PART_CONTENT,
    INFER_PART_REASONING,
    INFER_PART_CALL,      /* call number `call` begins; `text` is the function's name */
    INFER_PART_ARGUMENTS, /* more of the arguments of that call, as JSON */
    INFER_PART_KIND_COUNT
};
struct infer_part {
    enum infer_part_kind kind;
    uint32_t call;
    struct text text; /* valid UTF-8, not empty; valid while the function runs */
};
typedef void infer_part_fn(void *arg, const struct infer_part *part);

struct infer_reader;
struct infer_reader_ops {
    void (*add)(struct infer_reader *reader, struct text text, bool last, infer_part_fn *part,
                void *arg);
    void (*free)(struct infer_reader *reader);
};
/* The first member of each form's own struct. */
struct infer_reader {
    const struct infer_reader_ops *ops;
};

/* Takes more text (whole characters) and calls `part` for what it makes. `last`: nothing follows,
 * so what was held back comes too. */
static inline void infer_reader_add(struct infer_reader *reader, struct text text, bool last,
                                    infer_part_fn *part, void *arg)
{
    reader->ops->add(reader, text, last, part, arg);
}

static inline void infer_reader_free(struct infer_reader *reader)
{
    if (reader != NULL)
        reader->ops->free(reader);
}
AUTO_DEFINE(infer_reader, infer_reader_free)
