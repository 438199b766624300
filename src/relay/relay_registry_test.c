/* Rows into snapshots: above all, an upstream whose key cannot be opened is not called without. */
#include "relay_registry.h"
#include <stdio.h>
#include "check.h"
#include "db_scratch.h"
#include "vault.h"

static struct db_scratch scratch;
static struct vault *right, *wrong;
static struct arena *arena;

static struct vault *open_vault(const char *name)
{
    char folder[200];
    struct status st = {0};
    struct vault *vault = NULL;
    snprintf(folder, sizeof(folder), "%s/%s", scratch.folder, name);
    assert_true(vault_open(&(struct vault_options){.folder = text_of(folder), .create = true},
                           &vault, &st));
    return vault;
}

static int set_up(void **state)
{
    (void)state;
    db_scratch_open(&scratch);
    right = open_vault("right");
    wrong = open_vault("wrong");
    arena = arena_open(4 * MIB);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vault_close(right);
    vault_close(wrong);
    arena_close(arena);
    db_scratch_close(&scratch);
    return 0;
}

static struct relay_registry *open_registry(struct vault *vault)
{
    return relay_registry_open(&(struct relay_registry_options){
        .store = {.db = scratch.db, .vault = vault}, .run_folder = text_of(scratch.folder)});
}

static void add_upstream(struct relay_registry *registry, struct relay_upstream_row *row)
{
    struct status st = {0};
    *row = (struct relay_upstream_row){
        .name = TEXT("up"), .base_url = TEXT("https://up.example/v1"), .enabled = true};
    assert_true(
        relay_store_upstream_add(relay_registry_store(registry), row, TEXT("secret"), arena, &st));
}

/* The one upstream after a refresh; its phase is asserted. */
static struct relay_target *target_now(struct relay_registry *registry,
                                       struct relay_snapshot **held, enum relay_phase want)
{
    struct status st = {0};
    char reason[RELAY_TARGET_REASON_BYTES];
    int percent;
    assert_true(relay_registry_refresh(registry, &st));
    relay_snapshot_release(*held);
    *held = relay_registry_take(registry);
    assert_int_equal((*held)->upstreams_count, 1);
    struct relay_target *target = (*held)->upstreams[0].target;
    assert_int_equal(relay_target_phase(target, &percent, reason), want);
    assert_int_equal(reason[0] != '\0', want == RELAY_PHASE_FAILED);
    return target;
}

static void a_key_that_does_not_open(void **state)
{
    (void)state;
    struct status st = {0};
    struct relay_upstream_row row;
    struct text name = TEXT("renamed");
    AUTO(relay_registry) struct relay_registry *registry = open_registry(right);
    AUTO(relay_snapshot) struct relay_snapshot *held = NULL;
    struct relay_store *store = relay_registry_store(registry);
    add_upstream(registry, &row);
    store->vault = wrong;
    struct relay_target *locked = target_now(registry, &held, RELAY_PHASE_FAILED);
    assert_false(relay_target_admit(locked, &st));
    assert_int_equal(st.code, STATUS_UNAVAILABLE);
    assert_int_equal(relay_target_authorization(locked).len, 0);
    /* Still so after a change of the row, and when nothing has changed. */
    assert_true(relay_store_upstream_change(
        store, row.id, &(struct relay_upstream_change){.name = &name}, arena, &row, &st));
    locked = target_now(registry, &held, RELAY_PHASE_FAILED);
    assert_false(relay_target_admit(locked, &st));
    int64_t version = relay_registry_version(registry);
    locked = target_now(registry, &held, RELAY_PHASE_FAILED);
    assert_false(relay_target_admit(locked, &st));
    assert_int_equal(relay_registry_version(registry), version);
    /* The key is back: the next look opens it, and everybody sees another snapshot. */
    store->vault = right;
    struct relay_target *open = target_now(registry, &held, RELAY_PHASE_READY);
    assert_true(relay_registry_version(registry) > version);
    check_text(relay_target_authorization(open), "Bearer secret");
    assert_true(relay_target_admit(open, &st));
    relay_target_left(open);
}

static void the_same_target_for_the_same_row(void **state)
{
    (void)state;
    struct status st = {0};
    struct relay_upstream_row row;
    struct text name = TEXT("renamed"), key = TEXT("other");
    AUTO(relay_registry) struct relay_registry *registry = open_registry(right);
    AUTO(relay_snapshot) struct relay_snapshot *held = NULL;
    struct relay_store *store = relay_registry_store(registry);
    add_upstream(registry, &row);
    struct relay_target *first = target_now(registry, &held, RELAY_PHASE_READY);
    assert_true(relay_store_upstream_change(
        store, row.id, &(struct relay_upstream_change){.name = &name}, arena, &row, &st));
    assert_ptr_equal(target_now(registry, &held, RELAY_PHASE_READY), first);
    assert_true(relay_store_upstream_change(
        store, row.id, &(struct relay_upstream_change){.api_key = &key}, arena, &row, &st));
    struct relay_target *second = target_now(registry, &held, RELAY_PHASE_READY);
    check_text(relay_target_authorization(second), "Bearer other");
}

