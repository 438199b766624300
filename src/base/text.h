/* text: bytes with a length. Never relies on a final zero; holds no memory of its own.
 * UTF-8 is checked where bytes enter (text_utf8_valid), not at each use.
 * Any thread. Nothing here waits or allocates. */
#pragma once
#include "base.h"

struct text {
    const char *at; /* may be NULL when len is 0 */
    size_t len;     /* bytes */
};

#define TEXT(literal) ((struct text){"" literal, sizeof(literal) - 1})
#define TEXT_NONE ((struct text){NULL, 0})
/* For "%.*s". A text longer than INT_MAX cannot exist here: everything read is bounded. */
#define TEXT_ARG(text) (int)(text).len, (text).at

struct text text_of(const char *cstr); /* NULL becomes an empty text */
bool text_equal(struct text a, struct text b);
bool text_equal_nocase(struct text a, struct text b); /* ASCII letters only (RFC 9110 names) */
/* Takes time that depends on the lengths only: for secrets. */
bool text_equal_secret(struct text a, struct text b);
int text_compare(struct text a, struct text b); /* bytewise, like memcmp, the shorter first */
bool text_starts(struct text text, struct text prefix);
bool text_ends(struct text text, struct text suffix);
struct text text_skip(struct text text, size_t count); /* what follows; empty past the end */
struct text text_take(struct text text, size_t count); /* the first count bytes, or fewer */
struct text text_trim(struct text text);               /* spaces, tabs, CR, LF off both ends */
/* The place of the first `needle`, or text.len when there is none. */
size_t text_find(struct text text, struct text needle);
size_t text_find_byte(struct text text, char byte);
/* Takes the piece before the next `separator` off the front of *rest. False when *rest is used
 * up; an empty piece between two separators is a piece. */
bool text_split(struct text *rest, char separator, struct text *piece);
/* Decimal digits with an optional minus and nothing else; false on anything else or overflow. */
MUST_CHECK bool text_to_i64(struct text text, int64_t *out);
MUST_CHECK bool text_to_double(struct text text, double *out); /* JSON's number grammar */
/* Well-formed UTF-8 per RFC 3629: no overlong forms, no surrogates, at most U+10FFFF. */
bool text_utf8_valid(struct text text);
/* How many bytes at the front are whole characters: at most 3 bytes of a character that is still
 * to come stay behind. Bytes that can never become valid are counted as whole. */
size_t text_utf8_whole(struct text text);
/* The front of `text`, at most `bytes_max` of it, cut between characters. */
struct text text_utf8_take(struct text text, size_t bytes_max);

/* A text being built in memory of the caller's: what does not fit is cut and `cut` says so. */
struct text_out {
    char *at;
    size_t len, size; /* used; size of the memory */
    bool cut;
};
struct text_out text_out_over(char *memory, size_t size);
void text_out_add(struct text_out *out, struct text text);
void text_out_addf(struct text_out *out, const char *format, ...) PRINTF_LIKE(2, 3);
struct text text_out_text(const struct text_out *out);
