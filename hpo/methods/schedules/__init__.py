"""How far to train: the schedules, each composed with any searcher. Pure."""
