/* The training thread: csrc/upload.c and fastfeed/feed.py. Part of upload.pml. */

/* What ff_ring_post_quietly() looks for, in order not to wake anybody. */
inline look_for_ready() {
#ifdef NO_LOOK
  found = true
#else
#ifdef ANY_READY
  i = head;
  do
  :: atomic { i < tail && state[i % ENTRIES] == READY -> found = true; i = 0; break }
  :: atomic { i < tail && state[i % ENTRIES] != READY -> i++ }
  :: atomic { i >= tail -> i = 0; break }
  od
#else
  i = head;
  atomic { found = state[i % ENTRIES] == READY && number[i % ENTRIES] == i; i = 0 }
#endif
#endif
}

#define FULL (used[0] && used[SLOTS / 2] && used[SLOTS - 1])
#define ROOM (tail < TICKETS && tail - expected < AHEAD && state[tail % ENTRIES] == EMPTY && !FULL)
inline post() {
  do
  :: atomic { ROOM ->
      do
      :: used[s] -> s++
      :: else -> break
      od;
      used[s] = true;
      number[tail % ENTRIES] = tail;
      slot[tail % ENTRIES] = s;
      cancelled[tail % ENTRIES] = false;
      state[tail % ENTRIES] = OPEN;
      s = 0
    }
    tail++;
#ifndef LOOK_FIRST
    change_work();
#endif
    look_for_ready();
#ifdef LOOK_FIRST
    change_work();
#endif
    if
    :: found -> found = false
    :: else ->
      change_work();
      if
      :: sleepers > 0 -> wake_one_worker()
      :: else
      fi
    fi
  :: else -> break
  od
}

/* ff_uploader_take() */
inline take() {
  if
  :: took_spilled ->
    took_spilled = false;
    spilled = false;
#ifndef NO_SPILLED_BELL
    ring(pool)
#endif
  :: else
  fi;
  if
  :: atomic { nempty(arrivals) ->
      arrivals ? n, s, b, took_spilled;
      assert(n == expected); /* none twice, none left out, in order */
      got = true;
      if
      :: s == NONE -> on_device--
      :: else
      fi
    }
#ifndef NO_POOL_BELL
    if
    :: on_device == 0 -> ring(pool)
    :: else
    fi
#endif
  :: empty(arrivals)
  fi
}

inline take_wait() {
#ifndef LISTEN_LATE
  announce(arrived);
#endif
  take();
#ifdef LISTEN_LATE
  announce(arrived);
#endif
  if
  :: got
#ifndef NO_HEARING
  :: !got && arrived.news
#endif
  :: else ->
#ifndef NO_WAKE_BEFORE_PARK
    wake_idle();
#endif
    park(arrived);
    !arrived.asleep;
    take()
  fi;
  arrived.news = false
}

/* A batch that lies in no buffer, and is wanted, is uploaded here. */
inline open() {
  atomic {
    if
    :: took_spilled && n >= skip_below && FIXED ->
#if FIXED
      if
      :: in_hand -> in_hand = false; b = (turn + FIXED - 1) % FIXED
      :: else -> users[turn] == 0 -> take_buffer(b)
      fi
#else
      skip
#endif
    :: else
    fi;
    if
    :: s != NONE -> used[s] = false
    :: else
    fi;
    expected++;
    got = false;
    s = 0
  }
}

/* The user has the new batch, and drops the one before. Of an epoch that was left he sees none. */
inline hand_out() {
  if
  :: n < skip_below -> release_buffer(b)
  :: n >= skip_below && kept == NONE -> kept = b
  :: n >= skip_below && kept != NONE -> release_buffer(kept); kept = b
  fi;
  atomic { n = 0; b = 0 }
}

/* Leave an epoch: ff_ring_cancel() and ff_uploader_skip_below(). */
inline leave() {
  i = head;
  do
  :: atomic { i < tail ->
      if
      :: state[i % ENTRIES] == OPEN ->
        cancelled[i % ENTRIES] = true;
        state[i % ENTRIES] = READY;
        found = true
      :: else
      fi;
      i++
    }
  :: atomic { i >= tail -> i = 0; break }
  od;
#ifndef NO_CANCEL_BELL
  if
  :: found -> found = false; wake_uploader()
  :: else
  fi;
#endif
  atomic { found = false; skip_below = tail }
}

proctype consumer() {
  byte expected, n, s, b, i, kept = NONE;
  bool was, found, got, took_spilled;
  do
  :: expected == TICKETS -> break
  :: else ->
    take();
    arrived.news = false;
    do
    :: got -> break
    :: else ->
      post();
#ifdef STOPS
      if :: goto stop :: skip fi;
#endif
      take_wait()
    od;
    open();
    post();
    hand_out();
#ifdef LEAVES
    if
    :: skip_below == 0 -> leave()
    :: skip
    fi;
#endif
#ifdef STOPS
    if :: goto stop :: skip fi;
#endif
#ifdef STEPS
    if
    :: training = true;
end_training:
      false
    :: skip
    fi
#endif
  od;
stop:
  stopping = true;
  ring(pool);
#ifndef NO_STOP_BELL
  wake_uploader();
#endif
  running = false;
  change_work();
  wake_all_workers()
}
