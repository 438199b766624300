#include "http_forwarded.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include "arena.h"

/* Addresses of both families as 16 bytes: version 4 is mapped (::ffff:a.b.c.d). */
struct address {
    uint8_t bytes[16];
};
struct network {
    struct address address;
    int bits; /* of the 128 */
};

/* The elements of a list that may stand in several fields, from its end. */
enum { FIELDS_MAX = 32 };
struct hops {
    struct text fields[FIELDS_MAX]; /* what is left of each; the last of them is read first */
    size_t count;
    bool quotes; /* a comma in quotes is part of an element */
};

struct http_forwarded {
    enum http_forwarded_header header;
    bool unix_trusted;
    size_t count;
    struct network networks[];
};

static bool parse_network(struct text text, struct network *out);
static bool parse_address(struct text text, struct address *out);
static bool is_trusted(const struct http_forwarded *forwarded, const struct address *address);
static struct text without_port(struct text text);
static struct hops hops_of(struct http_headers headers, struct text name, bool quotes);
static bool hops_previous(struct hops *hops, struct text *element);
static struct text element_for(struct text element);
static struct text written(const struct address *address, struct arena *arena);

enum { V4_PREFIX_BITS = 96 };

bool http_forwarded_new(const struct text *proxies, size_t count, enum http_forwarded_header header,
                        struct http_forwarded **out, struct status *st)
{
    AUTO(http_forwarded)
    struct http_forwarded *forwarded =
        base_alloc(sizeof(*forwarded) + count * sizeof(struct network));
    forwarded->header = header;
    for (size_t i = 0; i < count; i++) {
        if (text_equal(proxies[i], TEXT("unix")))
            forwarded->unix_trusted = true;
        else if (!parse_network(proxies[i], &forwarded->networks[forwarded->count++]))
            return status_fail(st, STATUS_INVALID,
                               "not an address or a network such as 10.0.0.0/8, nor unix: %.*s",
                               TEXT_ARG(proxies[i]));
    }
    *out = TAKE(forwarded);
    return true;
}

void http_forwarded_free(struct http_forwarded *forwarded)
{
    free(forwarded);
}

struct text http_forwarded_client(const struct http_forwarded *forwarded, struct text peer,
                                  struct http_headers headers, struct arena *arena)
{
    bool by_unix = text_equal(peer, TEXT("unix"));
    struct text client = by_unix ? TEXT("") : without_port(peer);
    struct text element;
    struct address address;
    if (by_unix ? !forwarded->unix_trusted
                : forwarded->count == 0 || !parse_address(client, &address) ||
                      !is_trusted(forwarded, &address))
        return client;
    bool rfc7239 = forwarded->header == HTTP_FORWARDED_RFC7239;
    struct hops hops =
        hops_of(headers, rfc7239 ? TEXT("forwarded") : TEXT("x-forwarded-for"), rfc7239);
    while (hops_previous(&hops, &element)) {
        if (rfc7239)
            element = element_for(element);
        if (!parse_address(without_port(element), &address))
            break;
        client = written(&address, arena);
        if (!is_trusted(forwarded, &address))
            break;
    }
    return client;
}

static bool parse_network(struct text text, struct network *out)
{
    size_t slash = text_find_byte(text, '/');
    struct text host = text_take(text, slash);
    bool v6 = text_find_byte(host, ':') < host.len;
    int64_t bits = v6 ? 128 : 32;
    if (!parse_address(host, &out->address))
        return false;
    if (slash < text.len) {
        int64_t given;
        if (!text_to_i64(text_skip(text, slash + 1), &given) || given < 0 || given > bits)
            return false;
        bits = given;
    }
    out->bits = (int)bits + (v6 ? 0 : V4_PREFIX_BITS);
    return true;
}

