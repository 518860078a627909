/* Every kind of store in the table of storage/open.c keeps the contract of base/store.h. A kind needs a place here. */
#include "store_places.h"

static bool folder_is_there(void)
{
    return true;
}

static const struct {
    const char *kind;
    struct store_under_test *place;
    bool (*is_there)(void); /* false: this run leaves the kind out */
} places[] = {
    {"file", &folder, folder_is_there},
    {"s3", &s3, s3_is_there},
};

static void this_kind_has_a_place_in_test_store_kinds(void **state)
{
    fail_msg("add a place for the kind '%s' to tests/unit/storage/test_store_kinds.c", (const char *)*state);
}

/* Writes the tests of one kind to `out`. Returns how many. */
static size_t tests_of(const struct store_kind *kind, struct CMUnitTest out[STORE_CONTRACT_MAX])
{
    out[0] = (struct CMUnitTest){.name = "this_kind_has_a_place_in_test_store_kinds",
                                 .test_func = this_kind_has_a_place_in_test_store_kinds,
                                 .initial_state = (void *)(uintptr_t)kind->name};
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        if (strcmp(places[i].kind, kind->name) != 0)
            continue;
        if (places[i].is_there())
            return store_contract_tests(kind->name, places[i].place, out);
        printf("# %s: there is no server; make check-%s-store has one\n", kind->name, kind->name);
        return 0;
    }
    return 1;
}

/* ---- the table */

static void each_kind_says_what_a_url_needs(void **state)
{
    const struct store_kind *kind = NULL;
    (void)state;
    for (size_t i = 0; (kind = store_kind_at(i)); i++) {
        assert_true(kind->name && kind->scheme && kind->form && kind->open && kind->check);
        assert_int_equal(strncmp(kind->form, kind->scheme, strlen(kind->scheme)), 0);
    }
}

static void an_unknown_scheme_is_refused_with_all_forms_that_are_known(void **state)
{
    char shown[STORE_URL_MAX];
    struct store *s = NULL;
    struct err e;
    (void)state;
    assert_error(store_open("gopher://user:secret@host/x?key=secret", STORE_READ, &s, &e), &e, ERR_CONFIG);
    for (size_t i = 0; store_kind_at(i); i++)
        assert_contains(e.msg, store_kind_at(i)->form);
    assert_null(strstr(e.msg, "key=secret"));
    assert_error(store_check("gopher://host/x", shown, &e), &e, ERR_CONFIG);
}

static void a_url_takes_the_options_of_its_kind(void **state)
{
    (void)state;
    assert_true(store_parameter_known(NULL, "region"));
    assert_true(store_parameter_known("s3://bucket/prefix", "region"));
    assert_false(store_parameter_known("s3://bucket/prefix", "colour"));
    assert_false(store_parameter_known("file:///dir", "region"));
    assert_false(store_parameter_known("/dir", "region"));
    assert_false(store_parameter_known("gopher://host", "region"));
    assert_false(store_parameter_known(NULL, "colour"));
}

static void a_url_is_checked_without_a_look_at_its_store(void **state)
{
    char shown[STORE_URL_MAX];
    struct err e;
    (void)state;
    assert_ok(store_check("s3://bucket/p?endpoint=h&region=r&header=x-key:SECRET", shown, &e), &e);
    assert_string_equal(shown, "s3://bucket/p?endpoint=https://h");
    assert_ok(store_check("file:///no/such/folder", shown, &e), &e);
    assert_string_equal(shown, "/no/such/folder");
    static const char *const wrong[] = {"s3://bucket/p?timeout=soon", "s3://b", "file://dir", "gopher://x", ""};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_error(store_check(wrong[i], shown, &e), &e, ERR_CONFIG);
}

static void an_error_about_a_url_shows_no_secret(void **state)
{
    char shown[STORE_URL_MAX];
    struct err e;
    (void)state;
    static const char *const secret[] = {"s3://bucket/p?header=Bearer%20sesame",
                                         "s3://bucket/p?header=Bearer%20sesame:x",
                                         "s3://bucket/p?header=:sesame",
                                         "s3://bucket/p?header=x-key:a&sesame",
                                         "s3://bucket/p?header=x-key:a&sesame=b",
                                         "s3:bucket?header=sesame",
                                         "gopher://x?header=sesame",
                                         "s3://bucket/p?timeout=soon&header=sesame"};
    for (size_t i = 0; i < COUNT_OF(secret); i++) {
        assert_error(store_check(secret[i], shown, &e), &e, ERR_CONFIG);
        assert_null(strstr(e.msg, "sesame"));
    }
}

int main(void)
{
    static struct CMUnitTest all[8 * STORE_CONTRACT_MAX];
    const struct CMUnitTest of_the_table[] = {
        UNIT(each_kind_says_what_a_url_needs),      UNIT(an_unknown_scheme_is_refused_with_all_forms_that_are_known),
        UNIT(a_url_takes_the_options_of_its_kind),  UNIT(a_url_is_checked_without_a_look_at_its_store),
        UNIT(an_error_about_a_url_shows_no_secret),
    };
    size_t count = COUNT_OF(of_the_table);
    memcpy(all, of_the_table, sizeof of_the_table);
    if (s3_is_there() && !s3_find_fencing())
        return 1;
    for (size_t i = 0; store_kind_at(i); i++) {
        assert(count + STORE_CONTRACT_MAX <= COUNT_OF(all));
        count += tests_of(store_kind_at(i), all + count);
    }
    return store_run_tests(all, count);
}
