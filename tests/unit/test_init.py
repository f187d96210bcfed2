"""`hpo init`: what it finds in a folder of images, what it proposes, and what it refuses."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from PIL import Image

from hpo import cli
from hpo.study import proposal
from hpo.study.study import Study
from trainables.census import Census, count


def ended(capsys, *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


def images(folder: Path, counts: dict[str, int], side: int = 40) -> Path:
    """Makes a folder of so many grey images for each class."""
    for name, number in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(number):
            Image.new("L", (side + 8, side), i % 256).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def comments(path: Path) -> str:
    """The file's comments as one line."""
    return " ".join(line[1:].strip() for line in path.read_text().splitlines() if line.startswith("#"))


def test_class_folders_become_a_study_that_check_accepts(capsys, here):
    images(here / "photos", {"cat": 20, "dog": 30})
    code, out, err = ended(capsys, "init", "photos")
    assert (code, out) == (0, "photos.yaml\n")
    assert err == "next: hpo check photos.yaml; hpo run photos.yaml --seeds 0\n"
    study = Study.load(here / "photos.yaml")
    shares = {"validation": 0.2, "test": 0.2, "seed": 0}
    assert study.data == {"name": "image_folder", "root": "./photos", **shares, "fit": "crop"}
    assert "2 classes (cat, dog): 32 images to train on, 8 for validation and 10 for the test" in comments(
        here / "photos.yaml"
    )
    assert study.fixed["image_size"] == 32
    assert study.fixed["batch_size"] == 8
    assert len(study.seeds) == 6
    code, out, err = ended(capsys, "check", "photos.yaml")
    assert code == 0, err
    assert "4 methods x 6 seeds = 24" in out
    assert "grid        8 points x 16 epochs = 128 epochs\n" in out  # the budget is the whole grid


@pytest.mark.parametrize(
    ("splits", "keys", "says"),
    [
        (("train", "val", "test"), {}, "The folders train, validation and test are used as they are."),
        (("train", "test"), {"validation": 0.2, "seed": 0}, "There is no folder validation: a fifth of train"),
        (("train",), {"validation": 0.2, "test": 0.2, "seed": 0}, "no folder validation and none test: a fifth"),
    ],
)
def test_ready_splits_are_recognised(capsys, here, splits, keys, says):
    for split in splits:
        images(here / "photos" / split, {"cat": 10, "dog": 10})
    assert ended(capsys, "init", here / "photos", "-o", "deep/er/study.yaml")[0] == 0
    study = Study.load("deep/er/study.yaml")
    assert study.data == {"name": "image_folder", "root": str(here / "photos"), **keys, "fit": "crop"}
    assert says in comments(Path("deep/er/study.yaml"))


def test_a_relative_root_starts_at_the_study_file(capsys, here):
    images(here / "photos", {"cat": 10, "dog": 10})
    assert ended(capsys, "init", "photos", "-o", "studies/pets.yaml")[0] == 0
    study = Study.load("studies/pets.yaml")
    assert study.data["root"] == "../photos"
    assert Path(study.located()["data"]["root"]) == here / "photos"


