"""A BERT of two layers that learns from made sentences: nothing is downloaded."""

from __future__ import annotations

import random

from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

WORDS = ["[PAD]", "[CLS]", "good", "bad", "fine", "awful", "film", "the", "was", "very", "plot", "cast"]
KIND = {"good": 1, "fine": 1, "bad": 0, "awful": 0}


def sentences(count: int, seed: int) -> list[dict[str, object]]:
    draw = random.Random(seed)
    rows: list[dict[str, object]] = []
    for _ in range(count):
        word = draw.choice(list(KIND))
        text = ["[CLS]", "the", draw.choice(["film", "plot", "cast"]), "was", *draw.choice([[], ["very"]]), word]
        ids = [WORDS.index(each) for each in text] + [0] * (6 - len(text))
        rows.append({"input_ids": ids, "attention_mask": [int(i > 0) for i in ids], "labels": KIND[word]})
    return rows


def build(config, task, seed):
    def model_init():
        return BertForSequenceClassification(
            BertConfig(
                vocab_size=len(WORDS), hidden_size=config.get("width", 16), num_hidden_layers=2, num_attention_heads=2,
                intermediate_size=32, max_position_embeddings=8,
            )
        )  # fmt: skip

    trainer = Trainer(
        model_init=model_init,
        args=TrainingArguments(
            "bert", learning_rate=config["learning_rate"], per_device_train_batch_size=8, gradient_accumulation_steps=2,
            warmup_steps=2, lr_scheduler_type="cosine", seed=17,
        ),
        train_dataset=sentences(44, seed=0),
        eval_dataset={"near": sentences(20, seed=1), "far": sentences(20, seed=2)},
    )  # fmt: skip
    return (trainer, sentences(20, seed=3)) if task.data.get("test", True) else trainer
