"""What runs in another library's own environment: drives that library as the driver asks, line by line.

Stands alone: it imports nothing of hpo, and its Python may be any from 3.10 on. One file a library, named after it. Each has
`begin(opening)`, which returns a `Driven` or raises Refused, one sentence, for what the library cannot do, and
`needs(name, options)`, the modules that a method imports late: the host loads them once for all its guests.
"""
