"""What `import hpo` offers: a study from Python values, a run, its results as tables, pictures and rich display.

The objects that no other room has; `hpo/__init__.py` names them. May take from every room but the service and the commands,
which take from it. Writes nothing but the files that a user asks for.
"""
