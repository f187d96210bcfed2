"""`python -m hpo.cli` is `hpo`."""

from hpo.cli import main

main()
