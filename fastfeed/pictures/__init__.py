"""Pictures of what was measured, and the report of ``fastfeed tune``.

They are matplotlib's `Figure` objects, made without pyplot: no window, no display, no setting of
the user's is changed. ``pip install 'fastfeed[plot]'`` brings matplotlib, which is imported when
the first picture is made.

style        what all pictures have in common; saving
spans        from records to the spans of time that are drawn
stats        ``loader.stats().plot()``: where the time of a step went
timeline     a lane for each worker, the upload and the loop
throughput   rate against workers and queue size; the picture of ``fastfeed bench``
tuning       the four panels of ``fastfeed tune``
report       all of that run as one HTML page

`records` are always the journal's, in the order in which the batches were handed out; times of
them are nanoseconds of ``CLOCK_MONOTONIC``.
"""
