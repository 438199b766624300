/* cli_account: the first set-up, people and keys. */
#include <stdio.h>
#include "arena.h"
#include "cli_internal.h"
#include "clock.h"
#include "http_url.h"
#include "json.h"

enum { ROWS_MAX = 10000 };

static bool list_all(struct cli *cli, const char *path, json_t **rows, struct status *st);
static bool on_user(struct cli *cli, const char *action, json_t *body, struct status *st);
static void set_text(json_t *object, const char *name, struct text value);
static struct text name_for(struct text given, struct text email);
static bool expiry(struct text duration, int64_t *expires_us, struct status *st);

int cli_setup(struct cli *cli)
{
    struct status st;
    struct text password, email = cli_value(cli, "email");
    AUTO(cli_session) struct cli_session *session = NULL;
    AUTO(json_t) json_t *body = json_object();
    json_t *answer = NULL;
    struct text name = name_for(cli_value(cli, "name"), email);
    struct text organisation = cli_value(cli, "organisation");
    if (!cli_read_secret(cli, "password-file", "Password for the owner", &password, &st))
        return cli_fail(&st);
    set_text(body, "email", email);
    set_text(body, "password", password);
    set_text(body, "name", name);
    set_text(body, "organisation", organisation.len > 0 ? organisation : name);
    if (!cli_session_open(cli, &session, &st) ||
        !cli_call(session, cli, "POST", TEXT("/control/setup"), body, &answer, &st))
        return cli_fail(&st);
    fprintf(stderr, "weir: set up; the owner is %.*s\n", TEXT_ARG(email));
    return CLI_OK;
}

int cli_user_list(struct cli *cli)
{
    struct status st;
    json_t *rows = NULL;
    if (!list_all(cli, "/control/users", &rows, &st))
        return cli_fail(&st);
    size_t count = json_array_size(rows);
    struct text *cells = ARENA_ARRAY(cli->arena, 6 * (count + 1), struct text);
    struct text *cell = cells;
    *cell++ = TEXT("EMAIL");
    *cell++ = TEXT("NAME");
    *cell++ = TEXT("ROLE");
    *cell++ = TEXT("STATE");
    *cell++ = TEXT("CREATED");
    *cell++ = TEXT("ID");
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(rows, i);
        *cell++ = cli_member(row, "email");
        *cell++ = cli_member(row, "name");
        *cell++ = cli_member(row, "role");
        *cell++ =
            json_is_true(json_object_get(row, "disabled")) ? TEXT("disabled") : TEXT("active");
        *cell++ = cli_time(cli->arena, json_integer_value(json_object_get(row, "created_us")));
        *cell++ = cli_member(row, "id");
    }
    cli_print_table(cells, 6, count + 1);
    return CLI_OK;
}

int cli_user_add(struct cli *cli)
{
    struct status st;
    struct text password, email = cli_value(cli, "email");
    AUTO(cli_session) struct cli_session *session = NULL;
    AUTO(json_t) json_t *body = json_object();
    json_t *answer = NULL;
    if (!cli_read_secret(cli, "password-file", "Password for the new person", &password, &st))
        return cli_fail(&st);
    set_text(body, "email", email);
    set_text(body, "name", name_for(cli_value(cli, "name"), email));
    set_text(body, "password", password);
    set_text(body, "role", cli_given(cli, "owner") ? TEXT("owner") : TEXT("member"));
    if (!cli_session_open(cli, &session, &st) ||
        !cli_call(session, cli, "POST", TEXT("/control/users"), body, &answer, &st))
        return cli_fail(&st);
    printf("%.*s\n", TEXT_ARG(cli_member(answer, "id")));
    return CLI_OK;
}

int cli_user_password(struct cli *cli)
{
    struct status st;
    struct text password;
    AUTO(json_t) json_t *body = json_object();
    if (!cli_read_secret(cli, "password-file", "New password", &password, &st))
        return cli_fail(&st);
    set_text(body, "password", password);
    return on_user(cli, "password", body, &st) ? CLI_OK : cli_fail(&st);
}

int cli_user_disable(struct cli *cli)
{
    struct status st;
    return on_user(cli, "disable", NULL, &st) ? CLI_OK : cli_fail(&st);
}

int cli_user_enable(struct cli *cli)
{
    struct status st;
    return on_user(cli, "enable", NULL, &st) ? CLI_OK : cli_fail(&st);
}

int cli_key_create(struct cli *cli)
{
    struct status st;
    AUTO(cli_session) struct cli_session *session = NULL;
    AUTO(json_t) json_t *body = json_object();
    json_t *answer = NULL;
    set_text(body, "name", cli_value(cli, "name"));
    if (cli_given(cli, "expires")) {
        int64_t expires_us;
        if (!expiry(cli_value(cli, "expires"), &expires_us, &st))
            return cli_fail(&st);
        (void)json_object_set_new(body, "expires_us", json_integer(expires_us));
    }
    if (!cli_session_open(cli, &session, &st) ||
        !cli_call(session, cli, "POST", TEXT("/api/keys"), body, &answer, &st))
        return cli_fail(&st);
    printf("%.*s\n", TEXT_ARG(cli_member(answer, "secret")));
    return CLI_OK;
}

