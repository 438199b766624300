#include "model_onnx_files.h"
#include "arena.h"
#include "json.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 32 << 20, CONTEXT_USUAL = 512, CONTEXT_MAX = 1 << 17 };

static bool path_in(char out[PATH_MAX], const char *folder, const char *name);
static bool is_file(const char *path, uint64_t *bytes);
static bool is_folder(const char *path);
static bool read_file(struct arena *arena, const char *folder, const char *name, struct text *out,
                      struct status *st);
static bool read_tokenizer(struct arena *arena, const struct model_onnx_files *files,
                           struct model_wordpiece **out, struct status *st);
static bool read_context(struct arena *arena, const struct model_onnx_files *files, uint32_t *out,
                         struct status *st);
static bool read_pooling(struct arena *arena, const struct model_onnx_files *files,
                         enum model_pooling *out, struct status *st);

bool model_onnx_is(const char *path)
{
    return is_folder(path) || text_ends(text_of(path), TEXT(".onnx"));
}

bool model_onnx_find(const char *path, struct model_onnx_files *out, struct status *st)
{
    *out = (struct model_onnx_files){0};
    char other[PATH_MAX];
    if (is_folder(path)) {
        static const char *const names[] = {"model.onnx", "onnx/model.onnx"};
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(names) && !found; i++)
            found = path_in(out->model, path, names[i]) && is_file(out->model, &out->model_bytes);
        if (!found || !path_in(out->folder, path, ""))
            return status_fail(st, STATUS_NOT_FOUND, "the folder %s holds no model.onnx", path);
    } else {
        if (!is_file(path, &out->model_bytes))
            return status_fail(st, STATUS_NOT_FOUND, "there is no model file %s", path);
        const char *slash = strrchr(path, '/');
        int len = slash == NULL ? 0 : (int)(slash - path);
        if (snprintf(out->model, sizeof out->model, "%s", path) >= PATH_MAX ||
            snprintf(out->folder, sizeof out->folder, "%.*s", slash == NULL ? 1 : len,
                     slash == NULL ? "." : path) >= PATH_MAX)
            return status_fail(st, STATUS_INVALID, "the path of the model is too long");
    }
    if (out->model_bytes == 0)
        return status_fail(st, STATUS_INVALID, "cannot use the model file %s: it is empty",
                           out->model);
    static const char *const tokenizers[] = {"tokenizer.json", "vocab.txt"};
    for (int up = 0; up < 2; up++) {
        for (size_t i = 0; i < ARRAY_LEN(tokenizers); i++)
            if (path_in(other, out->folder, tokenizers[i]) && is_file(other, NULL))
                return true;
        /* A model in a folder "onnx" has the rest one higher. */
        if (!text_ends(text_of(out->folder), TEXT("onnx")) || !path_in(other, out->folder, "..") ||
            !is_folder(other) || snprintf(out->folder, sizeof out->folder, "%s", other) >= PATH_MAX)
            break;
    }
    return status_fail(st, STATUS_INVALID,
                       "cannot use the model %s: there is no tokenizer.json or vocab.txt beside it",
                       path);
}

size_t model_onnx_paths(const struct model_onnx_files *files, char out[MODEL_ONNX_PATHS][PATH_MAX])
{
    static const char *const beside[] = {
        "",
        "tokenizer.json",
        "vocab.txt",
        "tokenizer_config.json",
        "config.json",
        "1_Pooling/config.json",
    };
    static const char *const endings[] = {"", "_data", ".data"}; /* of weights kept apart */
    static_assert(ARRAY_LEN(beside) + ARRAY_LEN(endings) == MODEL_ONNX_PATHS, "all have room");
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(beside); i++)
        count += path_in(out[count], files->folder, beside[i]);
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        count += snprintf(out[count], PATH_MAX, "%s%s", files->model, endings[i]) < PATH_MAX;
    return count;
}

bool model_onnx_read(const struct model_onnx_files *files, struct model_onnx_setup *out,
                     struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(4 * (size_t)FILE_BYTES_MAX);
    AUTO(model_wordpiece) struct model_wordpiece *wordpiece = NULL;
    struct model_onnx_setup setup = {.context = CONTEXT_USUAL};
    if (!read_context(arena, files, &setup.context, st) ||
        !read_pooling(arena, files, &setup.pooling, st) ||
        !read_tokenizer(arena, files, &wordpiece, st))
        return false;
    *out = setup;
    out->wordpiece = TAKE(wordpiece);
    return true;
}

