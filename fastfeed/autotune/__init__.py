"""Live tuning: ``workers="auto"``, ``max_queue_size="auto"``.

Separation of concerns
----------------------
state.py        what the law is told, remembers and answers
law.py          what to do next: a pure function of what a window of steps showed
"""
