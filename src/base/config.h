/* config: every setting of weir, from one table (config_table.c) and, with rising precedence, from
 * defaults, the configuration file, the environment (WEIR_LISTEN) and flags (--listen=…).
 * A setting that nobody knows is an error that says where it stands and what was perhaps meant.
 * No module reads settings by itself: main makes each module's options from a struct config.
 * Read once at start, read-only from then on: any thread. Nothing here waits, but files are read.
 */
#pragma once
#include "base.h"
#include "status.h"
#include "text.h"

struct arena;
struct config;
struct text_buf;

enum config_type {
    CONFIG_TEXT,     /* also paths, URLs and addresses, which their module checks */
    CONFIG_LIST,     /* texts, separated by commas; at most CONFIG_LIST_MAX */
    CONFIG_INT,      /* min and max */
    CONFIG_BOOL,     /* on, off, true, false, yes, no, 1, 0 */
    CONFIG_DURATION, /* "250ms", "5s", "15min", "12h", "30d"; min and max in ms */
    CONFIG_SIZE,     /* "32KiB", "8MiB", "1GiB", or bytes; min and max in bytes */
    CONFIG_CHOICE,   /* one of `choices` */
    CONFIG_TYPE_COUNT
};
enum {
    CONFIG_LIST_MAX = 32,
    CONFIG_SECRET = 1 << 0,   /* never shown; can be read from a file, by <name>_file */
    CONFIG_PASSWORD = 1 << 1, /* a URL: its password is never shown; can be read from a file */
    CONFIG_START = 1 << 2,    /* says where the file is: not allowed in it */
};

/* One row of the table. */
struct config_setting {
    const char *name; /* "metrics_listen": WEIR_METRICS_LISTEN, --metrics-listen */
    enum config_type type;
    const char *fallback; /* the default, as it would be written */
    int64_t min, max;
    const char *choices; /* "text|json" */
    const char *help;    /* one line, a sentence without a full stop */
    unsigned flags;
};
/* A group of settings under one title, as the documents show them. */
struct config_group {
    const char *title;
    const struct config_setting *settings; /* ended by a NULL name */
};
extern const struct config_group config_groups[]; /* ended by a NULL title */

/* [model NAME] and [upstream NAME] in the file: any number of each, fields from a table. */
enum config_section_kind {
    CONFIG_SECTION_MODEL,
    CONFIG_SECTION_UPSTREAM,
    CONFIG_SECTION_KIND_COUNT
};
extern const char *const config_section_names[CONFIG_SECTION_KIND_COUNT]; /* "model" */
extern const char *const config_section_helps[CONFIG_SECTION_KIND_COUNT];
extern const struct config_setting *const config_section_fields[CONFIG_SECTION_KIND_COUNT];

/* The row for "metrics_listen", also written "metrics-listen"; NULL when there is none. */
const struct config_setting *config_setting_find(struct text name);

struct config_input {
    const char *const *flags; /* "--listen=…", "--allow-plaintext" (on), as they came */
    size_t flags_count;
    const char *const *environment; /* "NAME=value", ended by NULL */
};

/* Reads everything. Owns: what it gives is in `arena`.
 * Fails: STATUS_INVALID with the place ("/etc/weir/weir.ini:12: …", "WEIR_LISTEN: …", "--listen:
 * …"); STATUS_SYSTEM for a file that cannot be read. */
MUST_CHECK bool config_load(const struct config_input *input, struct arena *arena,
                            struct config **out, struct status *st);
/* The text of a configuration file alone, called `name` in errors; for tests and tools. */
MUST_CHECK bool config_load_text(struct text text, struct text name, struct arena *arena,
                                 struct config **out, struct status *st);

/* Asking for a name that the table does not have, or with the wrong type, is our own bug. */
struct text config_text(const struct config *config, const char *name); /* also a choice */
int64_t config_int(const struct config *config, const char *name);
bool config_bool(const struct config *config, const char *name);
int64_t config_ms(const struct config *config, const char *name);
size_t config_bytes(const struct config *config, const char *name);
size_t config_list(const struct config *config, const char *name, const struct text **out);
/* Whether it was set anywhere: the value is not the default. */
bool config_is_set(const struct config *config, const char *name);
/* $WEIR_DATA, with its default filled in. */
struct text config_data_folder(const struct config *config);

struct config_section {
    enum config_section_kind kind;
    struct text name;   /* "[model smol]": "smol" */
    struct text source; /* "/etc/weir/weir.ini:12" */
    struct config_value *values;
};
size_t config_sections(const struct config *config, enum config_section_kind kind,
                       const struct config_section **out);
struct text config_section_text(const struct config_section *section, const char *name);
size_t config_section_list(const struct config_section *section, const char *name,
                           const struct text **out);
int64_t config_section_int(const struct config_section *section, const char *name);
bool config_section_bool(const struct config_section *section, const char *name);
int64_t config_section_ms(const struct config_section *section, const char *name);

/* What `weir config` prints: each setting, its value (secrets hidden) and where it is from. */
void config_print(const struct config *config, struct text_buf *buf);
/* docs/configuration.md and the sample file, from the tables. */
void config_print_markdown(struct text_buf *buf);
void config_print_sample(struct text_buf *buf);
