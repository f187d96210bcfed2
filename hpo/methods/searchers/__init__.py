"""Which configuration next: the searchers and the models that they learn with. Pure."""
