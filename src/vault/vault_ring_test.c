/* Rings: made once, read again, rotated; files that are refused; digests. */
#include "vault_internal.h"
#include "check.h"
#include "db_scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct db_scratch scratch;
static char folder[200], pepper[300];

static int set_up(void **state)
{
    (void)state;
    db_scratch_folder(&scratch);
    snprintf(folder, sizeof(folder), "%s/secrets", scratch.folder);
    snprintf(pepper, sizeof(pepper), "%s/pepper.keys", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    db_scratch_close(&scratch);
    return 0;
}

static bool try_open(bool create, struct vault **out, struct status *st)
{
    return vault_open(&(struct vault_options){.folder = text_of(folder), .create = create}, out,
                      st);
}

static mode_t mode_of(const char *path)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return info.st_mode & 0777;
}

static void made_once(void **state)
{
    (void)state;
    struct status st = {0};
    struct vault *vault = NULL;
    struct vault_digest one, two;
    assert_false(try_open(false, &vault, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    assert_true(try_open(true, &vault, &st));
    assert_int_equal(mode_of(folder), 0700);
    assert_int_equal(mode_of(pepper), 0600);
    vault_digest(vault, VAULT_RING_PEPPER, TEXT("x"), TEXT("data"), &one);
    vault_close(TAKE(vault));
    assert_true(try_open(true, &vault, &st)); /* not made anew */
    vault_digest(vault, VAULT_RING_PEPPER, TEXT("x"), TEXT("data"), &two);
    assert_memory_equal(&one, &two, sizeof(one));
    vault_close(vault);
}

static void digests(void **state)
{
    (void)state;
    struct status st = {0};
    struct vault *vault = NULL;
    struct vault_digest base, other;
    assert_true(try_open(true, &vault, &st));
    vault_digest(vault, VAULT_RING_PEPPER, TEXT("key"), TEXT("data"), &base);
    assert_int_equal(strlen(base.key_id), VAULT_KEY_ID_BYTES);
    vault_digest(vault, VAULT_RING_PEPPER, TEXT("ke"), TEXT("ydata"), &other);
    assert_memory_not_equal(base.bytes, other.bytes, sizeof(base.bytes));
    vault_digest(vault, VAULT_RING_TOKEN, TEXT("key"), TEXT("data"), &other);
    assert_memory_not_equal(base.bytes, other.bytes, sizeof(base.bytes));
    /* the same by the one-shot function of the library */
    const struct ring *ring = vault_ring_of(vault, VAULT_RING_PEPPER);
    uint8_t want[32];
    crypto_auth_hmacsha256_state whole;
    crypto_auth_hmacsha256_init(&whole, ring->keys[0].bytes, VAULT_KEY_BYTES);
    crypto_auth_hmacsha256_update(&whole, (const unsigned char *)"key\0data", 8);
    crypto_auth_hmacsha256_final(&whole, want);
    assert_memory_equal(base.bytes, want, sizeof(want));
    vault_close(vault);
}

static void rotated(void **state)
{
    (void)state;
    struct status st = {0};
    struct vault *vault = NULL, *other = NULL;
    struct vault_digest before, all[4];
    assert_true(try_open(true, &vault, &st) && try_open(true, &other, &st));
    vault_digest(vault, VAULT_RING_PEPPER, TEXT("x"), TEXT("data"), &before);
    assert_true(vault_rotate(vault, VAULT_RING_PEPPER, &st));
    assert_int_equal(
        vault_digest_all(vault, VAULT_RING_PEPPER, TEXT("x"), TEXT("data"), all, ARRAY_LEN(all)),
        2);
    assert_memory_equal(&all[1], &before, sizeof(before));
    assert_string_not_equal(all[0].key_id, before.key_id);
    assert_int_equal(mode_of(pepper), 0600);
    /* another process learns of it when it is told */
    assert_int_equal(vault_digest_all(other, VAULT_RING_PEPPER, TEXT("x"), TEXT("data"), all, 4),
                     1);
    assert_true(vault_reload(other, &st));
    assert_int_equal(vault_digest_all(other, VAULT_RING_PEPPER, TEXT("x"), TEXT("data"), all, 4),
                     2);
    assert_int_equal(vault_digest_all(other, VAULT_RING_PEPPER, TEXT("x"), TEXT("data"), all, 1),
                     1);
    for (int i = 0; i < RING_KEYS_MAX - 2; i++)
        assert_true(vault_rotate(vault, VAULT_RING_PEPPER, &st));
    assert_false(vault_rotate(vault, VAULT_RING_PEPPER, &st));
    assert_int_equal(st.code, STATUS_LIMIT);
    vault_close(vault);
    vault_close(other);
}

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const struct {
    const char *name, *bytes;
    mode_t mode;
    enum status_code want;
    const char *text;
} files[] = {
    {"a good one", "# comment\n\n00000001 " HEX "\r\n", 0600, STATUS_OK, ""},
    {"a good one of a secret store", "00000001 " HEX, 0400, STATUS_OK, ""},
    {"empty", "", 0600, STATUS_INVALID, "no key"},
    {"only a comment", "# nothing\n", 0600, STATUS_INVALID, "no key"},
    {"a short key", "00000001 0011\n", 0600, STATUS_INVALID, "line 1"},
    {"a long key", "00000001 " HEX "00\n", 0600, STATUS_INVALID, "line 1"},
    {"not hex", "00000001 " HEX "\n0000000g " HEX, 0600, STATUS_INVALID, "line 2"},
    {"id 0", "00000000 " HEX, 0600, STATUS_INVALID, "line 1"},
    {"an id twice", "00000001 " HEX "\n00000001 " HEX, 0600, STATUS_INVALID, "twice"},
    {"no id", HEX, 0600, STATUS_INVALID, "line 1"},
    {"everybody may read", "00000001 " HEX, 0644, STATUS_FORBIDDEN, "chmod 600"},
    {"the group may write", "00000001 " HEX, 0620, STATUS_FORBIDDEN, "chmod 600"},
};

static void files_of_all_kinds(void **state)
{
    (void)state;
    struct status st = {0};
    struct vault *vault = NULL;
    assert_true(try_open(true, &vault, &st));
    vault_close(TAKE(vault));
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        check_case(files[i].name);
        unlink(pepper);
        int fd = open(pepper, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_true(fd >= 0 && fchmod(fd, files[i].mode) == 0);
        assert_int_equal(write(fd, files[i].bytes, strlen(files[i].bytes)), strlen(files[i].bytes));
        close(fd);
        bool ok = try_open(true, &vault, &st);
        assert_int_equal(ok, files[i].want == STATUS_OK);
        if (ok) {
            vault_close(TAKE(vault));
            continue;
        }
        assert_int_equal(st.code, files[i].want);
        assert_non_null(strstr(st.text, files[i].text));
        assert_null(strstr(st.text, "00112233")); /* no piece of a key in an error */
    }
}

static void open_folder(void **state)
{
    (void)state;
    struct status st = {0};
    struct vault *vault = NULL;
    assert_int_equal(mkdir(folder, 0755), 0);
    chmod(folder, 0755);
    assert_false(try_open(true, &vault, &st));
    assert_int_equal(st.code, STATUS_FORBIDDEN);
}

/* Of several processes that start first, one makes the keys and all use them. */
static void first_starts_at_once(void **state)
{
    (void)state;
    enum { CHILDREN = 6 };
    int told[2];
    assert_int_equal(pipe(told), 0);
    for (int i = 0; i < CHILDREN; i++)
        if (fork() == 0) {
            struct status st;
            struct vault *vault;
            struct vault_digest digest;
            if (!try_open(true, &vault, &st))
                _exit(1);
            vault_digest(vault, VAULT_RING_PEPPER, TEXT("x"), TEXT("y"), &digest);
            vault_close(vault);
            _exit(write(told[1], &digest, sizeof(digest)) == sizeof(digest) ? 0 : 2);
        }
    struct vault_digest first, digest;
    assert_int_equal(read(told[0], &first, sizeof(first)), sizeof(first));
    for (int i = 1; i < CHILDREN; i++) {
        assert_int_equal(read(told[0], &digest, sizeof(digest)), sizeof(digest));
        assert_memory_equal(&first, &digest, sizeof(first));
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status;
        wait(&status);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(made_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(digests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rotated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_of_all_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(open_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(first_starts_at_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