static bool read_tokenizer(struct arena *arena, const struct model_onnx_files *files,
                           struct model_wordpiece **out, struct status *st)
{
    struct text whole, lines, config;
    if (!read_file(arena, files->folder, "tokenizer.json", &whole, st))
        return false;
    if (whole.len > 0)
        return model_wordpiece_open(whole, out, st) ||
               status_wrap(st, "cannot use %s/tokenizer.json", files->folder);
    if (!read_file(arena, files->folder, "vocab.txt", &lines, st) ||
        !read_file(arena, files->folder, "tokenizer_config.json", &config, st))
        return false;
    return model_wordpiece_open_lines(lines, config, out, st) ||
           status_wrap(st, "cannot use %s/vocab.txt", files->folder);
}

static bool read_context(struct arena *arena, const struct model_onnx_files *files, uint32_t *out,
                         struct status *st)
{
    struct text text;
    json_t *root;
    int64_t places = CONTEXT_USUAL;
    if (!read_file(arena, files->folder, "config.json", &text, st))
        return false;
    if (text.len == 0)
        return true;
    if (json_read_in(arena, text, NULL, &root, st)) {
        struct json_at at = json_at_root(root);
        if (json_get_int(&at, "max_position_embeddings", JSON_OPTIONAL, 8, CONTEXT_MAX, &places,
                         st)) {
            *out = (uint32_t)places;
            return true;
        }
    }
    return status_wrap(st, "cannot use %s/config.json", files->folder);
}

static bool read_pooling(struct arena *arena, const struct model_onnx_files *files,
                         enum model_pooling *out, struct status *st)
{
    static const struct {
        const char *key;
        int pooling; /* -1: not known here */
    } modes[] = {
        {"pooling_mode_mean_tokens", MODEL_POOLING_MEAN},
        {"pooling_mode_cls_token", MODEL_POOLING_CLS},
        {"pooling_mode_lasttoken", MODEL_POOLING_LAST},
        {"pooling_mode_max_tokens", -1},
        {"pooling_mode_mean_sqrt_len_tokens", -1},
        {"pooling_mode_weightedmean_tokens", -1},
    };
    struct text text;
    json_t *root;
    int chosen = 0;
    *out = MODEL_POOLING_MEAN;
    if (!read_file(arena, files->folder, "1_Pooling/config.json", &text, st))
        return false;
    if (text.len == 0)
        return true;
    if (!json_read_in(arena, text, NULL, &root, st))
        return status_wrap(st, "cannot use %s/1_Pooling/config.json", files->folder);
    struct json_at at = json_at_root(root);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        bool on = false;
        if (!json_get_bool(&at, modes[i].key, JSON_OPTIONAL, &on, st))
            return status_wrap(st, "cannot use %s/1_Pooling/config.json", files->folder);
        if (on && modes[i].pooling < 0)
            return status_fail(st, STATUS_INVALID,
                               "%s/1_Pooling/config.json asks for %s, which is "
                               "not known here",
                               files->folder, modes[i].key);
        if (on)
            *out = (enum model_pooling)modes[i].pooling;
        chosen += on;
    }
    return chosen == 1 ? true
                       : status_fail(st, STATUS_INVALID,
                                     "%s/1_Pooling/config.json asks for %d kinds of pooling; one "
                                     "is known here",
                                     files->folder, chosen);
}

static bool path_in(char out[PATH_MAX], const char *folder, const char *name)
{
    int len = snprintf(out, PATH_MAX, "%s%s%s", folder, name[0] != 0 ? "/" : "", name);
    return len > 0 && len < PATH_MAX;
}

static bool is_file(const char *path, uint64_t *bytes)
{
    struct stat facts;
    if (stat(path, &facts) != 0 || !S_ISREG(facts.st_mode))
        return false;
    if (bytes != NULL)
        *bytes = (uint64_t)facts.st_size;
    return true;
}

static bool is_folder(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

/* An absent file is an empty text. */
static bool read_file(struct arena *arena, const char *folder, const char *name, struct text *out,
                      struct status *st)
{
    char path[PATH_MAX];
    uint64_t bytes;
    *out = TEXT_NONE;
    if (!path_in(path, folder, name) || !is_file(path, &bytes))
        return true;
    if (bytes > FILE_BYTES_MAX)
        return status_fail(st, STATUS_INVALID, "%s has %llu bytes; %d are the most", path,
                           (unsigned long long)bytes, FILE_BYTES_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return status_fail_errno(st, errno, "could not open %s", path);
    char *memory = arena_alloc(arena, (size_t)bytes + 1);
    size_t got = 0;
    ssize_t some = 0;
    while (got < bytes && (some = read(fd, memory + got, (size_t)bytes - got)) > 0)
        got += (size_t)some;
    int error = errno;
    close(fd);
    if (some < 0)
        return status_fail_errno(st, error, "could not read %s", path);
    *out = (struct text){memory, got};
    return true;
}
