"""Finds how many workers and how long a queue a source and a training step need."""
