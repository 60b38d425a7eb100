# Part of _core.pyx: which item stands where in an epoch's order.

@cython.final
cdef class Order:
    """The order of an epoch. Positions go round: after the last comes the first again.

    Parameters
    ----------
    length : int
        Items an epoch, 1 or more.
    shuffled : bool
        A random order, which follows from `seed` and `epoch` alone; else the item at a position is
        the position.
    """

    cdef ff_shuffle shuffle
    cdef bint shuffled

    def __cinit__(self, uint64_t length, bint shuffled=False, uint64_t seed=0, uint64_t epoch=0):
        if not 0 < length < 2**63:
            raise CoreError(errno.ERANGE, f"an order of {length} items")
        ff_shuffle_init(&self.shuffle, length, seed, epoch)
        self.shuffled = shuffled

    def __len__(self):
        return self.shuffle.n

    cpdef uint64_t at(self, uint64_t position):
        """The item at a position."""
        position %= self.shuffle.n
        return ff_shuffle_at(&self.shuffle, position) if self.shuffled else position

    def rows(self, uint64_t start, uint64_t count):
        """The items at `count` positions from `start` on: an array of int64."""
        cdef int64_t[::1] view
        cdef uint64_t i
        items = empty(count, int64)
        view = items
        if self.shuffled and count:
            ff_shuffle_rows(&self.shuffle, start, count, &view[0])
        else:
            for i in range(count):
                view[i] = <int64_t>((start + i) % self.shuffle.n)
        return items
