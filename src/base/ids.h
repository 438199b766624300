/* ids: names of rows. A prefix that tells the kind, and 128 bits that sort by time: 48 bits of
 * milliseconds, 80 random bits (as a ULID), in 26 characters of Crockford's base32, lower case.
 *     usr_01j9zk3v6wqk3s5n8xw0c7d2he
 * Any thread. */
#pragma once
#include "base.h"
#include "text.h"

enum { IDS_PREFIX_BYTES = 4, IDS_BYTES = IDS_PREFIX_BYTES + 26 }; /* without a final zero */

struct id {
    char bytes[IDS_BYTES + 1]; /* with a final zero */
};

/* `prefix` is three letters and an underscore: "usr_". */
struct id ids_new(const char *prefix);
struct text ids_text(const struct id *id);
/* Whether `text` has the shape of an id with this prefix. Says nothing of its existence. */
bool ids_valid(struct text text, const char *prefix);
