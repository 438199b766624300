/* cli_model: the models that are offered. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include "arena.h"
#include "cli_internal.h"
#include "http_url.h"
#include "json.h"

enum { COLUMNS = 7 };

static int change(struct cli *cli, json_t *body);
static void set_tasks(struct cli *cli, json_t *body);
static struct text tasks_text(const json_t *tasks, struct arena *arena);
static int set(struct cli *cli, const char *member, bool value);
static struct text memory_text(const json_t *row, struct arena *arena);
static struct text state_text(const json_t *state, struct arena *arena);

int cli_model_list(struct cli *cli)
{
    struct status st;
    AUTO(cli_session) struct cli_session *session = NULL;
    json_t *answer = NULL;
    if (!cli_session_open(cli, &session, &st) ||
        !cli_call(session, cli, "GET", TEXT("/api/models"), NULL, &answer, &st))
        return cli_fail(&st);
    const json_t *rows = json_object_get(answer, "data");
    size_t count = json_array_size(rows);
    struct text *cells = ARENA_ARRAY(cli->arena, COLUMNS * (count + 1), struct text);
    struct text *cell = cells;
    *cell++ = TEXT("ID");
    *cell++ = TEXT("KIND");
    *cell++ = TEXT("FOR");
    *cell++ = TEXT("STATE");
    *cell++ = TEXT("MEMORY");
    *cell++ = TEXT("PINNED");
    *cell++ = TEXT("FROM");
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(rows, i);
        struct text path = cli_member(row, "path");
        *cell++ = cli_member(row, "id");
        *cell++ = cli_member(row, "kind");
        *cell++ = tasks_text(json_object_get(row, "tasks"), cli->arena);
        *cell++ = state_text(json_object_get(row, "state"), cli->arena);
        *cell++ = memory_text(row, cli->arena);
        *cell++ = json_is_true(json_object_get(row, "pinned")) ? TEXT("yes") : TEXT("");
        *cell++ = path.len > 0 ? path : cli_member(row, "upstream_id");
    }
    cli_print_table(cells, COLUMNS, count + 1);
    return CLI_OK;
}

int cli_model_add(struct cli *cli)
{
    struct status st;
    AUTO(cli_session) struct cli_session *session = NULL;
    AUTO(json_t) json_t *body = json_object();
    json_t *answer = NULL;
    struct text path = cli_value(cli, "path"), upstream = cli_value(cli, "upstream");
    struct text name = cli_value(cli, "name"), theirs = cli_value(cli, "upstream-model");
    if ((path.len > 0) == (upstream.len > 0)) {
        fputs("weir: model add needs either --path or --upstream\n", stderr);
        return CLI_USAGE;
    }
    (void)json_object_set_new(body, "id", json_string(cli->words[0]));
    (void)json_object_set_new(body, "kind", json_string(path.len > 0 ? "local" : "upstream"));
    (void)json_object_set_new(
        body, "name", name.len > 0 ? json_stringn(name.at, name.len) : json_string(cli->words[0]));
    if (path.len > 0) {
        char whole[PATH_MAX]; /* the server may run in another folder */
        const char *real = realpath(arena_cstr(cli->arena, path), whole);
        (void)json_object_set_new(body, "path",
                                  json_string(real != NULL ? real : arena_cstr(cli->arena, path)));
    } else {
        (void)json_object_set_new(body, "upstream_id", json_stringn(upstream.at, upstream.len));
        (void)json_object_set_new(body, "upstream_model",
                                  theirs.len > 0 ? json_stringn(theirs.at, theirs.len)
                                                 : json_string(cli->words[0]));
    }
    if (cli_given(cli, "context")) {
        int64_t tokens;
        if (!text_to_i64(cli_value(cli, "context"), &tokens)) {
            (void)status_fail(&st, STATUS_INVALID, "--context must be a number of tokens, not %.*s",
                              TEXT_ARG(text_take(cli_value(cli, "context"), 40)));
            return cli_fail(&st);
        }
        (void)json_object_set_new(body, "context_tokens", json_integer(tokens));
    }
    set_tasks(cli, body);
    if (cli_given(cli, "pin"))
        (void)json_object_set_new(body, "pinned", json_true());
    if (!cli_session_open(cli, &session, &st) ||
        !cli_call(session, cli, "POST", TEXT("/api/models"), body, &answer, &st))
        return cli_fail(&st);
    printf("%.*s\n", TEXT_ARG(cli_member(answer, "id")));
    return CLI_OK;
}

