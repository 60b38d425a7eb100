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
/* -DUNORDERED: any batch that is finished is taken. -DCANCELS: the parent cancels, once, at any time.
 * -DGIVES_UP: a ticket is tried once. -DADDRESSED: batches are for the workers in turn. */
#define LAST (WORKERS - 1)
#define PROCESSES 4 /* ever started: WORKERS + KILLS, or more */

mtype = { EMPTY, OPEN, FILLING, READY };

/* -- shared memory --------------------------------------------------------------------------- */

mtype state[ENTRIES] = EMPTY; /* these four are one word */
byte number[ENTRIES];
byte attempt[ENTRIES];
byte owner[ENTRIES];
byte slot[ENTRIES]; /* 0: half written; n + 1: the batch of ticket n */
bool no_data[ENTRIES]; /* the result: cancelled, or given up */
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

#ifdef ADDRESSED
#define IS_FOR(entry, w) (number[entry] / PARTS % WORKERS == w)
#else
#define IS_FOR(entry, w) true
#endif

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
        :: state[n % ENTRIES] == OPEN && IS_FOR(n % ENTRIES, me) ->
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
#define IS_READY(n) (state[(n) % ENTRIES] == READY && number[(n) % ENTRIES] == n)
#define IS_OPEN(n) (state[(n) % ENTRIES] == OPEN && number[(n) % ENTRIES] == n)
#define IS_GONE(n) (state[(n) % ENTRIES] == EMPTY || number[(n) % ENTRIES] != n)

/* Of a batch of which part `n` is ready: one more load there. */
#if PARTS == 1 || defined(ANY_PART)
#define IS_FINISHED(n) true
#elif defined(BEHIND_READY)
#define IS_FINISHED(n) (n % 2 -> IS_GONE(n - 1) || IS_READY(n - 1) : IS_READY(n + 1))
#elif defined(ONLY_WHOLE)
#define IS_FINISHED(n) (n % 2 -> false : IS_READY(n + 1))
#else
#define IS_FINISHED(n) (n % 2 -> IS_GONE(n - 1) : IS_READY(n + 1))
#endif

inline open_part(n) {
  number[(n) % ENTRIES] = n;
  attempt[(n) % ENTRIES] = 0;
  no_data[(n) % ENTRIES] = false;
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
#if defined(ADDRESSED) && !defined(WAKE_ANY)
    wake_all_workers()
#else
    atomic {
      wake_one_worker();
#if PARTS > 1
      wake_one_worker()
#endif
    }
#endif
  :: else
  fi
}

inline take_one(n) {
  assert(no_data[(n) % ENTRIES] || slot[(n) % ENTRIES] == n + 1); /* whole, and of this ticket */
  state[(n) % ENTRIES] = EMPTY
}

/* All parts as one if all have data, else each by itself. */
inline take(n) {
#if PARTS > 1
  if
  :: n % 2 == 0 && !no_data[n % ENTRIES] && !no_data[OTHER(n)] -> take_one(n + 1)
  :: else
  fi;
#endif
  take_one(n)
}

/* `head` goes over all that is taken. Back to the caller of take_wait(), from wherever it looked. */
inline return_taken() {
  atomic {
    do
    :: head < tail && IS_GONE(head) -> head++
    :: else -> at = head; seen = 0; break
    od
  }
  goto around
}

/* `at` rests at `head`. */
inline look() {
#ifdef UNORDERED
  do
  :: atomic { at < tail && !IS_READY(at) -> at++ } /* it may be when the next one is looked at */
  :: atomic { at < tail && IS_READY(at) -> skip }
    if
    :: atomic { IS_FINISHED(at) -> take(at) } return_taken()
    :: atomic { !IS_FINISHED(at) -> at = (at / PARTS + 1) * PARTS }
    fi
  :: atomic { at >= tail -> at = head; break }
  od
#else
  if /* two loads in one: what is ready stays so until the parent takes it */
  :: atomic { IS_READY(at) && IS_FINISHED(at) -> take(at) } return_taken()
  :: else
  fi
#endif
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
  look();
  atomic { parent_bit = true; seen = publications }
#ifndef NO_SECOND_LOOK
  look();
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
    look()
  fi;
  seen = 0
}

inline cancel() {
  do
  :: atomic { at < tail && IS_OPEN(at) -> no_data[at % ENTRIES] = true; state[at % ENTRIES] = READY }
  :: atomic { at < tail && !IS_OPEN(at) -> at++ }
  :: atomic { at >= tail -> at = head; break }
  od
}

proctype parent() {
  byte seen, deaths_seen, at;
  bool cancelled;
around:
  do
  :: atomic { POSTABLE -> open_part(tail) }
    tell_workers()
  :: atomic { !POSTABLE && head < TICKETS -> skip }
    if
    :: atomic { deaths != deaths_seen -> deaths_seen = deaths }
      if
      :: replace_dead()
#ifndef ADDRESSED
      :: alive[process_of[0]] || alive[process_of[LAST]] /* later, or never: it is a smaller crew */
#endif
      fi
    :: else
    fi;
    take_wait()
#ifdef CANCELS
  :: atomic { !cancelled -> cancelled = true }
    cancel()
#endif
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
#ifdef GIVES_UP
        :: state[i] == FILLING && owner[i] == w -> no_data[i] = true; state[i] = READY
#else
        :: state[i] == FILLING && owner[i] == w -> attempt[i]++; state[i] = OPEN
#endif
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
