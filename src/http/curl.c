/* http/curl.c */
#include "http/curl.h"

#include <dlfcn.h>
#include <string.h>

#define LIBRARY "libcurl.so.4" /* the name has been the same since 2006 */

struct curl_functions libcurl;

struct wanted {
    const char *name;
    void *place; /* where the address of the function goes */
};

int curl_load(struct err *e)
{
#define CURL_WANTED(name) {"curl_" #name, &libcurl.name},
    const struct wanted wanted[] = {CURL_FUNCTIONS(CURL_WANTED)};
    if (libcurl.global_init)
        return 0;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; library && i < sizeof wanted / sizeof wanted[0]; i++) {
        void *found = dlsym(library, wanted[i].name);
        if (!found) {
            memset(&libcurl, 0, sizeof libcurl);
            library = NULL;
        } else {
            memcpy(wanted[i].place, &found, sizeof found); /* C cannot cast an object pointer to a function pointer */
        }
    }
    if (!library) {
        err_set(e, ERR_CONFIG, 0, "can't load " LIBRARY ": %s", dlerror());
        return err_hint(e, "install libcurl 7.87 or later; on Debian: apt-get install libcurl4");
    }
    if (libcurl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        return 0;
    memset(&libcurl, 0, sizeof libcurl);
    return err_nomem(e, 0);
}
