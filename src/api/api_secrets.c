/* /control/secrets: rotation of the key rings, for the operator's command. A new key is added and
 * used from then on; what the master ring seals is sealed anew at once; API keys get a digest under
 * the new pepper at their next use. A ring that is full gives up its oldest key, but only when
 * nothing needs that any more. */
#include <string.h>
#include "account_key.h"
#include "api_handlers.h"
#include "api_internal.h"
#include "api_json.h"
#include "arena.h"
#include "fiber.h"
#include "log.h"
#include "relay_store.h"
#include "vault.h"

struct rotation {
    struct vault *vault;
    enum vault_ring ring;
    char oldest_id[VAULT_KEY_ID_BYTES + 1]; /* to be taken out; "" for none */
    bool done;
    struct status st;
};

static bool make_room(struct http_request *req, const struct vault_ring_facts *facts,
                      struct rotation *rotation, struct status *st);
static void rotate_work(void *arg);
static bool seal_anew(struct http_request *req, int64_t *changed, struct status *st);

bool api_control_secrets_rotate(struct http_request *req, struct http_reply *reply,
                                struct status *st)
{
    struct text name = http_request_param(req, "ring");
    struct rotation rotation = {.vault = api_request_of(req)->api->options.vault};
    struct vault_ring_facts facts;
    int64_t changed = 0;
    if (!vault_ring_by_name(name, &rotation.ring))
        return status_fail(st, STATUS_NOT_FOUND,
                           "there is no key ring %.*s, only master, pepper and token",
                           TEXT_ARG(text_take(name, 40)));
    vault_ring_facts(rotation.vault, rotation.ring, &facts);
    if (facts.count == facts.max && !make_room(req, &facts, &rotation, st))
        return false;
    if (!offload(rotate_work, &rotation, st))
        return false;
    if (!rotation.done) {
        *st = rotation.st;
        return false;
    }
    vault_ring_facts(rotation.vault, rotation.ring, &facts);
    LOG_INFO("a key ring was rotated", LOG_TEXT("ring", name), LOG_CSTR("key", facts.newest_id));
    if (rotation.ring == VAULT_RING_MASTER && !seal_anew(req, &changed, st))
        return status_wrap(st,
                           "the new master key %s is in use, but not everything is sealed with "
                           "it: rotate again when this is put right",
                           facts.newest_id);
    struct api_json json = api_json_in(req->arena);
    api_json_open(&json, NULL, '{');
    api_json_text(&json, "ring", name);
    api_json_text(&json, "key_id", text_of(facts.newest_id));
    api_json_int(&json, "keys", (int64_t)facts.count);
    api_json_int(&json, "sealed_anew", changed);
    api_json_close(&json, '}');
    return api_json_send(&json, reply, 200, st);
}

/* Makes sure that nothing needs the oldest key. */
static bool make_room(struct http_request *req, const struct vault_ring_facts *facts,
                      struct rotation *rotation, struct status *st)
{
    int64_t count = 0;
    if (rotation->ring == VAULT_RING_MASTER && !seal_anew(req, &count, st))
        return false;
    if (rotation->ring == VAULT_RING_PEPPER) {
        if (!account_key_count_under(api_request_of(req)->api->account, text_of(facts->oldest_id),
                                     &count, st))
            return false;
        if (count > 0)
            return status_fail(st, STATUS_CONFLICT,
                               "the ring is full, and with its oldest pepper %s %lld API key%s "
                               "would stop working: not used since that was replaced; use or "
                               "revoke %s first",
                               facts->oldest_id, (long long)count, count == 1 ? "" : "s",
                               count == 1 ? "it" : "them");
    }
    memcpy(rotation->oldest_id, facts->oldest_id, sizeof(rotation->oldest_id));
    return true;
}

static void rotate_work(void *arg)
{
    struct rotation *rotation = arg;
    struct text oldest_id = text_of(rotation->oldest_id);
    rotation->done =
        oldest_id.len > 0
            ? vault_rotate_out(rotation->vault, rotation->ring, oldest_id, &rotation->st)
            : vault_rotate(rotation->vault, rotation->ring, &rotation->st);
}

static bool seal_anew(struct http_request *req, int64_t *changed, struct status *st)
{
    struct api *api = api_request_of(req)->api;
    int64_t organisations, upstreams;
    if (!vault_org_keys_rewrap(api->options.vault, api->options.db, &organisations, st) ||
        !relay_store_reseal(relay_registry_store(api->registry), req->arena, &upstreams, st))
        return false;
    *changed = organisations + upstreams;
    return true;
}
