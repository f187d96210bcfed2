"""Bad input of `hpo run`: one sentence on stderr, exit code 2, no traceback, nothing written."""

from __future__ import annotations

import pytest
from conftest import INSTANT

from hpo import cli

GOOD = INSTANT.format(seconds=0, fail_share=0, epochs=36, seeds="[0]", clock="virtual")


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main([str(a) for a in arguments])
    out = capsys.readouterr()
    return ended.value.code, out.out, out.err


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("budget:", "budgt:", "unknown key 'budgt'; did you mean 'budget'?"),
        ("random,", "randm,", "there is no method 'randm'; did you mean 'random'?"),
        ("eta: 2", "etta: 2", "asha has no option 'etta'; did you mean 'eta'?"),
        ("low: 1.0e-4", "low: 5", "low <= high must hold, but got (low=5.0, high=0.1)"),
        ("low: 1.0e-4", "low: 0", "low > 0 must hold where log is true, but got low=0.0"),
        ("0.01]", "3.0]", "every grid value must lie in [0.0001, 0.1], but got 3.0"),
        ("epochs: 36", "epochs: 0", "budget.epochs >= 1 must hold, but got 0"),
        ("max_epochs: 6", "max_epochs: 60", "budget.max_epochs <= budget.epochs must hold"),
        ("study: instant", "study: [instant", "must be valid YAML"),
        ("trainable: curves", "trainable: no.such:Class", "must be importable"),
        ("seeds: [0]", "seeds: [0, 0]", "seeds must differ"),
        ("study: instant", "", "study must be given, but it is missing"),
        ("log: true", "log: maybe", "log must be true or false"),
        ("parallelism: 3", "parallelism: many", "parallelism"),
    ],
)
def test_a_study_file_that_cannot_hold(tmp_path, capsys, old, new, says):
    file = tmp_path / "study.yaml"
    assert old in GOOD
    file.write_text(GOOD.replace(old, new))
    code, out, err = run(capsys, "run", file, "--store", tmp_path / "store")
    assert code == 2
    assert says in err.replace("\n", " ")
    assert err.startswith(f"hpo: {file}:")
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "store").exists()


def test_a_file_that_is_not_there_and_one_that_is_no_text(tmp_path, capsys):
    code, _, err = run(capsys, "run", tmp_path / "none.yaml")
    assert (code, "there is no" in err) == (2, True)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    code, _, err = run(capsys, "run", tmp_path / "binary.yaml")
    assert (code, "must be readable UTF-8 text" in err) == (2, True)
    code, _, err = run(capsys, "run", "digitz")
    assert (code, "did you mean 'digits'?" in err) == (2, True)


def test_a_store_that_is_a_file_or_holds_another_study_of_the_name(tmp_path, capsys):
    from hpo.store import StudyWriter
    from hpo.study.study import Study

    file = tmp_path / "study.yaml"
    file.write_text(GOOD)
    (tmp_path / "afile").write_text("x")
    code, _, err = run(capsys, "run", file, "--store", tmp_path / "afile")
    assert (code, "afile must be a folder, but it is a file" in err) == (2, True)
    study = Study.load(file)
    StudyWriter.open(
        str(tmp_path / "store"), study=study.study, definition=study.definition, digest="another",
        environment={}, space_kinds=study.kinds,
    ).close(compact=False)  # fmt: skip
    before = sorted((tmp_path / "store").rglob("*"))
    code, _, err = run(capsys, "run", file, "--store", tmp_path / "store")
    assert (code, "must hold one study of a name" in err) == (2, True)
    assert sorted((tmp_path / "store").rglob("*")) == before


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--methods", "guess", "there is no method 'guess'"),
        ("--seeds", "a", "--seeds must be"),
        ("--budget", "0", "budget"),
        ("--on", "gpu", "--on must be LABEL=VALUE, but got gpu"),
    ],
)
def test_a_study_is_refused_before_it_is_submitted(tmp_path, capsys, option, value, says):
    (tmp_path / "study.yaml").write_text(GOOD)
    words = ("submit", tmp_path / "study.yaml", "--store", tmp_path / "store", "--address", "http://127.0.0.1:9")
    code, out, err = run(capsys, *words, option, value)
    assert (code, out) == (2, "")
    assert says in err
    assert "127.0.0.1:9" not in err


@pytest.mark.parametrize(("wanted", "code"), [(None, 2), ("3", 3)])
def test_a_store_that_does_not_answer_ends_with_the_code_that_is_asked_for(tmp_path, capsys, monkeypatch, wanted, code):
    if wanted is not None:
        monkeypatch.setenv("HPO_STORE_AWAY", wanted)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    (tmp_path / "study.yaml").write_text(GOOD)
    ended, out, err = run(capsys, "run", tmp_path / "study.yaml", "--store", "s3://bucket/results")
    assert (ended, out) == (code, "")
    assert err.startswith("hpo: s3://bucket/results must answer, but: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [("run",), ("run", "digits", "--bogus"), ("no-such-command",), ("run", "digits", "--seeds", "a")]
)
def test_words_that_the_command_line_does_not_know(capsys, arguments):
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("hpo: ")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("ray://head:10001", "the driver must run inside the cluster, but got ray://head:10001"),
        ("http://head:8265", "hpo submit STUDY --address"),
        ("127.0.0.1:9", "a Ray cluster must answer at 127.0.0.1:9, but none does"),
    ],
)
def test_a_cluster_that_cannot_be_meant_or_reached_is_refused_before_anything_is_written(
    tmp_path, capsys, address, says
):
    (tmp_path / "study.yaml").write_text(GOOD)
    code, out, err = run(capsys, "run", tmp_path / "study.yaml", "--store", tmp_path / "store", "--address", address)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "store").exists()
