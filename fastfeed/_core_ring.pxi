# Part of _core.pyx: the ticket ring.

@cython.final
cdef class Claim:
    """A ticket in a worker's hands: make item `index` of `epoch`, write it to this place.

    Attributes
    ----------
    rows, first_row, batch_rows : int
        Of a batch of samples: how many to make, which of the batch's rows they are, and how many
        that has. `rows` is 0 if the item is a batch.
    part, parts : int
        Which part of the batch this is, and how many there are; others make the others.
    position : int
        Where the first of them stands in the epoch's order.
    """

    cdef ff_claim claim

    @property
    def index(self):
        return self.claim.ticket.index

    @property
    def epoch(self):
        return self.claim.ticket.epoch

    @property
    def segment(self):
        return self.claim.ticket.segment

    @property
    def offset(self):
        return self.claim.ticket.offset

    @property
    def capacity(self):
        return self.claim.ticket.capacity

    @property
    def position(self):
        return self.claim.ticket.position

    @property
    def rows(self):
        return self.claim.ticket.rows

    @property
    def first_row(self):
        return self.claim.ticket.first_row

    @property
    def batch_rows(self):
        return self.claim.ticket.batch_rows

    @property
    def part(self):
        return self.claim.ticket.part

    @property
    def parts(self):
        return self.claim.ticket.parts

    @property
    def sequence(self):
        return self.claim.sequence

    @property
    def attempt(self):
        return self.claim.attempt


@cython.final
cdef class Batch:
    """A finished ticket, taken by the parent from the ring or, when it has gone to a device, from
    an `Uploader`.

    Attributes
    ----------
    part, parts : int
        Of a batch whose parts were not one piece each part comes by itself: in one of several, in
        an exception, of another layout.
    pieces : tuple of Batch
        What it was joined from; empty if it came as it is.
    """

    cdef ff_arrival arrival
    cdef readonly tuple pieces

    def __cinit__(self):
        self.pieces = ()

    @staticmethod
    def join(pieces):
        """Return all parts of a batch, in order, as one: with the first kind that is not DATA."""
        cdef Batch whole = Batch.__new__(Batch)
        cdef Batch piece = pieces[0]
        whole.arrival.batch = piece.arrival.batch
        for piece in pieces[1:]:
            ff_batch_join(&whole.arrival.batch, &piece.arrival.batch)
        whole.pieces = tuple(pieces)
        return whole

    def __dealloc__(self):
        if self.arrival.buffer:
            ff_buffer_release(self.arrival.buffer)
        free(self.arrival.note)

    @property
    def kind(self):
        return self.arrival.batch.result.kind

    @property
    def index(self):
        return self.arrival.batch.ticket.index

    @property
    def epoch(self):
        return self.arrival.batch.ticket.epoch

    @property
    def sequence(self):
        return self.arrival.batch.sequence

    @property
    def segment(self):
        return self.arrival.batch.ticket.segment

    @property
    def offset(self):
        return self.arrival.batch.ticket.offset

    @property
    def worker(self):
        return self.arrival.batch.worker

    @property
    def attempt(self):
        return self.arrival.batch.attempt

    @property
    def first_row(self):
        return self.arrival.batch.ticket.first_row

    @property
    def rows(self):
        return self.arrival.batch.ticket.rows

    @property
    def part(self):
        return self.arrival.batch.ticket.part

    @property
    def parts(self):
        return self.arrival.batch.ticket.parts

    @property
    def layout(self):
        """A number that is the same for parts that belong together."""
        return self.arrival.batch.result.layout

    @property
    def is_last(self):
        """No other part of the batch comes after it."""
        return is_last(&self.arrival.batch)

    @property
    def spilled(self):
        """The bytes are not in the slot but in a segment that the worker brought."""
        return self.arrival.batch.result.spilled != 0

    @property
    def data_bytes(self):
        return self.arrival.batch.result.data_bytes

    @property
    def end(self):
        """Where the note ends, which lies behind the arrays."""
        return self.arrival.batch.result.data_bytes + self.arrival.batch.result.note_bytes

    @property
    def note_bytes(self):
        return self.arrival.batch.result.note_bytes

    @property
    def uploaded(self):
        """It lies on a device, and its slot has been seen to."""
        return self.arrival.buffer != NULL

    @property
    def note(self):
        """The note of an uploaded batch."""
        return (<char *>self.arrival.note)[:self.arrival.batch.result.note_bytes]

    cpdef DeviceLease device_lease(self):
        """The lease of an uploaded batch. Once."""
        cdef ff_buffer *buffer = self.arrival.buffer
        if buffer == NULL:
            raise CoreError(errno.EINVAL, "this batch does not lie on a device")
        self.arrival.buffer = NULL
        return make_device_lease(buffer, self.arrival.batch.ticket.epoch,
                                 self.arrival.batch.ticket.index)


cdef inline bint is_last(const ff_batch *batch):
    return batch.ticket.part + 1 >= batch.ticket.parts


