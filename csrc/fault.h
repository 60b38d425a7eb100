/* Places where a test build may step in.
 *
 * In a normal build FF_FAULT() is nothing. With -DFF_FAULT_INJECTION the program supplies
 * ff_fault(). In a worker it may send SIGKILL to itself (tests/c/kill_test.c): the protocol must
 * survive a death at each of those points. In the parent, whose death ends everything, it may do
 * what another thread or process could do just then (tests/c/test_taker.c).
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
  FF_FAULT_POINTS, /* of a worker; those of the parent follow */
  FF_PASSING = FF_FAULT_POINTS, /* the taker found no batch at an entry and goes on to the next */
  FF_AFTER_TAKE, /* the entry is free for whoever posts, `head` is where it was */
};

#ifdef FF_FAULT_INJECTION
void ff_fault(enum ff_fault_point point);
#define FF_FAULT(point) ff_fault(point)
#else
#define FF_FAULT(point) ((void)0)
#endif

#endif
