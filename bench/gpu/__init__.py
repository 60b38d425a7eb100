"""What fastfeed does on a GPU, beside others: see README.md."""
