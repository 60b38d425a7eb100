"""``fastfeed bench``: loaders that are installed here, on the same work, one at a time, in turn.

works, jpeg, own   what is loaded
loaders            who loads it: one file a library
task, lane         one loader in a process of its own, told what to do line by line
process            the other end of that process
contest, emulate   who runs when, and what that gave
results, report    the figures, and a page of them
"""
