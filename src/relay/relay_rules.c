#include "relay_rules.h"
#include <string.h>
#include "http_url.h"
#include "net.h"

static size_t characters(struct text text);
static bool has_control(struct text text);

bool relay_rules_name(struct text name, const char *field, struct status *st)
{
    size_t count = characters(name);
    if (count == 0 || count > RELAY_NAME_CHARS_MAX)
        return status_fail_field(st, STATUS_INVALID, field, "%s must have 1 to %d characters",
                                 field, RELAY_NAME_CHARS_MAX);
    if (has_control(name) || !text_utf8_valid(name) || text_trim(name).len != name.len)
        return status_fail_field(st, STATUS_INVALID, field,
                                 "%s must have no control characters and no space at its ends",
                                 field);
    return true;
}

bool relay_rules_model_id(struct text id, struct status *st)
{
    bool good = id.len > 0 && id.len <= RELAY_MODEL_ID_BYTES_MAX;
    for (size_t i = 0; good && i < id.len; i++) {
        char c = id.at[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        good = plain || (i > 0 && c != '\0' && strchr("._:/-", c) != NULL);
    }
    if (!good)
        return status_fail_field(st, STATUS_INVALID, "id",
                                 "id must be 1 to %d of A-Z a-z 0-9 . _ : / - and begin with a "
                                 "letter or digit",
                                 RELAY_MODEL_ID_BYTES_MAX);
    return true;
}

bool relay_rules_base_url(struct text url, bool plain_anywhere, struct status *st)
{
    struct http_url parsed;
    if (url.len == 0 || url.len > RELAY_URL_BYTES_MAX)
        return status_fail_field(st, STATUS_INVALID, "base_url", "base_url must have 1 to %d bytes",
                                 RELAY_URL_BYTES_MAX);
    if (!http_url_parse(url, &parsed, st))
        return status_fail_field(st, STATUS_INVALID, "base_url",
                                 "base_url must be like https://api.example.com/v1: no user, no "
                                 "query, no fragment");
    struct net_address address = {parsed.is_unix, parsed.host, parsed.port};
    if (!parsed.tls && !plain_anywhere && !net_address_is_loopback(&address))
        return status_fail_field(st, STATUS_INVALID, "base_url",
                                 "base_url must be https: plain http leaves this machine only "
                                 "where the setting allow_plaintext says so");
    return true;
}

bool relay_rules_api_key(struct text key, struct status *st)
{
    bool good = key.len <= RELAY_KEY_BYTES_MAX;
    for (size_t i = 0; good && i < key.len; i++)
        good = key.at[i] > 0x20 && key.at[i] < 0x7F;
    if (!good)
        return status_fail_field(st, STATUS_INVALID, "api_key",
                                 "api_key must be at most %d printable characters without spaces",
                                 RELAY_KEY_BYTES_MAX);
    return true;
}

bool relay_rules_model(const struct relay_model_row *row, struct status *st)
{
    if (!relay_rules_model_id(row->id, st) || !relay_rules_name(row->name, "name", st))
        return false;
    if (row->context_tokens < 0 || row->context_tokens > 10000000)
        return status_fail_field(st, STATUS_INVALID, "context_tokens",
                                 "context_tokens must be between 1 and 10000000");
    if (!relay_rules_tasks(row, st))
        return false;
    if (row->pinned && !row->local)
        return status_fail_field(st, STATUS_INVALID, "pinned",
                                 "only a model that runs on this server can be pinned");
    if (row->local) {
        if (row->path.len == 0 || row->path.at[0] != '/' || row->path.len > 4096 ||
            has_control(row->path))
            return status_fail_field(st, STATUS_INVALID, "path",
                                     "path must be the whole path of a file on the server");
        if (row->upstream_id.len > 0 || row->upstream_model.len > 0)
            return status_fail_field(st, STATUS_INVALID, "upstream_id",
                                     "a local model has no upstream");
        if (row->base.len > 0 && text_equal(row->base, row->id))
            return status_fail_field(st, STATUS_INVALID, "id",
                                     "an adapter needs a name of its own");
        return true;
    }
    if (row->path.len > 0)
        return status_fail_field(st, STATUS_INVALID, "path", "a model of an upstream has no path");
    if (row->upstream_id.len == 0)
        return status_fail_field(st, STATUS_INVALID, "upstream_id", "upstream_id is missing");
    if (row->upstream_model.len == 0 || row->upstream_model.len > 200 ||
        has_control(row->upstream_model))
        return status_fail_field(st, STATUS_INVALID, "upstream_model",
                                 "upstream_model must have 1 to 200 bytes");
    return true;
}

bool relay_rules_tasks(const struct relay_model_row *row, struct status *st)
{
    if (row->local && row->tasks != 0)
        return status_fail_field(st, STATUS_INVALID, "tasks",
                                 "a local model says itself what it is for");
    return true;
}

static size_t characters(struct text text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += ((uint8_t)text.at[i] & 0xC0) != 0x80;
    return count;
}

static bool has_control(struct text text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((uint8_t)text.at[i] < 0x20 || text.at[i] == 0x7F)
            return true;
    return false;
}
