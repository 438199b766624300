#include "http_static.h"

#include <stdio.h>
#include <stdlib.h>
#include <openssl/evp.h>
#include "arena.h"

enum { ETAG_DIGITS = 22 }; /* of SHA-256: 88 bits */

struct http_static {
    struct arena *arena;
    struct http_static_file *files; /* sorted by path */
    size_t count;
};

/* One of the forms that a file has. */
struct form {
    struct text bytes;
    const char *encoding; /* NULL: as it is */
    const char *etag_end; /* forms that differ have tags that differ */
};

struct range {
    uint64_t from, count;
};
enum range_result { RANGE_NONE, RANGE_FINE, RANGE_BAD };

static int by_path(const void *a, const void *b);
static struct text etag_of(struct arena *arena, struct text raw);
static int accepts(struct text field, struct text coding);
static int quality(struct text parameters);
static struct form choose_form(const struct http_static_file *file, struct http_request *req);
static bool etag_listed(struct text list, struct text etag, bool weak_counts);
static enum range_result read_range(const struct http_request *req, struct text etag, uint64_t size,
                                    struct range *out);
static enum range_result parse_range(struct text text, uint64_t size, struct range *out);
static bool serve_range(const struct http_static_file *file, struct range range,
                        struct http_reply *reply, struct status *st);

struct http_static *http_static_new(const struct http_static_file *files, size_t count)
{
    struct arena *arena = arena_open(16 * MIB);
    struct http_static *table = ARENA_NEW(arena, struct http_static);
    table->arena = arena;
    table->count = count;
    table->files = ARENA_ARRAY(arena, count, struct http_static_file);
    for (size_t i = 0; i < count; i++) {
        struct http_static_file *file = &table->files[i];
        *file = files[i];
        file->path = arena_text(arena, file->path);
        file->content_type = arena_text(arena, file->content_type);
        file->etag = arena_text(arena, file->etag);
        if (file->etag.len == 0)
            file->etag = etag_of(arena, file->raw);
        if (file->content_type.len == 0)
            file->content_type = http_static_type(file->path);
    }
    qsort(table->files, count, sizeof(*table->files), by_path);
    for (size_t i = 1; i < count; i++)
        WEIR_ASSERT(!text_equal(table->files[i - 1].path, table->files[i].path));
    return table;
}

void http_static_free(struct http_static *files)
{
    if (files != NULL)
        arena_close(files->arena);
}

const struct http_static_file *http_static_find(const struct http_static *files, struct text path)
{
    struct http_static_file key = {.path = path};
    return bsearch(&key, files->files, files->count, sizeof(key), by_path);
}

bool http_static_serve(const struct http_static_file *file, struct http_request *req,
                       struct http_reply *reply, struct status *st)
{
    char tag[128];
    struct range range = {0};
    struct form form = choose_form(file, req);
    int len = snprintf(tag, sizeof(tag), "\"%.*s%s\"", TEXT_ARG(file->etag), form.etag_end);
    WEIR_ASSERT(len > 0 && (size_t)len < sizeof(tag));
    struct text etag = {tag, (size_t)len};
    http_reply_header(reply, TEXT("ETag"), etag);
    if (file->br.len > 0 || file->gz.len > 0)
        http_reply_header(reply, TEXT("Vary"), TEXT("Accept-Encoding"));
    if (!http_reply_has_header(reply, TEXT("Cache-Control")))
        http_reply_header(reply, TEXT("Cache-Control"),
                          file->immutable ? TEXT("public, max-age=31536000, immutable")
                                          : TEXT("no-cache"));
    struct text known = http_request_header(req, TEXT("if-none-match"));
    if (known.at != NULL && etag_listed(known, etag, true))
        return http_reply_send(reply, 304, TEXT_NONE, TEXT_NONE, st);
    http_reply_header(reply, TEXT("Accept-Ranges"), TEXT("bytes"));
    if (form.encoding != NULL)
        http_reply_header(reply, TEXT("Content-Encoding"), text_of(form.encoding));
    enum range_result asked =
        form.encoding == NULL ? read_range(req, etag, file->raw.len, &range) : RANGE_NONE;
    if (asked == RANGE_FINE)
        return serve_range(file, range, reply, st);
    if (asked == RANGE_BAD) {
        http_reply_headerf(reply, TEXT("Content-Range"), "bytes */%zu", file->raw.len);
        return http_reply_send(reply, 416, TEXT_NONE, TEXT_NONE, st);
    }
    return http_reply_send(reply, 200, file->content_type, form.bytes, st);
}

struct text http_static_type(struct text path)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".json", "application/json"},
        {".map", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".webp", "image/webp"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".wasm", "application/wasm"},
        {".txt", "text/plain; charset=utf-8"},
        {".md", "text/markdown; charset=utf-8"},
        {".xml", "application/xml"},
        {".yaml", "application/yaml"},
        {".pdf", "application/pdf"},
    };
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (text_ends(path, text_of(types[i].ending)))
            return text_of(types[i].type);
    }
    return TEXT("application/octet-stream");
}

static int by_path(const void *a, const void *b)
{
    return text_compare(((const struct http_static_file *)a)->path,
                        ((const struct http_static_file *)b)->path);
}