int cli_key_list(struct cli *cli)
{
    struct status st;
    json_t *rows = NULL;
    if (!list_all(cli, "/api/keys", &rows, &st))
        return cli_fail(&st);
    size_t count = json_array_size(rows);
    struct text *cells = ARENA_ARRAY(cli->arena, 6 * (count + 1), struct text);
    struct text *cell = cells;
    *cell++ = TEXT("ID");
    *cell++ = TEXT("NAME");
    *cell++ = TEXT("KEY");
    *cell++ = TEXT("CREATED");
    *cell++ = TEXT("LAST USED");
    *cell++ = TEXT("EXPIRES");
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(rows, i);
        *cell++ = cli_member(row, "id");
        *cell++ = cli_member(row, "name");
        *cell++ = cli_member(row, "hint");
        *cell++ = cli_time(cli->arena, json_integer_value(json_object_get(row, "created_us")));
        *cell++ = cli_time(cli->arena, json_integer_value(json_object_get(row, "last_used_us")));
        *cell++ = cli_time(cli->arena, json_integer_value(json_object_get(row, "expires_us")));
    }
    cli_print_table(cells, 6, count + 1);
    return CLI_OK;
}

int cli_key_revoke(struct cli *cli)
{
    struct status st;
    AUTO(cli_session) struct cli_session *session = NULL;
    json_t *answer = NULL;
    struct text id = http_url_encode(text_of(cli->words[0]), cli->arena);
    struct text target = arena_format(cli->arena, "/api/keys/%.*s", TEXT_ARG(id));
    if (!cli_session_open(cli, &session, &st) ||
        !cli_call(session, cli, "DELETE", target, NULL, &answer, &st))
        return cli_fail(&st);
    return CLI_OK;
}

/* Every page of a list, as one array that lives as long as the run. */
static bool list_all(struct cli *cli, const char *path, json_t **rows, struct status *st)
{
    AUTO(cli_session) struct cli_session *session = NULL;
    if (!cli_session_open(cli, &session, st))
        return false;
    struct text cursor = TEXT_NONE;
    json_t *all = NULL;
    do {
        json_t *answer = NULL;
        struct text target = cursor.len == 0
                                 ? arena_format(cli->arena, "%s?limit=100", path)
                                 : arena_format(cli->arena, "%s?limit=100&cursor=%.*s", path,
                                                TEXT_ARG(http_url_encode(cursor, cli->arena)));
        if (!cli_call(session, cli, "GET", target, NULL, &answer, st))
            return false;
        json_t *data = json_object_get(answer, "data");
        if (all == NULL)
            all = data; /* belongs to the answer, which lives as long as the run */
        else
            (void)json_array_extend(all, data);
        cursor = cli_member(answer, "next_cursor");
    } while (cursor.len > 0 && json_array_size(all) < ROWS_MAX);
    *rows = all;
    return true;
}

static bool on_user(struct cli *cli, const char *action, json_t *body, struct status *st)
{
    AUTO(cli_session) struct cli_session *session = NULL;
    json_t *answer = NULL;
    struct text email = http_url_encode(text_of(cli->words[0]), cli->arena);
    struct text target =
        arena_format(cli->arena, "/control/users/%.*s/%s", TEXT_ARG(email), action);
    return cli_session_open(cli, &session, st) &&
           cli_call(session, cli, "POST", target, body, &answer, st);
}

/* What is no UTF-8 is left out, and then missed by the service, by name. */
static void set_text(json_t *object, const char *name, struct text value)
{
    (void)json_object_set_new(object, name, json_stringn(value.at, value.len));
}

static struct text name_for(struct text given, struct text email)
{
    return given.len > 0 ? given : text_take(email, text_find_byte(email, '@'));
}

/* "90d", "12h": days, hours or minutes from now. */
static bool expiry(struct text duration, int64_t *expires_us, struct status *st)
{
    static const struct {
        struct text unit;
        int64_t seconds;
    } units[] = {{{"d", 1}, 86400}, {{"h", 1}, 3600}, {{"min", 3}, 60}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        int64_t number;
        if (!text_ends(duration, units[i].unit) ||
            !text_to_i64(text_take(duration, duration.len - units[i].unit.len), &number))
            continue;
        if (number <= 0 || number > INT64_C(100) * 365 * 86400 / units[i].seconds)
            break;
        *expires_us = clock_wall_us() + number * units[i].seconds * 1000000;
        return true;
    }
    return status_fail(st, STATUS_INVALID,
                       "--expires must be a duration such as 90d, 12h or 30min, not `%.*s`",
                       TEXT_ARG(duration));
}
