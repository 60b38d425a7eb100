# Part of _core.pyx: writing a batch that looks like one before.

@cython.final
cdef class Pattern:
    """How the arrays of a batch lie in a slot, to copy the next batch of the same looks.

    Parameters
    ----------
    skeleton : tree
        Of tuples, lists and dicts; each leaf is (offset, shape, dtype), in a tuple of a subclass.
    data_bytes : int
        What the arrays take; the note is written behind them.
    note : bytes
    """

    cdef object skeleton
    cdef readonly uint64_t data_bytes
    cdef bytes note

    def __cinit__(self, skeleton, uint64_t data_bytes, bytes note not None):
        self.skeleton = skeleton
        self.data_bytes = data_bytes
        self.note = note

    @property
    def note_bytes(self):
        return len(self.note)

    def write(self, Memory memory not None, uint64_t start, uint64_t end, batch):
        """Copy `batch` and the note to [start, end). False: it looks different or does not fit, and
        what was written is of no use.
        """
        cdef uint64_t size = self.data_bytes + <uint64_t>len(self.note)
        if end < start or size > end - start:
            return False
        if not write_tree(memory, start, batch, self.skeleton):
            return False
        memory.copy_from(start + self.data_bytes, self.note)
        return True


cdef bint write_tree(Memory memory, uint64_t start, node, skeleton) except -1:
    cdef type kind = type(skeleton)
    if kind is dict:
        return (type(node) is dict and list(<dict>node) == list(<dict>skeleton)
                and write_children(memory, start, (<dict>node).values(),
                                   (<dict>skeleton).values()))
    if kind is tuple or kind is list:
        return (type(node) is kind and len(node) == len(skeleton)
                and write_children(memory, start, node, skeleton))
    return write_array(memory, start, node, <tuple>skeleton)


cdef bint write_children(Memory memory, uint64_t start, nodes, skeletons) except -1:
    for node, skeleton in zip(nodes, skeletons):
        if not write_tree(memory, start, node, skeleton):
            return False
    return True


cdef bint write_array(Memory memory, uint64_t start, node, tuple leaf) except -1:
    if type(node) is not ndarray or len(leaf) != 3:  # a named tuple of arrays: not known here
        return False
    if node.shape != leaf[1] or node.dtype != leaf[2] or not node.flags.c_contiguous:
        return False
    memory.copy_from(start + <uint64_t>leaf[0], node)
    return True
