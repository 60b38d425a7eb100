"""Samples that are made once: kept in shared memory, or on disk, in front of augmentation.

`base` says what a cache offers to a source, `opening` makes the one that was asked for.
"""
