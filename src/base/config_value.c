/* config_value: from what was written to what it means, one function per type. */
#include "arena.h"
#include "config_internal.h"

#include <inttypes.h>
#include <string.h>

struct unit {
    struct text name;
    int64_t factor;
};
static const struct unit durations[] = {
    {{"ms", 2}, 1},           {{"s", 1}, 1000},          {{"min", 3}, 60 * 1000L},
    {{"h", 1}, 3600 * 1000L}, {{"d", 1}, 86400 * 1000L},
};
static const struct unit sizes[] = {{{"", 0}, 1},
                                    {{"KiB", 3}, 1024},
                                    {{"MiB", 3}, 1024 * 1024L},
                                    {{"GiB", 3}, 1024L * 1024 * 1024}};
static const char *const words_on[] = {"on", "true", "yes", "1"}, *const words_off[] = {
                                                                      "off", "false", "no", "0"};

static bool parse_int(const struct config_setting *setting, struct text raw, int64_t *out,
                      struct status *st);
static bool parse_units(const struct config_setting *setting, const struct unit *units,
                        size_t units_count, struct text raw, int64_t *out);
static bool parse_bool(struct text raw, int64_t *out);
static bool parse_list(struct text raw, struct arena *arena, struct config_value *value,
                       struct status *st);
static bool parse_choice(const struct config_setting *setting, struct text raw, struct status *st);
static void write_units(struct text_out *out, const struct unit *units, size_t units_count,
                        int64_t number);
static bool fail_range(const struct config_setting *setting, const struct unit *units,
                       size_t units_count, const char *what, struct status *st);

bool config_value_set(const struct config_setting *setting, struct text raw, struct text source,
                      struct arena *arena, struct config_value *value, struct status *st)
{
    struct config_value parsed = {.raw = arena_text(arena, raw), .source = source};
    if (!text_utf8_valid(raw) || text_find_byte(raw, '\0') < raw.len)
        return status_fail(st, STATUS_INVALID, "must be UTF-8 without NUL");
    switch (setting->type) {
    case CONFIG_TEXT:
        break;
    case CONFIG_LIST:
        if (!parse_list(parsed.raw, arena, &parsed, st))
            return false;
        break;
    case CONFIG_INT:
        if (!parse_int(setting, raw, &parsed.number, st))
            return false;
        break;
    case CONFIG_BOOL:
        if (!parse_bool(raw, &parsed.number))
            return status_fail(st, STATUS_INVALID, "must be on or off, not `%.*s`", TEXT_ARG(raw));
        break;
    case CONFIG_DURATION:
        if (!parse_units(setting, durations, ARRAY_LEN(durations), raw, &parsed.number))
            return fail_range(setting, durations, ARRAY_LEN(durations),
                              "a duration such as 250ms, 5s, 15min, 12h or 30d", st);
        break;
    case CONFIG_SIZE:
        if (!parse_units(setting, sizes, ARRAY_LEN(sizes), raw, &parsed.number))
            return fail_range(setting, sizes, ARRAY_LEN(sizes),
                              "a size such as 32KiB, 8MiB or 1GiB", st);
        break;
    case CONFIG_CHOICE:
        if (!parse_choice(setting, raw, st))
            return false;
        break;
    case CONFIG_TYPE_COUNT:
        WEIR_ASSERT(setting->type < CONFIG_TYPE_COUNT);
    }
    *value = parsed;
    return true;
}

struct text config_value_written(const struct config_setting *setting, int64_t number, char *memory,
                                 size_t size)
{
    bool duration = setting->type == CONFIG_DURATION;
    struct text_out out = text_out_over(memory, size);
    write_units(&out, duration ? durations : sizes,
                duration ? ARRAY_LEN(durations) : ARRAY_LEN(sizes), number);
    return text_out_text(&out);
}

