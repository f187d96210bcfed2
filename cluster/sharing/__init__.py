"""How the studies on a cluster share it: what each may hold, the actor that decides, and the driver's client of it.

`shares` is pure. The actor and what it uses are sent by value, so that a node without this project can run them: they
import the standard library, Ray and `cluster.slots`, each name on its own.
"""
