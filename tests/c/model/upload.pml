/* The protocol of csrc/upload.c and csrc/uploading.c, on that of csrc/ring*.c, for Spin: the device
 * and the workers here, the upload thread and the training thread ("the consumer") in files of their
 * own. What it shows: README.md.
 *
 * As in ring.pml one statement (or one atomic) is one access to shared memory there, in the same
 * order, memory is sequentially consistent, and nobody sleeps with a time-out, not even for a nap.
 * Tickets are posted quietly and taken in order. Nobody dies: that is ring.pml.
 */
#ifndef TICKETS
#define TICKETS 3
#endif
#ifndef ENTRIES
#define ENTRIES 2
#endif
#ifndef SLOTS
#define SLOTS 2 /* to 3 */
#endif
#ifndef WORKERS
#define WORKERS 1 /* or 2 */
#endif
#ifndef WAITING
#define WAITING 1 /* batches on the device that wait for the consumer, at the most */
#endif
#ifndef AHEAD
#define AHEAD 2 /* tickets posted and not handed out, at the most */
#endif
#ifndef FIXED
#define FIXED 0 /* so many buffers, in turn; 0: there always is one */
#endif
#ifndef SPILLED
#define SPILLED 99 /* the ticket whose batch is larger than its slot */
#endif
#define LAST (WORKERS - 1)
#define NONE 99

mtype = { EMPTY, OPEN, FILLING, READY };

/* -- shared memory --------------------------------------------------------------------------- */

mtype state[ENTRIES] = EMPTY; /* these four are one word and its ticket */
byte number[ENTRIES];
byte slot[ENTRIES];
bool cancelled[ENTRIES];
byte head, tail, sleepers;
bool running = true, stopping;
byte skip_below;

bool used[SLOTS];
byte content[SLOTS]; /* n + 1: the batch of ticket n */

bool spilled;   /* one was passed on, and the consumer is not done with it */
bool in_hand;   /* the upload thread has the buffer before `turn` for the next batch */
byte turn;      /* the next fixed buffer */
byte users[FIXED + 1]; /* of a fixed buffer; 0: it is free */
byte on_device; /* arrivals with a buffer */
chan arrivals = [TICKETS] of { byte, byte, byte, bool }; /* ticket, slot, buffer, is it spilled */

/* A word that one thread sleeps on: its bit 0, and whether the rest has changed since that was set
 * and since the thread last noted it. What nobody asks for is left false, to have fewer states. */
typedef word { bool listens; bool changed; bool news; bool asleep };
word pool;    /* the upload thread, for room */
word ready;   /* the same, for publications */
word arrived; /* the consumer */
bool looking, fresh; /* the upload thread has noted `ready` for a look; it has changed since */
bool work_changed[2] = true, asleep[2]; /* of each worker; true also when it does not look */

bool training, napped; /* the consumer, for ever; a nap has ended since */

/* -- waking, and the kernel ------------------------------------------------------------------- */

inline change(w) { w.changed = w.listens; w.news = true }
inline wake(w) { /* `was` is the caller's, here and below */
  if
  :: was -> d_step { w.listens = false; w.changed = false; was = false } w.asleep = false
  :: else
  fi
}

inline ring(w) {
  d_step { was = w.listens; change(w) }
  wake(w)
}

inline notify_uploader() {
  d_step { was = ready.listens; change(ready); fresh = looking }
  wake(ready)
}

/* ff_ring_wake_taker() */
inline wake_uploader() {
  d_step { change(ready); fresh = looking }
  ready.asleep = false
}

inline announce(w) { d_step { w.listens = true; w.changed = false } }
inline park(w) {
  atomic {
    if
    :: w.listens && !w.changed -> w.asleep = true
    :: else
    fi;
    w.changed = false
  }
}

inline change_work() { d_step { work_changed[0] = true; work_changed[1] = true } }
inline wake_all_workers() { d_step { asleep[0] = false; asleep[1] = false } }
inline wake_one_worker() {
  atomic {
    if
    :: asleep[0] -> asleep[0] = false
    :: asleep[1] -> asleep[1] = false
    :: else
    fi
  }
}

/* ff_ring_wake_idle(): a look at one entry after the other. */
inline wake_idle() {
  if
  :: sleepers == 0
  :: atomic { sleepers > 0 -> i = head }
    do
    :: atomic { i < tail && state[i % ENTRIES] == OPEN -> i = 0 } wake_all_workers(); break
    :: atomic { i < tail && state[i % ENTRIES] != OPEN -> i++ }
    :: atomic { i >= tail -> i = 0; break }
    od
  fi
}

/* -- a worker -------------------------------------------------------------------------------- */

proctype worker(byte me) {
  byte last, n;
  bool was;
again:
  work_changed[me] = false;
  if :: !running -> goto home :: else fi;
  atomic { last = tail; n = head }
  do
  :: atomic {
      n < last ->
      if
      :: state[n % ENTRIES] == OPEN ->
        state[n % ENTRIES] = FILLING;
        work_changed[me] = true;
        n = number[n % ENTRIES];
        last = 0;
        goto fill
      :: else -> n++
      fi
    }
  :: atomic { n >= last -> sleepers++; n = 0; last = 0; break }
  od;
  atomic { if :: !work_changed[me] -> asleep[me] = true; work_changed[me] = true :: else fi }
  atomic { !asleep[me]; sleepers-- }
  goto again;
fill:
#ifdef SLOW
  if
  :: n == SLOW ->
end_slow:
    false
  :: else
  fi;
#endif
  content[slot[n % ENTRIES]] = n + 1;
  atomic { state[n % ENTRIES] = READY; n = 0 }
  notify_uploader();
  goto again;
home:
  skip
}

/* -- the device: copies, one after the other --------------------------------------------------- */

chan stream = [SLOTS] of { byte /* slot */, byte /* ticket */ };
chan copies = [SLOTS] of { byte /* slot */, byte /* buffer */ }; /* the upload thread's own */
byte landed; /* copies that are done, and still in `copies` */

proctype device() {
  byte s, n;
end:
  do
  :: atomic { stream ? s, n -> assert(content[s] == n + 1); landed++; s = 0; n = 0 }
  od
}

inline release_buffer(b) {
  if
  :: atomic { b == NONE || users[b] > 1 -> if :: b != NONE -> users[b]-- :: else fi }
  :: atomic { else -> users[b]-- }
    ring(pool)
  fi
}

/* Guarded by the caller: the next fixed buffer is free. */
inline take_buffer(b) {
  b = turn;
  users[turn] = 1;
  turn = (turn + 1) % FIXED
}

#include "upload_thread.pml"
#include "upload_consumer.pml"

#ifdef STEPS
/* Nothing moves, for the consumer trains or a worker is slow: nobody sleeps on an open ticket. */
proctype watch() {
  byte i;
end:
  atomic {
    timeout ->
    i = head;
    do
    :: i < tail -> assert(state[i % ENTRIES] != OPEN || !(asleep[0] || asleep[LAST])); i++
    :: else -> break
    od
  }
}
#endif

init {
  atomic {
    run consumer();
    run uploader();
    run device();
#ifdef STEPS
    run watch();
#endif
    run worker(0);
#if WORKERS > 1
    run worker(1)
#endif
  }
}
