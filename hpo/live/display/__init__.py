"""What `hpo run` shows while a study runs: a moment of it, read off the dispatch, laid out, and shown on stderr.

Reads the dispatch and writes nothing to it; costs as much for a million trials as for ten.
"""
