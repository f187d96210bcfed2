"""The searchers, which decide which configuration is tried next, and the models that they learn with.

A searcher sees configurations, epochs and values, and nothing of schedules or trials. Models may use NumPy, SciPy and the
libraries that they name; nothing here draws from a global generator or depends on the number of cores. Pure.
"""