static bool parse_int(const struct config_setting *setting, struct text raw, int64_t *out,
                      struct status *st)
{
    if (text_to_i64(raw, out) && *out >= setting->min && *out <= setting->max)
        return true;
    return status_fail(st, STATUS_INVALID,
                       "must be a whole number between %" PRId64 " and %" PRId64, setting->min,
                       setting->max);
}

static bool parse_units(const struct config_setting *setting, const struct unit *units,
                        size_t units_count, struct text raw, int64_t *out)
{
    size_t digits = 0;
    while (digits < raw.len && raw.at[digits] >= '0' && raw.at[digits] <= '9')
        digits++;
    int64_t number;
    struct text unit = text_trim(text_skip(raw, digits));
    if (!text_to_i64(text_take(raw, digits), &number))
        return false;
    bool known = number == 0 && unit.len == 0; /* nothing is nothing in every unit */
    for (size_t i = 0; i < units_count; i++) {
        if (!text_equal_nocase(unit, units[i].name))
            continue;
        if (__builtin_mul_overflow(number, units[i].factor, &number))
            return false;
        known = true;
        break;
    }
    if (!known || number < setting->min || number > setting->max)
        return false;
    *out = number;
    return true;
}

static bool parse_bool(struct text raw, int64_t *out)
{
    for (size_t i = 0; i < ARRAY_LEN(words_on); i++) {
        if (text_equal_nocase(raw, text_of(words_on[i]))) {
            *out = 1;
            return true;
        }
        if (text_equal_nocase(raw, text_of(words_off[i]))) {
            *out = 0;
            return true;
        }
    }
    return false;
}

static bool parse_list(struct text raw, struct arena *arena, struct config_value *value,
                       struct status *st)
{
    struct text *items = ARENA_ARRAY(arena, CONFIG_LIST_MAX, struct text);
    struct text rest = raw, item;
    size_t count = 0;
    while (text_trim(raw).len > 0 && text_split(&rest, ',', &item)) {
        item = text_trim(item);
        if (item.len == 0)
            return status_fail(st, STATUS_INVALID, "must be a list with commas between its items");
        if (count == CONFIG_LIST_MAX)
            return status_fail(st, STATUS_INVALID, "must have at most %d items", CONFIG_LIST_MAX);
        items[count++] = item;
    }
    value->list = items;
    value->list_count = count;
    return true;
}

static bool parse_choice(const struct config_setting *setting, struct text raw, struct status *st)
{
    struct text rest = text_of(setting->choices), choice;
    while (text_split(&rest, '|', &choice)) {
        if (text_equal(raw, choice))
            return true;
    }
    char list[200];
    struct text_out out = text_out_over(list, sizeof(list));
    rest = text_of(setting->choices);
    while (text_split(&rest, '|', &choice))
        text_out_addf(&out, "%s%.*s",
                      out.len == 0      ? ""
                      : rest.at == NULL ? " or "
                                        : ", ",
                      TEXT_ARG(choice));
    return status_fail(st, STATUS_INVALID, "must be %.*s, not `%.*s`",
                       TEXT_ARG(text_out_text(&out)), TEXT_ARG(raw));
}

/* In the largest unit that leaves no rest. */
static void write_units(struct text_out *out, const struct unit *units, size_t units_count,
                        int64_t number)
{
    size_t best = 0;
    for (size_t i = 0; i < units_count; i++) {
        if (number > 0 && number % units[i].factor == 0)
            best = i;
    }
    text_out_addf(out, "%" PRId64 "%.*s", number / units[best].factor, TEXT_ARG(units[best].name));
}

static bool fail_range(const struct config_setting *setting, const struct unit *units,
                       size_t units_count, const char *what, struct status *st)
{
    char range[80];
    struct text_out out = text_out_over(range, sizeof(range));
    write_units(&out, units, units_count, setting->min);
    text_out_add(&out, TEXT(" and "));
    write_units(&out, units, units_count, setting->max);
    return status_fail(st, STATUS_INVALID, "must be %s, between %.*s", what,
                       TEXT_ARG(text_out_text(&out)));
}
