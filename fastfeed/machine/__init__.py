"""What the kernel says about this machine, and what of it may be used."""
