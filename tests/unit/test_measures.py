"""Metrics from a confusion matrix are those of scikit-learn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from trainables.measures import confusion, measures


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_they_are_scikit_learns(pairs):
    labels, predicted = (torch.tensor(column) for column in zip(*pairs, strict=True))
    matrix = confusion(labels, predicted, 5)
    assert matrix.tolist() == confusion_matrix(labels, predicted, labels=range(5)).tolist()
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    expected = {"accuracy": accuracy_score(labels, predicted), "precision": precision, "recall": recall, "f1": f1}
    assert measures(matrix) == pytest.approx(expected)
