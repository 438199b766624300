/* health: whether this process can serve, as named checks that their owners keep up to date.
 * /healthz asks health_live, /readyz health_ready; `weir doctor` and the admin page show all.
 * Any thread; one short lock. Nothing here waits. */
#pragma once
#include "base.h"
#include "text.h"

struct health;
struct health_check;
struct text_buf;

enum { HEALTH_TEXT_BYTES_MAX = 200, HEALTH_CHECKS_MAX = 64 };

struct health *health_new(void);
void health_free(struct health *health);
AUTO_DEFINE(health, health_free)

/* A check named `name` (copied). It fails with the text "starting" until its owner says otherwise.
 * One that is `needed` keeps the process from being ready; another one is only shown.
 * Owns: the caller ends it with health_check_free, or never. */
struct health_check *health_check_new(struct health *health, struct text name, bool needed);
void health_check_free(struct health_check *check);
/* `why` says what is wrong, for people; it is cut at HEALTH_TEXT_BYTES_MAX. */
void health_check_set(struct health_check *check, bool ok, struct text why);

/* From now on the process is not ready: it is going away. */
void health_drain(struct health *health);
bool health_live(const struct health *health);
/* Every needed check is fine and nobody drains. When `buf` is not NULL, it gets the checks as JSON:
 * {"status":"ready","checks":[{"name":"database","ok":true},…]} */
bool health_ready(struct health *health, struct text_buf *buf);