def test_rare_classes_and_files_that_are_no_images_are_met(capsys, here):
    images(here / "photos", {"cat": 8, "dog": 40})
    (here / "photos" / "cat" / "notes.txt").write_text("no image")
    (here / "photos" / "dog" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    assert ended(capsys, "init", "photos")[0] == 0
    study = Study.load("photos.yaml")
    assert (study.data["corrupt"], study.data["class_weights"], study.metric) == ("skip", "balanced", "val_f1")
    assert "At least 2 of the files are no readable images" in comments(here / "photos.yaml")


@pytest.mark.parametrize("name", ["my photos: #1 {x}", "Füße", "..odd..", 'quo"te\\s', "日本"])
def test_any_name_of_a_folder_will_do(capsys, here, name):
    images(here / name, {"a\nb": 10, "c: #d": 10})
    code, out, err = ended(capsys, "init", name)
    assert code == 0, err
    study = Study.load(out.strip())
    assert Path(study.located()["data"]["root"]) == here / name
    assert count(Path(study.located()["data"]["root"])).classes == ("a\nb", "c: #d")


def test_without_a_folder_the_study_is_of_the_embedded_digits(capsys, here):
    assert ended(capsys, "init")[:2] == (0, "my-digits.yaml\n")
    code, out, err = ended(capsys, "check", "my-digits.yaml")
    assert code == 0, err
    assert "grid        16 points x 8 epochs = 128 epochs\n" in out


def test_lines_fit_a_terminal(capsys, here):
    images(here / "photos", {f"a class with a long name, number {i}": 10 for i in range(30)})
    ended(capsys, "init", "photos")
    ended(capsys, "init")
    for path in ("photos.yaml", "my-digits.yaml"):
        assert max(len(line) for line in Path(path).read_text().splitlines() if line.startswith("#")) <= 80


def flat(here):
    (here / "photos").mkdir()
    Image.new("L", (8, 8)).save(here / "photos" / "a.png")


@pytest.mark.parametrize(
    ("make", "arguments", "says"),
    [
        (lambda here: None, ["photos"], "FOLDER must be a folder of images, but photos does not exist; name another"),
        (lambda here: (here / "photos").write_text(""), ["photos"], "but photos is a file"),
        (lambda here: (here / "photos").mkdir(), ["photos"], "at least two classes, but got []"),
        (flat, ["photos"], "but its images lie side by side; move the images of each class into a folder of their own"),
        (lambda here: images(here / "photos", {"cat": 9}), ["photos"], "at least two classes, but got ['cat']"),
        (lambda here: images(here / "photos", {"cat": 9, "dog": 0}), ["photos"], "every class must have images"),
        (
            lambda here: images(here / "photos", {"cat": 9, "dog": 2}),
            ["photos"],
            "to validate and to test with, but 'dog' has 2",
        ),
        (lambda here: None, ["-o", "study.txt"], "--output must end in .yaml or .yml, but got study.txt"),
        (lambda here: (here / "my-digits.yaml").write_text("mine"), [], "my-digits.yaml must not exist yet"),
        (lambda here: (here / "x").write_text(""), ["-o", "x/y.yaml"], "x is no folder"),
        (lambda here: images(here / "photos", {"a": 10, "b": 10}), ["photos", "--weights", "w.pth"], "none at w.pth"),
        (lambda here: None, ["--weights", "w.pth"], "--weights needs a FOLDER"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_writes_nothing(capsys, here, make, arguments, says):
    make(here)
    before = sorted(path.read_bytes() for path in here.rglob("*") if path.is_file())
    code, out, err = ended(capsys, "init", *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert says in err
    assert sorted(path.read_bytes() for path in here.rglob("*") if path.is_file()) == before


def test_a_machine_with_gpus_gets_a_larger_network(capsys, here, monkeypatch):
    """nvidia-smi is a script here; what asks it is the real thing."""
    images(here / "photos", {"a": 10, "b": 10})
    fake = here / "bin" / "nvidia-smi"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nprintf '24576\\n24576\\n'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=os.pathsep)
    assert ended(capsys, "init", "photos")[0] == 0
    study = Study.load("photos.yaml")
    assert (study.model["name"], study.resources.gpus) == ("resnet50", 0.5)


FOUND = Census(("a", "b"), ("all",), 640, 160, 200, 320, 320, side=300, broken=0)


def proposed(gpus: int = 0, **changes: object) -> str:
    images = proposal.Images("photos", dataclasses.replace(FOUND, **changes), gpus)
    return proposal.text("# head", proposal.for_images("photos", images))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"largest": 299, "smallest": 100}, "metric: val_accuracy"),
        ({"largest": 300, "smallest": 100}, "metric: val_f1"),
        ({"train": 1000}, "seeds: [0, 1, 2, 3, 4, 5]"),
        ({"train": 1001}, "seeds: [0, 1, 2]"),
        ({"train": 1001, "gpus": 1}, "seeds: [0, 1, 2, 3, 4, 5]"),
        ({"gpus": 1}, "  name: resnet50"),
        ({"gpus": 1}, "resources: {cpus: 2, gpus: 0.5}"),
        ({"gpus": 1}, "  image_size: 224"),
        ({"gpus": 1, "side": 223}, "  image_size: 192"),
        ({"side": 96}, "  image_size: 96"),
        ({"side": 95}, "  image_size: 64"),
        ({"side": 0}, "  image_size: 32"),
        ({"train": 127}, "  batch_size: 16"),
        ({"train": 128}, "  batch_size: 32"),
        ({"train": 2}, "  batch_size: 2"),
    ],
)
def test_the_proposal_follows_what_is_there(changes, line):
    assert line in proposed(**changes).splitlines()


def test_a_proposal_for_a_gpu_is_accepted_by_check(capsys, here):
    images(here / "photos", {"a": 10, "b": 10})
    (here / "photos.yaml").write_text(proposed(gpus=2))
    code, _, err = ended(capsys, "check", "photos.yaml")
    assert code == 0, err
