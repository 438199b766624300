/* status: how a function that can fail tells why. A code for programs, a text for people, and for
 * bad input the name of the field at fault. Fixed in size, so that reporting never allocates.
 * Any thread. Nothing here waits.
 *
 *     return status_fail(st, STATUS_NOT_FOUND, "no thread %.*s", TEXT_ARG(id));
 *     return status_wrap(st, "could not read thread %.*s", TEXT_ARG(id));
 *
 * Texts: lower case, no full stop, what was tried and with which value. The code alone decides
 * the HTTP status, in one table in api. */
#pragma once
#include "base.h"
#include "text.h"

enum status_code {
    STATUS_OK,
    STATUS_INVALID,         /* bad input; `field` names it where there is one */
    STATUS_UNAUTHENTICATED, /* no credential, or not a valid one */
    STATUS_FORBIDDEN,
    STATUS_NOT_FOUND,
    STATUS_CONFLICT,     /* exists already, or changed meanwhile */
    STATUS_TOO_LARGE,    /* the input is over a limit of size */
    STATUS_RATE_LIMITED, /* come back after `retry_after_ms` */
    STATUS_NO_MONEY,
    STATUS_UNAVAILABLE, /* not now; `retry_after_ms` where it is known */
    STATUS_UPSTREAM,    /* what we asked answered nonsense, or broke */
    STATUS_TIMEOUT,     /* the deadline of a wait passed */
    STATUS_CANCELLED,   /* the fiber was cancelled: unwind */
    STATUS_CLOSED,      /* the peer has closed in good order */
    STATUS_LIMIT,       /* the request used more memory than it may */
    STATUS_SYSTEM,      /* the operating system said no: a file, a socket, a full disk */
    STATUS_INTERNAL,
    STATUS_COUNT
};

enum { STATUS_TEXT_BYTES_MAX = 400, STATUS_FIELD_BYTES_MAX = 96 };

struct status {
    enum status_code code;
    int64_t retry_after_ms;             /* 0: not known */
    char field[STATUS_FIELD_BYTES_MAX]; /* "" or the path of the field at fault: "messages[2].role"
                                         */
    char text[STATUS_TEXT_BYTES_MAX];   /* UTF-8, cut at a character when too long */
};

/* Each sets `st` and returns false, so that a failure is one line. */
bool status_fail(struct status *st, enum status_code code, const char *format, ...)
    PRINTF_LIKE(3, 4);
bool status_fail_field(struct status *st, enum status_code code, const char *field,
                       const char *format, ...) PRINTF_LIKE(4, 5);
/* The text of errno `error` is put behind: "could not open /x: permission denied". */
bool status_fail_errno(struct status *st, int error, const char *format, ...) PRINTF_LIKE(3, 4);
/* Puts what we were doing in front: "could not read thread thr_9: no such row". */
bool status_wrap(struct status *st, const char *format, ...) PRINTF_LIKE(2, 3);

/* Tells the compiler the value as well. Without it gcc and clang's analyzer also follow the path on
 * which a failure returned true, and report what would be wrong there. */
__attribute__((always_inline)) static inline bool status_false(bool value)
{
    (void)value;
    return false;
}
#define status_fail(...) status_false(status_fail(__VA_ARGS__))
#define status_fail_field(...) status_false(status_fail_field(__VA_ARGS__))
#define status_fail_errno(...) status_false(status_fail_errno(__VA_ARGS__))
#define status_wrap(...) status_false(status_wrap(__VA_ARGS__))
void status_clear(struct status *st);
struct text status_text(const struct status *st);
const char *status_code_name(enum status_code code); /* "not_found" */
