"""What ``fastfeed top`` shows of a running job, seen from another process.

processes   what ``/proc`` says: who has a loader, what it is called, how much memory it takes
look        one look at a loader, and the history of looks
model       what is shown, computed from looks
watch       looks at all loaders of a process, again and again
words       numbers as people read them
lines       a line a loader, for pipes; objects for programs
screen      the picture on a terminal (rich)
live        draws it again and again, follows the window, restores the terminal (rich)

Everything here only reads: ``/proc``, and the loader's counters through a read-only mapping.
"""
