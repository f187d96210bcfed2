"""What is known before the first training: the results of other tasks, and the user's beliefs. Any method may ask it.

Takes the space and values of hpo.study and the order of what searchers have seen. Pure.
"""
