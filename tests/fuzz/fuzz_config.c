/* config/file.h: any bytes are a configuration, or an error with file and line. Every database and replica of the
 * configuration is found in it. */
#include "fuzz_files.h"
#include "fuzz_input.h"

#include "config/file.h"
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
        "[db x]\nreplica = y\n[replica y]\nurl = s3://bkt/p?a=b\nsse = aws:kms\nsse-kms-key-id = k\n",
    };
    (void)cap;
    return index < COUNT_OF(texts) ? seed_text(out, texts[index]) : 0;
}

static void look_around(const struct config *c)
{
    FUZZ_CHECK(c->db_count <= CONFIG_DBS_MAX && c->replica_count <= CONFIG_REPLICAS_MAX);
    for (size_t i = 0; i < c->replica_count; i++) {
        const char *url = NULL;
        struct err e;
        FUZZ_CHECK(c->replicas[i].url[0] && strlen(c->replicas[i].url) < CONFIG_URL_MAX &&
                   strlen(c->replicas[i].name) < CONFIG_NAME_MAX);
        FUZZ_CHECK(config_find_url(c, c->replicas[i].name, &url, &e) == 0);
        FUZZ_CHECK(config_replica_of(c, c->replicas[i].url) != NULL);
    }
    for (size_t i = 0; i < c->db_count; i++) {
        const struct config_db *db = &c->dbs[i], *found = NULL;
        struct err e;
        FUZZ_CHECK(db->replica_count >= 1 && db->replica_count <= CONFIG_DB_REPLICAS_MAX && db->path[0]);
        FUZZ_CHECK(config_find_db(c, db->path, &found, &e) == 0);
        for (size_t k = 0; k < db->replica_count; k++) {
            char shown[STORE_URL_MAX];
            if (strstr(db->replicas[k], "key-file") ||
                strstr(db->replicas[k], "%")) /* would open a file of this machine */
                continue;
            if (store_check(db->replicas[k], shown, &e))
                FUZZ_CHECK(e.code == ERR_CONFIG || e.code == ERR_IO || e.code == ERR_LIMIT);
            else
                FUZZ_CHECK(strlen(shown) < sizeof shown);
        }
    }
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
