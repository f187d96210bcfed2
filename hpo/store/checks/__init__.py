"""What `hpo verify` checks, one room a file: the head, identities, ledgers, what trials and runs came to, exams. Pure.

Each check takes a study's tables and yields one sentence a problem.
"""
