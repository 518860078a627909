/* config/file.h and options.h: configuration files and options. */
#include "failing_alloc.h"

#include "config/find.h"
#include "storage/open.h"

/* ---- files */

static struct config *read_config(const char *text, struct err *e)
{
    struct config *c = NULL;
    assert_int_equal(file_write(temp_path("conf"), text, strlen(text)), 0);
    return config_read(temp_path("conf"), store_parameter_known, &c, e) ? NULL : c;
}

static void a_file_names_databases_and_replicas(void **state)
{
    struct err e = {.msg = ""};
    struct config_member db, other;
    (void)state;
    struct config *c = read_config(
        "[seawall]\nput-rate = 30/m\nwal-limit = 64M\n"
        "[replica offsite]\nurl = s3://bucket/app\nendpoint = https://h\nheader = x-a: b&c%\nheader = x-b: 2\n"
        "[db /a/app.db]\nreplica = offsite\nreplica = /mnt/backup\nwal-limit = 128M\n",
        &e);
    if (!c)
        fail_msg("%s", e.msg);
    assert_ok(config_find_db(c, NULL, &db, &e), &e);
    assert_string_equal(db.path, "/a/app.db");
    assert_int_equal(db.section->options.put_rate, 1800);
    assert_int_equal(db.section->options.wal_limit, 128 << 20);
    assert_int_equal(db.url_count, 2);
    assert_string_equal(db.urls[0], "s3://bucket/app?endpoint=https://h&header=x-a: b%26c%25&header=x-b: 2");
    assert_string_equal(db.urls[1], "/mnt/backup");
    static const char *const words[] = {"offsite", "/a/app.db", NULL};
    const char *url = NULL;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        assert_ok(config_find_url(c, words[i], &url, &e), &e);
        assert_string_equal(url, db.urls[0]);
    }
    assert_ok(config_find_url(c, "s3://x/y", &url, &e), &e);
    assert_string_equal(url, "s3://x/y");
    assert_error(config_find_url(c, "typo", &url, &e), &e, ERR_CONFIG);
    assert_error(config_find_db(c, "/b", &other, &e), &e, ERR_CONFIG);
    config_member_release(&db);
    config_free(c);
}

static void a_wrong_file_is_refused_with_file_and_line(void **state)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"[seawall]\nput-rte = 1/s\n", "put-rte"},
        {"[seawall]\nput-rate = fast\n", "put-rate"},
        {"[sewall]\nput-rate = 1/s\n", "sewall"},
        {"put-rate = 1/s\n", "line 1: 'put-rate' is before the first section"},
        {"[db /a]\n# replica = /dir\n", "line 1: database '/a' has no replica"},
        {"[db /a]\nreplica = x\n[replica x]\n# url = /dir\n", "line 3: [replica x] has no url"},
        {"\n[db /a]\nput-rate = 1/s\n", "line 2: database '/a' has no replica"},
        {"[db /a]\nreplica = /dir\nreplica = offsite\n",
         "line 3: database '/a': there is no section [replica offsite]"},
        {"# a comment\n[replica x]\nendpoint = https://h\n", "line 2: [replica x] has no url"},
        {"[replica x]\nurl = s3://b\nurl = s3://c\n", "has two urls"},
        {"[replica x]\nurl = s3://b\nregion = a\nregion = b\n", "twice"},
        {"[replica x]\nurl = s3://b\nreigon = a\n", "reigon"},
        {"[replica x]\nurl = /dir\nregion = a\n", "a url of this kind has no key 'region'"},
        {"[replica a/b]\nurl = /dir\n", "a/b"},
        {"[replica x]\nurl = s3://b\n  region = a\n", "indented"},
        {"[seawall]\nput-rate = 1/s\nput-rate = 2/s\n", "twice"},
        {"[db /a/*]\nreplica = /r/{nam}\n",
         "line 2: database '/a/*': unknown variable '{nam}' in the url\n  HINT: write {name}"},
        {"[db /a/*]\nreplica = x\n[replica x]\nurl = /r/{name\n", "line 3: a '{' in the url has no '}'"},
        {"[db /a/*]\nreplica = {name}\n", "there is no section [replica {name}]"},
        {"[db /a/*]\nreplica = {name}/x\n", "{name} is at the beginning of the url"},
        {"[db /a/*]\nreplica = s3://b{path}\n", "can't be a part of the name of a bucket"},
        {"[db /a/*]\nreplica = s3://b/{path}?profile={stem}\n", "{stem} is after the '?'"},
        {"[db /a/**/x]\nreplica = /r/{path}\n", "line 1: a path has '**'"},
        {"[db /a/*/../x]\nreplica = /r/{path}\n", "line 1: a path with wildcards has '..'"},
        {"[db /a/*/]\nreplica = /r/{path}\n", "line 1: the path ends with a slash"},
        {"[db /a/[ab/x]\nreplica = /r/{path}\n", "line 1: a '[' in '[ab' has no ']'"},
        {"[db /a]\nreplica = /r\nexclude = /a\n", "line 3: 'exclude' in a section without wildcards"},
        {"[db /a/*]\nreplica = /r\nexclude = /a/b/c\n",
         "line 3: 'exclude = /a/b/c' matches no path that '/a/*' matches"},
        {"[db /a/*]\nreplica = /r\nexclude = *.tmp\n", "line 3: 'exclude = *.tmp' matches no path"},
        {"[db /a/*.db]\nreplica = /r\nexclude = /a/b.txt\n", "matches no path"},
        {"[db /a/../b]\nreplica = /r/{path}\n", "line 2: database '/a/../b': the path has '..'"},
        {"[db /a]\nreplica = /r/{folder}\n", "line 2: database '/a': {folder} has no value"},
        {"[db /a]\nreplica = /r\n[seawall]\nput-rate = 1/s\n", "before"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err e = {.code = ERR_NONE};
        assert_null(read_config(cases[i].text, &e));
        assert_int_equal(e.code, ERR_CONFIG);
        assert_contains(e.msg, cases[i].reason);
        assert_contains(e.msg, "conf");
    }
}

