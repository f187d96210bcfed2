"""Ray clusters: reach or start one, submit a job, watch it, stop it. Imports neither hpo nor trainables."""
