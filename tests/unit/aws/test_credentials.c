/* aws/credentials.h: each source, against a server on 127.0.0.1. Every secret has HUSH in it, and no message may have
 * it. The clock is an argument of credentials_get, so no test waits for it. */
#include "failing_alloc.h"

#include "aws/credential_answer.h"
#include "aws/credential_process.h"
#include "aws/credentials.h"
#include "aws/service_url.h"
#include "aws/settings.h"
#include "aws/sigv4.h"
#include "base/clock.h"
#include "base/hash.h"
#include "http_server.h"

#include <semaphore.h>

#define NOW INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define KEYS(name) "aws_access_key_id = AKIA" name "\naws_secret_access_key = HUSH/" name "+=;#\n"

static struct http *http;
static struct server server;
static struct credential_source *source;
static struct credentials found;
static struct err err;

/* ---- setup */

static const char *const variables[] = {"AWS_ACCESS_KEY_ID",
                                        "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN",
                                        "AWS_PROFILE",
                                        "AWS_REGION",
                                        "AWS_DEFAULT_REGION",
                                        "AWS_ROLE_ARN",
                                        "AWS_ROLE_SESSION_NAME",
                                        "AWS_WEB_IDENTITY_TOKEN_FILE",
                                        "AWS_CONFIG_FILE",
                                        "AWS_SHARED_CREDENTIALS_FILE",
                                        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                                        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                                        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                                        "AWS_ENDPOINT_URL",
                                        "AWS_ENDPOINT_URL_S3",
                                        "AWS_ENDPOINT_URL_STS"};

