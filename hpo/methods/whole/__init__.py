"""Methods in one piece, whose schedule and searcher cannot be told apart.

They may use schedules, searchers, their models, and the registry where an option chooses a searcher. Pure.
"""
