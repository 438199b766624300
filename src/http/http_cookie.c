#include "http_cookie.h"

#include <stdio.h>
#include "http_reply.h"

static bool is_cookie_octet(unsigned char c);

bool http_cookie_get(struct http_headers headers, struct text name, struct text *value)
{
    size_t at = 0;
    struct text field, pair;
    while (http_header_next(headers, TEXT("cookie"), &at, &field)) {
        while (text_split(&field, ';', &pair)) {
            pair = text_trim(pair);
            size_t equals = text_find_byte(pair, '=');
            if (equals == pair.len || !text_equal(text_trim(text_take(pair, equals)), name))
                continue;
            struct text found = text_trim(text_skip(pair, equals + 1));
            if (found.len >= 2 && found.at[0] == '"' && found.at[found.len - 1] == '"')
                found = text_take(text_skip(found, 1), found.len - 2);
            *value = found;
            return true;
        }
    }
    return false;
}

void http_cookie_set(struct http_reply *reply, const struct http_cookie *cookie)
{
    static const char *const same_sites[] = {"Lax", "Strict", "None"};
    char line[4096], age[32] = "";
    WEIR_ASSERT(http_header_is_token(cookie->name));
    for (size_t i = 0; i < cookie->value.len; i++)
        WEIR_ASSERT(is_cookie_octet((unsigned char)cookie->value.at[i]));
    struct text path = cookie->path.len > 0 ? cookie->path : TEXT("/");
    if (cookie->max_age_s >= 0)
        (void)snprintf(age, sizeof(age), "; Max-Age=%lld", (long long)cookie->max_age_s);
    struct text_out out = text_out_over(line, sizeof(line));
    text_out_addf(&out, "%.*s=%.*s; Path=%.*s%s%s%s; SameSite=%s", TEXT_ARG(cookie->name),
                  TEXT_ARG(cookie->value), TEXT_ARG(path), age, cookie->secure ? "; Secure" : "",
                  cookie->http_only ? "; HttpOnly" : "", same_sites[cookie->same_site]);
    WEIR_ASSERT(!out.cut);
    http_reply_header(reply, TEXT("Set-Cookie"), text_out_text(&out));
}

/* RFC 6265, section 4.1.1. */
static bool is_cookie_octet(unsigned char c)
{
    return c > ' ' && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
}
