#include "relay_tasks.h"
#include "relay_endpoint.h"

static bool has(struct text name, struct text word);
static bool at_word(struct text name, size_t at);

unsigned relay_tasks_bit(struct text name)
{
    for (int i = 0; i < RELAY_ENDPOINT_COUNT; i++) {
        const char *task = relay_endpoint_facts((enum relay_endpoint)i)->task;
        if (task != NULL && text_equal(name, text_of(task)))
            return 1U << i;
    }
    return 0;
}

unsigned relay_tasks_guess(struct text upstream_model)
{
    /* How families of models for vectors are called that do not say so otherwise. */
    static const char *const vectors[] = {"bge", "e5", "gte", "minilm", "mpnet"};
    char small[200];
    struct text name = {small,
                        upstream_model.len < sizeof(small) ? upstream_model.len : sizeof(small)};
    for (size_t i = 0; i < name.len; i++) {
        char c = upstream_model.at[i];
        small[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    if (text_find(name, TEXT("rerank")) < name.len)
        return 1U << RELAY_RERANK;
    if (text_find(name, TEXT("embed")) < name.len)
        return 1U << RELAY_EMBEDDINGS;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
        if (has(name, text_of(vectors[i])))
            return 1U << RELAY_EMBEDDINGS;
    return 1U << RELAY_CHAT | 1U << RELAY_COMPLETIONS;
}

bool relay_tasks_read(struct text list, unsigned *out, struct status *st)
{
    unsigned tasks = 0;
    struct text rest = text_trim(list), piece;
    if (rest.len == 0)
        rest = TEXT_NONE;
    while (text_split(&rest, ',', &piece)) {
        unsigned bit = relay_tasks_bit(text_trim(piece));
        if (bit == 0)
            return status_fail_field(st, STATUS_INVALID, "tasks",
                                     "tasks must be of chat, completions, embeddings and rerank, "
                                     "not %.*s",
                                     TEXT_ARG(text_utf8_take(text_trim(piece), 40)));
        tasks |= bit;
    }
    *out = tasks;
    return true;
}

struct text relay_tasks_text(unsigned tasks, struct arena *arena)
{
    struct text all = TEXT("");
    for (int i = 0; i < RELAY_ENDPOINT_COUNT; i++)
        if (tasks & 1U << i)
            all = arena_format(arena, "%.*s%s%s", TEXT_ARG(all), all.len > 0 ? "," : "",
                               relay_endpoint_facts((enum relay_endpoint)i)->task);
    return all;
}

/* Whether `word` stands in `name` with no letter or digit beside it: "bge-m3", not "bgez". */
static bool has(struct text name, struct text word)
{
    for (size_t from = 0; from < name.len;) {
        size_t at = from + text_find(text_skip(name, from), word);
        if (at >= name.len)
            return false;
        if ((at == 0 || !at_word(name, at - 1)) && !at_word(name, at + word.len))
            return true;
        from = at + 1;
    }
    return false;
}

static bool at_word(struct text name, size_t at)
{
    return at < name.len && ((name.at[at] >= 'a' && name.at[at] <= 'z') ||
                             (name.at[at] >= '0' && name.at[at] <= '9'));
}
