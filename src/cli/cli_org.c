/* cli_org: organisations. */
#include "arena.h"
#include "cli_internal.h"
#include "http_url.h"
#include "json.h"

enum { COLUMNS = 4 };

int cli_org_list(struct cli *cli)
{
    struct status st;
    AUTO(cli_session) struct cli_session *session = NULL;
    json_t *answer = NULL;
    if (!cli_session_open(cli, &session, &st) ||
        !cli_call(session, cli, "GET", TEXT("/control/orgs"), NULL, &answer, &st))
        return cli_fail(&st);
    const json_t *rows = json_object_get(answer, "data");
    size_t count = json_array_size(rows);
    struct text *cells = ARENA_ARRAY(cli->arena, COLUMNS * (count + 1), struct text);
    struct text *cell = cells;
    *cell++ = TEXT("ID");
    *cell++ = TEXT("NAME");
    *cell++ = TEXT("WEIGHT");
    *cell++ = TEXT("CREATED");
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(rows, i);
        *cell++ = cli_member(row, "id");
        *cell++ = cli_member(row, "name");
        *cell++ = arena_format(cli->arena, "%lld",
                               (long long)json_integer_value(json_object_get(row, "weight")));
        *cell++ = cli_time(cli->arena, json_integer_value(json_object_get(row, "created_us")));
    }
    cli_print_table(cells, COLUMNS, count + 1);
    return CLI_OK;
}

int cli_org_weight(struct cli *cli)
{
    struct status st;
    int64_t weight;
    AUTO(cli_session) struct cli_session *session = NULL;
    AUTO(json_t) json_t *body = json_object();
    json_t *answer = NULL;
    struct text id = http_url_encode(text_of(cli->words[0]), cli->arena);
    if (!text_to_i64(text_of(cli->words[1]), &weight)) {
        (void)status_fail(&st, STATUS_INVALID, "the weight must be a whole number, not %.40s",
                          cli->words[1]);
        return cli_fail(&st);
    }
    (void)json_object_set_new(body, "weight", json_integer(weight));
    if (!cli_session_open(cli, &session, &st) ||
        !cli_call(session, cli, "POST",
                  arena_format(cli->arena, "/control/orgs/%.*s/weight", TEXT_ARG(id)), body,
                  &answer, &st))
        return cli_fail(&st);
    return CLI_OK;
}
