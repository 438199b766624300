/* Texts of users with the guard in them. */
#include "infer_call_internal.h"
#include "model_vocab.h"
#include "rand.h"
#include <pthread.h>

enum { GUARD_MARKS = 4, GUARD_BYTES = 3 * GUARD_MARKS };

static char guard[GUARD_BYTES];

static void draw_guard(void);

struct text infer_call_guard(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, draw_guard);
    return (struct text){guard, sizeof guard};
}

static void draw_guard(void)
{
    for (int i = 0; i < GUARD_MARKS; i++) {
        char *mark = guard + 3 * (size_t)i; /* U+FDD0 to U+FDEF */
        mark[0] = (char)0xEF;
        mark[1] = (char)0xB7;
        mark[2] = (char)(0x90 + rand_below(32));
    }
}

/* The guard goes behind the first character of each text of a control token. */
void infer_call_add_guarded(struct text_buf *buf, const struct model_vocab *vocab, struct text text)
{
    struct text_buf safe = {0};
    size_t from = 0;
    for (size_t i = 0; vocab != NULL && i < text.len; i++) {
        if (model_vocab_control_at(vocab, text_skip(text, i)) == 0)
            continue;
        if (from == 0)
            safe = text_buf_in(buf->arena, INFER_CALL_TEXTS_MAX);
        size_t first = i + 1;
        while (first < text.len && ((unsigned char)text.at[first] & 0xC0) == 0x80)
            first++;
        text_buf_add(&safe, (struct text){text.at + from, first - from});
        text_buf_add(&safe, infer_call_guard());
        from = first;
    }
    if (from == 0) {
        text_buf_add_json(buf, text);
        return;
    }
    text_buf_add(&safe, text_skip(text, from));
    buf->cut |= safe.cut;
    text_buf_add_json(buf, text_buf_text(&safe));
}

void infer_call_add_guarded_json(struct text_buf *buf, const struct model_vocab *vocab,
                                 const json_t *value)
{
    if (json_is_string(value)) {
        infer_call_add_guarded(buf, vocab,
                               (struct text){json_string_value(value), json_string_length(value)});
    } else if (json_is_object(value)) {
        const char *name, *comma = "";
        json_t *member;
        text_buf_add(buf, TEXT("{"));
        json_object_foreach((json_t *)(uintptr_t)value, name, member)
        {
            text_buf_add(buf, text_of(comma));
            infer_call_add_guarded(buf, vocab, text_of(name));
            text_buf_add(buf, TEXT(":"));
            infer_call_add_guarded_json(buf, vocab, member);
            comma = ",";
        }
        text_buf_add(buf, TEXT("}"));
    } else if (json_is_array(value)) {
        text_buf_add(buf, TEXT("["));
        for (size_t i = 0; i < json_array_size(value); i++) {
            text_buf_add(buf, i > 0 ? TEXT(",") : TEXT(""));
            infer_call_add_guarded_json(buf, vocab, json_array_get(value, i));
        }
        text_buf_add(buf, TEXT("]"));
    } else {
        json_write(value, buf);
    }
}
