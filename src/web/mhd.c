/* web/mhd.c */
#include "web/mhd.h"

#include <dlfcn.h>
#include <string.h>

#define LIBRARY "libmicrohttpd.so.12" /* of 0.9.5 from 2013 to 1.0 */

struct mhd_functions mhd;

int mhd_load(struct err *e)
{
#define MHD_WANTED(name) {"MHD_" #name, &mhd.name},
    const struct {
        const char *name;
        void *place; /* where the address of the function goes */
    } wanted[] = {MHD_FUNCTIONS(MHD_WANTED)};
    if (mhd.start_daemon)
        return 0;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; library && i < sizeof wanted / sizeof wanted[0]; i++) {
        void *found = dlsym(library, wanted[i].name);
        if (!found) {
            memset(&mhd, 0, sizeof mhd);
            library = NULL;
        } else {
            memcpy(wanted[i].place, &found, sizeof found); /* C cannot cast an object pointer to a function pointer */
        }
    }
    if (library)
        return 0;
    err_set(e, ERR_CONFIG, 0, "can't load " LIBRARY ": %s", dlerror());
    return err_hint(e, "install libmicrohttpd 0.9.75 or later; on Debian: apt-get install libmicrohttpd12");
}
