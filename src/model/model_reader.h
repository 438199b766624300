/* model_reader: the text of an answer taken apart while it comes: what is said, what was only
 * thought, and which functions are called with what. One form of it per way of writing:
 * infer_tools_reader_new for our own form, model_chat_reader_new for a model's own.
 * One answer, one fiber. Nothing here waits. */
#pragma once
#include "base.h"
#include "text.h"

enum model_part_kind {
    MODEL_PART_CONTENT,
    MODEL_PART_REASONING,
    MODEL_PART_CALL,      /* call number `call` begins; `text` is the function's name */
    MODEL_PART_ARGUMENTS, /* more of the arguments of that call, as JSON */
    MODEL_PART_KIND_COUNT
};
struct model_part {
    enum model_part_kind kind;
    uint32_t call;
    struct text text; /* valid UTF-8, not empty; valid while the function runs */
};
typedef void model_part_fn(void *arg, const struct model_part *part);

struct model_reader;
struct model_reader_ops {
    void (*add)(struct model_reader *reader, struct text text, bool last, model_part_fn *part,
                void *arg);
    void (*free)(struct model_reader *reader);
};
/* The first member of each form's own struct. */
struct model_reader {
    const struct model_reader_ops *ops;
};

/* Takes more text (whole characters) and calls `part` for what it makes. `last`: nothing follows,
 * so what was held back comes too. */
static inline void model_reader_add(struct model_reader *reader, struct text text, bool last,
                                    model_part_fn *part, void *arg)
{
    reader->ops->add(reader, text, last, part, arg);
}

static inline void model_reader_free(struct model_reader *reader)
{
    if (reader != NULL)
        reader->ops->free(reader);
}
AUTO_DEFINE(model_reader, model_reader_free)
