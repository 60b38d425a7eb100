# Part of _core.pyx: the straight way of tickets and batches through the parent.

# A wait that is shorter counts as production: to see what else was finished takes as long, and takes
# the entries out of the caches of the workers that fill them.
cdef uint64_t WORTH_A_LOOK_NS = 20_000

# Who is slow, or has just been started, makes one of them where the others make the rest.
cdef uint32_t PARTS_A_WORKER = 4


@cython.final
cdef class Run:
    """Tickets of one epoch, to be posted one after the other.

    Parameters
    ----------
    epoch : int
    first, count : int
        The tickets' indices: `first` to `first + count - 1`.
    worker : int
        The only one that may claim them.
    order : Order, optional
        The tickets' indices are the items at `position`, `position + stride`, ... of it instead.
    position, stride, rows : int
        With rows: each ticket is for a batch of so many samples, `stride` positions after the one
        before.
    last_position, last_rows : int
        The same for the last ticket, which may be another.
    """

    cdef uint32_t epoch
    cdef uint32_t worker
    cdef uint64_t index
    cdef uint64_t stop
    cdef Order order
    cdef uint64_t position
    cdef uint64_t stride
    cdef uint32_t rows
    cdef uint64_t last_position
    cdef uint32_t last_rows

    def __cinit__(self, uint32_t epoch, uint64_t first, uint64_t count,
                  uint32_t worker=FF_ANY_WORKER, Order order=None, uint64_t position=0,
                  uint64_t stride=1, uint32_t rows=0, uint64_t last_position=0,
                  uint32_t last_rows=0):
        if count > UINT64_MAX - first:
            raise CoreError(errno.ERANGE, f"{count} tickets from {first} on")
        self.epoch = epoch
        self.worker = worker
        self.index = first
        self.stop = first + count
        self.order = order
        self.position = position
        self.stride = stride
        self.rows = rows
        self.last_position = last_position
        self.last_rows = last_rows

    cdef void describe(self, ff_ticket *ticket):
        """Write what the next ticket is for."""
        cdef bint last = self.rows and self.index + 1 == self.stop
        ticket.epoch = self.epoch
        ticket.index = self.index if self.order is None else self.order.at(self.position)
        ticket.position = self.last_position if last else self.position
        ticket.rows = ticket.batch_rows = self.last_rows if last else self.rows
        ticket.first_row = ticket.part = 0
        ticket.parts = 1

    cdef void advance(self):
        self.index += 1
        self.position += self.stride


