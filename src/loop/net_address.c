#include "net.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "net_internal.h"

static bool port_parse(struct text text, uint16_t *out);
static bool host_fits(struct text host);
static bool cstr_of(struct text text, char *out, size_t size);

bool net_address_parse(struct text text, struct net_address *out, struct status *st)
{
    struct text all = text;
    struct net_address address = {0};
    if (text_starts(text, TEXT("unix:"))) {
        address.is_unix = true;
        address.host = text_skip(text, 5);
        if (address.host.len == 0 || address.host.len > NET_UNIX_PATH_BYTES_MAX ||
            text_find_byte(address.host, '\0') < address.host.len)
            return status_fail(st, STATUS_INVALID,
                               "the path of a unix socket has 1 to %d bytes, not %zu: %.*s",
                               NET_UNIX_PATH_BYTES_MAX, address.host.len, TEXT_ARG(all));
        *out = address;
        return true;
    }
    bool bracketed = text_starts(text, TEXT("["));
    size_t host_end = bracketed ? text_find_byte(text, ']') : text_find_byte(text, ':');
    address.host = text_take(text, host_end);
    if (bracketed) {
        address.host = text_skip(address.host, 1);
        host_end++;
    }
    struct text rest = text_skip(text, host_end);
    struct in6_addr ignored;
    char host[INET6_ADDRSTRLEN];
    if (!host_fits(address.host) || !text_starts(rest, TEXT(":")) ||
        !port_parse(text_skip(rest, 1), &address.port) ||
        (bracketed &&
         (!cstr_of(address.host, host, sizeof(host)) || inet_pton(AF_INET6, host, &ignored) != 1)))
        return status_fail(st, STATUS_INVALID,
                           "not an address like 127.0.0.1:8080, [::1]:8080 or unix:/path: %.*s",
                           TEXT_ARG(all));
    *out = address;
    return true;
}

bool net_address_is_loopback(const struct net_address *address)
{
    union net_sockaddr bytes;
    socklen_t len;
    struct status st;
    if (address->is_unix || text_equal_nocase(address->host, TEXT("localhost")))
        return true;
    if (!net_sockaddr_fill(address, &bytes, &len, &st))
        return false; /* a name */
    if (bytes.any.sa_family == AF_INET)
        return ntohl(bytes.v4.sin_addr.s_addr) >> 24 == 127;
    if (IN6_IS_ADDR_V4MAPPED(&bytes.v6.sin6_addr))
        return bytes.v6.sin6_addr.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&bytes.v6.sin6_addr);
}

bool net_sockaddr_open(const struct net_address *address, union net_sockaddr *out,
                       socklen_t *out_len, int *folder_fd, struct status *st)
{
    *folder_fd = -1;
    if (!address->is_unix || address->host.len < sizeof(out->un.sun_path))
        return net_sockaddr_fill(address, out, out_len, st);
    struct text path = address->host;
    size_t slash = path.len;
    while (slash > 0 && path.at[slash - 1] != '/')
        slash--;
    struct text name = text_skip(path, slash);
    char folder[NET_UNIX_PATH_BYTES_MAX + 1];
    if (name.len == 0 || name.len > NET_UNIX_NAME_BYTES_MAX ||
        !cstr_of(text_take(path, slash), folder, sizeof(folder)))
        return status_fail(st, STATUS_INVALID,
                           "the name of a unix socket's file has 1 to %d bytes, not %zu: %.*s",
                           NET_UNIX_NAME_BYTES_MAX, name.len, TEXT_ARG(path));
    int fd = open(slash == 0 ? "." : folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return status_fail_errno(st, errno, "%s", folder);
    memset(out, 0, sizeof(*out));
    out->un.sun_family = AF_UNIX;
    struct text_out text = text_out_over(out->un.sun_path, sizeof(out->un.sun_path) - 1);
    text_out_addf(&text, "/proc/self/fd/%d/%.*s", fd, TEXT_ARG(name));
    *out_len = (socklen_t)sizeof(out->un);
    *folder_fd = fd;
    return true;
}

bool net_sockaddr_fill(const struct net_address *address, union net_sockaddr *out,
                       socklen_t *out_len, struct status *st)
{
    memset(out, 0, sizeof(*out));
    if (address->is_unix) {
        WEIR_ASSERT(address->host.len < sizeof(out->un.sun_path));
        out->un.sun_family = AF_UNIX;
        memcpy(out->un.sun_path, address->host.at, address->host.len);
        *out_len = (socklen_t)sizeof(out->un);
        return true;
    }
    char host[INET6_ADDRSTRLEN];
    bool local = text_equal_nocase(address->host, TEXT("localhost"));
    if (!cstr_of(local ? TEXT("127.0.0.1") : address->host, host, sizeof(host)))
        return status_fail(st, STATUS_INVALID, "not a numeric address: %.*s",
                           TEXT_ARG(address->host));
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(address->port);
        *out_len = (socklen_t)sizeof(out->v4);
        return true;
    }
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(address->port);
        *out_len = (socklen_t)sizeof(out->v6);
        return true;
    }
    return status_fail(st, STATUS_INVALID, "not a numeric address: %.*s", TEXT_ARG(address->host));
}

size_t net_sockaddr_name(const union net_sockaddr *address, char out[NET_NAME_BYTES_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";
    struct text_out text = text_out_over(out, NET_NAME_BYTES_MAX);
    if (address->any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
        text_out_addf(&text, "%s:%u", host, (unsigned)ntohs(address->v4.sin_port));
    } else if (address->any.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
        text_out_addf(&text, "[%s]:%u", host, (unsigned)ntohs(address->v6.sin6_port));
    } else {
        text_out_add(&text, TEXT("unix"));
    }
    return text.len;
}

static bool port_parse(struct text text, uint16_t *out)
{
    int64_t port;
    if (text.len == 0 || text.len > 5 || !text_to_i64(text, &port) || port < 0 || port > 65535 ||
        text.at[0] == '-')
        return false;
    *out = (uint16_t)port;
    return true;
}

/* A name or a numeric address: letters, digits, dot, hyphen, underscore, colon, percent. */
static bool host_fits(struct text host)
{
    if (host.len == 0 || host.len > 253)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.at[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == '_' || c == ':';
        if (!fits)
            return false;
    }
    return true;
}

static bool cstr_of(struct text text, char *out, size_t size)
{
    if (text.len >= size)
        return false;
    memcpy(out, text.at, text.len);
    out[text.len] = '\0';
    return true;
}
