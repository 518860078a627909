/* import/rules.c */
#include "import/rules.h"

#include <stddef.h>
#include <string.h>

#define KEYS                                                                                                           \
    "not copied. Seawall finds keys where other AWS programs do: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a "   \
    "profile of ~/.aws/credentials ('profile = NAME' in a [replica] section)"
#define NOT_NEEDED "not needed: "
#define OTHER_STORE "Seawall has no store of this kind"

static const struct rule rules[] = {
    /* the top */
    {"dbs", RULE_TOP, NULL, false},
    {"snapshot", RULE_TOP, NULL, false},
    {"retention", RULE_TOP, NULL, false},
    {"shutdown-sync-timeout", RULE_TOP, NULL, false},
    {"exec", RULE_TOP,
     "not copied, its arguments can have a secret. Start the daemon with it: seawall replicate -c FILE --exec COMMAND",
     true},
    {"addr", RULE_TOP, "Seawall has no HTTP server; 'seawall status -c FILE --metrics' prints the same for Prometheus",
     false},
    {"mcp-addr", RULE_TOP, "Seawall has no MCP server; 'seawall status --json' is for programs", false},
    {"socket", RULE_TOP,
     "Seawall always has a control socket; 'control = FOLDER' in [seawall] moves it, and 'seawall status' uses it",
     false},
    {"levels", RULE_TOP, "Seawall compacts by number: each 64 objects of a level become one of the next ('fanout')",
     false},
    {"validation", RULE_TOP,
     "Seawall restores and checks each replica every 'verify-interval' (7d); 'seawall verify' does it at once", false},
    {"l0-retention", RULE_TOP, "'keep-all' (1d) says how long every transaction stays a restore point", false},
    {"l0-retention-check-interval", RULE_TOP, "'prune-interval' (1h) says how often objects are deleted", false},
    {"verify-compaction", RULE_TOP, NOT_NEEDED "each object has checksums of the whole database, which restores check",
     false},
    {"heartbeat-url", RULE_TOP,
     "not copied, its URL can have a secret. Let cron run 'seawall status' and call the URL if it succeeds", true},
    {"heartbeat-interval", RULE_TOP, "see heartbeat-url", false},
    {"logging", RULE_TOP, "Seawall logs to standard error, with levels; systemd or a redirection puts it elsewhere",
     false},
    {"shutdown-sync-interval", RULE_TOP, NOT_NEEDED "Seawall tries again with growing pauses", false},

    /* a database */
    {"path", RULE_DB, NULL, false},
    {"dir", RULE_DB, NULL, false},
    {"pattern", RULE_DB, NULL, false},
    {"recursive", RULE_DB, NULL, false},
    {"watch", RULE_DB, NOT_NEEDED "Seawall notices databases that come and go", false},
    {"replica", RULE_DB, NULL, false},
    {"replicas", RULE_DB, NULL, false},
    {"snapshot", RULE_DB, NULL, false},
    {"meta-path", RULE_DB, NOT_NEEDED "the state file is beside the database, PATH-seawall", false},
    {"meta-dir", RULE_DB, NOT_NEEDED "the state file is beside the database, PATH-seawall", false},
    {"monitor-interval", RULE_DB, NOT_NEEDED "Seawall is woken by each commit", false},
    {"checkpoint-interval", RULE_DB,
     NOT_NEEDED "Seawall checkpoints in pauses, and a second after the last commit ('rest-after')", false},
    {"min-checkpoint-page-count", RULE_DB, NULL, false},
    {"max-checkpoint-page-count", RULE_DB, "'wal-limit' (1G, in bytes) is the counterpart", false},
    {"truncate-page-n", RULE_DB, "'wal-limit' (1G, in bytes) is the counterpart", false},
    {"busy-timeout", RULE_DB, NOT_NEEDED "Seawall does not wait for locks of the application", false},
    {"max-sync-wal-bytes", RULE_DB, "'max-batch' (4M) is the counterpart", false},
    {"restore-if-db-not-exists", RULE_DB,
     "before the application starts, run: seawall restore --if-db-not-exists --if-replica-exists -c FILE -o PATH PATH",
     false},

    /* a replica */
    {"type", RULE_REPLICA, NULL, false},
    {"name", RULE_REPLICA, NOT_NEEDED "the name of a [replica] section is for this file alone", false},
    {"path", RULE_REPLICA, NULL, false},
    {"url", RULE_REPLICA, NULL, false},
    {"bucket", RULE_REPLICA, NULL, false},
    {"region", RULE_REPLICA, NULL, false},
    {"endpoint", RULE_REPLICA, NULL, false},
    {"force-path-style", RULE_REPLICA, NULL, false},
    {"sign-payload", RULE_REPLICA, NULL, false},
    {"require-content-md5", RULE_REPLICA, NULL, false},
    {"storage-class", RULE_REPLICA, NULL, false},
    {"sse-kms-key-id", RULE_REPLICA, NULL, false},
    {"sync-interval", RULE_REPLICA, NULL, false},
    {"retention", RULE_REPLICA, NULL, false},
    {"snapshot-interval", RULE_REPLICA, NULL, false},
    {"access-key-id", RULE_REPLICA, KEYS, true},
    {"secret-access-key", RULE_REPLICA, KEYS, true},
    {"sign-accept-encoding", RULE_REPLICA, NOT_NEEDED "Seawall does not send Accept-Encoding", false},
    {"put-object-content-md5", RULE_REPLICA, "'content-md5 = no' leaves Content-MD5 out where AWS demands it", false},
    {"skip-verify", RULE_REPLICA,
     "Seawall always checks certificates; 'ca-file = PATH' in the [replica] section trusts a private authority", false},
    {"part-size", RULE_REPLICA, NOT_NEEDED "objects are smaller than a part", false},
    {"concurrency", RULE_REPLICA, NOT_NEEDED "objects are smaller than a part", false},
    {"sse-customer-algorithm", RULE_REPLICA, "see sse-customer-key", false},
    {"sse-customer-key", RULE_REPLICA,
     "not copied. Write the key, 32 bytes in base64, into a file of mode 0600 and set 'sse-c-key-file = PATH' in the "
     "[replica] section",
     true},
    {"sse-customer-key-path", RULE_REPLICA,
     "'sse-c-key-file = PATH' in the [replica] section is the counterpart, for a file with 32 bytes in base64", false},
    {"max-sync-ltx-files", RULE_REPLICA, NOT_NEEDED "commits that wait are sent together", false},
    {"auto-recover", RULE_REPLICA,
     NOT_NEEDED
     "whenever it is not proven that the replica continues, Seawall compares all pages and sends the difference",
     false},
    {"retention-check-interval", RULE_REPLICA, "'prune-interval' (1h) says how often objects are deleted", false},
    {"validation-interval", RULE_REPLICA,
     "Seawall restores and checks each replica every 'verify-interval' (7d); 'seawall verify' does it at once", false},
    {"age", RULE_REPLICA,
     "not copied. Seawall does not encrypt before it sends; 'sse' and 'sse-c-key-file' of S3 do, or a file system "
     "below a folder",
     true},
    {"account-name", RULE_REPLICA, OTHER_STORE, false},
    {"account-key", RULE_REPLICA, OTHER_STORE, true},
    {"sas-token", RULE_REPLICA, OTHER_STORE, true},
    {"host", RULE_REPLICA, OTHER_STORE, false},
    {"user", RULE_REPLICA, OTHER_STORE, false},
    {"password", RULE_REPLICA, OTHER_STORE, true},
    {"key-path", RULE_REPLICA, OTHER_STORE, false},
    {"concurrent-writes", RULE_REPLICA, OTHER_STORE, false},
    {"host-key", RULE_REPLICA, OTHER_STORE, false},
    {"webdav-url", RULE_REPLICA, OTHER_STORE, true},
    {"webdav-username", RULE_REPLICA, OTHER_STORE, false},
    {"webdav-password", RULE_REPLICA, OTHER_STORE, true},
    {"jwt", RULE_REPLICA, OTHER_STORE, true},
    {"seed", RULE_REPLICA, OTHER_STORE, true},
    {"creds", RULE_REPLICA, OTHER_STORE, true},
    {"nkey", RULE_REPLICA, OTHER_STORE, true},
    {"username", RULE_REPLICA, OTHER_STORE, false},
    {"token", RULE_REPLICA, OTHER_STORE, true},
    {"tls", RULE_REPLICA, OTHER_STORE, false},
    {"root-cas", RULE_REPLICA, OTHER_STORE, false},
    {"client-cert", RULE_REPLICA, OTHER_STORE, false},
    {"client-key", RULE_REPLICA, OTHER_STORE, false},
    {"max-reconnects", RULE_REPLICA, OTHER_STORE, false},
    {"reconnect-wait", RULE_REPLICA, OTHER_STORE, false},
    {"timeout", RULE_REPLICA, OTHER_STORE, false},
};

const struct rule *rule_find(enum rule_place place, const char *key)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (rules[i].place == place && strcmp(rules[i].key, key) == 0)
            return &rules[i];
    return place == RULE_TOP ? rule_find(RULE_REPLICA, key) : NULL;
}
