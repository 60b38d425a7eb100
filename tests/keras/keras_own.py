"""Keras's own way of reading the sources. Apart from them, because a worker that imports this
imports TensorFlow.
"""

import keras


class Dataset(keras.utils.PyDataset):
    """Lets Keras read a source in its own way, in a given order."""

    def __init__(self, source, order=None, **workers):
        super().__init__(**workers)
        self.source = source
        self.order = list(order if order is not None else range(len(source)))

    def __len__(self):
        return len(self.order)

    def __getitem__(self, index):
        return self.source[self.order[index]]
