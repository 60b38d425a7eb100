"""Where a batch goes: host memory, handed over to NumPy, PyTorch, TensorFlow or JAX."""
