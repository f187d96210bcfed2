"""What a study from elsewhere may name, what its files may be, what its owner may take, and how its text is looked at."""

from __future__ import annotations

import asyncio
import io
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cluster.job import ATTEMPT, HELPER, OWNER, RETRIES, SERIES, STUDY, Job
from hpo.service.context import Settings
from hpo.service.problems import Problem
from hpo.service.submitting import quotas
from hpo.service.submitting.checker import TEXT_BYTES, Checker
from hpo.service.submitting.drafts import examine
from hpo.service.submitting.options import Options
from hpo.service.submitting.queue import EPOCHS, WORKERS
from hpo.service.submitting.records import Records, Submitted
from hpo.service.submitting.rules import Rules, below
from hpo.service.submitting.upload import LINE, LISTED, Limits, unpack
from hpo.study.finding import presets

GOOD = """study: small
trainable: curves
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}
budget: {epochs: 12, max_epochs: 6}
methods: [random, asha]
seeds: [0, 1]
"""


def found(
    text: str, rules: Rules | None = None, options: Options = Options(), **more: Any
) -> list[tuple[int, int, str]]:
    """Returns the problems of a text: line, column, message."""
    looked = examine(text, None, rules or Rules("/stores/ours"), options, **more)
    return [(one.line, one.column, one.message) for one in looked.problems]


# -- texts --------------------------------------------------------------------------------------------------------


def test_a_good_study_has_a_plan_and_is_sent_with_its_store_and_its_owner(tmp_path: Path) -> None:
    looked = examine(GOOD, None, Rules(str(tmp_path)), Options(budget=18), "anna")
    assert looked.problems == ()
    assert (looked.name, looked.studies, looked.owner, looked.store) == ("small", ("small",), "anna", str(tmp_path))
    assert looked.plan is not None
    assert dict(looked.plan.rows)["budget"].startswith("18 epochs per run")
    assert looked.work[0].epochs == 4 * 18
    sent = YAML(typ="safe").load(looked.text)
    assert (sent["store"], sent["owner"], sent["methods"]) == (str(tmp_path), "anna", ["random", "asha"])


def test_exams_count_as_epochs(tmp_path: Path) -> None:
    text = presets()["digits"].read_text()
    plain = examine(text, None, Rules(str(tmp_path)), Options(seeds=(0,), methods=("random",))).work[0].epochs
    assert "final: {retrain: none}" in text
    text = text.replace("final: {retrain: none}", "final: {retrain: train, epochs: 7, seeds: 3}")
    more = examine(text, None, Rules(str(tmp_path)), Options(seeds=(0,), methods=("random",)))
    assert more.work[0].epochs == plain + 21


def test_all_problems_are_told_each_at_its_place() -> None:
    text = GOOD.replace("budget:", "budgte: 1\nbudget:").replace("low: 1.0e-4, high: 0.1", "low: 2, high: 1")
    text = text.replace("max_epochs: 6", "max_epochs: six").replace("asha]", "{asha: {parallelism: 0}}]")
    assert [(line, message.split(" must")[0].split(",")[0]) for line, _, message in sorted(found(text))] == [
        (4, "learning_rate: low <= high"),
        (5, "unknown key 'budgte'; did you mean 'budget'?"),
        (6, "budget.max_epochs: input should be a valid integer"),
        (7, "parallelism >= 1"),
    ]


