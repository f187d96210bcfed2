"""Methods of other libraries, each library in a process of its own and, where it needs one, an environment of its own.

Unlike the other rooms of hpo.methods this one starts processes and waits for their answers. `guests/` is what runs there; it
stands alone.
"""
