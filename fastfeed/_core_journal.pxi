# Part of _core.pyx: looking at a loader, also from another process.


@cython.final
cdef class Journal:
    """What lies in the memory of a ring, for reading only: totals, workers and the last batches.

    Parameters
    ----------
    fd : int
        The ring's memfd, open for reading; it stays the caller's.

    Raises
    ------
    CoreError
        EPROTO: it is none, or of another version of fastfeed.
    """

    cdef const char *base
    cdef uint64_t size
    cdef ff_ring ring
    cdef const ff_journal *journal

    def __cinit__(self, int fd):
        cdef const void *base = NULL
        cdef uint32_t entries, workers
        check(ff_memory_look_at(fd, &base, &self.size), "ff_memory_look_at")
        self.base = <const char *>base
        check(ff_ring_attach(&self.ring, <void *>self.base, self.size), "ff_ring_attach")
        entries, workers = self.ring.header.n_entries, self.ring.header.n_workers
        if self.size < ff_journal_end(entries, workers):
            raise CoreError(errno.EPROTO, "this ring has no journal")
        self.journal = <const ff_journal *>(self.base + ff_journal_offset(entries, workers))

    def __dealloc__(self):
        if self.base:
            ff_memory_unmap(<void *>self.base, self.size)

    @property
    def name(self):
        """What is fed."""
        return (<const char *>self.journal.name).decode(errors="replace")

    @property
    def ordered(self):
        """Batches come in the order of their tickets."""
        return self.journal.flags & FF_ORDERED != 0

    @property
    def inline(self):
        """The consumer makes them itself."""
        return self.journal.flags & FF_INLINE != 0

    @property
    def started_ns(self):
        """When the loader was made."""
        return self.journal.started_ns

    @property
    def ready(self):
        """Batches finished and not taken."""
        return ff_ring_ready(&self.ring)

    @property
    def outstanding(self):
        """Batches posted and not taken."""
        return ff_ring_outstanding(&self.ring)

    def totals(self):
        """The fields of `ff_totals` as a dict."""
        return ff_journal_totals(self.journal)

    def worker(self, uint32_t worker):
        """The fields of `ff_worker_now` as a dict."""
        if worker >= self.ring.header.n_workers:
            raise CoreError(errno.ERANGE, f"worker {worker} of {self.ring.header.n_workers}")
        return ff_ring_look(&self.ring, worker)

    @property
    def workers(self):
        """How many there may be."""
        return self.ring.header.n_workers

    def records(self, uint64_t first):
        """The records of tickets from number `first` on that are still there, as bytes."""
        cdef uint64_t newest = ff_journal_totals(self.journal).newest
        cdef uint64_t sequence = max(first, newest - FF_RECORDS if newest > FF_RECORDS else 0)
        cdef ff_record record
        cdef list found = []
        while sequence < newest:
            if ff_journal_read(self.journal, sequence, &record):
                found.append((<const char *>&record)[:sizeof(record)])
            sequence += 1
        return b"".join(found)
