/* config/file.h: any bytes are a configuration, or an error with file and line. Every database and replica of the
 * configuration is found in it. */
#include "fuzz_files.h"
#include "fuzz_input.h"

#include "config/find.h"
#include "config/variables.h"
#include "storage/open.h"

const struct fuzz_bounds fuzz_bounds = {.inputs = 30000, .megasteps = 4, .megabytes = 16};

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const char *const texts[] = {
        ("[seawall]\nput-rate = 30/m\nkeep-daily = 7\nprune-interval = never\n\n[db /var/lib/app/app.db]\n"
         "replica = offsite\nreplica = /backup/app\nwal-limit = 256M\n\n[replica offsite]\nurl = s3://bucket/app\n"
         "endpoint = https://s3.example.com\nregion = eu-west-1\nheader = a: b&c%\n"),
        "[db a]\nreplica=file:///r\n[db b]\nreplica=s3://b/c?region=x\n[replica x]\nurl=/y\n",
        ("[seawall]\nwal-target=1000\nwal-limit=1M\nmax-batch=1M\nset-wal=yes\nrest-after=1m\nstop-timeout=10s\n"
         "fanout=16\nverify-interval=1d\n"),
        "# nothing\n",
        "[db ]\n",
        "[replica a/b]\nurl = x\n",
        ("[db fuzz-none/*/[ab]?[!c-d[:digit:]]*.db]\nexclude = fuzz-none/x*/a*\nreplica = s3://bkt/{path}/{{?region=x\n"
         "replica = y\n[replica y]\nurl = /r/{folder}/{stem}-{name}\n"),
        "[db x]\nreplica = y\n[replica y]\nurl = s3://bkt/p?a=b\nsse = aws:kms\nsse-kms-key-id = k\n",
    };
    (void)cap;
    return index < COUNT_OF(texts) ? seed_text(out, texts[index]) : 0;
}

/* What a URL means does not depend on the name of the database. */
static void look_at_values(const char *url)
{
    char plain[CONFIG_URL_MAX], odd[CONFIG_URL_MAX];
    struct err e;
    FUZZ_CHECK(variables_expand(url, "/f/n", plain, sizeof plain, &e) == 0 || e.code == ERR_CONFIG);
    if (variables_expand(url, "/a?b=c&d#e%f/s3:.x", odd, sizeof odd, &e))
        return;
    FUZZ_CHECK(variables_can_give(url, odd));
    const size_t scheme = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    if (strncmp(url + scheme, "://", 3) == 0 &&
        strncmp(odd, "file://", 7) != 0) { /* else a folder, which has no query */
        const char *query = strchr(url, '?'), *odd_query = strchr(odd, '?');
        FUZZ_CHECK(!query == !odd_query && (!query || strcmp(query, odd_query) == 0));
    }
}

static void look_at_section(const struct config *c, const struct config_db *db)
{
    struct config_member found;
    struct err e;
    FUZZ_CHECK(db->replica_count >= 1 && db->replica_count <= CONFIG_DB_REPLICAS_MAX && db->path[0]);
    for (size_t k = 0; k < db->replica_count; k++) {
        char shown[STORE_URL_MAX];
        if (config_is_pattern(db))
            look_at_values(db->replicas[k]);
        if (strstr(db->replicas[k], "key-file") || strstr(db->replicas[k], "%")) /* would open a file of this machine */
            continue;
        if (store_check(db->replicas[k], shown, &e))
            FUZZ_CHECK(e.code == ERR_CONFIG || e.code == ERR_IO || e.code == ERR_LIMIT);
        else
            FUZZ_CHECK(strlen(shown) < sizeof shown);
    }
    if (config_is_pattern(db)) {
        FUZZ_CHECK(db->pattern.count <= PATTERN_PARTS_MAX && pattern_may_meet(&db->pattern, &db->pattern));
        pattern_matches(&db->pattern, "/fuzz-none/a/b/c.db");
        return;
    }
    FUZZ_CHECK(config_find_section(c, db->path) == db);
    FUZZ_CHECK(config_find_db(c, db->path, &found, &e) == 0);
    FUZZ_CHECK(found.section == db && strcmp(found.path, db->path) == 0 && found.url_count == db->replica_count);
    config_member_release(&found);
}

static void look_around(struct config *c)
{
    FUZZ_CHECK(c->db_count <= CONFIG_DBS_MAX && c->replica_count <= CONFIG_REPLICAS_MAX);
    for (size_t i = 0; i < c->replica_count; i++) {
        const char *url = NULL;
        struct err e;
        FUZZ_CHECK(c->replicas[i].url[0] && strlen(c->replicas[i].url) < CONFIG_URL_MAX &&
                   strlen(c->replicas[i].name) < CONFIG_NAME_MAX);
        FUZZ_CHECK(config_find_url(c, c->replicas[i].name, &url, &e) == 0 || variables_in(c->replicas[i].url));
        FUZZ_CHECK(config_find_replica(c, c->replicas[i].name) == &c->replicas[i]);
    }
    for (size_t i = 0; i < c->db_count; i++)
        look_at_section(c, &c->dbs[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_path("seawall.conf");
    struct config *c = NULL;
    struct err e = {.code = ERR_NONE};
    fuzz_write(path, data, size);
    if (config_read(path, store_parameter_known, &c, &e) == 0) {
        look_around(c);
        config_free(c);
    } else {
        FUZZ_CHECK(e.code == ERR_CONFIG && strstr(e.msg, "seawall.conf"));
    }
    return 0;
}
