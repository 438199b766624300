/* The web app: the files that the web build made, embedded in the program. index.html is answered
 * for every path that is no asset, with the base of the pages and a fresh nonce filled in; a path
 * that looks like an asset and is none is 404, so that an old page never takes HTML for a script.
 */
#include "api_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "arena.h"
#include "embed.h"
#include "http_static.h"
#include "rand.h"

extern const struct embed_file api_web_files[];

enum { FILES_MAX = 2000, NONCE_BYTES = 16 };

struct api_web {
    struct http_static *files;
    struct text index; /* with its placeholders */
};

static const struct embed_file *find(const char *name, const char *suffix);
static bool has_suffix(struct text name, const char *suffix);
static struct text bytes_of(const struct embed_file *file);
static bool serve_index(struct api_web *web, struct http_request *req, struct http_reply *reply,
                        struct status *st);
static bool looks_like_asset(struct text path);

struct api_web *api_web_new(void)
{
    struct api_web *web = calloc(1, sizeof(*web));
    struct http_static_file *files = calloc(FILES_MAX, sizeof(*files));
    AUTO(arena) struct arena *arena = arena_open(MIB);
    size_t count = 0;
    WEIR_ASSERT(web != NULL && files != NULL);
    for (const struct embed_file *file = api_web_files; file->name != NULL; file++) {
        struct text name = text_of(file->name);
        if (text_equal(name, TEXT("index.html")))
            web->index = bytes_of(file);
        if (text_starts(name, TEXT("index.html")) || has_suffix(name, ".br") ||
            has_suffix(name, ".gz") || has_suffix(name, "manifest.json"))
            continue;
        WEIR_ASSERT(count < FILES_MAX);
        files[count++] = (struct http_static_file){
            .path = arena_format(arena, "/%s", file->name),
            .raw = bytes_of(file),
            .br = bytes_of(find(file->name, ".br")),
            .gz = bytes_of(find(file->name, ".gz")),
            .immutable = text_starts(name, TEXT("assets/")),
        };
    }
    web->files = http_static_new(files, count);
    free(files);
    return web;
}

void api_web_free(struct api_web *web)
{
    if (web == NULL)
        return;
    http_static_free(web->files);
    free(web);
}

bool api_web_serve(struct api_web *web, struct http_request *req, struct http_reply *reply,
                   struct status *st)
{
    if (!req->is_head && !text_equal(req->method, TEXT("GET")))
        return api_fail(req, st, API_PROBLEM_METHOD_NOT_ALLOWED, NULL,
                        "only GET and HEAD are allowed here");
    const struct http_static_file *file = http_static_find(web->files, req->path);
    http_reply_header(reply, TEXT("Cross-Origin-Opener-Policy"), TEXT("same-origin"));
    http_reply_header(reply, TEXT("Cross-Origin-Resource-Policy"), TEXT("same-origin"));
    http_reply_header(reply, TEXT("Referrer-Policy"), TEXT("same-origin"));
    if (file != NULL)
        return http_static_serve(file, req, reply, st);
    if (looks_like_asset(req->path))
        return status_fail(st, STATUS_NOT_FOUND, "there is no such file");
    return serve_index(web, req, reply, st);
}

static const struct embed_file *find(const char *name, const char *suffix)
{
    size_t len = strlen(name);
    for (const struct embed_file *file = api_web_files; file->name != NULL; file++)
        if (strncmp(file->name, name, len) == 0 && strcmp(file->name + len, suffix) == 0)
            return file;
    return NULL;
}

static bool has_suffix(struct text name, const char *suffix)
{
    return text_ends(name, text_of(suffix));
}

static struct text bytes_of(const struct embed_file *file)
{
    return file == NULL ? TEXT_NONE : (struct text){(const char *)file->data, file->size};
}

static bool serve_index(struct api_web *web, struct http_request *req, struct http_reply *reply,
                        struct status *st)
{
    static const char digits[] = "0123456789abcdef";
    const struct text base_mark = TEXT("__WEIR_BASE__"), nonce_mark = TEXT("__WEIR_NONCE__");
    unsigned char random[NONCE_BYTES];
    char nonce[2 * NONCE_BYTES];
    rand_bytes(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++) {
        nonce[2 * i] = digits[random[i] >> 4];
        nonce[2 * i + 1] = digits[random[i] & 15];
    }
    struct text nonce_text = {nonce, sizeof(nonce)};
    struct text_buf page = text_buf_in(req->arena, MIB);
    struct text rest = web->index;
    while (rest.len > 0) {
        size_t base = text_find(rest, base_mark), mark = text_find(rest, nonce_mark);
        size_t at = base < mark ? base : mark;
        text_buf_add(&page, text_take(rest, at));
        if (at == rest.len)
            break;
        text_buf_add(&page, at == base ? TEXT("/") : nonce_text);
        rest = text_skip(rest, at + (at == base ? base_mark.len : nonce_mark.len));
    }
    http_reply_headerf(reply, TEXT("Content-Security-Policy"),
                       "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-%.*s'; "
                       "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; "
                       "manifest-src 'self'; worker-src 'self'; base-uri 'self'; "
                       "form-action 'self'; frame-ancestors 'none'; object-src 'none'",
                       TEXT_ARG(nonce_text));
    http_reply_header(reply, TEXT("X-Frame-Options"), TEXT("DENY"));
    http_reply_header(reply, TEXT("Permissions-Policy"),
                      TEXT("camera=(), geolocation=(), microphone=(), payment=(), usb=()"));
    http_reply_header(reply, TEXT("Cache-Control"), TEXT("no-cache"));
    return http_reply_send(reply, 200, TEXT("text/html; charset=utf-8"), text_buf_text(&page), st);
}

/* Under /assets/, or with an ending: "/favicon.ico" is a file, "/chat/thr_1" is a page. */
static bool looks_like_asset(struct text path)
{
    if (text_starts(path, TEXT("/assets/")))
        return true;
    struct text last = path;
    for (size_t slash; (slash = text_find_byte(last, '/')) < last.len;)
        last = text_skip(last, slash + 1);
    return text_find_byte(last, '.') < last.len;
}