/* What everybody may read of a reason. */
static void reasons_in_public(void **state)
{
    (void)state;
    static const struct {
        const char *reason, *of_local, *of_other;
    } cases[] = {
        {"could not read /srv/m/a.gguf: no such file", "could not read a.gguf: no such file", ""},
        {"127.0.0.1:9: could not connect", "127.0.0.1:9: could not connect", ""},
        {"could not start /usr/bin/weir-infer", "", ""},
        {"cut in /srv/", "", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char reason[RELAY_TARGET_REASON_BYTES];
        check_case(cases[i].reason);
        struct relay_model model = {.local = true, .path = TEXT("/srv/m/a.gguf")};
        snprintf(reason, sizeof(reason), "%s", cases[i].reason);
        relay_model_reason_public(&model, reason);
        assert_string_equal(reason, cases[i].of_local);
        model = (struct relay_model){.local = false};
        snprintf(reason, sizeof(reason), "%s", cases[i].reason);
        relay_model_reason_public(&model, reason);
        assert_string_equal(reason, cases[i].of_other);
    }
}

static void add_local(struct relay_registry *registry, struct text id, struct text base)
{
    struct status st = {0};
    struct relay_model_row row = {.id = id,
                                  .name = id,
                                  .local = true,
                                  .path = TEXT("/x/file.gguf"),
                                  .base = base,
                                  .enabled = true};
    if (!relay_store_model_add(relay_registry_store(registry), &row, &st))
        fail_msg("%s", st.text);
}

static const struct relay_model *model_now(struct relay_registry *registry,
                                           struct relay_snapshot **held, struct text id)
{
    struct status st = {0};
    assert_true(relay_registry_refresh(registry, &st));
    relay_snapshot_release(*held);
    *held = relay_registry_take(registry);
    return relay_snapshot_model(*held, id);
}

/* An adapter is called where its model is, by its own name; other adapters are another process. */
static void adapters(void **state)
{
    (void)state;
    struct status st = {0};
    AUTO(relay_registry) struct relay_registry *registry = open_registry(right);
    AUTO(relay_snapshot) struct relay_snapshot *held = NULL;
    const bool no = false, yes = true;
    const struct relay_model_change off = {.enabled = &no}, on = {.enabled = &yes};
    struct relay_model_row row;
    add_local(registry, TEXT("early"), TEXT("base")); /* before its model is there */
    assert_false(model_now(registry, &held, TEXT("early"))->usable);
    add_local(registry, TEXT("base"), TEXT(""));
    const struct relay_model *early = model_now(registry, &held, TEXT("early"));
    const struct relay_model *base = relay_snapshot_model(held, TEXT("base"));
    assert_true(early->usable && early->target == base->target);
    check_text(early->upstream_model, "early");
    check_text(base->base, "");
    struct relay_target *first = relay_target_take(base->target);
    add_local(registry, TEXT("late"), TEXT("base"));
    assert_ptr_not_equal(model_now(registry, &held, TEXT("base"))->target, first);
    relay_target_release(first);
    first = relay_target_take(relay_snapshot_model(held, TEXT("base"))->target);
    assert_true(relay_store_model_change(relay_registry_store(registry), TEXT("late"), &off, arena,
                                         &row, &st));
    assert_false(model_now(registry, &held, TEXT("late"))->usable);
    assert_ptr_equal(relay_snapshot_model(held, TEXT("base"))->target, first); /* it goes on */
    relay_target_release(first);
    assert_true(relay_store_model_change(relay_registry_store(registry), TEXT("late"), &on, arena,
                                         &row, &st));
    assert_true(relay_store_model_change(relay_registry_store(registry), TEXT("base"), &off, arena,
                                         &row, &st));
    assert_false(model_now(registry, &held, TEXT("late"))->usable);
    add_local(registry, TEXT("second"), TEXT("late")); /* an adapter has none itself */
    assert_false(model_now(registry, &held, TEXT("second"))->usable);
    row = (struct relay_model_row){.id = TEXT("own"),
                                   .name = TEXT("own"),
                                   .local = true,
                                   .path = TEXT("/x"),
                                   .base = TEXT("own")};
    assert_false(relay_store_model_add(relay_registry_store(registry), &row, &st));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_that_does_not_open, set_up, tear_down),
        cmocka_unit_test(reasons_in_public),
        cmocka_unit_test_setup_teardown(the_same_target_for_the_same_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(adapters, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
