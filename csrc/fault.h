/* Places where a test build may kill the calling process (tests/c/kill_test.c).
 *
 * In a normal build FF_FAULT() is nothing. With -DFF_FAULT_INJECTION the program supplies
 * ff_fault(), which may send SIGKILL to itself: the protocol must survive a death at each.
 */
#ifndef FASTFEED_FAULT_H
#define FASTFEED_FAULT_H

enum ff_fault_point {
  FF_BEFORE_CLAIM,
  FF_AFTER_CLAIM,
  FF_WHILE_FILLING, /* called by the filling code of the test itself */
  FF_BEFORE_PUBLISH,
  FF_AFTER_PUBLISH,
  FF_BEFORE_WAKE,
  FF_BEFORE_SLEEP, /* counted as a sleeper, not yet asleep */
  FF_AFTER_SLEEP,  /* woken: the wake-up is lost with the process */
  FF_FAULT_POINTS,
};

#ifdef FF_FAULT_INJECTION
void ff_fault(enum ff_fault_point point);
#define FF_FAULT(point) ff_fault(point)
#else
#define FF_FAULT(point) ((void)0)
#endif

#endif
