"""How to reach or make a Ray cluster, submit a job, watch it, stop it. Imports neither hpo nor trainables."""
