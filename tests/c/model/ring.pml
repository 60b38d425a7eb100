/* The protocol of csrc/ring*.c and csrc/monitor.c, for Spin. What it can and cannot show: README.md.
 *
 * One statement (or one atomic) here is one access to shared memory there, in the same order; what
 * only its owner sees or changes is put together with its neighbour. Memory is sequentially
 * consistent. A worker may be killed before any of its statements. Nobody sleeps with a time-out,
 * so that a lost wake-up is a state that nothing leaves: Spin's "invalid end state".
 */
#ifndef TICKETS
#define TICKETS 2
#endif
#ifndef ENTRIES
#define ENTRIES 1 /* each has its slot */
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef WORKERS
#define WORKERS 2 /* or 1 */
#endif
#ifndef PARTS
#define PARTS 1 /* or 2: of each batch, in the hands of different workers */
#endif
#define LAST (WORKERS - 1)
#define PROCESSES 4 /* ever started: WORKERS + KILLS, or more */

mtype = { EMPTY, OPEN, FILLING, READY };

/* -- shared memory --------------------------------------------------------------------------- */

mtype state[ENTRIES] = EMPTY; /* these four are one word */
byte number[ENTRIES];
byte attempt[ENTRIES];
byte owner[ENTRIES];
byte slot[ENTRIES]; /* 0: half written; n + 1: the batch of ticket n */
byte work, sleepers, head, tail;
byte publications; /* together the word `ready` */
bool parent_bit;
bool running = true;

/* -- the kernel ------------------------------------------------------------------------------ */

bool alive[PROCESSES], asleep[PROCESSES], parent_asleep;
bool gone[WORKERS]; /* the pidfd of that worker's process is readable */
byte process_of[WORKERS], started;

/* FUTEX_WAKE of one: the kernel may choose any that sleeps. */
inline wake_one_worker() {
  atomic {
    if
    :: asleep[0] -> asleep[0] = false
    :: asleep[1] -> asleep[1] = false
    :: asleep[2] -> asleep[2] = false
    :: asleep[3] -> asleep[3] = false
    :: else
    fi
  }
}

inline wake_all_workers() {
  d_step { asleep[0] = false; asleep[1] = false; asleep[2] = false; asleep[3] = false }
}

inline start_worker(w) {
  process_of[w] = started;
  alive[started] = true;
  run worker(w, started);
  started++
}

inline kill(w) {
  alive[process_of[w]] = false;
  asleep[process_of[w]] = false; /* it leaves the futex's queue; a wake-up it had is lost */
  gone[w] = true
}

/* With one kill, which worker dies makes no difference: they are alike. */
proctype killer() {
  byte kills;
end:
  do
  :: atomic { kills < KILLS && alive[process_of[0]] -> kill(0); kills++ }
#if KILLS > 1
  :: atomic { kills < KILLS && alive[process_of[LAST]] -> kill(LAST); kills++ }
#endif
  od
}

/* -- a worker -------------------------------------------------------------------------------- */

proctype worker(byte me, process) {
  byte seen, last, n, try;
  bool wake;
  {
    skip; /* Spin wants no label here */
again:
#ifdef RUN_FIRST
    if :: !running -> goto home :: else fi;
    seen = work;
#else
    seen = work;
    if :: !running -> goto home :: else fi;
#endif
    atomic { last = tail; n = head }
    do
    :: atomic { /* a guess that is right, and the swap: another guess would change nothing */
        n < last ->
        if
        :: state[n % ENTRIES] == OPEN ->
          n = number[n % ENTRIES];
          try = attempt[n % ENTRIES];
          owner[n % ENTRIES] = me;
          state[n % ENTRIES] = FILLING;
          goto fill
        :: else -> n++
        fi
      }
    :: atomic { n >= last -> sleepers++; n = 0; last = 0; break }
    od;
    atomic { if :: work == seen -> asleep[process] = true :: else fi; seen = 0 }
    atomic { !asleep[process]; sleepers-- }
    goto again;

fill:
    atomic { slot[n % ENTRIES] = 0; seen = 0; last = 0 }
    slot[n % ENTRIES] = n + 1;
    atomic { /* the swap cannot fail: the living never lose a ticket */
      assert(state[n % ENTRIES] == FILLING && owner[n % ENTRIES] == me);
      assert(number[n % ENTRIES] == n && attempt[n % ENTRIES] == try);
      state[n % ENTRIES] = READY;
      n = 0;
      try = 0
    }
    d_step { publications++; wake = parent_bit }
    if
    :: wake -> d_step { parent_bit = false; wake = false }; parent_asleep = false
    :: else
    fi;
    goto again;

home:
    skip
  } unless {
    atomic { !alive[process] -> seen = 0; last = 0; n = 0; try = 0; wake = false }
  }
}

