"""HPO Arena: hyperparameter optimization methods side by side under one exact epoch budget."""

__version__ = "0.1.0"
