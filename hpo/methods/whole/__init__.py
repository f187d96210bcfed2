"""Methods in one piece: schedule and searcher cannot be told apart. Pure."""
