/* aws/: any bytes in the files of profiles and in a token file, as output of a helper program, and as answers of the
 * metadata service, of a container's service and of STS. The result is credentials that are valid in a header, or an
 * error that shows no secret.
 *
 * Pieces: ~/.aws/config | ~/.aws/credentials | output of the helper program; then the answers (fuzz_http.h). The first
 * byte says which variables the environment has. */
#include "fuzz_http.h" /* first: it has a clock of its own */

#include "fuzz_files.h"

#include "aws/credential_answer.h"
#include "aws/credential_chain.h"
#include "aws/credential_process.h"
#include "aws/settings.h"
#include "aws/token_file.h"

const struct fuzz_bounds fuzz_bounds = {.inputs = 15000, .megasteps = 8, .megabytes = 16};

enum { NAMED = 1, WEB = 2, CONTAINER = 4, FULL = 8 };
#define NOW_MS INT64_C(1790000000123)

static struct slice helper;

int __wrap_credential_process_run(const char *command, int64_t timeout_ms, const atomic_bool *cancel,
                                  struct buf *ret_output, struct err *e)
{
    (void)timeout_ms, (void)cancel;
    FUZZ_CHECK(command[0]);
    *ret_output = BUF_INIT(CREDENTIAL_PROCESS_OUTPUT_MAX);
    return buf_append(ret_output, helper.bytes, helper.size, e);
}

int __wrap_token_file_read(const char *path, char out[TOKEN_FILE_MAX], struct err *e)
{
    (void)path, (void)e;
    snprintf(out, TOKEN_FILE_MAX, "token");
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const char
        config[] = "[default]\nregion = eu-west-1\n[profile p]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = "
                   "q\nduration_seconds = 900\n"
                   "external_id = e\n[profile q]\ncredential_process = helper\n[services s]\ns3 =\n  endpoint_url = "
                   "http://127.0.0.1:9\n"
                   "[profile r]\nservices = s\n",
        source[] = "[profile p]\nrole_arn = arn:aws:iam::1:role/x\ncredential_source = Ec2InstanceMetadata\n",
        token[] =
            "[profile p]\nrole_arn = arn:aws:iam::1:role/x\nweb_identity_token_file = /t\nrole_session_name = n\n",
        keys[] = "[p]\naws_access_key_id = AKIA\naws_secret_access_key = s\naws_session_token = t\n",
        json[] = "{\"Code\":\"Success\",\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Token\":\"T\","
                 "\"SessionToken\":\"T\","
                 "\"Expiration\":\"2036-03-01T12:00:00Z\"}",
        xml[] = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>S</"
                "SecretAccessKey>"
                "<SessionToken>T</SessionToken><Expiration>2036-03-01T12:00:00Z</Expiration></Credentials></"
                "AssumeRoleResult></AssumeRoleResponse>",
        refused[] = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>";
    static const struct {
        uint8_t how;
        const char *config, *credentials, *helper, *answers[3];
    } seeds[] = {{NAMED, config, "", json, {xml}},
                 {NAMED, source, "", "", {"token", "role", json}},
                 {NAMED, token, "", "", {xml}},
                 {NAMED, config, keys, "", {refused}},
                 {WEB, "", "", "", {xml}},
                 {WEB, "", "", "", {refused}},
                 {CONTAINER, "", "", "", {json}},
                 {CONTAINER | FULL, "", "", "", {json}},
                 {0, "", "", "", {"token", "role\nother", json}},
                 {0, config, keys, "", {"token", ""}}};
    (void)cap;
    if (index >= COUNT_OF(seeds))
        return 0;
    out[0] = seeds[index].how;
    size_t n = slice_put(out, 1, seeds[index].config, strlen(seeds[index].config));
    n = slice_put(out, n, seeds[index].credentials, strlen(seeds[index].credentials));
    n = slice_put(out, n, seeds[index].helper, strlen(seeds[index].helper));
    for (size_t i = 0; i < COUNT_OF(seeds[0].answers) && seeds[index].answers[i]; i++)
        n = seed_answer(out, n, strcmp(seeds[index].answers[i], refused) == 0 ? 7 : 0, "", seeds[index].answers[i]);
    return n;
}

static void set(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

static void set_environment(uint8_t how, const char *config, const char *credentials)
{
    set("AWS_CONFIG_FILE", config);
    set("AWS_SHARED_CREDENTIALS_FILE", credentials);
    set("AWS_PROFILE", how & NAMED ? "p" : NULL);
    set("AWS_ROLE_ARN", how & WEB ? "arn:aws:iam::1:role/x" : NULL);
    set("AWS_WEB_IDENTITY_TOKEN_FILE", how & WEB ? "/t" : NULL);
    set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", how & CONTAINER && !(how & FULL) ? "/v2/x" : NULL);
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", how & CONTAINER && how & FULL ? "http://127.0.0.1:8/x" : NULL);
}

static void check_text(const char *text, size_t max)
{
    size_t n = strnlen(text, max);
    FUZZ_CHECK(n < max);
    for (size_t i = 0; i < n; i++)
        FUZZ_CHECK((unsigned char)text[i] > 31 && text[i] != 127);
}

static void get_credentials(void)
{
    struct http *http = NULL;
    char origin[CREDENTIALS_ORIGIN_MAX] = "";
    static struct credentials found;
    struct err e = {.code = ERR_NONE};
    FUZZ_CHECK(__wrap_http_acquire(&http, &e) == 0);
    const struct credential_chain chain = {.access = {.http = http, .now_ms = NOW_MS}};
    memset(&found, 0, sizeof found);
    if (credential_chain_walk(&chain, &found, origin, &e)) {
        FUZZ_CHECK(e.code == ERR_CONFIG || e.code == ERR_REMOTE || e.code == ERR_TIMEOUT || e.code == ERR_LIMIT);
        return;
    }
    check_text(found.access_key, sizeof found.access_key);
    check_text(found.secret_key, sizeof found.secret_key);
    check_text(found.session_token, sizeof found.session_token);
    FUZZ_CHECK(found.access_key[0] && found.secret_key[0] && (found.expires_ms == 0 || found.expires_ms > NOW_MS) &&
               origin[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {data, size};
    char place[300];
    struct err e = {.code = ERR_NONE};
    const char *config = fuzz_path("config"), *credentials = fuzz_path("credentials");
    uint8_t how = slice_byte(&in);
    struct slice file = slice_take(&in);
    fuzz_write(config, file.bytes, file.size);
    file = slice_take(&in);
    fuzz_write(credentials, file.bytes, file.size);
    helper = slice_take(&in);
    set_environment(how, config, credentials);
    fuzz_answers = in;
    fuzz_requests = 0;
    get_credentials();
    if (settings_region(NULL, place, sizeof place, &e) || settings_endpoint(NULL, place, sizeof place, &e))
        FUZZ_CHECK(e.code == ERR_CONFIG);
    return 0;
}
