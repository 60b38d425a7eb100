"""tf_keras's own way of reading the sources."""

import tf_keras


class Sequence(tf_keras.utils.Sequence):
    """Lets tf_keras read a source in its own way."""

    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return self.source[index]
