#include "health.h"
#include "arena.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES_MAX = 80 };

struct health_check {
    struct health *health;
    struct health_check *next;
    bool needed, ok;
    char name[NAME_BYTES_MAX];
    char why[HEALTH_TEXT_BYTES_MAX];
};

/* Everything is under the lock. */
struct health {
    pthread_mutex_t lock;
    struct health_check *first, *last;
    size_t count;
    bool draining;
};

static void copy_text(char *out, size_t size, struct text text);
static void write_check(const struct health_check *check, struct text_buf *buf);

struct health *health_new(void)
{
    struct health *health = base_alloc(sizeof(*health));
    int failed = pthread_mutex_init(&health->lock, NULL);
    WEIR_ASSERT(failed == 0);
    return health;
}

void health_free(struct health *health)
{
    if (health == NULL)
        return;
    while (health->first != NULL)         /* it unlinks what it frees */
        health_check_free(health->first); // NOLINT(clang-analyzer-unix.Malloc)
    (void)pthread_mutex_destroy(&health->lock);
    free(health);
}

struct health_check *health_check_new(struct health *health, struct text name, bool needed)
{
    struct health_check *check = base_alloc(sizeof(*check));
    check->health = health;
    check->needed = needed;
    copy_text(check->name, sizeof(check->name), name);
    copy_text(check->why, sizeof(check->why), TEXT("starting"));
    (void)pthread_mutex_lock(&health->lock);
    WEIR_ASSERT(health->count < HEALTH_CHECKS_MAX);
    health->count++;
    if (health->last != NULL)
        health->last->next = check;
    else
        health->first = check;
    health->last = check;
    (void)pthread_mutex_unlock(&health->lock);
    return check;
}

void health_check_free(struct health_check *check)
{
    if (check == NULL)
        return;
    struct health *health = check->health;
    (void)pthread_mutex_lock(&health->lock);
    struct health_check *before = NULL, *at = health->first;
    while (at != check) {
        before = at;
        at = at->next;
    }
    if (before != NULL)
        before->next = check->next;
    else
        health->first = check->next;
    if (health->last == check)
        health->last = before;
    health->count--;
    (void)pthread_mutex_unlock(&health->lock);
    free(check);
}

void health_check_set(struct health_check *check, bool ok, struct text why)
{
    (void)pthread_mutex_lock(&check->health->lock);
    check->ok = ok;
    copy_text(check->why, sizeof(check->why), why);
    (void)pthread_mutex_unlock(&check->health->lock);
}

void health_drain(struct health *health)
{
    (void)pthread_mutex_lock(&health->lock);
    health->draining = true;
    (void)pthread_mutex_unlock(&health->lock);
}

/* A process that can answer is alive: what it needs from outside is a matter of being ready. */
bool health_live(const struct health *health)
{
    return health != NULL;
}

bool health_ready(struct health *health, struct text_buf *buf)
{
    (void)pthread_mutex_lock(&health->lock);
    bool ready = !health->draining;
    for (const struct health_check *check = health->first; check != NULL; check = check->next)
        ready = ready && (check->ok || !check->needed);
    if (buf != NULL) {
        const char *status = health->draining ? "draining" : ready ? "ready" : "not ready";
        text_buf_addf(buf, "{\"status\":\"%s\",\"checks\":[", status);
        for (const struct health_check *check = health->first; check != NULL; check = check->next) {
            write_check(check, buf);
            text_buf_add(buf, check->next != NULL ? TEXT(",") : TEXT(""));
        }
        text_buf_add(buf, TEXT("]}"));
    }
    (void)pthread_mutex_unlock(&health->lock);
    return ready;
}

static void write_check(const struct health_check *check, struct text_buf *buf)
{
    text_buf_add(buf, TEXT("{\"name\":"));
    text_buf_add_json(buf, text_of(check->name));
    text_buf_addf(buf, ",\"ok\":%s", check->ok ? "true" : "false");
    if (check->why[0] != '\0') {
        text_buf_add(buf, TEXT(",\"why\":"));
        text_buf_add_json(buf, text_of(check->why));
    }
    text_buf_add(buf, TEXT("}"));
}

/* Cut at a character; what is no UTF-8 would break the JSON and is left out. */
static void copy_text(char *out, size_t size, struct text text)
{
    struct text cut = text_take(text, size - 1);
    if (cut.len < text.len)
        cut.len = text_utf8_whole(cut);
    if (!text_utf8_valid(cut))
        cut = TEXT("(not valid UTF-8)");
    memcpy(out, cut.at != NULL ? cut.at : "", cut.len);
    out[cut.len] = '\0';
}
