#include "http_url.h"

#include "arena.h"

static int hex(char c);
static bool parse_port(struct text text, uint16_t *out);
static bool has_dot_segment(struct text path);
static bool split_authority(struct text authority, struct http_url *out);
static bool host_valid(struct text host, bool brackets);

bool http_url_decode(struct text raw, bool plus_is_space, struct arena *arena, struct text *out,
                     struct status *st)
{
    bool plain = text_find_byte(raw, '%') == raw.len;
    if (plain && plus_is_space)
        plain = text_find_byte(raw, '+') == raw.len;
    struct text decoded = raw;
    if (!plain) {
        char *to = arena_alloc(arena, raw.len);
        decoded = (struct text){to, 0};
        for (size_t i = 0; i < raw.len; i++) {
            char c = raw.at[i];
            if (c == '+' && plus_is_space) {
                c = ' ';
            } else if (c == '%') {
                int high = i + 2 < raw.len ? hex(raw.at[i + 1]) : -1;
                int low = i + 2 < raw.len ? hex(raw.at[i + 2]) : -1;
                if (high < 0 || low < 0)
                    return status_fail(st, STATUS_INVALID, "bad percent-encoding");
                c = (char)(high * 16 + low);
                i += 2;
            }
            to[decoded.len++] = c;
        }
    }
    if (text_find_byte(decoded, '\0') != decoded.len)
        return status_fail(st, STATUS_INVALID, "a zero byte in the text");
    if (!text_utf8_valid(decoded))
        return status_fail(st, STATUS_INVALID, "not UTF-8 after decoding");
    *out = decoded;
    return true;
}

struct text http_url_encode(struct text raw, struct arena *arena)
{
    static const char digits[] = "0123456789ABCDEF";
    char *to = arena_alloc(arena, raw.len * 3 + 1);
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        unsigned char c = (unsigned char)raw.at[i];
        bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (unreserved) {
            to[len++] = (char)c;
            continue;
        }
        to[len++] = '%';
        to[len++] = digits[c >> 4];
        to[len++] = digits[c & 15];
    }
    return (struct text){to, len};
}

bool http_url_query(struct text query, struct text name, struct arena *arena, struct text *out,
                    struct status *st)
{
    struct text pair, key, value;
    while (text_split(&query, '&', &pair)) {
        size_t equals = text_find_byte(pair, '=');
        /* A key that cannot be decoded is not the one that is asked for. */
        if (!http_url_decode(text_take(pair, equals), true, arena, &key, st) ||
            !text_equal(key, name))
            continue;
        value = text_skip(pair, equals == pair.len ? equals : equals + 1);
        if (http_url_decode(value, true, arena, out, st))
            return true;
        return status_fail_field(st, STATUS_INVALID, arena_cstr(arena, name),
                                 "cannot decode the parameter %.*s", TEXT_ARG(name));
    }
    return status_fail(st, STATUS_NOT_FOUND, "no parameter %.*s", TEXT_ARG(name));
}

bool http_url_parse(struct text text, struct http_url *out, struct status *st)
{
    struct http_url url = {0};
    struct text rest;
    if (text_starts(text, TEXT("unix:"))) {
        url.is_unix = true;
        url.host = text_skip(text, 5);
        url.authority = TEXT("localhost");
        if (url.host.len == 0 || url.host.at[0] != '/')
            return status_fail(st, STATUS_INVALID, "not the path of a unix socket: %.*s",
                               TEXT_ARG(text));
        *out = url;
        return true;
    }
    if (text_starts(text, TEXT("https://"))) {
        url.tls = true;
        url.port = 443;
        rest = text_skip(text, 8);
    } else if (text_starts(text, TEXT("http://"))) {
        url.port = 80;
        rest = text_skip(text, 7);
    } else {
        return status_fail(st, STATUS_INVALID, "not an http, https or unix URL: %.*s",
                           TEXT_ARG(text));
    }
    size_t slash = text_find_byte(rest, '/');
    url.authority = text_take(rest, slash);
    url.path = text_skip(rest, slash);
    while (url.path.len > 0 && url.path.at[url.path.len - 1] == '/')
        url.path.len--;
    if (!split_authority(url.authority, &url))
        return status_fail(st, STATUS_INVALID, "no valid host in the URL: %.*s", TEXT_ARG(text));
    for (size_t i = 0; i < url.path.len; i++) {
        unsigned char c = (unsigned char)url.path.at[i];
        if (c <= ' ' || c >= 0x7f || c == '?' || c == '#' || c == '\\')
            return status_fail(st, STATUS_INVALID, "a base URL has a plain path only: %.*s",
                               TEXT_ARG(text));
    }
    *out = url;
    return true;
}

