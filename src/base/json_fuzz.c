/* What the check accepts jansson builds, unless a name comes twice; and what is written of it is
 * accepted and equal again. */
#include "arena.h"
#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text text = {(const char *)data, size};
    struct status st;
    AUTO(json_t) json_t *root = NULL;
    AUTO(json_t) json_t *again = NULL;
    struct text value = TEXT_NONE;
    bool whole = json_scan(text, NULL, &value, &st);
    WEIR_ASSERT(!whole || (value.len > 0 && value.at >= text.at &&
                           value.at + value.len <= text.at + text.len));
    bool good = json_check(text, NULL, &st);
    WEIR_ASSERT(whole || !good); /* the check asks for more */
    if (!json_read(text, NULL, &root, &st)) {
        WEIR_ASSERT(st.code == STATUS_INVALID || st.code == STATUS_TOO_LARGE);
        WEIR_ASSERT(!good ||
                    text_find(status_text(&st), TEXT("the same name")) < STATUS_TEXT_BYTES_MAX);
        WEIR_ASSERT(text_utf8_valid(status_text(&st)));
        return 0;
    }
    WEIR_ASSERT(good);
    struct json_at at = json_at_root(root), inner, item;
    struct text member;
    int64_t integer;
    double number;
    bool all = json_get_text(&at, "model", JSON_OPTIONAL, 256, &member, &st) &&
               json_get_int(&at, "n", JSON_OPTIONAL, 1, 8, &integer, &st) &&
               json_get_number(&at, "temperature", JSON_OPTIONAL, 0, 2, &number, &st) &&
               json_get_array(&at, "messages", JSON_OPTIONAL, 100, &inner, &st);
    for (size_t i = 0; all && i < json_count(&inner); i++)
        all = json_item_object(&inner, i, &item, &st) &&
              json_get_text(&item, "content", JSON_REQUIRED, SIZE_MAX, &member, &st);
    AUTO(arena) struct arena *arena = arena_open(SIZE_MAX);
    struct text_buf buf = text_buf_in(arena, SIZE_MAX);
    json_write(root, &buf);
    bool same = json_read(text_buf_text(&buf), NULL, &again, &st) && json_equal(root, again);
    WEIR_ASSERT(same);
    return 0;
}
