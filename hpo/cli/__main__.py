"""`python -m hpo.cli` is `hpo`."""

from hpo.cli.app import main

main()
