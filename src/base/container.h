/* base/container.h - from a member to the struct that holds it. */
#ifndef SEAWALL_BASE_CONTAINER_H
#define SEAWALL_BASE_CONTAINER_H

#include <stddef.h>

/* The struct `type` whose `member` is at `pointer`. */
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

#endif
