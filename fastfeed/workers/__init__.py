"""Where a source runs: worker processes, threads, or the calling thread.

Separation of concerns
----------------------
work.py        one worker's loop: claim, make, publish; the same everywhere
writer.py      puts a batch into its slot, or into a segment of its own where it does not fit
seeding.py     the random numbers of an item
clocks.py      how much of the processors a worker has used
failures.py    exceptions on their way from a worker to the parent
pool.py        what the parent sees of its workers: start, tend, collect, close
inline.py      no worker: the parent makes each batch when it asks for it
thread.py      threads of this process
process.py     processes: started, watched, replaced
forkserver.py  the small clean process that worker processes are forked from
child.py       what runs first in a worker process
teardown.py    Ctrl-C and the end of the interpreter while workers are ended
payload.py     the source on its way to the workers
"""