@cython.final
cdef class Ring:
    """The ticket ring over a `Mapping`; `Ring.create` in the parent, `Ring.attach` in workers.

    Attributes
    ----------
    taken : int
        Batches that `take` and `take_wait` have returned, with their last parts.
    """

    cdef ff_ring ring
    cdef ff_journal *journal  # NULL for workers: it is none of their business
    cdef Mapping mapping
    cdef readonly uint64_t taken

    def __init__(self):
        raise TypeError("rings come from Ring.create() or Ring.attach()")

    @staticmethod
    def bytes_for(uint32_t n_entries, uint32_t n_workers):
        """Bytes of shared memory for a ring and its journal; 0 if the numbers are out of range or
        no power of two.
        """
        return ff_journal_end(n_entries, n_workers)

    @staticmethod
    def create(Mapping mapping, uint32_t n_entries, uint32_t n_workers, uint32_t spin=0,
               str name="", bint ordered=True, bint inline=False):
        """Make a ring in memory of zeros. Readers of the journal are told the rest: what is fed,
        whether in order, and whether the consumer makes the batches itself.
        """
        cdef Ring self = Ring.__new__(Ring)
        cdef bytes c_name = name.encode(errors="replace")
        mapping.check_range(0, ff_journal_end(n_entries, n_workers))
        self.mapping = mapping
        check(ff_ring_init(&self.ring, mapping.base, n_entries, n_workers, spin), "ff_ring_init")
        self.journal = <ff_journal *>(mapping.base + ff_journal_offset(n_entries, n_workers))
        ff_journal_init(self.journal, c_name, ordered * FF_ORDERED | inline * FF_INLINE)
        return self

    @staticmethod
    def attach(Mapping mapping):
        cdef Ring self = Ring.__new__(Ring)
        self.mapping = mapping
        check(ff_ring_attach(&self.ring, mapping.base, mapping.size), "ff_ring_attach")
        return self

    cdef int check_worker(self, uint32_t worker) except -1:
        if worker >= self.ring.header.n_workers:
            raise CoreError(errno.ERANGE, f"worker {worker} of {self.ring.header.n_workers}")
        return 0

    # the parent

    def post(self, uint64_t index, uint32_t epoch, uint32_t segment, uint64_t offset,
             uint64_t capacity, uint32_t worker=FF_ANY_WORKER, uint32_t rows=0,
             uint16_t parts=1):
        """Post a ticket, or one for each part of a batch of `rows` samples; returns the (first)
        sequence number, or -1 if the ring is full.
        """
        cdef ff_ticket ticket
        cdef uint64_t sequence = 0
        memset(&ticket, 0, sizeof(ticket))
        ticket.index = index
        ticket.epoch = epoch
        ticket.segment = segment
        ticket.offset = offset
        ticket.capacity = capacity
        ticket.posted_ns = ff_now_ns()
        ticket.rows = ticket.batch_rows = rows
        ticket.parts = parts
        if worker != FF_ANY_WORKER:
            self.check_worker(worker)
        return sequence if ff_ring_post(&self.ring, &ticket, worker, &sequence) == 0 else -1

    def take(self, bint ordered=True):
        """A finished batch, or None."""
        cdef Batch batch = Batch.__new__(Batch)
        if ff_ring_take(&self.ring, ordered, &batch.arrival.batch) != 0:
            return None
        self.taken += is_last(&batch.arrival.batch)
        return batch

    def take_wait(self, bint ordered=True, Monitor monitor=None, uint32_t deaths_seen=0,
                  int64_t timeout_ns=SLICE_NS):
        """Like take, but sleeps up to `timeout_ns`, or until another worker has died."""
        cdef Batch batch = Batch.__new__(Batch)
        cdef const ff_a32 *alarm = NULL
        cdef int code
        if monitor is not None:
            alarm = ff_monitor_deaths(monitor.running())
        with nogil:
            code = ff_ring_take_wait(&self.ring, ordered, &batch.arrival.batch, alarm, deaths_seen,
                                     timeout_ns)
        if code == 0:
            self.taken += is_last(&batch.arrival.batch)
            return batch
        PyErr_CheckSignals()
        return None

    def cancel(self):
        """Withdraw tickets that nobody has claimed; they come out as CANCELLED."""
        return ff_ring_cancel(&self.ring)

    @property
    def ready(self):
        return ff_ring_ready(&self.ring)

    @property
    def is_making(self):
        """There is a ticket that a worker has, or may still get."""
        return ff_ring_is_making(&self.ring)

    @property
    def outstanding(self):
        """Batches posted and not yet taken."""
        return ff_ring_outstanding(&self.ring)

    def stop(self):
        ff_ring_stop(&self.ring)

    def stop_worker(self, uint32_t worker):
        self.check_worker(worker)
        ff_ring_stop_worker(&self.ring, worker)

    def reset_worker(self, uint32_t worker):
        self.check_worker(worker)
        ff_ring_reset_worker(&self.ring, worker)

    def reclaim(self, uint32_t worker, uint32_t max_retries):
        """Re-open what a dead worker held; only when it is certainly gone."""
        self.check_worker(worker)
        return ff_ring_reclaim(&self.ring, worker, max_retries)

    # workers

    def claim(self, uint32_t worker, int64_t timeout_ns=SLICE_NS):
        """A `Claim`; None after the time-out; raises StopIteration when it is time to go home."""
        cdef Claim claim = Claim.__new__(Claim)
        cdef int code
        self.check_worker(worker)
        with nogil:
            code = ff_ring_claim(&self.ring, worker, timeout_ns, &claim.claim)
        if code == 0:
            return claim
        PyErr_CheckSignals()
        if code == -errno.ESHUTDOWN:
            raise StopIteration
        return None

    def publish(self, Claim claim not None, uint32_t kind, uint64_t data_bytes=0,
                uint64_t note_bytes=0, bint spilled=False, uint32_t failed=0, uint64_t layout=0):
        """Hand in a claim. CoreError(ECANCELED): it is no longer ours."""
        cdef ff_result result
        memset(&result, 0, sizeof(result))
        result.kind = kind
        result.spilled = spilled
        result.failed = failed
        result.data_bytes = data_bytes
        result.layout = layout
        result.note_bytes = note_bytes
        check(ff_ring_publish(&self.ring, &claim.claim, &result), "ff_ring_publish")
