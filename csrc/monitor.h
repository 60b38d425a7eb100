/* Sees workers die and repairs the ring, in a thread of the parent that never needs Python.
 *
 * Each worker process is watched through a descriptor that becomes readable when the whole
 * process is gone (a pidfd; where there is none, any pipe that only the worker holds). On a death
 * the thread reclaims the worker's tickets, wakes everybody and counts. Replacing the worker is
 * the parent's business: it compares ff_monitor_deaths() and asks ff_monitor_next_death().
 */
#ifndef FASTFEED_MONITOR_H
#define FASTFEED_MONITOR_H

#include "ring.h"

typedef struct ff_monitor ff_monitor;

/* `max_retries`: how often a ticket that killed its worker is given to another one. */
int ff_monitor_start(const ff_ring *ring, uint32_t max_retries, ff_monitor **monitor);
/* Watch `fd` for worker number `worker`; takes the descriptor. -EBUSY: the number is in use. */
int ff_monitor_watch(ff_monitor *monitor, uint32_t worker, int fd);
/* Deaths so far; the word's address is the alarm for ff_ring_take_wait(). */
const ff_a32 *ff_monitor_deaths(const ff_monitor *monitor);
/* A worker that has died and was not reported yet, or -EAGAIN. */
int ff_monitor_next_death(ff_monitor *monitor);
/* Ends the thread and frees it all. Workers still running are no longer watched. */
void ff_monitor_stop(ff_monitor *monitor);

#endif
