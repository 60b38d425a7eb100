"""Pictures from files, decoded and augmented straight into the batch.

`api` is `fastfeed.images`; `folder` and `table` find the files and their labels, `targets` makes
labels what a model wants, `reader` reads a picture, `augment` and `affine` change it. `decode`,
`formats` and `resize` know the formats.
"""
