/* config_internal: shared by the files of config. */
#pragma once
#include "config.h"

enum {
    CONFIG_SETTINGS_MAX = 96, /* rows of all groups; a test counts them */
    CONFIG_FIELDS_MAX = 32,   /* of one kind of section */
    CONFIG_SECTIONS_MAX = 64, /* of each kind */
    CONFIG_FILE_BYTES_MAX = 1024 * 1024,
    CONFIG_SECRET_BYTES_MAX = 64 * 1024,
};

struct config_value {
    struct text raw;    /* as it was written */
    struct text source; /* empty: the default */
    int64_t number;     /* an integer, 0 or 1, milliseconds, bytes */
    const struct text *list;
    size_t list_count;
};

/* values[i] belongs to the i-th row over all groups. */
struct config {
    struct config_value values[CONFIG_SETTINGS_MAX];
    struct config_section sections[CONFIG_SECTION_KIND_COUNT][CONFIG_SECTIONS_MAX];
    size_t sections_count[CONFIG_SECTION_KIND_COUNT];
};

/* The row and its place over all groups; NULL when there is none. */
const struct config_setting *config_row(struct text name, size_t *place);
/* Sets a value; `raw` is copied where it must be. Fails: STATUS_INVALID, "must be …". */
MUST_CHECK bool config_value_set(const struct config_setting *setting, struct text raw,
                                 struct text source, struct arena *arena,
                                 struct config_value *value, struct status *st);
/* A duration or a size, in the largest unit that leaves no rest: "15min". */
struct text config_value_written(const struct config_setting *setting, int64_t number, char *memory,
                                 size_t size);
/* Takes over all that the text of a file says; `name` is the file's, for sources and errors. */
MUST_CHECK bool config_file_read(struct config *config, struct text text, struct text name,
                                 struct arena *arena, struct status *st);
/* The row that `name` means, among `rows` or (NULL) those of all groups; "<name>_file" means a row
 * that may come from a file, and then `*by_file` is set. NULL when there is none. */
const struct config_setting *config_match(const struct config_setting *rows, struct text name,
                                          bool *by_file);
/* Fails with "unknown setting `x`, did you mean `y`?". `rows` as above. Returns false. */
bool config_fail_unknown(struct status *st, struct text name, const struct config_setting *rows);
/* Reads a file of at most `bytes_max`. Fails: STATUS_SYSTEM, STATUS_TOO_LARGE. */
MUST_CHECK bool config_read_file(struct text path, size_t bytes_max, struct arena *arena,
                                 struct text *out, struct status *st);