def test_presets_may_be_submitted_as_they_are(tmp_path: Path) -> None:
    rules = Rules(str(tmp_path))
    refused = {name for name, path in presets().items() if list(rules.check(YAML(typ="safe").load(path)))}
    assert refused == {"clothing", "fashion-mnist"}  # which say themselves that their paths are to be set
    assert examine(presets()["digits"].read_text(), None, Rules(str(tmp_path)), Options()).problems == ()


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("trainable: os:system", "trainable"), ("trainable: optuna:os:system", "trainable"),
        ("trainable: given:f@0", "trainable"), ("model: {name: x, hooks: 'os:system'}", "model.hooks"),
        ("methods: ['os:system']", "a method"), ("methods: [{asha: {searcher: 'os:system'}}]", "a method"),
        ("methods: [{asha: {searcher: {'os:system': {}}}}]", "a method"), ("methods: [{optunahub: samplers/x}]", "a method"),
        ("data: {root: /etc}", "data.root"), ("data: {root: ../x}", "data.root"), ("data: {root: ~root}", "data.root"),
        ("data: {root: s3://other/data}", "data.root"), ("data: {root: s3://ours/data/../secret}", "data.root"),
        ("data: {root: file:///etc}", "data.root"), ("data: {root: s3://ours/database}", "data.root"),
        ("model: {name: x, weights: /etc/x.pt}", "model.weights"), ("store: /etc", "store"), ("store: s3://other", "store"),
        ("store: /data", "store"), ("prior: /etc", "prior"), ("prior: elsewhere", "prior"),
        ("space: {candidates: /etc/passwd.csv}", "space.candidates"), ("track: {tensorboard: /data/x}", "track.tensorboard"),
        ("track: {mlflow: 'http://10.0.0.1'}", "track.mlflow"), ("tasks: {a: {data: {root: /etc}}}", "data.root"),
        ("tasks: {a: {trainable: 'os:system'}}", "trainable"), ("data: {deep: [{er: /etc}]}", "data.deep"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_before_anything_of_it_is_read(line: str, key: str) -> None:
    rules = Rules("/stores/ours", data_roots=("/data", "s3://ours/data"))
    looked = examine(f"study: x\n{line}\n", None, rules, Options())
    assert looked.kinds == {"forbidden"}
    assert looked.problems[0].message.startswith(key)


def test_methods_that_an_option_names_are_judged_as_those_of_the_text() -> None:
    [(_, _, message)] = found(GOOD, options=Options(methods=("random", "os:system")))
    assert "code" in message


def test_what_is_allowed_is_taken(tmp_path: Path) -> None:
    rules = Rules(
        str(tmp_path),
        trainables=("team.models:*",),
        data_roots=("/data", "s3://ours/data"),
        stores=("s3://ours/stores",),
    )
    text = GOOD.replace(
        "trainable: curves", "trainable: team.models:Big\ndata: {root: s3://ours/data/leaves, more: a/b}"
    )
    assert not list(rules.check(YAML(typ="safe").load(text + "store: s3://ours/stores/a\n")))
    assert list(rules.check({"trainable": "team.model:Big"}))
    assert not list(Rules("/s", allow_code=True).check({"trainable": "os:system", "methods": ["a:b"]}))


def test_a_link_out_of_a_root_is_followed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "out").symlink_to("/etc")
    assert below(str(tmp_path / "data" / "in"), str(tmp_path / "data"))
    assert not below(str(tmp_path / "data" / "out" / "passwd"), str(tmp_path / "data"))
    assert not below(str(tmp_path / "database"), str(tmp_path / "data"))


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x]\n" + "".join(f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(40)),
        "[" * 5000, "a: !!python/object/apply:os.system [id]", "study: \x00", "study: '\ud800'", "", "- a", "study: x\nstudy: y",
        "a: " + "9" * 400, "? {a: b}\n: c", "study: <script>alert(1)</script>", "study: ../../x", '{"study": 1}',
    ],
)  # fmt: skip
@pytest.mark.timeout(30)  # what would never end does not
def test_what_is_no_study_is_refused(text: str) -> None:
    assert found(text)


def test_a_name_that_the_store_has_for_another_study_is_taken(tmp_path: Path) -> None:
    from stores import open_writer

    open_writer(str(tmp_path), study="small", digest="other").close(compact=False)
    looked = examine(GOOD, None, Rules(str(tmp_path)), Options())
    assert looked.kinds == {"taken"}
    assert (looked.problems[0].line, looked.problems[0].message.startswith("a store must hold one study")) == (1, True)


def test_code_of_a_stranger_is_not_imported_where_any_code_may_be_submitted(tmp_path: Path) -> None:
    looked = examine(GOOD.replace("curves", "antigravity:fly"), None, Rules(str(tmp_path), allow_code=True), Options())
    assert looked.problems == ()
    import sys

    assert "antigravity" not in sys.modules


