/* cli_rotate: `weir secret rotate`. */
#include <stdio.h>
#include "arena.h"
#include "cli_internal.h"
#include "http_url.h"

int cli_secret_rotate(struct cli *cli)
{
    struct status st;
    AUTO(cli_session) struct cli_session *session = NULL;
    json_t *answer = NULL;
    struct text ring = http_url_encode(text_of(cli->words[0]), cli->arena);
    struct text target = arena_format(cli->arena, "/control/secrets/%.*s/rotate", TEXT_ARG(ring));
    if (!cli_session_open(cli, &session, &st) ||
        !cli_call(session, cli, "POST", target, NULL, &answer, &st))
        return cli_fail(&st);
    long long anew = (long long)json_integer_value(json_object_get(answer, "sealed_anew"));
    printf("%.*s\n", TEXT_ARG(cli_member(answer, "key_id")));
    fprintf(stderr, "weir: this is the %s key from now on, one of %lld on its ring", cli->words[0],
            (long long)json_integer_value(json_object_get(answer, "keys")));
    if (anew > 0)
        fprintf(stderr, "; %lld keys were sealed anew", anew);
    fputc('\n', stderr);
    return CLI_OK;
}
