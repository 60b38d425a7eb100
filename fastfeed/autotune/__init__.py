"""Live tuning: ``workers="auto"``, ``max_queue_size="auto"``.

Separation of concerns
----------------------
state.py        what the law is told, remembers and answers
law.py          what to do next: a pure function of what a window of steps showed
options.py      what the user asked for, and the bounds of it
observing.py    what a window has shown, from the journal and the processors' counters
controller.py   when a window is over, and carrying out what the law decides
history.py      what was decided, for the user
"""
