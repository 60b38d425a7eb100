"""What can be fed; one file a kind.

`base` says what a source is to a worker and how it writes a batch; `fastfeed.recognise` decides
which kind a user's object is. A source object holds the user's own; it is pickled once and sent to
every worker process.
"""