static int read_whole(void *path, struct err *e)
{
    struct config *c = NULL;
    int rc = config_read(path, store_parameter_known, &c, e);
    if (rc == 0)
        assert_int_equal(c->dbs[0].replica_count, 2);
    config_free(c);
    return rc;
}

static void each_allocation_of_a_file_fails_once(void **state)
{
    char path[1024];
    const char *text = "[db /a]\nreplica = offsite\nreplica = /r\n[replica offsite]\nurl = s3://b\nregion = eu\n";
    (void)state;
    snprintf(path, sizeof path, "%s", temp_path("conf"));
    assert_int_equal(file_write(path, text, strlen(text)), 0);
    assert_true(assert_each_allocation_fails_once(read_whole, path) >= 5);
}

/* ---- options */

static void every_option_is_written_as_it_is_read(void **state)
{
    struct err e;
    (void)state;
    for (size_t i = 0; i < option_count; i++) {
        const struct option_spec *spec = &option_table[i];
        const uint64_t values[] = {spec->fallback, spec->min, spec->max, spec->min + (spec->max - spec->min) / 3,
                                   spec->may_never ? OPTION_NEVER : spec->fallback};
        for (size_t k = 0; k < COUNT_OF(values); k++) {
            struct options o = options_default(), again = options_default();
            char text[32];
            memcpy((char *)&o + spec->offset, &values[k], sizeof values[k]);
            option_format(&o, spec, text);
            assert_ok(options_set(&again, spec->name, text, &e), &e);
            assert_memory_equal(&o, &again, sizeof o);
        }
    }
}

static void an_invalid_value_is_refused_with_the_valid_ones(void **state)
{
    static const struct {
        const char *name, *value, *message;
    } cases[] = {
        {"fan-out", "4", "unknown option 'fan-out'"},
        {"fanout", "1", "option 'fanout': invalid value '1'\n  HINT: write N, from 2 to 1000"},
        {"fanout", "1001", "invalid value"},
        {"fanout", "many", "invalid value"},
        {"fanout", "never", "invalid value"},
        {"fanout", "", "invalid value"},
        {"wal-limit", "64MB", "invalid value '64MB'\n  HINT: write BYTES, from 1M to 1024G"},
        {"rest-after", "1w", "HINT: write TIME, from 10ms to 1h"},
        {"put-rate", "10", "HINT: write RATE|never, from 1/h to 1000/s"},
        {"set-wal", "maybe", "option 'set-wal': invalid value 'maybe'\n  HINT: write yes or no"},
    };
    struct options o = options_default(), before = o;
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_error(options_set(&o, cases[i].name, cases[i].value, &e), &e, ERR_CONFIG);
        assert_contains(e.msg, cases[i].message);
    }
    assert_memory_equal(&o, &before, sizeof o);
}

static void never_is_a_value_of_some_options(void **state)
{
    struct options o = options_default();
    struct err e;
    char text[OPTION_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < option_count; i++) {
        if (!option_table[i].may_never)
            continue;
        assert_ok(options_set(&o, option_table[i].name, "never", &e), &e);
        option_format(&o, &option_table[i], text);
        assert_string_equal(text, "never");
    }
    assert_true(o.put_rate == OPTION_NEVER && o.verify_interval_ms == OPTION_NEVER);
}

static void every_default_lies_within_its_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < option_count; i++) {
        const struct option_spec *spec = &option_table[i];
        const bool never = spec->may_never && spec->fallback == OPTION_NEVER;
        assert_true(never || (spec->min <= spec->fallback && spec->fallback <= spec->max));
        assert_true(spec->help && *spec->help && spec->value_name);
        for (size_t k = i + 1; k < option_count; k++)
            assert_string_not_equal(spec->name, option_table[k].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(a_file_names_databases_and_replicas),
        UNIT_IN_TEMP(a_wrong_file_is_refused_with_file_and_line),
        UNIT_IN_TEMP(each_allocation_of_a_file_fails_once),
        UNIT(every_option_is_written_as_it_is_read),
        UNIT(an_invalid_value_is_refused_with_the_valid_ones),
        UNIT(never_is_a_value_of_some_options),
        UNIT(every_default_lies_within_its_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
