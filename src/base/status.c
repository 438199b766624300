#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const code_names[] = {
    [STATUS_OK] = "ok",
    [STATUS_INVALID] = "invalid",
    [STATUS_UNAUTHENTICATED] = "unauthenticated",
    [STATUS_FORBIDDEN] = "forbidden",
    [STATUS_NOT_FOUND] = "not_found",
    [STATUS_CONFLICT] = "conflict",
    [STATUS_TOO_LARGE] = "too_large",
    [STATUS_RATE_LIMITED] = "rate_limited",
    [STATUS_NO_MONEY] = "no_money",
    [STATUS_UNAVAILABLE] = "unavailable",
    [STATUS_UPSTREAM] = "upstream",
    [STATUS_TIMEOUT] = "timeout",
    [STATUS_CANCELLED] = "cancelled",
    [STATUS_CLOSED] = "closed",
    [STATUS_LIMIT] = "limit",
    [STATUS_SYSTEM] = "system",
    [STATUS_INTERNAL] = "internal",
};
_Static_assert(ARRAY_LEN(code_names) == STATUS_COUNT, "each code has a name");

static void set(struct status *st, enum status_code code, const char *field, const char *format,
                va_list args) __attribute__((format(printf, 4, 0)));
static void keep_whole(char *text, size_t len);
static const char *error_text(int error, char *memory, size_t size);

bool(status_fail)(struct status *st, enum status_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set(st, code, "", format, args);
    va_end(args);
    return false;
}

bool(status_fail_field)(struct status *st, enum status_code code, const char *field,
                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set(st, code, field, format, args);
    va_end(args);
    return false;
}

bool(status_fail_errno)(struct status *st, int error, const char *format, ...)
{
    char reason[STATUS_FIELD_BYTES_MAX];
    va_list args;
    va_start(args, format);
    set(st, STATUS_SYSTEM, "", format, args);
    va_end(args);
    size_t len = strlen(st->text);
    (void)snprintf(st->text + len, sizeof(st->text) - len, ": %s",
                   error_text(error, reason, sizeof(reason)));
    return false;
}

/* Whatever is formatted may point into `st` itself: so it goes into memory of its own first. */
bool(status_wrap)(struct status *st, const char *format, ...)
{
    char text[STATUS_TEXT_BYTES_MAX];
    WEIR_ASSERT(st != NULL && st->code != STATUS_OK);
    va_list args;
    va_start(args, format);
    int written = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t len = written < 0 ? 0 : (size_t)written;
    if (len < sizeof(text)) {
        int all = snprintf(text + len, sizeof(text) - len, ": %s", st->text);
        len += all < 0 ? 0 : (size_t)all;
    }
    keep_whole(text, len);
    memcpy(st->text, text, sizeof(text));
    return false;
}

void status_clear(struct status *st)
{
    st->code = STATUS_OK;
    st->retry_after_ms = 0;
    st->field[0] = '\0';
    st->text[0] = '\0';
}

struct text status_text(const struct status *st)
{
    return text_of(st->text);
}

const char *status_code_name(enum status_code code)
{
    WEIR_ASSERT((unsigned)code < STATUS_COUNT);
    return code_names[code];
}

static void set(struct status *st, enum status_code code, const char *field, const char *format,
                va_list args)
{
    char text[STATUS_TEXT_BYTES_MAX], field_copy[STATUS_FIELD_BYTES_MAX];
    WEIR_ASSERT(st != NULL && code != STATUS_OK);
    int written = vsnprintf(text, sizeof(text), format, args);
    keep_whole(text, written < 0 ? 0 : (size_t)written);
    (void)snprintf(field_copy, sizeof(field_copy), "%s", field);
    keep_whole(field_copy, strlen(field));
    st->code = code;
    st->retry_after_ms = 0;
    memcpy(st->field, field_copy, sizeof(st->field));
    memcpy(st->text, text, sizeof(st->text));
}

/* `len` bytes were to go into `text`, which holds fewer: takes off the piece of a character that
 * the cut may have left at the end. */
static void keep_whole(char *text, size_t len)
{
    size_t held = strlen(text);
    if (held < len)
        text[text_utf8_whole((struct text){text, held})] = '\0';
}

/* "Permission denied" in the middle of a sentence begins with a small letter. */
static const char *error_text(int error, char *memory, size_t size)
{
    const char *description = strerrordesc_np(error);
    if (description == NULL)
        (void)snprintf(memory, size, "error %d", error);
    else
        (void)snprintf(memory, size, "%s", description);
    bool word = memory[0] >= 'A' && memory[0] <= 'Z' && memory[1] >= 'a' && memory[1] <= 'z';
    if (word)
        memory[0] = (char)(memory[0] + ('a' - 'A'));
    return memory;
}