/* -- the parent ------------------------------------------------------------------------------ */

bool locked, died[WORKERS]; /* of the monitor */
byte deaths;

/* Stable: only the parent changes what it waits for here. */
#define OTHER(n) ((n + PARTS - 1) % ENTRIES) /* the last part's entry, or the only one's */
#define POSTABLE \
  (tail < TICKETS && state[tail % ENTRIES] == EMPTY && state[OTHER(tail)] == EMPTY)
#define IS_READY(entry, n) (state[entry] == READY && number[entry] == n)
/* Two loads there, one after the other; what is ready stays so until the parent takes it. */
#ifdef ANY_PART
#define TAKABLE IS_READY(head % ENTRIES, head)
#else
#define TAKABLE (IS_READY(head % ENTRIES, head) && IS_READY(OTHER(head), head + PARTS - 1))
#endif

inline open_part(n) {
  number[(n) % ENTRIES] = n;
  attempt[(n) % ENTRIES] = 0;
  state[(n) % ENTRIES] = OPEN
}

inline tell_workers() {
#if PARTS > 1
  atomic { open_part(tail + 1) }
#endif
  tail = tail + PARTS;
  work++;
  if
  :: sleepers > 0 ->
    atomic {
      wake_one_worker();
#if PARTS > 1
      wake_one_worker()
#endif
    }
  :: else
  fi
}

inline take() {
  assert(slot[head % ENTRIES] == head + 1); /* whole, and of this ticket */
  assert(slot[OTHER(head)] == head + PARTS);
  state[head % ENTRIES] = EMPTY;
  state[OTHER(head)] = EMPTY
}

inline replace_dead() {
  do
  :: atomic { !locked && died[0] -> died[0] = false; start_worker(0) }
  :: atomic { !locked && died[LAST] -> died[LAST] = false; start_worker(LAST) }
  :: atomic { !locked && !died[0] && !died[LAST] -> break }
  od
}

/* Ends with a batch taken, or with nothing, for the caller to look around. */
inline take_wait() {
  if
  :: atomic { TAKABLE -> take() } head = head + PARTS
  :: atomic { !TAKABLE -> skip }
    d_step { parent_bit = true; seen = publications }
    if
#ifndef NO_SECOND_LOOK
    :: atomic { TAKABLE -> take() } head = head + PARTS
    :: atomic { !TAKABLE -> skip }
#else
    :: skip
#endif
      if
      :: deaths != deaths_seen
      :: else ->
        atomic {
          if
          :: publications == seen && parent_bit -> parent_asleep = true
          :: else
          fi
        }
        !parent_asleep;
        if
        :: atomic { TAKABLE -> take() } head = head + PARTS
        :: atomic { !TAKABLE -> skip }
        fi
      fi
    fi
  fi;
  seen = 0
}

proctype parent() {
  byte seen, deaths_seen;
  do
  :: atomic { POSTABLE -> open_part(tail) }
    tell_workers()
  :: atomic { !POSTABLE && head < TICKETS -> skip }
    if
    :: atomic { deaths != deaths_seen -> deaths_seen = deaths }
      if
      :: replace_dead()
      :: alive[process_of[0]] || alive[process_of[LAST]] /* later, or never: it is a smaller crew */
      fi
    :: else
    fi;
    take_wait()
  :: head == TICKETS -> break
  od;
  running = false;
  work++;
  wake_all_workers()
}

proctype monitor() {
  byte w, i;
end:
  do
  :: atomic {
      if
      :: gone[0] && !locked -> w = 0
      :: gone[LAST] && !locked -> w = LAST
      fi;
      gone[w] = false;
      died[w] = true;
      locked = true
    }
#ifdef UNLOCKED
    locked = false;
#endif
#ifndef COUNT_LATE
    deaths++;
#endif
    do
    :: atomic {
        i < ENTRIES ->
        if
        :: state[i] == FILLING && owner[i] == w -> attempt[i]++; state[i] = OPEN
        :: else
        fi;
        i++
      }
    :: atomic { i == ENTRIES -> i = 0; break }
    od;
#ifndef NO_WAKE
    work++;
    wake_all_workers();
#endif
#ifndef NO_WAKE_PARENT
    publications++;
    parent_asleep = false;
#endif
#ifdef COUNT_LATE
    deaths++;
#endif
    atomic { locked = false; w = 0 }
  od
}

init {
  atomic {
    run parent();
    run monitor();
    run killer();
    start_worker(0);
#if WORKERS > 1
    start_worker(1)
#endif
  }
}