bool http_target_parse(struct text target, struct arena *arena, struct http_target *out,
                       struct status *st)
{
    struct http_target parsed = {0};
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.at[i];
        if (c <= ' ' || c >= 0x7f || c == '#')
            return status_fail(st, STATUS_INVALID, "a byte that no request target has");
    }
    if (text_equal(target, TEXT("*"))) {
        *out = (struct http_target){.path_raw = target, .path = target};
        return true;
    }
    if (target.len > 0 && target.at[0] != '/') { /* absolute form: RFC 9112, section 3.2.2 */
        size_t scheme = text_find(target, TEXT("://"));
        struct text name = text_take(target, scheme);
        struct http_url url;
        if (!text_equal_nocase(name, TEXT("http")) && !text_equal_nocase(name, TEXT("https")))
            return status_fail(st, STATUS_INVALID, "not a path");
        target = text_skip(target, scheme + 3);
        size_t end = 0;
        while (end < target.len && target.at[end] != '/' && target.at[end] != '?')
            end++;
        parsed.authority = text_take(target, end);
        target = text_skip(target, end);
        if (!split_authority(parsed.authority, &url))
            return status_fail(st, STATUS_INVALID, "no valid host in the request target");
    }
    size_t mark = text_find_byte(target, '?');
    parsed.path_raw = text_take(target, mark);
    if (mark < target.len)
        parsed.query = text_skip(target, mark + 1);
    if (parsed.path_raw.len == 0)
        parsed.path_raw = TEXT("/");
    if (parsed.path_raw.at[0] != '/')
        return status_fail(st, STATUS_INVALID, "not a path");
    if (!http_url_decode(parsed.path_raw, false, arena, &parsed.path, st))
        return status_wrap(st, "in the path");
    if (has_dot_segment(parsed.path))
        return status_fail(st, STATUS_INVALID, "a dot segment in the path");
    *out = parsed;
    return true;
}

bool http_url_host_valid(struct text authority)
{
    struct http_url url = {0};
    return authority.len == 0 || split_authority(authority, &url);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool parse_port(struct text text, uint16_t *out)
{
    int64_t port;
    if (text.len > 5 || !text_to_i64(text, &port) || port < 1 || port > 65535 || text.at[0] == '-')
        return false;
    *out = (uint16_t)port;
    return true;
}

/* After decoding, so that "%2e%2e" and "a%2f..%2fb" are seen. */
static bool has_dot_segment(struct text path)
{
    struct text segment;
    if (text_find(path, TEXT("/.")) == path.len)
        return false;
    while (text_split(&path, '/', &segment)) {
        if (text_equal(segment, TEXT(".")) || text_equal(segment, TEXT("..")))
            return true;
    }
    return false;
}

/* host, host:port, [v6], [v6]:port; no user. Sets host, and port when it is given. */
static bool split_authority(struct text authority, struct http_url *out)
{
    struct text host, port = TEXT_NONE;
    bool brackets = authority.len > 0 && authority.at[0] == '[';
    if (brackets) {
        size_t close = text_find_byte(authority, ']');
        if (close == authority.len)
            return false;
        host = text_skip(text_take(authority, close), 1);
        port = text_skip(authority, close + 1);
        if (port.len > 0 && port.at[0] != ':')
            return false;
    } else {
        size_t colon = text_find_byte(authority, ':');
        host = text_take(authority, colon);
        port = text_skip(authority, colon);
    }
    if (!host_valid(host, brackets))
        return false;
    if (port.len > 1 && !parse_port(text_skip(port, 1), &out->port))
        return false;
    out->host = host;
    return true;
}

/* RFC 3986, section 3.2.2: an address in brackets, or a registered name (without percent-coding:
 * no name that we serve or call has one). */
static bool host_valid(struct text host, bool brackets)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.at[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == '_' || (brackets && c == ':');
        if (!fine)
            return false;
    }
    return host.len > 0 && host.len <= 255;
}
