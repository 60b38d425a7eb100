# Part of _core.pyx: the straight way of tickets and batches through the parent.

@cython.final
cdef class Run:
    """Tickets of one epoch, to be posted one after the other.

    Parameters
    ----------
    epoch : int
    first, count : int
        Positions `first` to `first + count - 1`.
    items : array of int64, optional
        The item at each position; without it they are the positions themselves.
    worker : int
        The only one that may claim them.
    """

    cdef uint32_t epoch
    cdef uint32_t worker
    cdef uint64_t position
    cdef uint64_t stop
    cdef const int64_t[::1] items

    def __cinit__(self, uint32_t epoch, uint64_t first, uint64_t count,
                  const int64_t[::1] items=None, uint32_t worker=FF_ANY_WORKER):
        cdef uint64_t last = UINT64_MAX if items is None else <uint64_t>items.shape[0]
        if first > last or count > last - first:
            raise CoreError(errno.ERANGE, f"{count} from {first} of {last} items")
        self.epoch = epoch
        self.worker = worker
        self.position = first
        self.stop = first + count
        self.items = items

    cdef uint64_t item(self):
        return self.position if self.items is None else <uint64_t>self.items[self.position]


@cython.final
cdef class Belt:
    """Posts tickets, and opens batches of which nothing is unusual. What is, Python looks at.

    Parameters
    ----------
    ring : Ring
    ahead : int
        Tickets posted whose batches were not handed out, at the most.
    ahead_at_first : int
        The same as long as the size of a batch is not known.

    Attributes
    ----------
    held : int
        Tickets posted whose batches were neither handed out nor thrown away.
    due : int
        Batches that the epoch has still to give; nobody opens one when there are none.
    batches, data_bytes : int
        Handed out so far.
    run : Run or None
        What is posted next.
    quiet : bool
        Leave it to the upload thread to wake workers, as long as it has something to do.
    """

    cdef Ring ring
    cdef uint32_t ahead
    cdef uint32_t limit
    cdef readonly uint64_t posted
    cdef public uint64_t held
    cdef public uint64_t due
    cdef public uint64_t batches
    cdef public uint64_t data_bytes
    cdef public Run run
    cdef public bint quiet
    # where batches go
    cdef Segment segment
    cdef uint32_t number
    cdef uint32_t most_kept
    # what an unremarkable batch is
    cdef uint32_t epoch
    cdef uint64_t oldest
    cdef bint straight
    cdef bytes note
    cdef object skeleton

    def __cinit__(self, Ring ring not None, uint32_t ahead, uint32_t ahead_at_first):
        self.ring = ring
        self.ahead = ahead
        self.limit = ahead_at_first

    def use(self, Segment segment not None, uint32_t number, uint32_t most_kept):
        """Let tickets have slots of this segment from now on; the user may keep `most_kept`."""
        self.segment = segment
        self.number = number
        self.most_kept = most_kept
        self.limit = self.ahead

    def close(self):
        """Let go of the memory."""
        self.segment = None

    def begin(self, uint32_t epoch, uint64_t due, uint64_t oldest):
        """Start an epoch. Tickets with a number below `oldest` belong to a loop that was left."""
        self.epoch = epoch
        self.due = due
        self.oldest = oldest
        self.straight = True

    def expect(self, bytes note not None, skeleton):
        """Take `skeleton` for the meaning of this note."""
        self.note = note
        self.skeleton = skeleton

    def look_closely(self):
        """Leave every batch to Python until the next epoch begins."""
        self.straight = False

    def post(self):
        """Post as many tickets as there is room for. True: there is room for more than the run has.
        """
        while self.held < self.limit:
            if self.run is None or self.run.position == self.run.stop:
                return True
            if not self.post_next():
                return False
        return False

    cdef bint post_next(self) except -1:
        cdef Run run = self.run
        cdef uint32_t slot = 0
        cdef ff_ticket ticket
        if run.worker != FF_ANY_WORKER:
            self.ring.check_worker(run.worker)
        ticket.index = run.item()
        ticket.epoch = run.epoch
        ticket.segment = FF_NO_SEGMENT
        ticket.offset = ticket.capacity = 0
        if self.segment is not None:
            if ff_slot_acquire(self.segment.segment, &slot) != 0:
                return False
            ticket.segment = self.number
            ticket.capacity = ff_segment_stride(self.segment.segment)
            ticket.offset = slot * ticket.capacity
        cdef int full = (ff_ring_post_quietly if self.quiet else ff_ring_post)(
            &self.ring.ring, &ticket, run.worker, &self.posted)
        if full:
            # Unordered: a slow ticket has been overtaken by all the others that there are.
            if self.segment is not None:
                self.segment.release(slot)
            return False
        self.posted += 1  # it was this ticket's number
        self.held += 1
        run.position += 1
        return True

    def open(self, Batch batch not None):
        """Return a batch's lease and its skeleton; None, and nothing is done, if it is unusual."""
        cdef const ff_batch *taken = &batch.arrival.batch
        if not (self.straight and taken.result.kind == FF_DATA and taken.ticket.epoch == self.epoch
                and taken.sequence >= self.oldest):
            return None
        if batch.arrival.buffer != NULL:
            if not self.is_expected(taken, batch.arrival.note):
                return None
            lease = batch.device_lease()
        elif self.is_usual(taken):
            lease = self.segment.lease(
                <uint32_t>(taken.ticket.offset // ff_segment_stride(self.segment.segment)))
        else:
            return None
        self.held -= 1
        self.due -= 1
        self.batches += 1
        self.data_bytes += taken.result.data_bytes
        return lease, self.skeleton

    cdef bint is_usual(self, const ff_batch *batch):
        """It lies in a slot as expected, of which the user does not keep too many."""
        cdef uint64_t end = batch.result.note_offset + batch.result.note_bytes
        return (not batch.result.spilled and self.segment is not None
                and batch.ticket.segment == self.number and self.kept() < self.most_kept
                and end >= batch.result.note_offset and end <= batch.ticket.capacity
                and self.is_expected(batch, <const uint8_t *>self.segment.base
                                     + batch.ticket.offset + batch.result.note_offset))

    cdef uint32_t kept(self):
        """Slots whose batches the user still has."""
        cdef const ff_segment *segment = self.segment.segment
        return ff_segment_in_use(segment) - ff_segment_bound(segment)

    cdef bint is_expected(self, const ff_batch *batch, const uint8_t *note):
        """Its note says what the last one said."""
        return (self.note is not None and batch.result.note_bytes == <uint64_t>len(self.note)
                and memcmp(note, <const char *>self.note, batch.result.note_bytes) == 0)