@cython.final
cdef class Belt:
    """Posts tickets, and opens batches of which nothing is unusual. What is, Python looks at.

    Parameters
    ----------
    ring : Ring
    ahead : int
        Batches posted and not handed out, at the most.
    ahead_at_first : int
        The same as long as the size of a batch is not known.

    Attributes
    ----------
    posted, batches : int
        Tickets, and the batches of which they are parts.
    held : int
        Batches posted that were neither handed out nor thrown away.
    due : int
        Batches that the epoch has still to give; nobody opens one when there are none.
    run : Run or None
        What is posted next.
    quiet : bool
        Leave it to the upload thread to wake workers, as long as it has something to do.
    ahead : int
        May be changed, but not beyond the first value.
    look_at : int
        Batches after which `ask` calls for a look at how things go.
    workers : int
        Workers among whom a batch of samples is divided.
    most_parts : int
        Into so many parts at the most; 1: not at all.
    part_ns : int
        And into no more parts than the last batches took times this to make.
    """

    cdef Ring ring
    cdef uint32_t most_ahead
    cdef uint32_t _ahead
    cdef uint32_t limit
    cdef readonly uint64_t posted
    cdef readonly uint64_t batches
    cdef public uint32_t workers
    cdef public uint16_t most_parts
    cdef public uint64_t part_ns
    cdef uint64_t work_ns  # of the last few batches, on average; 0: there was none
    cdef public uint64_t held
    cdef public uint64_t due
    cdef public Run run
    cdef public bint quiet
    cdef public uint64_t look_at
    # where batches go
    cdef Segment segment
    cdef uint32_t number
    cdef uint32_t most_kept
    # what an unremarkable batch is
    cdef uint32_t epoch
    cdef uint64_t oldest
    cdef bint straight
    # what the journal is told; 0 where there was no batch before in this epoch
    cdef uint64_t asked_ns
    cdef uint64_t answered_ns
    cdef bint waits
    cdef bytes note
    cdef object skeleton

    def __cinit__(self, Ring ring not None, uint32_t ahead, uint32_t ahead_at_first):
        if ring.journal == NULL:
            raise CoreError(errno.EINVAL, "this ring is a worker's, and it has no journal")
        self.ring = ring
        self.most_ahead = ahead
        self.look_at = UINT64_MAX
        self.most_parts = self.workers = 1
        self.limit = ahead_at_first
        self.ahead = ahead

    @property
    def ahead(self):
        return self._ahead

    @ahead.setter
    def ahead(self, uint32_t ahead):
        if not 0 < ahead <= self.most_ahead:
            raise CoreError(errno.ERANGE, f"{ahead} tickets ahead, of at most {self.most_ahead}")
        self._ahead = ahead
        if self.segment is not None:
            self.limit = ahead
        ff_journal_ahead(self.ring.journal, ahead)

    def use(self, Segment segment not None, uint32_t number, uint32_t most_kept):
        """Let tickets have slots of this segment from now on; the user may keep `most_kept`."""
        self.segment = segment
        self.number = number
        self.most_kept = most_kept
        self.limit = self._ahead

    def close(self):
        """Let go of the memory."""
        self.segment = None

    def begin(self, uint32_t epoch, uint64_t due, uint64_t oldest):
        """Start an epoch. Tickets with a number below `oldest` belong to a loop that was left."""
        self.epoch = epoch
        self.due = due
        self.oldest = oldest
        self.straight = True
        self.answered_ns = 0

    def ask(self):
        """The consumer wants a batch, now. Returns whether `look_at` batches were posted."""
        self.asked_ns = ff_now_ns()
        if self.answered_ns:
            ff_journal_step(self.ring.journal, self.asked_ns - self.answered_ns)
        self.answered_ns = self.asked_ns
        return self.batches >= self.look_at

    def wait(self):
        """It begins to wait for one; or waits still: what is posted then is posted now."""
        if self.waits:
            self.answered_ns = ff_now_ns()
        self.waits = True
        ff_journal_waiting(self.ring.journal, self.asked_ns)

    def wake(self):
        """The waiting is over."""
        self.answered_ns = ff_now_ns()
        self.waits = False
        ff_journal_waiting(self.ring.journal, 0)

    cpdef int record(self, Batch batch) except -1:
        """Write into the journal that this batch, or its exception, is handed out now."""
        cdef const ff_batch *taken = &batch.arrival.batch
        cdef ff_record record
        # It may have become ready between the look at the clock and the look at the ring.
        self.answered_ns = max(self.answered_ns, taken.result.made_ns)
        record.index = taken.ticket.index
        record.epoch = taken.ticket.epoch
        record.worker = <uint16_t>taken.worker
        record.attempt = <uint8_t>taken.attempt
        record.kind = <uint8_t>taken.result.kind
        record.bytes = taken.result.data_bytes
        record.posted_ns = taken.ticket.posted_ns
        record.started_ns = taken.result.started_ns
        record.made_ns = taken.result.made_ns
        record.work_ns = taken.work_ns
        record.upload_ns = batch.arrival.upload_ns
        record.asked_ns = self.asked_ns
        record.answered_ns = self.answered_ns
        record.order_wait_ns = record.upload_wait_ns = 0
        if self.answered_ns - self.asked_ns > WORTH_A_LOOK_NS:
            self.split_wait(&record)
        ff_journal_write(self.ring.journal, taken.sequence, &record)
        self.learn(taken.work_ns)
        if taken.result.failed:
            ff_journal_failed(self.ring.journal, taken.result.failed)
        return 0

    cdef void split_wait(self, ff_record *record):
        """Say what the consumer waited for: that this batch was made (production), while others
        were finished already (order), or that it was on its way to the device (upload).
        """
        cdef uint64_t made = max(self.asked_ns, record.made_ns)
        cdef uint64_t other = ff_ring_first_made_ns(&self.ring.ring, made)
        record.order_wait_ns = made - max(self.asked_ns, min(other, made))
        if record.upload_ns:
            record.upload_wait_ns = self.answered_ns - made

    def expect(self, bytes note not None, skeleton):
        """Take `skeleton` for the meaning of this note."""
        self.note = note
        self.skeleton = skeleton

    def look_closely(self):
        """Leave every batch to Python until the next epoch begins."""
        self.straight = False

    def post(self):
        """Post as many batches as there is room for. True: there is room for more than the run has.
        """
        while self.held < self.limit:
            if self.run is None or self.run.index == self.run.stop:
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
        run.describe(&ticket)
        if ticket.rows:
            ticket.parts = self.parts_of(ticket.rows)
        ticket.posted_ns = self.answered_ns
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
        self.posted += ticket.parts  # it was the first one's number
        self.batches += 1
        self.held += 1
        run.advance()
        return True

    cdef uint16_t parts_of(self, uint32_t rows):
        """Into how many parts a batch of samples is divided now. The first ones into all there are:
        somebody waits for them, and nobody knows how long they take. Without slots every part
        brings memory for the whole batch.
        """
        cdef uint64_t worth = UINT64_MAX
        cdef uint32_t each = PARTS_A_WORKER if self.segment is not None else 1
        if self.workers == 1:
            return 1
        if self.part_ns and self.work_ns:
            worth = self.work_ns // self.part_ns
        return <uint16_t>max(1, min(worth, self.most_parts, each * self.workers, rows))

    cdef void learn(self, uint64_t work_ns):
        """Take a batch into the average: the last one counts an eighth."""
        if self.work_ns:
            self.work_ns = self.work_ns - self.work_ns // 8 + work_ns // 8
        else:
            self.work_ns = work_ns

    def open(self, Batch batch not None):
        """Return a batch's lease and its skeleton; None, and nothing is done, if it is unusual."""
        cdef const ff_batch *taken = &batch.arrival.batch
        if not (self.straight and taken.result.kind == FF_DATA and taken.ticket.epoch == self.epoch
                and taken.sequence >= self.oldest and taken.ticket.parts == 1
                and not batch.pieces):
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
        self.record(batch)
        return lease, self.skeleton

    cdef bint is_usual(self, const ff_batch *batch):
        """It lies in a slot as expected, of which the user does not keep too many."""
        cdef uint64_t end = batch.result.data_bytes + batch.result.note_bytes
        return (not batch.result.spilled and self.segment is not None
                and batch.ticket.segment == self.number and self.kept() < self.most_kept
                and end >= batch.result.data_bytes and end <= batch.ticket.capacity
                and self.is_expected(batch, <const uint8_t *>self.segment.base
                                     + batch.ticket.offset + batch.result.data_bytes))

    cdef uint32_t kept(self):
        """Slots whose batches the user still has."""
        cdef const ff_segment *segment = self.segment.segment
        return ff_segment_in_use(segment) - ff_segment_bound(segment)

    cdef bint is_expected(self, const ff_batch *batch, const uint8_t *note):
        """Its note says what the last one said."""
        return (self.note is not None and batch.result.note_bytes == <uint64_t>len(self.note)
                and memcmp(note, <const char *>self.note, batch.result.note_bytes) == 0)
