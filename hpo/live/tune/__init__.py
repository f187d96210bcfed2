"""The only package that imports ray.tune: one Tuner whose searcher and scheduler hand over the dispatch's work."""