int cli_model_change(struct cli *cli)
{
    AUTO(json_t) json_t *body = json_object();
    struct text name = cli_value(cli, "name");
    if (cli_given(cli, "name"))
        (void)json_object_set_new(body, "name", json_stringn(name.at, name.len));
    set_tasks(cli, body);
    if (json_object_size(body) == 0) {
        fputs("weir: model change needs --name or --task\n", stderr);
        return CLI_USAGE;
    }
    return change(cli, body);
}

int cli_model_enable(struct cli *cli)
{
    return set(cli, "enabled", true);
}

int cli_model_disable(struct cli *cli)
{
    return set(cli, "enabled", false);
}

int cli_model_pin(struct cli *cli)
{
    return set(cli, "pinned", true);
}

int cli_model_unpin(struct cli *cli)
{
    return set(cli, "pinned", false);
}

int cli_model_remove(struct cli *cli)
{
    struct status st;
    AUTO(cli_session) struct cli_session *session = NULL;
    json_t *answer = NULL;
    struct text id = http_url_encode(text_of(cli->words[0]), cli->arena);
    struct text target = arena_format(cli->arena, "/api/models/%.*s", TEXT_ARG(id));
    if (!cli_session_open(cli, &session, &st) ||
        !cli_call(session, cli, "DELETE", target, NULL, &answer, &st))
        return cli_fail(&st);
    return CLI_OK;
}

static int set(struct cli *cli, const char *member, bool value)
{
    AUTO(json_t) json_t *body = json_pack("{s:b}", member, value);
    return change(cli, body);
}

static int change(struct cli *cli, json_t *body)
{
    struct status st;
    AUTO(cli_session) struct cli_session *session = NULL;
    json_t *answer = NULL;
    struct text id = http_url_encode(text_of(cli->words[0]), cli->arena);
    struct text target = arena_format(cli->arena, "/api/models/%.*s", TEXT_ARG(id));
    if (!cli_session_open(cli, &session, &st) ||
        !cli_call(session, cli, "PATCH", target, body, &answer, &st))
        return cli_fail(&st);
    return CLI_OK;
}

/* --task=chat,completions as a list; --task=guess as null. The server knows which there are. */
static void set_tasks(struct cli *cli, json_t *body)
{
    struct text list = cli_value(cli, "task"), piece;
    if (!cli_given(cli, "task"))
        return;
    if (text_equal(list, TEXT("guess"))) {
        (void)json_object_set_new(body, "tasks", json_null());
        return;
    }
    json_t *tasks = json_array();
    while (text_split(&list, ',', &piece)) {
        piece = text_trim(piece);
        (void)json_array_append_new(tasks, json_stringn(piece.at, piece.len));
    }
    (void)json_object_set_new(body, "tasks", tasks);
}

static struct text tasks_text(const json_t *tasks, struct arena *arena)
{
    struct text all = TEXT("");
    for (size_t i = 0; i < json_array_size(tasks); i++)
        all = arena_format(arena, "%.*s%s%s", TEXT_ARG(all), i > 0 ? "," : "",
                           json_string_value(json_array_get(tasks, i)));
    return all;
}

/* What it takes, or about what it would. */
static struct text memory_text(const json_t *row, struct arena *arena)
{
    json_int_t bytes = json_integer_value(json_object_get(row, "memory_bytes"));
    return bytes == 0 ? TEXT("") : arena_format(arena, "%lld MiB", (long long)bytes >> 20);
}

static struct text state_text(const json_t *state, struct arena *arena)
{
    struct text phase = cli_member(state, "phase"), reason = cli_member(state, "reason");
    const json_t *progress = json_object_get(state, "progress");
    if (json_is_number(progress))
        phase = arena_format(arena, "%.*s %d %%", TEXT_ARG(phase),
                             (int)(json_number_value(progress) * 100));
    if (reason.len == 0)
        return phase;
    return arena_format(arena, "%.*s: %.*s", TEXT_ARG(phase), TEXT_ARG(reason));
}
