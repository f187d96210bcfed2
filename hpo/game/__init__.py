"""The game that methods play: the table of curves, ledgers, runs and the arena, and the contract of methods as checks.

Takes values from hpo.study and schedules from hpo.methods. Pure: no ray, no I/O, no wall clock.
"""
