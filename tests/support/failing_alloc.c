/* support/failing_alloc.c - the linker sends the allocations of each unit test here (--wrap, see the Makefile). */
#include "failing_alloc.h"

static _Thread_local unsigned long left; /* allocations until one fails; 0: none will */
static _Thread_local bool failed;

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *text);

static bool fails(void)
{
    if (left == 0 || --left > 0)
        return false;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t n);
void *__wrap_calloc(size_t count, size_t n)
{
    return fails() ? NULL : __real_calloc(count, n);
}

void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

void failing_alloc_arm(unsigned long nth)
{
    left = nth;
    failed = false;
}

bool failing_alloc_disarm(void)
{
    left = 0;
    return failed;
}
