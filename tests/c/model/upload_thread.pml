/* The upload thread: csrc/uploading.c. Part of upload.pml. */

inline end_copy() {
  atomic { copies ? s, b; landed-- }
  used[s] = false;
  release_buffer(b);
#ifndef NO_SLOT_BELL
  ring(arrived);
#endif
  atomic { s = 0; b = 0 }
}

/* has_room() */
inline look_for_room() {
  if
#ifndef OVERTAKE
  :: spilled -> room = false
#endif
  :: else ->
    if
    :: on_device >= WAITING -> room = false
    :: else ->
#if FIXED
      if
      :: in_hand -> room = true
      :: atomic { !in_hand && users[turn] == 0 ->
          take_buffer(b);
          b = 0;
          in_hand = true;
          starved = false;
          room = true
        }
      :: atomic { !in_hand && users[turn] > 0 -> room = false }
        if
        :: !starved -> starved = true; ring(arrived)
        :: else
        fi
      fi
#else
      room = true
#endif
    fi
  fi
}

#define TAKABLE (state[head % ENTRIES] == READY && number[head % ENTRIES] == head)

/* ff_ring_take() */
inline take_batch() {
  if
  :: atomic { TAKABLE ->
      n = head;
      s = slot[n % ENTRIES];
      is_cancelled = cancelled[n % ENTRIES];
      assert(is_cancelled || content[s] == n + 1);
      taken = true;
      d_step { slot[n % ENTRIES] = 0; number[n % ENTRIES] = 0; cancelled[n % ENTRIES] = false }
      state[head % ENTRIES] = EMPTY
    }
    head++
  :: atomic { !TAKABLE -> skip }
  fi
}

inline pass_on() {
  if
  :: is_cancelled || n == SPILLED || n < skip_below ->
    if
    :: n == SPILLED && !is_cancelled -> spilled = true
    :: else
    fi;
    ready.news = false;
    arrivals ! n, s, NONE, (n == SPILLED && !is_cancelled)
  :: else ->
    atomic {
#if FIXED
      b = (turn + FIXED - 1) % FIXED; /* that in hand: the consumer's, and the copy's */
      users[b]++;
      in_hand = false;
#else
      b = NONE;
#endif
      stream ! s, n;
      copies ! s, b
    }
#ifdef EARLY_FREE
    used[s] = false;
#endif
    on_device++;
    ready.news = false;
    arrivals ! n, NONE, b, false
  fi;
  ring(arrived);
  atomic { taken = false; is_cancelled = false; n = 0; s = 0; b = 0 }
}

inline end_look() { d_step { looking = false; fresh = false } }

/* `untold`: there was news when this turn's look began, of which the consumer does not know. */
inline sleep_on_ring() {
  if
  :: untold -> d_step { ready.news = fresh; untold = false } ring(arrived)
  :: else
  fi;
  if
  :: stopping -> end_look(); goto again
  :: else
  fi;
#ifndef ANNOUNCE_LATE
  announce(ready);
#endif
  take_batch();
#ifdef ANNOUNCE_LATE
  announce(ready);
#endif
  if
  :: taken || fresh || !ready.listens -> end_look()
  :: else -> end_look(); park(ready); !ready.asleep; take_batch()
  fi
}

inline sleep_without_room() {
#ifndef NAP_ANNOUNCE_LATE
  announce(pool);
#endif
  look_for_room();
#ifdef NAP_ANNOUNCE_LATE
  announce(pool);
#endif
  if
  :: room || stopping
  :: else ->
    park(pool);
    if
    :: !pool.asleep
#ifdef STEPS
    :: atomic { pool.asleep && training && !napped -> napped = true; pool.asleep = false }
#endif
    fi;
    ring(arrived)
  fi
}

proctype uploader() {
  byte n, s, b, i;
  bool was, room, taken, is_cancelled, starved, untold;
again:
  do
  :: stopping -> break
  :: else ->
    do
    :: landed > 0 -> end_copy()
    :: else -> break
    od;
#ifndef NO_WAKE_IDLE
    wake_idle();
#endif
    look_for_room();
    if
    :: room ->
      d_step { untold = ready.news; looking = true }
      take_batch();
      if
      :: taken || len(copies) > 0 -> untold = false; end_look()
      :: else -> sleep_on_ring()
      fi
    :: else
    fi;
    if
    :: taken -> pass_on()
    :: !taken && len(copies) > 0 -> landed > 0
    :: !taken && len(copies) == 0 && !room -> sleep_without_room()
    :: !taken && len(copies) == 0 && room
    fi;
    room = false
  od;
  do
  :: len(copies) > 0 -> landed > 0; end_copy()
  :: else -> break
  od
}
