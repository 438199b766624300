/* check: what the unit tests of all modules share, on top of cmocka. For tests only. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "text.h"

/* Names the row of a table that is tried now; ctest shows the last one above a failure. */
#define check_case(name) print_message("[ case     ] %s\n", (name))

/* That the text `got` has the bytes of the C string `want`; a NULL wants an empty text. */
#define check_text(got, want) check_text_at((got), (want), __FILE__, __LINE__)
static inline void check_text_at(struct text got, const char *want, const char *file, int line)
{
    if (text_equal(got, text_of(want)))
        return;
    print_error("got    \"%.*s\" (%zu bytes)\nwanted \"%s\"\n", TEXT_ARG(got), got.len,
                want == NULL ? "" : want);
    _fail(file, line);
}
