/* cli_upstream: the servers that models can stand on. */
#include <stdio.h>
#include "arena.h"
#include "cli_internal.h"
#include "http_url.h"
#include "json.h"

enum { COLUMNS = 5 };

int cli_upstream_list(struct cli *cli)
{
    struct status st;
    AUTO(cli_session) struct cli_session *session = NULL;
    json_t *answer = NULL;
    if (!cli_session_open(cli, &session, &st) ||
        !cli_call(session, cli, "GET", TEXT("/api/upstreams"), NULL, &answer, &st))
        return cli_fail(&st);
    const json_t *rows = json_object_get(answer, "data");
    size_t count = json_array_size(rows);
    struct text *cells = ARENA_ARRAY(cli->arena, COLUMNS * (count + 1), struct text);
    struct text *cell = cells;
    *cell++ = TEXT("ID");
    *cell++ = TEXT("NAME");
    *cell++ = TEXT("URL");
    *cell++ = TEXT("KEY");
    *cell++ = TEXT("STATE");
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(rows, i);
        *cell++ = cli_member(row, "id");
        *cell++ = cli_member(row, "name");
        *cell++ = cli_member(row, "base_url");
        *cell++ = json_is_true(json_object_get(row, "has_key")) ? TEXT("yes") : TEXT("none");
        *cell++ =
            json_is_true(json_object_get(row, "enabled")) ? TEXT("enabled") : TEXT("disabled");
    }
    cli_print_table(cells, COLUMNS, count + 1);
    return CLI_OK;
}

int cli_upstream_add(struct cli *cli)
{
    struct status st;
    AUTO(cli_session) struct cli_session *session = NULL;
    AUTO(json_t) json_t *body = json_object();
    json_t *answer = NULL;
    struct text url = cli_value(cli, "url"), key;
    (void)json_object_set_new(body, "name", json_string(cli->words[0]));
    (void)json_object_set_new(body, "base_url", json_stringn(url.at, url.len));
    if (cli_given(cli, "key-file")) {
        if (!cli_read_secret(cli, "key-file", "API key", &key, &st))
            return cli_fail(&st);
        (void)json_object_set_new(body, "api_key", json_stringn(key.at, key.len));
    }
    if (!cli_session_open(cli, &session, &st) ||
        !cli_call(session, cli, "POST", TEXT("/api/upstreams"), body, &answer, &st))
        return cli_fail(&st);
    printf("%.*s\n", TEXT_ARG(cli_member(answer, "id")));
    return CLI_OK;
}

int cli_upstream_remove(struct cli *cli)
{
    struct status st;
    AUTO(cli_session) struct cli_session *session = NULL;
    json_t *answer = NULL;
    struct text id = http_url_encode(text_of(cli->words[0]), cli->arena);
    struct text target = arena_format(cli->arena, "/api/upstreams/%.*s", TEXT_ARG(id));
    if (!cli_session_open(cli, &session, &st) ||
        !cli_call(session, cli, "DELETE", target, NULL, &answer, &st))
        return cli_fail(&st);
    return CLI_OK;
}