static bool parse_address(struct text text, struct address *out)
{
    char host[INET6_ADDRSTRLEN];
    struct in_addr v4;
    text = text_take(text, text_find_byte(text, '%')); /* a zone is a matter of the proxy's */
    if (text.len == 0 || text.len >= sizeof(host) || text_find_byte(text, '\0') < text.len)
        return false;
    memcpy(host, text.at, text.len);
    host[text.len] = '\0';
    if (inet_pton(AF_INET6, host, out->bytes) == 1)
        return true;
    if (inet_pton(AF_INET, host, &v4) != 1)
        return false;
    memset(out->bytes, 0, 10);
    memset(out->bytes + 10, 0xff, 2);
    memcpy(out->bytes + 12, &v4, sizeof(v4));
    return true;
}

static bool is_trusted(const struct http_forwarded *forwarded, const struct address *address)
{
    for (size_t i = 0; i < forwarded->count; i++) {
        const struct network *network = &forwarded->networks[i];
        size_t whole = (size_t)network->bits / 8, rest = (size_t)network->bits % 8;
        unsigned mask = 0xffU << (8 - rest) & 0xff;
        if (memcmp(address->bytes, network->address.bytes, whole) == 0 &&
            (rest == 0 || ((address->bytes[whole] ^ network->address.bytes[whole]) & mask) == 0))
            return true;
    }
    return false;
}

/* "1.2.3.4:5", "[::1]:5", "[::1]" and "::1" alike. */
static struct text without_port(struct text text)
{
    if (text_starts(text, TEXT("["))) {
        struct text inner = text_skip(text, 1);
        return text_take(inner, text_find_byte(inner, ']'));
    }
    size_t colon = text_find_byte(text, ':');
    struct text port = text_skip(text, colon + 1);
    return text_find_byte(port, ':') < port.len ? text : text_take(text, colon);
}

static struct hops hops_of(struct http_headers headers, struct text name, bool quotes)
{
    struct hops hops = {.quotes = quotes};
    size_t at = 0;
    for (struct text value; http_header_next(headers, name, &at, &value);) {
        if (hops.count == FIELDS_MAX) {
            memmove(hops.fields, hops.fields + 1, (FIELDS_MAX - 1) * sizeof(value));
            hops.count--;
        }
        hops.fields[hops.count++] = value;
    }
    return hops;
}

/* Read backwards, a quote that the client left open cannot swallow what a proxy has added. Empty
 * elements are none (RFC 9110, section 5.6.1). */
static bool hops_previous(struct hops *hops, struct text *element)
{
    while (hops->count > 0) {
        struct text *field = &hops->fields[hops->count - 1];
        size_t start = field->len;
        bool quoted = false;
        while (start > 0 && (field->at[start - 1] != ',' || quoted)) {
            start--;
            quoted = quoted != (hops->quotes && field->at[start] == '"');
        }
        *element = text_trim(text_skip(*field, start));
        field->len = start > 0 ? start - 1 : 0;
        if (start == 0)
            hops->count--;
        if (element->len > 0)
            return true;
    }
    return false;
}

/* The value of "for" in `for=192.0.2.60;proto=http;by=…` (RFC 7239, section 4), without quotes. */
static struct text element_for(struct text element)
{
    struct text rest = element, pair;
    while (text_split(&rest, ';', &pair)) {
        size_t equals = text_find_byte(pair, '=');
        if (!text_equal_nocase(text_trim(text_take(pair, equals)), TEXT("for")))
            continue;
        struct text value = text_trim(text_skip(pair, equals + 1));
        if (value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"')
            value = (struct text){value.at + 1, value.len - 2};
        return value;
    }
    return TEXT_NONE;
}

static struct text written(const struct address *address, struct arena *arena)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char text[INET6_ADDRSTRLEN];
    bool v4 = memcmp(address->bytes, mapped, sizeof(mapped)) == 0;
    if (inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? address->bytes + 12 : address->bytes, text,
                  sizeof(text)) == NULL)
        return TEXT("");
    return arena_text(arena, text_of(text));
}
