/* log: lines for people or for machines on stderr. An error is logged once, where it is handled
 * (api, server, cli); the modules below return it.
 *     LOG_WARN("upstream is not answering", LOG_TEXT("upstream", name), LOG_INT("tries", tries));
 * Any thread; a line is one write. Values are escaped, so that nothing logged can forge a line.
 * Never pass a secret, a message text or a header value that a client sent. */
#pragma once
#include "base.h"
#include "text.h"

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_COUNT
};
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_value {
    const char *key;
    enum { LOG_KIND_TEXT, LOG_KIND_INT, LOG_KIND_BOOL } kind;
    struct text text;
    int64_t integer;
};
#define LOG_TEXT(key_, text_)                                                                      \
    ((struct log_value){.key = (key_), .kind = LOG_KIND_TEXT, .text = (text_)})
#define LOG_CSTR(key_, cstr_) LOG_TEXT(key_, text_of(cstr_))
#define LOG_INT(key_, int_)                                                                        \
    ((struct log_value){.key = (key_), .kind = LOG_KIND_INT, .integer = (int64_t)(int_)})
#define LOG_BOOL(key_, bool_)                                                                      \
    ((struct log_value){.key = (key_), .kind = LOG_KIND_BOOL, .integer = (bool_)})

/* Before it is called, lines of level info and above are written as text. Call it once, before
 * other threads start. */
void log_open(enum log_level level, enum log_format format);
bool log_wants(enum log_level level);
/* The text of `message` is fixed: what varies goes into values. */
void log_line(enum log_level level, const char *message, const struct log_value *values,
              size_t values_count);
/* LOG_AT(level, message, values...). The end marker gives the array of a line without values a
 * first member, and the variadic macros the argument that C17 demands. */
#define LOG_AT(level, ...)                                                                         \
    log_line((level), LOG_FIRST_(__VA_ARGS__, LOG_END_), LOG_REST_(__VA_ARGS__, LOG_END_),         \
             ARRAY_LEN(LOG_REST_(__VA_ARGS__, LOG_END_)) - 1)
#define LOG_DEBUG(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define LOG_INFO(...) LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define LOG_WARN(...) LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__)
#define LOG_ERROR(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define LOG_END_ ((struct log_value){.key = NULL})
#define LOG_FIRST_(message, ...) (message)
#define LOG_REST_(message, ...) ((const struct log_value[]){__VA_ARGS__})

/* What the running fiber or thread works for: its request id stands on each line it writes.
 * The loop sets and restores it at each switch; threads of the pool take it from their job. */
struct log_scope {
    struct text request_id; /* "" for none; the memory outlives the scope */
};
/* Of the calling thread; NULL for none. Returns the one before. */
const struct log_scope *log_scope_set(const struct log_scope *scope);
const struct log_scope *log_scope_get(void);
