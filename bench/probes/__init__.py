"""Scripts that measure one thing in a process of their own and print one line of JSON."""
