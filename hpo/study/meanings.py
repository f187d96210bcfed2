"""What the keys of a study file mean, in a sentence each: for the reference, and for whoever writes one. Pure.

Links go to pages of the documentation, from its folder `reference`.
"""

from __future__ import annotations

import re

from hpo.study.sections import Budget, Data, Final, Model, Resources, Section, Stopping, Track

STUDY = {
    "study": "Name of the study, and of its folder in the store.",
    "trainable": "What an epoch is: `image_classifier`, `mlp`, `curves`, or your own: `package.module:Class`, "
    "`package.module:function` that yields metrics, or with its kind before it: `optuna:`, `lightning:`, "
    "`huggingface:`, `tune:`, see [trainables](trainables.md).",
    "data": "The data, handed to the trainable; of `image_classifier` and `mlp` the keys [below](#data).",
    "model": "The model, handed to the trainable; of `image_classifier` the keys [below](#model).",
    "space": "Hyperparameter -> its range or choices, see [the space](#the-space).",
    "fixed": "Hyperparameters with one value.",
    "budget": "Epochs or cost of a run, epochs of a trial, see [below](#budget).",
    "methods": "Methods to compare: names, or `{name: {option: value}}`, see [methods](methods.md) and "
    "[methods of others](hosted-methods.md), such as `{syne-tune: ASHA}`.",
    "seeds": "Each method plays one run for each seed.",
    "parallelism": "Virtual workers of a run: trials that a method may have under way at a time.",
    "clock": "`virtual`: results count in virtual time; `cost`: in virtual time that follows what epochs cost, see "
    "[the clock](../explanation/ledger-and-clock.md#the-clock); `arrival`: in the order in which they come.",
    "early_stopping": "Ends a trial by its own curve, see [below](#early_stopping).",
    "resources": "What a trial takes of the cluster, see [below](#resources).",
    "metric": "The metric that methods optimize, one that the trainable reports.",
    "mode": "`max` or `min`; needed where the metric's name does not tell, see [metrics](metrics.md).",
    "bounds": "Smallest and largest value of the metric, `[LOW, HIGH]`, `null` for an open end; by default by its name.",
    "difference": "The smallest difference that matters between methods: `0.005`, or `1 %` of the mean.",
    "final": "The final exam of each run's winner, see [below](#final).",
    "store": "Where the results go: a folder or `s3://bucket/prefix`.",
    "priority": "The study's weight where several share a cluster.",
    "owner": "Whose study it is, for `hpo jobs`.",
    "checkpoints_gb": "The most GB that all checkpoints of the study take together.",
    "track": "Where curves are copied while the study runs, see [below](#track).",
    "start": "Configurations that every method tries first.",
    "prior": "A store with earlier results, of this task or of others, to learn from: see [warm start](methods.md#warm-start).",
    "suite": "Name of a suite: studies of one suite in a store are compared as tasks. [Tasks](#tasks) set it themselves.",
}

SECTIONS: dict[type[Section], tuple[str, dict[str, str]]] = {
    Budget: ("budget", {
        "epochs": "Epochs that a run is charged; this or `cost` is required.",
        "cost": "What a run is charged in cost, as the trainable's `epoch_cost` counts it, to the millionth: see "
        "[which budget to choose](../explanation/ledger-and-clock.md#which-budget-to-choose).",
        "max_epochs": "The most epochs of a trial.",
    }),
    Data: ("data", {
        "name": "`digits`, `image_folder`, `npz`, or a set of torchvision (`hpo datasets`).",
        "root": "A folder or file, or `s3://bucket/prefix`; by default the cache folder.",
        "train": "Fraction or count of what is not validation or test; by default all of it.",
        "validation": "A ready split's name, a fraction, a count, or `50 per class`; by default the ready split, else 0.2.",
        "test": "The same for the test data.",
        "balanced": "Whether train and validation take equally many images of each class.",
        "seed": "Seed of the split: the same for every method and every seed of the study.",
        "download": "Whether torchvision may download the set.",
        "augment": "`none`, `paper001`, `flips_crops`, `random_resized_crop`, `randaugment` or `trivialaugment`.",
        "class_weights": "Weights of the loss: `log` is ln(n/n_k), 1 for the most common class.",
        "folds": "K-fold validation: an epoch trains k models and is charged k.",
        "corrupt": "Images that cannot be read: `refuse` (default) the study or `skip` them; they are named.",
        "fit": "How an image becomes a square: `squeeze` it (default) or `crop` its middle.",
    }),
    Model: ("model", {
        "name": "A backbone (`hpo models`), `digits_net`, or `timm:NAME`. Further keys belong to the model.",
        "weights": "`DEFAULT` or another of torchvision's names, `none`, a file, or `s3://bucket/key`.",
        "hooks": "A class of your own, `package.module:Class`, with [hooks](../how-to/fine-tuning.md#hooks-of-your-own).",
    }),
    Stopping: ("early_stopping", {
        "patience": "Epochs without an improvement after which a trial ends.",
        "metric": "The metric that must improve.",
        "mode": "`max` or `min`, where the metric's name does not tell.",
    }),
    Resources: ("resources", {
        "cpus": "CPUs of a trial; of each process where it has several GPUs.",
        "gpus": "GPUs of a trial: a fraction, so that trials share a GPU, or a whole number.",
        "memory_gb": "GiB of main memory that a trial reserves.",
        "accelerator": "Type of GPU by Ray's name, such as `A100`.",
        "labels": "Labels of nodes -> Ray's selector: only such nodes train.",
        "custom": "Amounts of resources that the cluster's nodes declare.",
        "min_workers": "Trials at a time that the study gets first where studies share a cluster.",
        "max_workers": "The most trials at a time, and so what an autoscaler is asked for.",
        "pack": "Whether trials wait for room in memory; by default only those that share a GPU.",
    }),
    Final: ("final", {
        "retrain": "`none`: test the winner as it is; `train`: train it anew; `full`: on all training data.",
        "train": "How many of all training images `retrain: full` takes, stratified; by default all.",
        "epochs": "Epochs of the retraining; by default the winner's best epoch.",
        "seeds": "How many retrainings.",
    }),
    Track: ("track", {
        "tensorboard": "A folder for TensorBoard.",
        "mlflow": "URL of an MLflow server.",
    }),
}  # fmt: skip


SPACE = {
    "type": "`float`, `int` or `choice`.",
    "low": "The lower bound, included.",
    "high": "The upper bound, included.",
    "log": "Spread evenly over magnitudes; excludes `step`.",
    "step": "Only `low`, `low + step`, ...",
    "values": "The options: numbers, texts, true, false.",
    "grid": "The values that `grid` tries; otherwise it spreads `points` over the range, or takes every option.",
    "prior": "Where you believe good values to lie: `0.003`, or `{value: 0.003, confidence: high}`; for `priorband`.",
    "if": "Other hyperparameters and the values for which this one exists.",
}
"""The keys of an entry of `space`."""

TASKS = "A suite: a mapping of names to what each task changes."


def without_links(text: str) -> str:
    """Returns a meaning without its links."""
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