static void set(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

static void set_url(const char *name, const char *path)
{
    char url[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", server.port, path);
    set(name, url);
}

static void write_text(const char *path, const char *text)
{
    assert_int_equal(file_write(path, text, strlen(text)), 0);
}

static void write_aws(const char *name, const char *text)
{
    write_text(temp_path(name), text);
}

static int setup(void **state)
{
    if (temp_setup(state))
        return -1;
    for (size_t i = 0; i < COUNT_OF(variables); i++)
        unsetenv(variables[i]);
    set("HOME", temp_dir);
    set("AWS_EC2_METADATA_DISABLED", "true");
    set("http_proxy", "http://127.0.0.1:1"); /* a request through the proxy does not arrive */
    set_url("AWS_ENDPOINT_URL_STS", "");
    server_answer(&server, NULL);
    return mkdir(temp_path(".aws"), 0700);
}

static int teardown(void **state)
{
    credentials_free(source);
    source = NULL;
    return temp_teardown(state);
}

#define UNIT_IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static int get_at(int64_t now_ms)
{
    memset(&found, 0, sizeof found);
    memset(&err, 0, sizeof err);
    if (!source)
        assert_ok(credentials_new(http, &(struct credentials_options){.region = "eu-west-9"}, &source, &err), &err);
    int rc = credentials_get(source, now_ms, &found, &err);
    if (strstr(err.msg, "HUSH"))
        fail_msg("a secret in the message: %s", err.msg);
    if (rc)
        assert_string_equal(found.access_key, "");
    return rc;
}

static void start_anew(void)
{
    credentials_free(source);
    source = NULL;
}

#define assert_found(now, access, from)                                                                                \
    do {                                                                                                               \
        char origin_[CREDENTIALS_ORIGIN_MAX];                                                                          \
        assert_ok(get_at(now), &err);                                                                                  \
        assert_string_equal(found.access_key, access);                                                                 \
        assert_non_null(strstr(found.secret_key, "HUSH"));                                                             \
        credentials_origin(source, origin_);                                                                           \
        assert_string_equal(origin_, from);                                                                            \
    } while (0)

#define assert_none(now, code, part)                                                                                   \
    do {                                                                                                               \
        assert_error(get_at(now), &err, code);                                                                         \
        assert_contains(err.msg, part);                                                                                \
    } while (0)

/* ---- the answers of the server; each has another number in its keys */

static atomic_uint given;
static atomic_int_fast64_t lifetime_ms = HOUR, served_at = NOW;
static atomic_int status = 200;

static void give_json(const char *token_key, struct server_reply *r)
{
    char when[CLOCK_TEXT_MAX];
    unsigned n = ++given;
    clock_format(served_at + lifetime_ms, when);
    r->status = status;
    snprintf(r->body, sizeof r->body,
             "{\"Code\":\"%s\",\"AccessKeyId\":\"AS%u\",\"SecretAccessKey\":\"HUSH%u\",\"%s\":\"HUSHtoken\","
             "\"Expiration\":\"%s\"}",
             status == 200 ? "Success" : "HUSH 1", n, n, token_key, when);
}

static void give_container(const struct server_request *q, struct server_reply *r)
{
    (void)q;
    give_json("Token", r);
}

static void give_sts(const struct server_request *q, struct server_reply *r)
{
    char when[CLOCK_TEXT_MAX];
    unsigned n = ++given;
    clock_format(served_at + lifetime_ms, when);
    const char *action = strstr(q->body, "WithWebIdentity&") ? "AssumeRoleWithWebIdentity" : "AssumeRole";
    r->status = status;
    if (status != 200)
        snprintf(r->body, sizeof r->body,
                 "<ErrorResponse "
                 "xmlns=\"x\"><Error><Code>AccessDenied</Code><Message>HUSH</Message></Error></ErrorResponse>");
    else
        snprintf(
            r->body, sizeof r->body,
            "<%sResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><%sResult><Credentials>\n<AccessKeyId>AS%u"
            "</AccessKeyId>\n<SecretAccessKey>HUSH%u</SecretAccessKey><SessionToken> HUSH+/=%u\n</SessionToken>"
            "<Expiration>%s</Expiration></Credentials></%sResult></%sResponse>",
            action, action, n, n, n, when, action, action);
}

/* The metadata service. Its tokens are "t1", "t2", ...; it refuses those before `token_valid`. */
static atomic_uint tokens, token_valid, unsigned_gets;

static void give_metadata(const struct server_request *q, struct server_reply *r)
{
    char value[256], wanted[32];
    if (strcmp(q->method, "PUT") == 0) {
        bool ok = strcmp(q->path, "/latest/api/token") == 0 &&
                  strcmp(server_header(q, "X-aws-ec2-metadata-token-ttl-seconds", value, sizeof value), "21600") == 0;
        r->status = ok ? status : 400;
        snprintf(r->body, sizeof r->body, "t%u", ++tokens);
        return;
    }
    snprintf(wanted, sizeof wanted, "t%u", tokens);
    server_header(q, "X-aws-ec2-metadata-token", value, sizeof value);
    unsigned_gets += !*value;
    if (strcmp(value, wanted) != 0 || tokens < token_valid) {
        r->status = 401;
    } else if (strcmp(q->path, "/latest/meta-data/iam/security-credentials/") == 0) {
        r->status = 200;
        snprintf(r->body, sizeof r->body, "role\n");
    } else if (strcmp(q->path, "/latest/meta-data/iam/security-credentials/role") == 0) {
        give_json("Token", r);
    } else {
        r->status = 404;
    }
}

static void serve(server_fn *answer)
{
    given = tokens = token_valid = unsigned_gets = 0;
    lifetime_ms = HOUR;
    served_at = NOW;
    status = 200;
    server_answer(&server, answer);
}

static const char *sent_header(const char *name)
{
    static char value[8192];
    pthread_mutex_lock(&server.lock);
    server_header(&server.last, name, value, sizeof value);
    pthread_mutex_unlock(&server.lock);
    return value;
}

static const char *sent_form(void)
{
    static char form[sizeof server.last.body];
    pthread_mutex_lock(&server.lock);
    memcpy(form, server.last.body, sizeof form);
    pthread_mutex_unlock(&server.lock);
    return form;
}

/* ---- environment and files */

static void keys_of_the_environment_come_first(void **state)
{
    (void)state;
    write_aws(".aws/credentials", "[default]\n" KEYS("FILE"));
    set("AWS_ACCESS_KEY_ID", "AKIAENV");
    set("AWS_SECRET_ACCESS_KEY", "");
    assert_none(NOW, ERR_CONFIG, "AWS_SECRET_ACCESS_KEY is not");
    set("AWS_SECRET_ACCESS_KEY", "HUSHenv");
    set("AWS_SESSION_TOKEN", "HUSHtoken");
    start_anew();
    assert_found(NOW, "AKIAENV", "the environment");
    assert_string_equal(found.session_token, "HUSHtoken");
    assert_int_equal(found.expires_ms, 0);
    start_anew();
    set("AWS_SECRET_ACCESS_KEY", "HUSH\r\nX-Evil: 1");
    assert_none(NOW, ERR_CONFIG, "control character");
}

static void a_profile_that_is_named_comes_before_the_environment(void **state)
{
    (void)state;
    set("AWS_ACCESS_KEY_ID", "AKIAENV");
    set("AWS_SECRET_ACCESS_KEY", "HUSHenv");
    write_aws(".aws/config", "[default]\n" KEYS("ONE") "[profile two]\n" KEYS("TWO") "[three]\n" KEYS("THREE"));
    assert_ok(credentials_new(http, &(struct credentials_options){.profile = "two"}, &source, &err), &err);
    assert_found(NOW, "AKIATWO", "profile 'two'");
    start_anew();
    assert_ok(credentials_new(http, &(struct credentials_options){.profile = "three"}, &source, &err), &err);
    assert_none(NOW, ERR_CONFIG, "profile 'three' does not exist");
}

static void the_profile_comes_out_of_both_files(void **state)
{
    char region[64], endpoint[1024];
    (void)state;
    write_aws(".aws/config", "[default]\nregion = eu-north-1\n[profile  p]\n" KEYS(
                                 "CONFIG") "aws_session_token = HUSHconfig\n"
                                           "region = eu-central-1\nservices = mine\nendpoint_url = http://general\n"
                                           "[services mine]\ns3 =\n  endpoint_url = http://127.0.0.1:9000/x\nsts =\n  "
                                           "endpoint_url = http://other\n");
    write_aws("elsewhere", "[p]\n" KEYS("FILE"));
    set("AWS_SHARED_CREDENTIALS_FILE", temp_path("elsewhere"));
    set("AWS_PROFILE", "p");
    assert_found(NOW, "AKIAFILE", "profile 'p'");
    assert_string_equal(found.secret_key, "HUSH/FILE+=;#");
    assert_string_equal(found.session_token, ""); /* the token in the config file belongs to other keys */
    assert_ok(settings_region(NULL, region, sizeof region, &err), &err);
    assert_string_equal(region, "eu-central-1");
    assert_ok(settings_region("default", region, sizeof region, &err), &err);
    assert_string_equal(region, "eu-north-1");
    assert_ok(settings_endpoint(NULL, endpoint, sizeof endpoint, &err), &err);
    assert_string_equal(endpoint, "http://127.0.0.1:9000/x");
    set("AWS_ENDPOINT_URL", "http://everything");
    set("AWS_REGION", "us-west-2");
    assert_ok(settings_endpoint(NULL, endpoint, sizeof endpoint, &err), &err);
    assert_string_equal(endpoint, "http://everything");
    assert_ok(settings_region(NULL, region, sizeof region, &err), &err);
    assert_string_equal(region, "us-west-2");
    assert_error(settings_region(NULL, region, 9, &err), &err, ERR_CONFIG); /* never cut */
    set("AWS_REGION", "a.evil/");
    assert_error(settings_region(NULL, region, sizeof region, &err), &err, ERR_CONFIG);
}

static void a_session_token_of_four_kilobytes_survives(void **state)
{
    char token[4097], text[8192];
    (void)state;
    for (size_t i = 0; i < sizeof token - 1; i++)
        token[i] = "HUSH/+=;#"[i % 9];
    token[sizeof token - 1] = 0;
    snprintf(text, sizeof text, "[default]\n" KEYS("LONG") "aws_session_token=%s\n", token);
    write_aws(".aws/credentials", text);
    assert_found(NOW, "AKIALONG", "profile 'default'");
    assert_string_equal(found.session_token, token);
}

static void what_is_wrong_with_a_file_is_said_without_its_text(void **state)
{
    static const char *const wrong[] = {
        "[default]\nHUSH\n",
        "[default]\naws_access_key_id = AKIA\n",
        "[default]\naws_secret_access_key = HUSH\n",
        "[default]\naws_access_key_id = A\naws_secret_access_key = HUSH\x01\n",
        "[default]\naws_access_key_id = A\naws_secret_access_key = HUSH\n  HUSH\n",
        "[default]\naws_access_key_id = A\naws_secret_access_key = S%0300dHUSH\n",
        "[default]\nrole_arn = arn:HUSH\n",
        "[default]\nrole_arn = arn\nsource_profile = default\nweb_identity_token_file = /HUSH\n",
        "[default]\nrole_arn = arn\nsource_profile = default\nduration_seconds = 1\n" KEYS("X"),
        "[default]\nrole_arn = arn\ncredential_source = HUSH\n",
        "[default]\nrole_arn = arn\ncredential_source = Environment\n",
        "[default]\nsso_session = HUSH\n"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        char text[1024];
        snprintf(text, sizeof text, wrong[i], 0);
        write_aws(".aws/credentials", text);
        start_anew();
        assert_error(get_at(NOW), &err, ERR_CONFIG);
    }
}

static void without_any_the_hint_names_the_places(void **state)
{
    (void)state;
    assert_none(NOW, ERR_CONFIG, "HINT: Seawall looked at AWS_ACCESS_KEY_ID");
    set("AWS_PROFILE", "nobody");
    start_anew();
    assert_none(NOW, ERR_CONFIG, "profile 'nobody' does not exist");
    write_aws(".aws/config", "[profile nobody]\nregion = x\n");
    start_anew();
    assert_none(NOW, ERR_CONFIG, "no credentials found");
}

static void a_rotated_file_is_read_again(void **state)
{
    (void)state;
    write_aws(".aws/credentials", "[default]\n" KEYS("ONE"));
    assert_found(NOW, "AKIAONE", "profile 'default'");
    uint64_t serial = found.serial;
    assert_found(NOW + 2 * SECOND, "AKIAONE", "profile 'default'");
    assert_int_equal(found.serial, serial);
    write_aws("new", "[default]\n" KEYS("TWO"));
    assert_int_equal(rename(temp_path("new"), temp_path(".aws/credentials")), 0);
    assert_found(NOW + 4 * SECOND, "AKIATWO", "profile 'default'");
    assert_int_not_equal(found.serial, serial);
    write_aws(".aws/credentials", "[default\n"); /* a person edits the file: the old keys stay */
    assert_found(NOW + 6 * SECOND, "AKIATWO", "profile 'default'");
    write_aws(".aws/credentials", "[default]\n" KEYS("THREE"));
    assert_found(NOW + 8 * SECOND, "AKIATHREE", "profile 'default'");
}

/* ---- roles */

/* Signs the request that arrived with these keys, and compares the signature. */
static void assert_signed_by(const char *access_key, const char *secret_key)
{
    static struct server_request q;
    struct http_headers headers = HTTP_HEADERS_INIT;
    struct sigv4_key key = {0};
    struct digest digest;
    char hex[SIGV4_HEX], value[HTTP_HEADER_LINE_MAX], sent[HTTP_HEADER_LINE_MAX];
    static const char *const names[] = {"host", "content-type", "x-amz-security-token"};
    pthread_mutex_lock(&server.lock);
    q = server.last;
    pthread_mutex_unlock(&server.lock);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (*server_header(&q, names[i], value, sizeof value))
            assert_ok(http_headers_add(&headers, names[i], value, &err), &err);
    assert_ok(digest_of(q.body, strlen(q.body), &digest, &err), &err);
    hex_encode(digest.bytes, DIGEST_BYTES, hex);
    struct sigv4_scope scope = {
        .access_key = access_key, .secret_key = secret_key, .region = "eu-west-9", .service = "sts", .time_ms = NOW};
    struct sigv4_target target = {.method = "POST", .path = q.path, .query = "", .payload_sha256 = hex};
    assert_ok(sigv4_sign(&scope, &target, &key, &headers, &err), &err);
    server_header(&q, "authorization", sent, sizeof sent);
    const char *ours = NULL, *line = (const char *)headers.text.data, *end = line + headers.text.len;
    for (; line < end; line += strlen(line) + 1)
        if (strncmp(line, "authorization: ", 15) == 0)
            ours = line + 15;
    assert_non_null(ours);
    assert_string_equal(sent, ours);
    http_headers_release(&headers);
}

static void a_role_is_assumed_with_the_keys_of_its_source_profile(void **state)
{
    (void)state;
    serve(give_sts);
    write_aws(".aws/config",
              "[profile role]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\nexternal_id = x y\n"
              "role_session_name = me\nduration_seconds = 900\n");
    write_aws(".aws/credentials", "[base]\n" KEYS("BASE") "aws_session_token = HUSHbase\n");
    set("AWS_PROFILE", "role");
    assert_found(NOW, "AS1", "profile 'role'");
    assert_string_equal(found.session_token, "HUSH+/=1");
    assert_int_equal(found.expires_ms, NOW + HOUR);
    assert_string_equal(sent_form(), "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&"
                                     "RoleSessionName=me&DurationSeconds=900&ExternalId=x%20y");
    assert_string_equal(sent_header("x-amz-security-token"), "HUSHbase");
    assert_signed_by("AKIABASE", "HUSH/BASE+=;#");
}

static void roles_form_a_chain(void **state)
{
    (void)state;
    serve(give_sts);
    write_aws(".aws/config",
              "[default]\nrole_arn = arn:outer\nsource_profile = inner\n[profile inner]\nrole_arn = arn:inner\n"
              "source_profile = inner\n" KEYS("SELF"));
    assert_found(NOW, "AS2", "profile 'default'");
    assert_int_equal(server_requests(&server), 2);
    assert_signed_by("AS1", "HUSH1");
    start_anew();
    set("AWS_ACCESS_KEY_ID", "AKIAENV");
    set("AWS_SECRET_ACCESS_KEY", "HUSHenv");
    write_aws(".aws/config", "[profile p]\nrole_arn = arn:x\ncredential_source = Environment\n");
    assert_ok(
        credentials_new(http, &(struct credentials_options){.profile = "p", .region = "eu-west-9"}, &source, &err),
        &err);
    assert_found(NOW, "AS3", "profile 'p'");
    assert_signed_by("AKIAENV", "HUSHenv");
}

static void a_circle_of_source_profiles_is_found(void **state)
{
    (void)state;
    serve(give_sts);
    write_aws(".aws/config",
              "[default]\nrole_arn = arn:a\nsource_profile = b\n[profile b]\nrole_arn = arn:b\nsource_profile = c\n"
              "[profile c]\nrole_arn = arn:c\nsource_profile = b\n");
    assert_none(NOW, ERR_CONFIG, "source_profile goes in a circle: 'b'");
    write_aws(".aws/config", "[default]\nrole_arn = arn:a\nsource_profile = default\n");
    start_anew();
    assert_none(NOW, ERR_CONFIG, "circle");
    write_aws(".aws/config", "[default]\nrole_arn = arn:a\nsource_profile = absent\n");
    start_anew();
    assert_none(NOW, ERR_CONFIG, "'absent' does not exist");
    assert_int_equal(server_requests(&server), 0);
}

static void a_role_that_is_refused_shows_the_code_alone(void **state)
{
    (void)state;
    serve(give_sts);
    status = 403;
    write_aws(".aws/config", "[default]\nrole_arn = arn:a\nsource_profile = default\n" KEYS("SELF"));
    assert_none(NOW, ERR_CONFIG, "HTTP status 403 AccessDenied");
    assert_contains(err.msg, "HINT: allow this in the trust policy");
    status = 500;
    start_anew();
    assert_none(NOW, ERR_REMOTE, "HTTP status 500");
}

static void web_identity_reads_the_token_file_each_time(void **state)
{
    (void)state;
    serve(give_sts);
    set("AWS_ROLE_ARN", "arn:r");
    set("AWS_ROLE_SESSION_NAME", "pod");
    set("AWS_WEB_IDENTITY_TOKEN_FILE", temp_path("token"));
    assert_none(NOW, ERR_CONFIG, "token file");
    write_text(temp_path("token"), "HUSH.one\n");
    start_anew();
    assert_found(NOW, "AS1", "web identity");
    assert_string_equal(sent_form(),
                        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Ar&RoleSessionName=pod&"
                        "DurationSeconds=3600&WebIdentityToken=HUSH.one");
    assert_string_equal(sent_header("authorization"), "");
    write_text(temp_path("token"), "HUSH.two");
    served_at = NOW + HOUR;
    assert_found(NOW + HOUR - MINUTE, "AS2", "web identity");
    assert_contains(sent_form(), "&WebIdentityToken=HUSH.two");
}

/* ---- a helper program */

static void a_helper_program_prints_them(void **state)
{
    (void)state;
    write_aws(".aws/config",
              "[default]\ncredential_process = echo '{\"Version\": 1, \"AccessKeyId\": \"AKP\", \"SecretAccessKey\": "
              "\"HUSHp\", \"Expiration\": \"2026-01-01T01:00:00.5+00:00\"}' | cat\n");
    assert_found(NOW, "AKP", "profile 'default'");
    assert_string_equal(found.session_token, "");
    assert_int_equal(found.expires_ms, NOW + HOUR + 500);
}

static void what_a_helper_program_does_wrong_is_said(void **state)
{
    static const struct {
        const char *command, *says;
        enum err_code code;
    } wrong[] = {{"echo HUSH", "not a JSON object", ERR_REMOTE},
                 {"echo '{\"Version\": 1, \"AccessKeyId\": \"A\", \"SecretAccessKey\": \"HUSH'", "not a JSON object",
                  ERR_REMOTE},
                 {"echo '{\"AccessKeyId\": \"HUSH\"}'", "Version", ERR_CONFIG},
                 {"echo '{\"Version\": 1, \"AccessKeyId\": \"HUSH\"}'", "the secret key is missing", ERR_REMOTE},
                 {"echo HUSH; exit 3", "exit status 3", ERR_REMOTE},
                 {"kill -9 $$", "signal 9", ERR_REMOTE},
                 {"/nonexistent/program", "HINT: check that the program exists", ERR_CONFIG},
                 {"yes HUSH", "longer than 65536 bytes", ERR_LIMIT}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        char text[512];
        snprintf(text, sizeof text, "[default]\ncredential_process = exec 2>/dev/null; %s\n", wrong[i].command);
        write_aws(".aws/config", text);
        start_anew();
        assert_none(NOW, wrong[i].code, wrong[i].says);
    }
}

static void a_helper_program_that_hangs_is_killed_with_its_group(void **state)
{
    struct buf out;
    char command[2048], path[64];
    (void)state;
    snprintf(command, sizeof command, "sleep 60 & echo $! > '%s'; wait", temp_path("pid"));
    int64_t begin = clock_mono_ms();
    assert_error(credential_process_run(command, 150, NULL, &out, &err), &err, ERR_TIMEOUT);
    buf_release(&out);
    assert_true(clock_mono_ms() - begin < 2000);
    size_t n = 0;
    uint8_t *pid = file_bytes(temp_path("pid"), &n);
    assert_non_null(pid);
    snprintf(path, sizeof path, "/proc/%ld/stat", strtol((char *)pid, NULL, 10));
    free(pid);
    for (int i = 0; i < 200; i++) { /* until the signal is delivered; the process may stay as a zombie */
        char stat[512] = "";
        FILE *f = fopen(path, "re");
        bool gone = !f || !fgets(stat, sizeof stat, f) || strstr(stat, ") Z ") || strstr(stat, ") X ");
        if (f)
            fclose(f);
        if (gone)
            return;
        clock_sleep_us(5000);
    }
    fail_msg("the child of the program was not killed");
}

static void a_helper_program_gets_no_signals_blocked_and_no_descriptors(void **state)
{
    struct buf out;
    sigset_t all, before;
    (void)state;
    int fd = dup(STDERR_FILENO); /* not close-on-exec, as libcurl's sockets */
    void (*on_pipe)(int) = signal(SIGPIPE, SIG_IGN);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int rc = credential_process_run("sed -n '/^SigBlk\\|^SigIgn/s/:.*\\(.\\{7\\}\\)$/ \\1/p' /proc/self/status; ls "
                                    "/proc/self/fd | grep -v '^[0123]$'",
                                    5000, NULL, &out, &err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, on_pipe);
    close(fd);
    (void)rc; /* of grep, which found nothing */
    assert_non_null(out.data);
    assert_int_equal(buf_append(&out, "", 1, &err), 0);
    assert_string_equal((char *)out.data, "SigBlk 0000000\nSigIgn 0000000\n");
    buf_release(&out);
}

/* ---- services of the machine */

static void a_container_is_asked_with_its_authorization(void **state)
{
    (void)state;
    serve(give_container);
    set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/creds?id=1");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "HUSHignored");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", temp_path("auth"));
    write_text(temp_path("auth"), "HUSHone");
    assert_found(NOW, "AS1", "the container");
    assert_string_equal(found.session_token, "HUSHtoken");
    assert_string_equal(sent_header("Authorization"), "HUSHone");
    write_text(temp_path("auth"), "HUSHtwo");
    served_at = NOW + HOUR;
    assert_found(NOW + HOUR - MINUTE, "AS2", "the container");
    assert_string_equal(sent_header("Authorization"), "HUSHtwo");
    write_text(temp_path("auth"), "HUSH\r\nX-Evil: 1");
    start_anew();
    assert_none(NOW, ERR_CONFIG, "line break");
    assert_int_equal(server_requests(&server), 2);
}

static void plain_http_goes_to_this_machine_only(void **state)
{
    static const struct {
        const char *url;
        enum service_place place;
        const char *host;
    } good[] = {{"http://localhost/x", SERVICE_LOOPBACK, "localhost"},
                {"http://LOCALHOST:80", SERVICE_LOOPBACK, "LOCALHOST"},
                {"http://127.9.8.7:81/x", SERVICE_LOOPBACK, "127.9.8.7:81"},
                {"http://[::1]:443/x", SERVICE_LOOPBACK, "[::1]:443"},
                {"http://[0:0:0:0:0:0:0:1]/", SERVICE_LOOPBACK, "[0:0:0:0:0:0:0:1]"},
                {"http://169.254.170.2/v2", SERVICE_CONTAINER, "169.254.170.2"},
                {"http://169.254.170.23?a", SERVICE_CONTAINER, "169.254.170.23"},
                {"http://[fd00:ec2::23]:80/", SERVICE_CONTAINER, "[fd00:ec2::23]"},
                {"http://169.254.169.254", SERVICE_LINK_LOCAL, "169.254.169.254"},
                {"https://example.org:443/", SERVICE_ELSEWHERE, "example.org"},
                {"http://127.0.0.1.example.org/", SERVICE_ELSEWHERE, "127.0.0.1.example.org"},
                {"http://[fd00:ec3::23]/", SERVICE_ELSEWHERE, "[fd00:ec3::23]"}};
    static const char *const bad[] = {"",
                                      "ftp://localhost/",
                                      "http://",
                                      "http:///x",
                                      "http://:80/",
                                      "http://localhost@example.org/",
                                      "http://example.org\\@localhost/",
                                      "http://localhost#@example.org/",
                                      "http://local host/",
                                      "http://localhost/\r\nX: 1"};
    static const char *const elsewhere[] = {"http://169.254.169.254/", "http://10.0.0.1/",
                                            "http://127.0.0.1.example.org/"};
    struct service_url u;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_ok(service_url_parse(good[i].url, &u, &err), &err);
        assert_int_equal(u.place, good[i].place);
        assert_string_equal(u.host, good[i].host);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_error(service_url_parse(bad[i], &u, &err), &err, ERR_CONFIG);
    for (size_t i = 0; i < COUNT_OF(elsewhere); i++) {
        set("AWS_CONTAINER_CREDENTIALS_FULL_URI", elsewhere[i]);
        start_anew();
        assert_none(NOW, ERR_CONFIG, "HINT: use https, or http to a loopback address");
    }
}

static void the_instance_is_asked_with_a_token(void **state)
{
    (void)state;
    serve(give_metadata);
    set("AWS_EC2_METADATA_DISABLED", "");
    set_url("AWS_EC2_METADATA_SERVICE_ENDPOINT", "/");
    assert_found(NOW, "AS1", "the instance");
    assert_int_equal(server_requests(&server), 3);
    assert_int_equal(found.expires_ms, NOW + HOUR);
    serve(give_metadata);
    token_valid = 2; /* the server refuses the first token with 401 */
    start_anew();
    assert_found(NOW, "AS1", "the instance");
    assert_int_equal(tokens, 2);
    assert_int_equal(unsigned_gets, 0);
}

static void an_instance_without_version_2_is_not_asked_by_version_1(void **state)
{
    (void)state;
    serve(give_metadata);
    status = 403;
    set("AWS_EC2_METADATA_DISABLED", "");
    set_url("AWS_EC2_METADATA_SERVICE_ENDPOINT", "");
    assert_none(NOW, ERR_CONFIG, "IMDSv1 is not used");
    assert_int_equal(server_requests(&server), 1);
    assert_int_equal(unsigned_gets, 0);
    serve(NULL); /* closes the connection */
    start_anew();
    assert_none(NOW, ERR_CONFIG, "no credentials found; instance metadata service");
    assert_contains(err.msg, "HINT: Seawall looked at AWS_ACCESS_KEY_ID");
    assert_contains(err.msg, "hop limit");
    assert_int_equal(server_requests(&server), 3);
}

static void give_garbage(const struct server_request *q, struct server_reply *r)
{
    static const char *const texts[] = {"HUSH",
                                        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":HUSH",
                                        "[\"HUSH\"]",
                                        "{\"SecretAccessKey\":\"HUSH\"}",
                                        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HUSH\\n\"}",
                                        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HUSH\",\"Expiration\":\"HUSH\"}",
                                        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HUSH\",\"Expiration\":1}",
                                        "<a><HUSH></a>",
                                        ""};
    (void)q;
    r->status = 200;
    snprintf(r->body, sizeof r->body, "%s", texts[given++ % COUNT_OF(texts)]);
}

static void give_too_much(const struct server_request *q, struct server_reply *r)
{
    (void)q;
    r->status = 200;
    r->size = sizeof r->body;
    memset(r->body, ' ', r->size);
    r->body[0] = '{';
}

static void answers_that_make_no_sense_are_errors_without_their_text(void **state)
{
    (void)state;
    serve(give_garbage);
    set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
    for (int i = 0; i < 9; i++) {
        start_anew();
        assert_error(get_at(NOW), &err, ERR_REMOTE);
    }
    unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    write_aws(".aws/config", "[default]\nrole_arn = arn:a\nsource_profile = default\n" KEYS("SELF"));
    for (int i = 0; i < 9; i++) {
        start_anew();
        assert_error(get_at(NOW), &err, ERR_REMOTE);
    }
    serve(give_too_much);
    start_anew();
    assert_error(get_at(NOW), &err, ERR_REMOTE);
}

static void credentials_that_have_expired_already_are_an_error_not_a_loop(void **state)
{
    (void)state;
    serve(give_container);
    served_at = NOW - 2 * HOUR;
    set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
    assert_none(NOW, ERR_REMOTE, "the credentials expired at");
    assert_contains(err.msg, "HINT: check the clock");
    assert_int_equal(server_requests(&server), 1);
}

/* ---- when credentials are fetched */

static void they_are_renewed_five_minutes_before_they_expire(void **state)
{
    (void)state;
    serve(give_container);
    set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
    assert_found(NOW, "AS1", "the container");
    uint64_t serial = found.serial;
    assert_found(NOW + HOUR - 5 * MINUTE - 1, "AS1", "the container");
    assert_int_equal(server_requests(&server), 1);
    served_at = NOW + HOUR;
    assert_found(NOW + HOUR - 5 * MINUTE, "AS2", "the container");
    assert_int_not_equal(found.serial, serial);
    assert_found(NOW + 2 * HOUR - 5 * MINUTE - 1, "AS2", "the container");
    assert_int_equal(server_requests(&server), 2);
}

static void a_renewal_that_fails_keeps_the_old_ones_until_they_expire(void **state)
{
    int64_t early = NOW + HOUR - 5 * MINUTE;
    (void)state;
    serve(give_container);
    set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
    assert_found(NOW, "AS1", "the container");
    status = 404; /* not tried again within one attempt */
    for (int64_t t = 0; t < 5 * MINUTE; t += 10 * SECOND)
        assert_found(early + t, "AS1", "the container");
    assert_int_equal(server_requests(&server), 1 + 10); /* every 30 s */
    assert_none(NOW + HOUR, ERR_REMOTE, "HTTP status 404");
    unsigned before = server_requests(&server);
    for (int64_t t = 0; t < 20 * SECOND; t += SECOND)
        assert_none(NOW + HOUR + 100 + t, ERR_REMOTE, "HTTP status 404");
    assert_true(server_requests(&server) <= before + 1);
    status = 200;
    served_at = NOW + HOUR;
    assert_ok(get_at(NOW + HOUR + MINUTE), &err);
    assert_int_equal(found.expires_ms, NOW + 2 * HOUR);
}

static void without_any_the_pauses_grow_to_thirty_seconds(void **state)
{
    static const int64_t seconds[] = {0, 1, 3, 7, 15, 31, 61, 91};
    (void)state;
    serve(give_container);
    status = 404;
    set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
    for (int64_t t = 0, i = 0; t <= 100 * SECOND; t += SECOND / 2) {
        if (i < (int64_t)COUNT_OF(seconds) && t >= seconds[i] * SECOND)
            i++;
        assert_none(NOW + t, ERR_REMOTE, "HTTP status 404");
        assert_int_equal(server_requests(&server), i);
    }
    status = 200;
    assert_none(NOW + 101 * SECOND, ERR_REMOTE, "404");
    assert_ok(get_at(NOW - 30 * MINUTE), &err); /* a clock that is set back does not make it wait */
}

static void short_lived_ones_are_not_fetched_at_each_call(void **state)
{
    (void)state;
    serve(give_container);
    lifetime_ms = 2 * MINUTE;
    set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
    for (int64_t t = 0; t < 60 * SECOND; t += SECOND)
        assert_ok(get_at(NOW + t), &err);
    assert_int_equal(server_requests(&server), 2);
}

static void rejected_ones_are_fetched_anew(void **state)
{
    (void)state;
    serve(give_container);
    set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
    assert_found(NOW, "AS1", "the container");
    uint64_t serial = found.serial;
    credentials_reject(source, serial + 7);
    assert_found(NOW + 2 * SECOND, "AS1", "the container");
    credentials_reject(source, serial);
    assert_found(NOW + 4 * SECOND, "AS2", "the container");
    credentials_reject(source, serial); /* that has happened since */
    assert_found(NOW + 6 * SECOND, "AS2", "the container");
    assert_int_equal(server_requests(&server), 2);
}

static void the_same_ones_again_are_not_asked_for_in_a_loop(void **state)
{
    (void)state;
    serve(give_container);
    set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
    assert_found(NOW, "AS1", "the container");
    uint64_t serial = found.serial;
    for (int64_t t = 0; t < 10 * SECOND; t += SECOND / 10) {
        given = 0;
        credentials_reject(source, serial);
        assert_found(NOW + t, "AS1", "the container");
        assert_int_equal(found.serial, serial);
    }
    assert_int_equal(server_requests(&server), 10);
}

/* ---- several threads */

static sem_t arrived, go_on;

static void give_slowly(const struct server_request *q, struct server_reply *r)
{
    sem_post(&arrived);
    sem_wait(&go_on);
    give_container(q, r);
}

struct caller {
    int64_t now_ms;
    struct credentials got;
    struct err e;
    int rc;
};

static void *call_get(void *context)
{
    struct caller *c = context;
    c->rc = credentials_get(source, c->now_ms, &c->got, &c->e);
    return NULL;
}

static void one_fetches_while_others_wait_or_go_on_with_the_old_ones(void **state)
{
    static struct caller callers[4];
    pthread_t threads[COUNT_OF(callers)];
    (void)state;
    sem_init(&arrived, 0, 0);
    sem_init(&go_on, 0, 0);
    serve(give_slowly);
    set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
    assert_ok(credentials_new(http, &(struct credentials_options){0}, &source, &err), &err);
    for (size_t i = 0; i < COUNT_OF(callers); i++) {
        callers[i] = (struct caller){.now_ms = NOW - (int64_t)i};
        pthread_create(&threads[i], NULL, call_get, &callers[i]);
    }
    sem_wait(&arrived);
    sem_post(&go_on);
    for (size_t i = 0; i < COUNT_OF(callers); i++) {
        pthread_join(threads[i], NULL);
        assert_ok(callers[i].rc, &callers[i].e);
        assert_string_equal(callers[i].got.access_key, "AS1");
    }
    assert_int_equal(server_requests(&server), 1);
    served_at = NOW + HOUR;
    callers[0].now_ms = NOW + HOUR - MINUTE;
    pthread_create(&threads[0], NULL, call_get, &callers[0]);
    sem_wait(&arrived);
    assert_found(NOW + HOUR - MINUTE, "AS1", "the container");
    sem_post(&go_on);
    pthread_join(threads[0], NULL);
    assert_string_equal(callers[0].got.access_key, "AS2");
    assert_int_equal(server_requests(&server), 2);
}

/* ---- out of memory */

/* Gets the credentials of a role: reads files, makes and signs the form, reads the XML of STS. */
static int get_by_role(void *context, struct err *e)
{
    struct credential_source *s = NULL;
    struct credentials c = {.access_key = ""};
    int rc = credentials_new(http, &(struct credentials_options){.region = "eu-west-9"}, &s, e);
    (void)context;
    if (rc == 0)
        rc = credentials_get(s, NOW, &c, e);
    if (rc == 0)
        assert_int_equal(strncmp(c.access_key, "AS", 2), 0);
    credentials_free(s);
    return rc;
}

static void each_allocation_of_a_role_fails_once(void **state)
{
    (void)state;
    serve(give_sts);
    write_aws(".aws/config", "[profile role]\nrole_arn = arn:r\nsource_profile = base\n");
    write_aws(".aws/credentials", "[base]\n" KEYS("BASE") "aws_session_token = HUSHbase\n");
    set("AWS_PROFILE", "role");
    assert_true(assert_each_allocation_fails_once(get_by_role, NULL) > 5);
}

static void each_allocation_of_a_web_identity_fails_once(void **state)
{
    (void)state;
    serve(give_sts);
    set("AWS_ROLE_ARN", "arn:r");
    set("AWS_WEB_IDENTITY_TOKEN_FILE", temp_path("token"));
    write_text(temp_path("token"), "HUSH.one");
    assert_true(assert_each_allocation_fails_once(get_by_role, NULL) > 3);
}

/* ---- dates */

static void expirations_are_dates_of_iso_8601(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"2026-01-01T00:00:00Z", NOW},
                {"2026-01-01T00:00:00.25Z", NOW + 250},
                {"2026-01-01T00:00:00.123456789Z", NOW + 123},
                {"2026-01-01T02:30:00+02:30", NOW},
                {"2025-12-31T23:00:00-0100", NOW},
                {"1970-01-01T00:00:00Z", 0},
                {"2024-02-29T00:00:00Z", 1709164800000}};
    static const char *const bad[] = {"",
                                      "2026-01-01",
                                      "2026-01-01T00:00:00",
                                      "2026-01-01 00:00:00Z",
                                      "2026-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00ZZ",
                                      "2026-01-01T00:00:00+1",
                                      "1767225600"};
    int64_t ms = 0;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(credentials_parse_time(good[i].text, &ms));
        assert_true(ms == good[i].ms);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(credentials_parse_time(bad[i], &ms));
}

