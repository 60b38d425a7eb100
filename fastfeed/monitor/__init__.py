"""Numbers that are always on."""
