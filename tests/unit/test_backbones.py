"""Backbones by name: weights that fit or are refused, heads, and seeds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from trainables import backbones, pretrained
from trainables.errors import BadData, BadWeights, InvalidConfig

IMAGENET = Path(__file__).parents[2].parent / "shared" / "data" / "weights" / "mobilenet_v2-imagenet.pth"


def saved(tmp_path, name, classes=1000, suffix=".pth", seed=7):
    """A file of weights as `torch.save` or safetensors write it, and its content."""
    model = backbones.build(name, classes, seed=seed)
    path = tmp_path / f"{name}{suffix}"
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    return path, state


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_a_file_are_the_models_and_its_head_is_new(tmp_path, suffix):
    path, state = saved(tmp_path, "shufflenet_v2_x0_5", suffix=suffix)
    model = backbones.build("shufflenet_v2_x0_5", 3, weights=str(path), seed=1)
    given = model.state_dict()
    assert all(torch.equal(given[key], value) for key, value in state.items() if not key.startswith("fc."))
    assert model.fc[1].weight.shape == (3, 1024)
    assert not any(value.is_meta for value in given.values())


def test_training_does_not_write_into_the_file(tmp_path):
    path, _ = saved(tmp_path, "digits_net")
    before = path.read_bytes()
    model = backbones.build("digits_net", 3, weights=str(path))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert path.read_bytes() == before


def test_imagenet_weights_fit():
    if not IMAGENET.exists():
        pytest.skip(f"{IMAGENET} is not on this machine")
    model = backbones.build("mobilenet_v2", 10, weights=str(IMAGENET)).eval()
    assert float(model.features[0][1].running_var.mean()) != 1.0
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 10)


def test_weights_of_another_model_are_refused_by_key(tmp_path):
    path, _ = saved(tmp_path, "digits_net")
    with pytest.raises(BadWeights, match=r"missing conv1\.0\.weight.*unknown classifier\.1\.bias"):
        backbones.build("shufflenet_v2_x0_5", 3, weights=str(path))


def test_weights_of_another_size_are_refused_by_shape(tmp_path):
    path, _ = saved(tmp_path, "shufflenet_v2_x1_0")
    with pytest.raises(BadWeights, match=r"shape of .*\(\d+, .*for \("):
        backbones.build("shufflenet_v2_x0_5", 3, weights=str(path))


@pytest.mark.parametrize("content", [b"no weights", b""])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(BadWeights, match="must hold weights"):
        backbones.build("digits_net", 3, weights=str(path))


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pickled_model_is_refused_as_weights_without_advice_to_load_it(tmp_path, wrapped):
    path = tmp_path / "weights.pth"
    torch.save({"model": nn.Linear(2, 2)} if wrapped else nn.Linear(2, 2), path)
    with pytest.raises(BadWeights, match=r"holds Python objects .* save model\.state_dict\(\) instead") as caught:
        backbones.build("digits_net", 3, weights=str(path))
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)


WRAPPED = {
    "DataParallel": (lambda s: {f"module.{k}": v for k, v in s.items()}, "the prefix 'module.'"),
    "Lightning": (
        lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}, "epoch": 3},
        "the entry 'state_dict', the prefix 'model.'",
    ),
    "compiled": (
        lambda s: {"model_state_dict": {f"module._orig_mod.{k}": v for k, v in s.items()}, "optimizer": {"lr": 0.1}},
        "the entry 'model_state_dict', the prefix 'module.', the prefix '_orig_mod.'",
    ),
    "torchvision": (lambda s: {"model": s, "model_ema": {"n_averaged": torch.tensor(1)}}, "the entry 'model'"),
    "averaged": (
        lambda s: {"ema": {"n_averaged": torch.tensor(1), **{f"module.{k}": v for k, v in s.items()}}},
        "the entry 'ema', the prefix 'module.'",
    ),
    "plain": (dict, ""),
}


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".PTH"])
@pytest.mark.parametrize("kind", WRAPPED)
def test_what_training_programs_wrap_around_weights_is_taken_off_and_said(tmp_path, caplog, monkeypatch, kind, suffix):
    wrap, said = WRAPPED[kind]
    state = backbones.build("digits_net", 1000, seed=7).state_dict()
    torch.save(wrap(state), tmp_path / f"weights{suffix}")
    monkeypatch.chdir(tmp_path)  # the suffix alone says that it is a file
    given = backbones.build("digits_net", 3, weights=f"weights{suffix}", seed=1).state_dict()
    assert all(torch.equal(given[key], value) for key, value in state.items() if not key.startswith("classifier."))
    assert (f"took off {said} to find the weights" in caplog.text) == bool(said)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], {"model": {"lr": 0.1}}])
def test_a_checkpoint_without_weights_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(BadWeights, match="must hold weights, a dictionary of tensors, but it holds"):
        backbones.build("digits_net", 3, weights=str(tmp_path / "weights.pt"))


def test_names_that_are_not_known_are_answered_with_the_nearest():
    with pytest.raises(BadData, match="did you mean 'mobilenet_v2'"):
        backbones.build("mobilenet_v22", 3)
    with pytest.raises(BadWeights, match=r"one of IMAGENET1K_V1, IMAGENET1K_V2, DEFAULT, none, but got 'IMAGENET'"):
        backbones.build("mobilenet_v2", 3, weights="IMAGENET")
    with pytest.raises(BadWeights, match="must name a file that exists"):
        backbones.build("mobilenet_v2", 3, weights="no/such.pth")


def test_a_seed_gives_the_same_weights_and_moves_no_other_randomness():
    state = torch.random.get_rng_state()
    one, two, other = (backbones.build("digits_net", 3, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["classifier.1.weight"], other["classifier.1.weight"])
    assert not torch.equal(one["features.0.weight"], other["features.0.weight"])


def test_digests_are_equal_only_for_equal_values(tmp_path):
    path, _ = saved(tmp_path, "digits_net")
    other, _ = saved(tmp_path / ".." / tmp_path.name, "digits_net", suffix=".safetensors", seed=8)

    def digest(name="digits_net", weights=str(path), seed=0, size=32, **architecture):
        return pretrained.weights_digest(name, weights, seed=seed, image_size=size, architecture=architecture)

    assert digest() == digest(seed=1, size=64)
    assert digest() != digest(weights=str(other))
    assert digest(weights="none") != digest(weights="none", seed=1)
    assert digest("vit_b_16", "none", patch_size=8) != digest("vit_b_16", "none", patch_size=16)


def test_a_vision_transformers_sizes_can_be_set_without_weights_only():
    sizes = {"patch_size": 8, "projection_dim": 24, "heads": 3, "layers": 2, "mlp_units": 32}
    model = backbones.build("vit_b_16", 4, image_size=32, architecture=sizes)
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 4)
    assert len(model.encoder.layers) == 2
    with pytest.raises(InvalidConfig, match="heads must divide projection_dim, but got 5 and 24"):
        backbones.build("vit_b_16", 4, image_size=32, architecture={**sizes, "heads": 5})
    with pytest.raises(InvalidConfig, match="patch_size must divide image_size, but got 7 and 32"):
        backbones.build("vit_b_16", 4, image_size=32, architecture={**sizes, "patch_size": 7})
    with pytest.raises(InvalidConfig, match="only for a vision transformer"):
        backbones.build("digits_net", 4, architecture={"heads": 2})


def test_position_embeddings_are_interpolated_to_the_image_size():
    state = {"encoder.pos_embedding": torch.randn(1, 1 + 14 * 14, 6), "conv_proj.bias": torch.zeros(6)}
    small = pretrained._interpolated(state, 64, 16)
    assert small["encoder.pos_embedding"].shape == (1, 1 + 4 * 4, 6)


def test_the_head_takes_the_place_of_the_last_layer_and_its_dropout():
    model = backbones.build("vgg11", 3, dropout=0.25)
    assert isinstance(model.classifier[6], backbones.Head)
    assert model.classifier[6][0].p == 0.25
    assert isinstance(model.classifier[5], nn.Identity)
    assert isinstance(model.classifier[2], nn.Dropout)


def test_weights_come_from_s3(tmp_path, monkeypatch):
    moto = pytest.importorskip("moto.server")
    import boto3

    path, state = saved(tmp_path, "digits_net")
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for variable, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "HPO_CACHE": str(tmp_path / "cache"),
        }.items():
            monkeypatch.setenv(variable, value)
        boto3.client("s3").create_bucket(Bucket="weights")
        boto3.client("s3").upload_file(str(path), "weights", "nets/digits.pth")
        model = backbones.build("digits_net", 3, weights="s3://weights/nets/digits.pth")
        assert torch.equal(model.features[0].weight, state["features.0.weight"])
        with pytest.raises(BadWeights, match="must be readable"):
            backbones.build("digits_net", 3, weights="s3://weights/nets/none.pth")
    finally:
        server.stop()