def test_a_check_runs_in_a_process_that_ends_with_a_study_that_takes_too_long(tmp_path: Path) -> None:
    async def play() -> None:
        checker = Checker(Settings(str(tmp_path), tmp_path), seconds=30)
        try:
            assert (await checker.examine(GOOD, Options())).problems == ()
            with pytest.raises(Problem, match="at most"):
                await checker.examine("#" * (TEXT_BYTES + 1), Options())
            checker._seconds = 0.0
            with pytest.raises(Problem, match="within 0 s"):
                await checker.examine(GOOD, Options())
        finally:
            checker.close()

    asyncio.run(play())


# -- files --------------------------------------------------------------------------------------------------------


def archive(*files: tuple[Any, bytes], compress: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compress) as packed:
        for name, text in files:
            packed.writestr(name, text)
    content.seek(0)
    return content


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def test_plain_files_are_unpacked(tmp_path: Path) -> None:
    assert unpack(archive(("a.csv", b"x\n1\n"), ("b/c.npz", b"2")), tmp_path, Limits()) == ["a.csv", "b/c.npz"]
    assert (tmp_path / "b" / "c.npz").read_bytes() == b"2"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([("../a.csv", b"")], "below the study's folder"), ([("/a.csv", b"")], "below the study's folder"),
        ([("a/../../b.csv", b"")], "below the study's folder"), ([(".hpo-environment", b"")], "begins with a dot"),
        ([("a/.ssh/b.csv", b"")], "begins with a dot"), ([("C:a.csv", b"")], "printable"), ([("a\n.csv", b"")], "printable"),
        ([("x" * 300 + ".csv", b"")], "printable"), ([("sitecustomize.py", b"")], "must be data"),
        ([("hpo/x.so", b"")], "must be data"), ([("x.pyc", b"")], "must be data"), ([("Study.yaml", b"")], "study's own"),
        ([(link("a.csv"), b"/etc/passwd")], "no link"), ([("a.csv", b""), ("A.csv", b"")], "without case"),
        ([("a/b.csv", b""), ("A/c.csv", b"")], "without case"), ([("a.csv", b"0" * 10_000_000)], "times its size"),
        ([(f"{i}.csv", b"") for i in range(1001)], "at most 1,000"),
    ],
)  # fmt: skip
def test_archives_that_would_harm_are_refused_in_a_sentence(files: list[Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=said) as refused:
        unpack(archive(*files), tmp_path, Limits())
    assert refused.value.status == 422
    assert list(tmp_path.rglob("*.csv")) == []


def test_a_long_table_of_contents_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = archive(("a.csv", b"")).getvalue().replace(LINE, LINE * (LISTED + 1))
    monkeypatch.setattr(
        zipfile, "ZipFile", None
    )  # it takes half a minute for a million lines, and holds up all threads
    with pytest.raises(Problem, match="at most 1,000, but the archive lists 50,001"):
        unpack(io.BytesIO(lines), tmp_path, Limits())


def test_a_file_that_is_there_twice_and_what_is_no_archive_are_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = archive(("a.csv", b"1"), ("a.csv", b"2"))
    with pytest.raises(Problem, match="twice"):
        unpack(twice, tmp_path, Limits())
    whole = archive(("a.csv", b"x" * 5000)).getvalue()
    for broken in (b"", b"PK", whole[:-30], whole.replace(whole[60:70], b"0123456789")):
        with pytest.raises(Problem):
            unpack(io.BytesIO(broken), tmp_path / "b", Limits())


def test_sizes_are_counted_whatever_the_table_of_contents_says(tmp_path: Path) -> None:
    files = [(f"{i}.csv", bytes(range(256)) * 40) for i in range(10)]
    with pytest.raises(Problem, match="together"):
        unpack(archive(*files), tmp_path, Limits(bytes=50_000))
    lying = archive(("a.csv", bytes(range(256)) * 100), compress=zipfile.ZIP_STORED).getvalue()
    lying = lying.replace((25600).to_bytes(4, "little") * 2, (25600).to_bytes(4, "little") + (10).to_bytes(4, "little"))
    with pytest.raises(Problem):
        unpack(io.BytesIO(lying), tmp_path / "lying", Limits())


# -- quotas -------------------------------------------------------------------------------------------------------


def job(number: int, owner: str = "anna", status: str = "RUNNING", **notes: str) -> Job:
    metadata = {SERIES: f"s{number}", ATTEMPT: "1", STUDY: f"study{number}", OWNER: owner, **notes}
    return Job(f"s{number}-1", status, "hpo run", metadata=metadata)


def room(
    limits: quotas.Quotas,
    *jobs: Job,
    epochs: float = 0,
    workers: int | None = None,
    trained: float = 0,
    **charged: float,
) -> int | None:
    return quotas.check(limits, quotas.Usage("anna", jobs, trained), epochs, workers, dict(charged))


def test_studies_at_a_time() -> None:
    two = quotas.Quotas(studies_at_a_time=2)
    assert room(two, job(1), job(2, "bob"), job(3, status="STOPPED")) is None
    between = job(4, status="RUNNING", **{HELPER: RETRIES})  # its first attempt was killed, its next one comes
    with pytest.raises(Problem, match=r"at most 2 studies at a time .*anna has 2 \(study1, study4\)") as full:
        room(two, job(1), job(4, status="FAILED"), between)
    assert (full.value.status, full.value.headers["Retry-After"]) == (429, "60")


def test_slots() -> None:
    eight = quotas.Quotas(slots=8)
    assert room(eight, job(1, **{WORKERS: "5"})) == 3
    assert room(eight, job(1, **{WORKERS: "5"}), workers=3) == 3
    for jobs, workers in (((job(1, **{WORKERS: "5"}),), 4), ((job(1, **{WORKERS: "8"}),), None), ((job(1),), 1)):
        with pytest.raises(Problem, match="at most 8 slots"):
            room(eight, *jobs, workers=workers)


def test_epochs_a_day() -> None:
    limits = quotas.Quotas(epochs_a_day=100)
    coming = job(1, **{EPOCHS: "60"})
    room(limits, coming, epochs=40)
    room(limits, coming, epochs=50, trained=40, s1=50)  # of 60 epochs 50 are trained, 40 of them in the last day
    with pytest.raises(Problem, match="100 epochs a day"):
        room(limits, coming, epochs=41)
    with pytest.raises(Problem, match="100 epochs a day"):
        room(limits, epochs=1, trained=100)


# -- what is remembered -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["local", "moto"])
def test_records_outlive_the_service(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stores import uri

    store = uri(place, tmp_path, monkeypatch)
    assert Records(store).answer("k", "body") is None
    Records(store).keep_answer("k", "body", {"job": "a-1"})
    assert Records(store).answer("k", "body") == {"job": "a-1"}
    with pytest.raises(Problem, match="another"):
        Records(store).answer("k", "other")
    name = Records(store).keep_files(b"zip")
    Records(store).keep_submitted("small", Submitted(GOOD, "anna", {"workers": 2}, name, {}, "s"))
    kept = Records(store).submitted("small")
    assert kept is not None
    assert (kept.text, kept.owner, kept.options, Records(store).files(str(kept.files))) == (
        GOOD,
        "anna",
        {"workers": 2},
        b"zip",
    )
    from hpo.store import studies

    assert studies(store) == []


@pytest.mark.parametrize("place", ["local", "moto"])
def test_records_that_nobody_needs_go_with_time(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stores import uri

    records = Records(uri(place, tmp_path, monkeypatch))
    records.keep_answer("k", "body", {"job": "a-1"})
    old, new = records.keep_files(b"old"), records.keep_files(b"new")
    for name in (old, new):
        records.keep_submitted("small", Submitted(GOOD, "anna", {}, name, {}, "s"))
    records.tidy()
    assert records.answer("k", "body") == {"job": "a-1"}
    assert records.files(old) == b"old"
    records.tidy(seconds=-5.0)
    assert records.answer("k", "body") is None
    assert (records.files(old), records.files(new)) == (None, b"new")
    kept = records.submitted("small")
    assert kept is not None
    assert kept.files == new
