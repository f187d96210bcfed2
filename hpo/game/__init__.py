"""The game that the methods play: curves, ledger, runs and arena. Pure: no ray, no I/O, no wall clock."""
