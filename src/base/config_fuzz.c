/* The text of a configuration file: taken or refused with its line, and printed either way. */
#include "arena.h"
#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) struct arena *arena = arena_open(SIZE_MAX);
    struct config *config = NULL;
    struct status st;
    /* Files that the text may name would be opened: keep to what does no such thing. */
    struct text text = {(const char *)data, size};
    if (text_find(text, TEXT("_file")) < text.len)
        return 0;
    if (!config_load_text(text, TEXT("f"), arena, &config, &st)) {
        WEIR_ASSERT(text_starts(status_text(&st), TEXT("f:")));
        return 0;
    }
    struct text_buf buf = text_buf_in(arena, MIB);
    config_print(config, &buf);
    const struct config_section *sections;
    size_t count = config_sections(config, CONFIG_SECTION_MODEL, &sections);
    for (size_t i = 0; i < count; i++)
        WEIR_ASSERT(config_section_int(&sections[i], "context") >= 0);
    WEIR_ASSERT(config_ms(config, "stream_max") >= 1000);
    return 0;
}
