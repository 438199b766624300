/* A line is built on the stack and written by one write(2), so lines of threads and processes that
 * share stderr do not mix. A value that does not fit is left out with all that follow it, and the
 * line says `cut`. */
#include "log.h"
#include "clock.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_BYTES_MAX = 4096,
    LINE_END_BYTES = 32, /* kept for the end of a line that is cut */
    VALUE_BYTES_MAX = 512,
};

static const char *const level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error",
};
_Static_assert(ARRAY_LEN(level_names) == LOG_LEVEL_COUNT, "each level has a name");

static _Atomic(enum log_level) lowest = LOG_LEVEL_INFO;
static _Atomic(enum log_format) line_format = LOG_FORMAT_TEXT;
static _Thread_local const struct log_scope *current_scope;

static void add_value(struct text_out *out, enum log_format format, const struct log_value *value);
static void add_text(struct text_out *out, struct text text);
static void add_quoted(struct text_out *out, struct text text);
static bool is_plain(struct text text);

void log_open(enum log_level level, enum log_format format)
{
    atomic_store_explicit(&lowest, level, memory_order_relaxed);
    atomic_store_explicit(&line_format, format, memory_order_relaxed);
}

bool log_wants(enum log_level level)
{
    return level >= atomic_load_explicit(&lowest, memory_order_relaxed);
}

void log_line(enum log_level level, const char *message, const struct log_value *values,
              size_t values_count)
{
    if (!log_wants(level))
        return;
    enum log_format format = atomic_load_explicit(&line_format, memory_order_relaxed);
    char line[LINE_BYTES_MAX], now[CLOCK_RFC3339_BYTES];
    struct text_out out = text_out_over(line, sizeof(line) - LINE_END_BYTES);
    clock_rfc3339(clock_wall_us(), now);
    if (format == LOG_FORMAT_JSON) {
        text_out_addf(&out, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":", now,
                      level_names[level]);
        add_quoted(&out, text_take(text_of(message), VALUE_BYTES_MAX));
    } else {
        text_out_addf(&out, "%s %-5s %.*s", now, level_names[level], VALUE_BYTES_MAX, message);
    }
    if (current_scope != NULL && current_scope->request_id.len > 0)
        add_value(&out, format, &LOG_TEXT("request_id", current_scope->request_id));
    for (size_t i = 0; i < values_count && !out.cut; i++)
        add_value(&out, format, &values[i]);
    out.size = sizeof(line);
    if (out.cut)
        text_out_add(&out, format == LOG_FORMAT_JSON ? TEXT(",\"cut\":true") : TEXT(" cut=true"));
    text_out_add(&out, format == LOG_FORMAT_JSON ? TEXT("}\n") : TEXT("\n"));
    ssize_t written = write(STDERR_FILENO, out.at, out.len);
    (void)written; /* there is nobody left to tell */
}

const struct log_scope *log_scope_set(const struct log_scope *scope)
{
    const struct log_scope *before = current_scope;
    current_scope = scope;
    return before;
}

const struct log_scope *log_scope_get(void)
{
    return current_scope;
}

/* All of it, or nothing and `cut`. */
static void add_value(struct text_out *out, enum log_format format, const struct log_value *value)
{
    size_t before = out->len;
    bool json = format == LOG_FORMAT_JSON;
    text_out_addf(out, json ? ",\"%s\":" : " %s=", value->key);
    switch (value->kind) {
    case LOG_KIND_TEXT:
        if (json)
            add_quoted(out, text_take(value->text, VALUE_BYTES_MAX));
        else
            add_text(out, text_take(value->text, VALUE_BYTES_MAX));
        break;
    case LOG_KIND_INT:
        text_out_addf(out, "%" PRId64, value->integer);
        break;
    case LOG_KIND_BOOL:
        text_out_add(out, value->integer != 0 ? TEXT("true") : TEXT("false"));
        break;
    }
    if (out->cut)
        out->len = before;
}

static void add_text(struct text_out *out, struct text text)
{
    if (is_plain(text))
        text_out_add(out, text);
    else
        add_quoted(out, text);
}

/* As a JSON string, in both formats. Control characters, also those of C1 that terminals obey, are
 * escaped, and bytes that are no UTF-8 become U+FFFD: nothing logged can forge or hide a line. */
static void add_quoted(struct text_out *out, struct text text)
{
    text_out_add(out, TEXT("\""));
    while (text.len > 0) {
        unsigned char c = (unsigned char)text.at[0];
        size_t size = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        struct text piece = text_take(text, size);
        if (piece.len < size || !text_utf8_valid(piece)) {
            text_out_add(out, TEXT("\\ufffd"));
            size = 1;
        } else if (c == '"' || c == '\\') {
            text_out_addf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7F) {
            text_out_addf(out, "\\u%04x", c);
        } else if (c == 0xC2 && (unsigned char)text.at[1] < 0xA0) {
            text_out_addf(out, "\\u%04x", (unsigned char)text.at[1]);
        } else {
            text_out_add(out, piece);
        }
        text = text_skip(text, size);
    }
    text_out_add(out, TEXT("\""));
}

/* Whether it can stand without quotes. */
static bool is_plain(struct text text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c <= ' ' || c >= 0x7F || c == '"' || c == '\\' || c == '=')
            return false;
    }
    return text.len > 0;
}
