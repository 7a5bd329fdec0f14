"""A market that plays itself: the same seed tells the same story, an event at a time."""
