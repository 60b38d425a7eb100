/* Ends a test program in which nothing moves any more, and says where.
 *
 * It is a thread and not SIGALRM: ThreadSanitizer holds signals back while a thread sleeps in a
 * futex, which is where a lost wake-up would leave it. No test asserts how long anything took; the
 * limit is far above every real step.
 */
#ifndef FASTFEED_WATCHDOG_H
#define FASTFEED_WATCHDOG_H

#include "ring.h"

#define WATCHDOG_SECONDS 60

/* Once, at the start of main(). */
void watchdog_start(void);
/* Something moved: `suspect` (which must outlive the program) is what runs now. Any thread. */
void watchdog_now(const char *suspect);
/* The same suspect still moves. Any thread. */
void watchdog_pat(void);
/* The ring whose words are printed if it bites; NULL before its memory goes. */
void watchdog_ring(const ff_ring *ring);

#endif
