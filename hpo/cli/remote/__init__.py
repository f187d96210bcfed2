"""What `hpo --service URL COMMAND` does: commands of the same names, which ask a service instead of a store or a cluster.

A laptop needs no Ray for them. They print what the local commands print, by the same code. `handing` is the one place where
a command is handed over.
"""
