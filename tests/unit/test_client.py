"""The client and `hpo --service URL` against a real server, over a store that has no cluster."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import hpo
from hpo.cli.app import main
from hpo.client import Client, NotAllowed, NotFound, NotSignedIn, Standing
from hpo.errors import InterruptedStudy, StudyFailed
from hpo.files import unpack
from hpo.live.dispatch import Dispatch
from hpo.service.access import Access, Sessions, Tokens
from hpo.store import schema
from hpo.study.study import Study
from tests.serving import context, serving
from tests.synthetic_study import played, write_study
from tests.without_ray import dispatching, train

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests/recorded_stores"
STUDY = """
study: learning
trainable: curves
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}
  "Größe <b>": {type: int, low: 1, high: 9}
budget: {epochs: 40, max_epochs: 4}
methods: [random, {asha: {eta: 2}}]
seeds: [0, 1]
parallelism: 2
owner: "Zoë <script>"
"""


class Served:
    """The service of a store, which a test may end and start again at the same port, with a token of each role."""

    def __init__(self, store: Path, folder: Path) -> None:
        self.store, self._folder, self._open, self._port = store, folder, ExitStack(), 0
        tokens = Tokens(folder / "tokens.json")
        self.secrets = {role: tokens.add(f"{role}er", role)[1] for role in ("view", "run", "admin")}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        access = Access(Tokens(self._folder / "tokens.json"), Sessions(self._folder / "sessions.json"))
        made = context(self.store, self._folder / "cache", access=access)
        self._port = self._open.enter_context(serving(made, port=self._port))

    def end(self) -> None:
        self._open.close()

    def client(self, who: str = "view", **options: float) -> Client:
        return hpo.connect(self.url, token=self.secrets[who], **options)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    store = folder / "results"
    with tarfile.open(RECORDED / "digits.tar.gz") as archive:
        unpack(archive, store)
    dispatch = dispatching(written(folder, store))
    play(dispatch)
    dispatch.finish(complete=True)
    write_study(str(store), played("under-way", budget=48, seeds=(0,)), charges=100)
    found = Served(store, folder)
    found.start()
    yield found
    found.end()


def written(folder: Path, store: Path, name: str = "learning") -> Study:
    """Returns the study above, from its file."""
    file = folder / f"{name}.yaml"
    file.write_text(STUDY.replace("study: learning", f"study: {name}"))
    return Study.load(file, store=str(store))


def play(dispatch: Dispatch, epochs: int = 1000) -> None:
    """Trains until so many epochs are trained, or all that there are."""
    while not dispatch.finished and dispatch.trained < epochs:
        given = dispatch.next()
        if given is None:
            dispatch.think(1.0)
            continue
        train(dispatch, given)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the tokens of whoever runs the tests alone, and the working folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("HPO_SERVICE", "HPO_SERVICE_TOKEN", "HPO_SERVICE_CA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


# -- in Python --------------------------------------------------------------------------------------------------------------


def test_a_studys_tables_and_results_are_those_of_its_store(served: Served) -> None:
    there, here = served.client()["digits"], hpo.open(str(served.store))["digits"]
    data = there.data
    for table in schema.TABLES:
        assert getattr(data, table).equals(getattr(here.data, table), check_metadata=True), table
    assert (data.definition, data.digest) == (here.definition, here.data.digest)
    mine, there, here = there, served.client()["learning"], hpo.open(str(served.store))["learning"]
    assert len(mine.epochs) == len(mine.results.epochs) > len(here.epochs)
    assert there.compare().to_json() == here.compare().to_json()
    assert there.compare(difference="1 %").render("markdown") == here.compare(difference="1 %").render("markdown")
    assert there.importance(pairs=False).to_json() == here.importance(pairs=False).to_json()
    assert there.best().config == here.best().config
    assert there.plot.anytime().axes


def test_what_has_not_changed_is_not_sent_again(served: Served) -> None:
    study = served.client()["digits"]
    before = study.results
    assert study.results is before
    assert study.epochs.to_arrow() is before.epochs.to_arrow()


def test_studies_are_listed_filtered_and_named(served: Served) -> None:
    client = served.client()
    assert set(client) == {"digits", "learning", "under-way"}
    assert len(client) == 3
    assert [each["study"] for each in client.studies(search="learn")] == ["learning"]
    assert [each["study"] for each in client.studies(state="complete", sort="name")] == ["digits", "learning"]
    assert client["digits"].state.word == "complete"
    assert client["digits"].url == f"{served.url}/studies/digits"
    assert str(client["under-way"].state) in ("stopped", "no sign of life")
    assert client.me()["role"] == "view"


@pytest.mark.parametrize("name", ["digit", "..", "a/b", "dígits", "<b>", ""])
def test_a_study_that_is_not_there_is_not_found(served: Served, name: str) -> None:
    with pytest.raises((NotFound, hpo.HpoError)) as caught:
        served.client()[name].data  # noqa: B018
    assert caught.value.exit_code == 2
    assert name not in served.client() or name == ""


def test_a_report_is_fetched_once_it_is_made(served: Served, tmp_path: Path) -> None:
    study = served.client()["learning"]
    assert "<html" in study.report(tmp_path / "new" / "report.html").read_text()[:200]
    with pytest.raises(hpo.HpoError, match="must be a file that can be written"):
        study.report(tmp_path)


def test_watch_and_wait_end_with_what_is_over(served: Served) -> None:
    client = served.client()
    assert [standing.word for standing in client["digits"].watch()] == ["complete"]
    assert client["digits"].wait().over
    with pytest.raises((StudyFailed, InterruptedStudy)) as caught:
        client["under-way"].wait()
    assert caught.value.exit_code in (1, 130)


def test_a_token_must_be_there_be_right_and_may_only_what_its_role_includes(served: Served) -> None:
    for token in ("", "wrong-token-of-some-length"):
        with pytest.raises(NotSignedIn, match="give a token by HPO_SERVICE_TOKEN"):
            hpo.connect(served.url, token=token).me()
    with pytest.raises(NotAllowed):
        served.client("view")["digits"].archive()
    with pytest.raises(NotAllowed):
        served.client("run")["digits"].archive()  # it is another owner's
    served.client("admin")["digits"].archive()
    until(lambda: "digits" not in list(served.client()))
    assert [each["study"] for each in served.client().studies(archived=True)] == ["digits"]
    served.client("admin")["digits"].unarchive()
    until(lambda: "digits" in list(served.client()))


def test_a_watch_outlives_a_restart_of_the_service(served: Served, tmp_path: Path) -> None:
    dispatch = dispatching(written(tmp_path, served.store, "restarted"))
    play(dispatch, epochs=10)
    study, seen = served.client()["restarted"], list[Standing]()
    watching = threading.Thread(target=lambda: [seen.append(each) for each in study.watch()], daemon=True)
    watching.start()
    until(lambda: bool(seen))
    served.end()
    play(dispatch, epochs=20)
    served.start()
    before = len(seen)
    until(lambda: len(seen) > before)
    play(dispatch)
    dispatch.finish(complete=True)
    watching.join(60)
    assert not watching.is_alive()
    words = [standing.word for standing in seen]
    assert words[-1] == "complete"
    assert set(words[:-1]) <= {"starting", "running"}
    assert study.trials.columns.count("config_Größe <b>") == 1


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# -- on the command line ------------------------------------------------------------------------------------------------------


Hpo = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(served: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Hpo:
    """Returns a function that runs `hpo` in this process, by default through the service; it gives code, stdout, stderr."""

    def run(*words: object, who: str = "view", local: bool = False) -> tuple[int, str, str]:
        if not local:
            monkeypatch.setenv("HPO_SERVICE_TOKEN", served.secrets.get(who, who))
        service = [] if local else ["--service", served.url]
        with pytest.raises(SystemExit) as ended:
            main([*service, *map(str, words)])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


@pytest.mark.parametrize(
    ("name", "format"),
    [*(("compare", format) for format in ("table", "json", "csv", "markdown", "latex")), ("importance", "json")],
)  # fmt: skip
def test_results_are_printed_as_beside_the_store(command: Hpo, served: Served, name: str, format: str) -> None:
    options = ["--runs", "--all-tables", "--target", "0.5"] if name == "compare" else ["--no-pairs"]
    code, there, _ = command(name, "learning", *options, "--format", format)
    assert (code, there) == command(
        name, served.store, "--study", "learning", *options, "--format", format, local=True
    )[:2]
    assert code == 0


def test_several_studies_are_compared_as_tasks_as_beside_the_store(command: Hpo, served: Served) -> None:
    code, there, _ = command("compare", "digits", "--study", "learning", "--format", "json")
    named = ["--study", "digits", "--study", "learning"]
    assert (code, there) == command("compare", served.store, *named, "--format", "json", local=True)[:2]
    assert command("compare")[0] == 2  # which of them?


def test_the_html_report_and_the_exported_files_are_those_of_the_store(
    command: Hpo, served: Served, tmp_path: Path
) -> None:
    assert command("compare", "learning", "--format", "html", "-o", "there.html")[0] == 0
    assert (
        command("compare", served.store, "--study", "learning", "--format", "html", "-o", "here.html", local=True)[0]
        == 0
    )
    assert (tmp_path / "there.html").read_bytes() == (tmp_path / "here.html").read_bytes()
    for format in ("csv", "json"):
        command("export", "digits", "there", "--format", format)
        command("export", served.store, "here", "--study", "digits", "--format", format, local=True)
    files = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert len(files) == 2 * len(schema.TABLES)
    for name in files:
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_check_prints_the_plan_of_the_local_command_and_its_mistakes_at_their_places(
    command: Hpo, served: Served, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(STUDY)
    here, there = (command("check", file, local=local)[1] for local in (True, False))
    assert there == here.replace("store       results", f"store       {served.store}")
    file.write_text(STUDY.replace("seeds: [0, 1]", "seeds: [0, x]").replace("max_epochs: 4", "max_epoch: 4"))
    code, out, told = command("check", file)
    here = command("check", file, local=True)[2]
    assert (code, out) == (2, "")
    assert len(told.splitlines()) == 3
    assert here.strip() in told


def test_watch_ends_as_run_ends(command: Hpo) -> None:
    code, out, told = command("watch", "digits", "--format", "json")
    assert code == 0
    assert json.loads(out)["study"] == "digits"
    assert "5,120 of 5,120 epochs charged" in told
    assert command("watch", "digits", "--quiet")[2] == ""
    code, _, told = command("watch", "under-way")
    assert code in (1, 130)
    assert "to continue: hpo --service" in told


def test_studies_are_listed_as_a_table_and_as_json(command: Hpo) -> None:
    code, out, _ = command("studies")
    assert code == 0
    assert "digits" in out
    assert "complete" in out
    found = json.loads(command("studies", "--state", "complete", "--sort", "name", "--format", "json")[1])
    assert {"digits", "learning"} <= {each["study"] for each in found}


def test_a_bundle_is_fetched_and_opens(command: Hpo, served: Served) -> None:
    assert command("bundle", "learning", "-o", "learning.tar.gz")[:2] == (0, "learning.tar.gz\n")
    assert hpo.open("learning.tar.gz")["learning"].compare().verdict == served.client()["learning"].compare().verdict
    code, _, told = command("bundle", "learning", "-o", "learning.zip")
    assert (code, "must end in .tar.gz" in told) == (2, True)


def test_login_keeps_a_token_that_is_right_and_no_other(
    command: Hpo, served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for secret, code in (("", 2), ("wrong-token-of-some-length", 2), (served.secrets["run"], 0)):
        monkeypatch.setattr("sys.stdin", io.StringIO(secret + "\n"))
        assert command("login")[0] == code
    monkeypatch.delenv("HPO_SERVICE_TOKEN")
    assert hpo.connect(served.url).me()["name"] == "runer"
    kept = tmp_path / "config" / "hpo-arena" / "service-tokens"
    assert kept.read_text() == f"{served.url} {served.secrets['run']}\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "digits", "--address", "auto"], "`hpo run` takes no --address with --service: the service knows its cluster"),
        (["run", "digits", "--store", "s3://x"], "takes no --store with --service: the service has one store"),
        (["submit", "digits", "--env", "A=1"], "takes no --env with --service"),
        (["run", "digits", "--adress", "auto"], "No such option: --adress"),
        (["verify", "results"], "`hpo verify` works on this machine, not through a service; leave --service out"),
        (["refine", "results"], "`hpo refine` works on this machine"),
        (["compare", "digit"], "the study must be in the store"),
        (["submit", "no-such-preset"], "STUDY must be a file or a preset"),
        (["submit", "digits", "--seeds", "x"], "--seeds must be whole numbers"),
        (["jobs"], "must"),
        (["logs", "digits"], "must"),
        (["submit", "digits"], "must"),
        (["stop", "no-such-study"], "must"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_a_sentence(command: Hpo, words: list[str], says: str) -> None:
    code, out, told = command(*words, who="run")
    assert (code, out) == (2, "")
    assert says in told.replace("\n", " ")
    assert "bug in hpo" not in told


def test_commands_of_a_service_say_that_they_need_one(
    command: Hpo, monkeypatch: pytest.MonkeyPatch, served: Served
) -> None:
    code, _, told = command("watch", "digits", local=True)
    assert (code, "`hpo watch` asks a service: hpo --service URL watch" in told) == (2, True)
    monkeypatch.setenv("HPO_SERVICE", served.url)
    monkeypatch.setenv("HPO_SERVICE_TOKEN", served.secrets["view"])
    assert "digits" in command("studies", local=True)[1]
    assert "asha" in command("methods", local=True)[1]  # this machine's, as ever
    assert command("compare", "under-way", local=True)[0] == 0


def test_a_token_that_is_wrong_or_may_too_little_is_told(command: Hpo) -> None:
    code, _, told = command("studies", who="wrong-token-of-some-length")
    assert (code, "give a token by HPO_SERVICE_TOKEN" in told) == (2, True)
    code, _, told = command("archive", "digits", who="view")
    assert (code, "role" in told or "may" in told) == (2, True)


ALONE = """
import sys
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("ray", "torch", "torchvision"):
            raise ModuleNotFoundError(f"there is no {name} here", name=name)
sys.meta_path.insert(0, Gone())
from hpo.cli.app import main
names = ("compare", "importance", "watch")
for words in (*([name, "learning"] for name in names), ["studies"], ["check", sys.argv[1]]):
    try:
        main(["--service", *sys.argv[2:], *words])
    except SystemExit as ended:
        assert not ended.code, (words, ended.code)
print("all done without", *sorted({"ray", "torch"} - set(sys.modules)))
"""


def test_a_machine_needs_neither_ray_nor_torch(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(STUDY)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HPO_SERVICE_TOKEN": served.secrets["view"]}
    words = [sys.executable, "-c", ALONE, str(file), served.url]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all done without ray torch\n")
