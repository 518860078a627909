/* daemon/left.h - what a stop still waits for, for the log. Main thread only. */
#ifndef SEAWALL_DAEMON_LEFT_H
#define SEAWALL_DAEMON_LEFT_H

#include "daemon/fleet.h"

#define LEFT_TEXT_MAX 1000

/* Writes how many databases are not durable yet, what the first of them lacks, and when it is given up. False: nothing
 * is waited for. */
bool left_text(const struct fleet *f, int64_t now_ms, char out[LEFT_TEXT_MAX]);

#endif
