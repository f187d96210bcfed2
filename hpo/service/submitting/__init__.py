"""Submitting through the service: what a study may name, what an owner may take, and that nothing is submitted twice.

The queue is the cluster's job server. What the service must remember is in its store, below `.service/`.
"""