static struct text etag_of(struct arena *arena, struct text raw)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    char *digits = arena_alloc(arena, ETAG_DIGITS + 1);
    int fine = EVP_Digest(raw.len > 0 ? raw.at : "", raw.len, digest, &size, EVP_sha256(), NULL);
    WEIR_ASSERT(fine == 1 && size >= ETAG_DIGITS / 2);
    for (size_t i = 0; i < ETAG_DIGITS / 2; i++)
        (void)snprintf(digits + 2 * i, 3, "%02x", digest[i]);
    return (struct text){digits, ETAG_DIGITS};
}

/* The quality, 0 to 1000, that Accept-Encoding gives to `coding`; 0: not acceptable. */
static int accepts(struct text field, struct text coding)
{
    int any = 0;
    struct text item;
    while (text_split(&field, ',', &item)) {
        size_t end = text_find_byte(item, ';');
        struct text name = text_trim(text_take(item, end));
        int q = quality(text_skip(item, end));
        if (text_equal_nocase(name, coding))
            return q;
        if (text_equal(name, TEXT("*")))
            any = q;
    }
    return any;
}

/* ";q=0.8" is 800; RFC 9110, section 12.4.2. What cannot be read is 0: better plain than wrong. */
static int quality(struct text parameters)
{
    struct text parameter;
    while (text_split(&parameters, ';', &parameter)) {
        parameter = text_trim(parameter);
        if (parameter.len < 2 || (parameter.at[0] | 0x20) != 'q' || parameter.at[1] != '=')
            continue;
        struct text value = text_trim(text_skip(parameter, 2));
        double q;
        if (!text_to_double(value, &q) || q < 0 || q > 1)
            return 0;
        return (int)(q * 1000);
    }
    return 1000;
}

/* A range is of the plain form: a client that asks for one wants to put pieces together. */
static struct form choose_form(const struct http_static_file *file, struct http_request *req)
{
    struct form plain = {file->raw, NULL, ""};
    struct text field = http_request_header(req, TEXT("accept-encoding"));
    if (field.at == NULL || http_header_has(req->headers, TEXT("range")))
        return plain;
    int br = file->br.len > 0 ? accepts(field, TEXT("br")) : 0;
    int gz = file->gz.len > 0 ? accepts(field, TEXT("gzip")) : 0;
    if (br > 0 && br >= gz)
        return (struct form){file->br, "br", "-br"};
    if (gz > 0)
        return (struct form){file->gz, "gzip", "-gz"};
    return plain;
}

static bool etag_listed(struct text list, struct text etag, bool weak_counts)
{
    struct text item;
    while (text_split(&list, ',', &item)) {
        item = text_trim(item);
        if (weak_counts && text_starts(item, TEXT("W/")))
            item = text_skip(item, 2);
        if (text_equal(item, etag) || (weak_counts && text_equal(item, TEXT("*"))))
            return true;
    }
    return false;
}

static enum range_result read_range(const struct http_request *req, struct text etag, uint64_t size,
                                    struct range *out)
{
    struct text text = http_request_header(req, TEXT("range"));
    struct text condition = http_request_header(req, TEXT("if-range"));
    if (text.at == NULL || !text_starts(text, TEXT("bytes=")))
        return RANGE_NONE;
    if (condition.at != NULL && !etag_listed(condition, etag, false))
        return RANGE_NONE; /* the client has pieces of another version */
    return parse_range(text_trim(text_skip(text, 6)), size, out);
}

/* "2-5", "2-", "-5". Several ranges, or nonsense, get the whole file (RFC 9110, section 14.2). */
static enum range_result parse_range(struct text text, uint64_t size, struct range *out)
{
    int64_t first = 0, last;
    size_t dash = text_find_byte(text, '-');
    struct text before = text_take(text, dash), after = text_skip(text, dash + 1);
    if (dash == text.len || (before.len > 0 && !text_to_i64(before, &first)))
        return RANGE_NONE;
    if (after.len == 0 && before.len == 0)
        return RANGE_NONE;
    if (after.len == 0)
        last = INT64_MAX;
    else if (!text_to_i64(after, &last) || last < 0)
        return RANGE_NONE;
    if (before.len == 0) { /* the last so many bytes */
        uint64_t count = (uint64_t)last < size ? (uint64_t)last : size;
        *out = (struct range){size - count, count};
        return count > 0 ? RANGE_FINE : RANGE_BAD;
    }
    if (last < first)
        return RANGE_NONE;
    if ((uint64_t)first >= size)
        return RANGE_BAD;
    uint64_t end = (uint64_t)last < size ? (uint64_t)last + 1 : size;
    *out = (struct range){(uint64_t)first, end - (uint64_t)first};
    return RANGE_FINE;
}

static bool serve_range(const struct http_static_file *file, struct range range,
                        struct http_reply *reply, struct status *st)
{
    http_reply_headerf(reply, TEXT("Content-Range"), "bytes %llu-%llu/%zu",
                       (unsigned long long)range.from,
                       (unsigned long long)(range.from + range.count - 1), file->raw.len);
    struct text piece = text_take(text_skip(file->raw, (size_t)range.from), (size_t)range.count);
    return http_reply_send(reply, 206, file->content_type, piece, st);
}
