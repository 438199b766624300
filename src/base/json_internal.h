/* json_internal: shared by the files of json. */
#pragma once
#include "base.h"
#include "status.h"
#include "text.h"

/* Fails with STATUS_INVALID and the line and column of byte `at` of `text`. */
bool json_fail_at(struct text text, size_t at, struct status *st, const char *format, ...)
    PRINTF_LIKE(4, 5);
