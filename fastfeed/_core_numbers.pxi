# Part of _core.pyx: random numbers.

@cython.final
cdef class Twister:
    """A Mersenne Twister in another library's memory: 624 words, and a position before or behind.

    Parameters
    ----------
    state : writable buffer
        The 625 words, which the caller has found to be there.
    position_first : bool
        The position is the first of them, not the last.
    stream : int
        Tells apart the twisters of one item.
    """

    cdef Py_buffer view
    cdef uint32_t *words
    cdef uint32_t *position
    cdef uint64_t stream

    def __cinit__(self, state, bint position_first, uint64_t stream):
        PyObject_GetBuffer(state, &self.view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
        if self.view.len != 4 * (FF_TWISTER_WORDS + 1):
            raise CoreError(errno.EINVAL, f"{self.view.len} bytes are no twister's state")
        self.words = <uint32_t *>self.view.buf + position_first
        self.position = self.words - 1 if position_first else self.words + FF_TWISTER_WORDS
        self.stream = stream

    def __dealloc__(self):
        PyBuffer_Release(&self.view)

    def seed(self, uint64_t seed, uint64_t epoch, uint64_t index):
        """Start the numbers of an item."""
        ff_twister_seed(self.words, seed, epoch, index, self.stream)
        self.position[0] = FF_TWISTER_WORDS  # all used: the first draw makes new ones


def item_seed(uint64_t seed, uint64_t epoch, uint64_t index):
    """The seed of an item, for generators that take one number."""
    return ff_item_seed(seed, epoch, index)
