"""The schedules, which decide how far each trial is trained; each can be composed with any searcher.

A schedule talks to its searcher through the roster of trials, and sees epochs only. Pure.
"""