static int start(void **state)
{
    (void)state;
    return http_acquire(&http, &err) || server_start(&server) ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    http_release(http);
    server_stop(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_WORLD(each_allocation_of_a_role_fails_once),
        UNIT_IN_WORLD(each_allocation_of_a_web_identity_fails_once),
        UNIT_IN_WORLD(keys_of_the_environment_come_first),
        UNIT_IN_WORLD(a_profile_that_is_named_comes_before_the_environment),
        UNIT_IN_WORLD(the_profile_comes_out_of_both_files),
        UNIT_IN_WORLD(a_session_token_of_four_kilobytes_survives),
        UNIT_IN_WORLD(what_is_wrong_with_a_file_is_said_without_its_text),
        UNIT_IN_WORLD(without_any_the_hint_names_the_places),
        UNIT_IN_WORLD(a_rotated_file_is_read_again),
        UNIT_IN_WORLD(a_role_is_assumed_with_the_keys_of_its_source_profile),
        UNIT_IN_WORLD(roles_form_a_chain),
        UNIT_IN_WORLD(a_circle_of_source_profiles_is_found),
        UNIT_IN_WORLD(a_role_that_is_refused_shows_the_code_alone),
        UNIT_IN_WORLD(web_identity_reads_the_token_file_each_time),
        UNIT_IN_WORLD(a_helper_program_prints_them),
        UNIT_IN_WORLD(what_a_helper_program_does_wrong_is_said),
        UNIT_IN_WORLD(a_helper_program_that_hangs_is_killed_with_its_group),
        UNIT_IN_WORLD(a_helper_program_gets_no_signals_blocked_and_no_descriptors),
        UNIT_IN_WORLD(a_container_is_asked_with_its_authorization),
        UNIT_IN_WORLD(plain_http_goes_to_this_machine_only),
        UNIT_IN_WORLD(the_instance_is_asked_with_a_token),
        UNIT_IN_WORLD(an_instance_without_version_2_is_not_asked_by_version_1),
        UNIT_IN_WORLD(answers_that_make_no_sense_are_errors_without_their_text),
        UNIT_IN_WORLD(credentials_that_have_expired_already_are_an_error_not_a_loop),
        UNIT_IN_WORLD(they_are_renewed_five_minutes_before_they_expire),
        UNIT_IN_WORLD(a_renewal_that_fails_keeps_the_old_ones_until_they_expire),
        UNIT_IN_WORLD(without_any_the_pauses_grow_to_thirty_seconds),
        UNIT_IN_WORLD(short_lived_ones_are_not_fetched_at_each_call),
        UNIT_IN_WORLD(rejected_ones_are_fetched_anew),
        UNIT_IN_WORLD(the_same_ones_again_are_not_asked_for_in_a_loop),
        UNIT_IN_WORLD(one_fetches_while_others_wait_or_go_on_with_the_old_ones),
        UNIT(expirations_are_dates_of_iso_8601),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
