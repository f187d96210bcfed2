"""Copies of curves for TensorBoard and MLflow: they can be read there, and the study does not wait for them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hpo.live.tracking import MlFlow, TensorBoard, Tracking
from hpo.study.values import Charge, EpochRecord, RunKey, TrialKey

KEY = TrialKey("task", {"learning_rate": 0.1}, 0, 4)
RUN = RunKey("random", 0)


def told(tracking: Tracking) -> None:
    """Tracks three epochs of a trial, charged to a run; an earlier driver has tracked the first charge."""
    for epoch, value in enumerate((0.5, 0.7, 0.6), start=1):
        tracking.epoch(KEY, EpochRecord(KEY.id, epoch, {"val_accuracy": value}))
        tracking.charge(Charge(RUN, epoch - 1, KEY.id, 0, epoch, float(epoch), value), new=epoch > 1)
    tracking.close()


def test_tensorboard_reads_the_curves(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told(Tracking(TensorBoard(str(tmp_path), "s")))

    def scalars(folder: str, tag: str) -> list[tuple[int, float]]:
        found = EventAccumulator(str(tmp_path / "s" / folder))
        found.Reload()
        return [(entry.step, round(entry.value, 6)) for entry in found.Scalars(tag)]

    assert scalars(f"trials/{KEY.id}", "val_accuracy") == [(1, 0.5), (2, 0.7), (3, 0.6)]
    assert scalars("runs/random-0", "incumbent") == [(2, 0.7), (3, 0.7)]


class Server(ThreadingHTTPServer):
    """The part of MLflow's REST API that we use, as its reference describes it (also checked against a real server)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(path)
        match parts.path.removeprefix("/api/2.0/mlflow/"):
            case "experiments/get-by-name":
                (name,) = parse_qs(parts.query)["experiment_name"]
                known = self.experiments.get(name)
                return (200, {"experiment": {"experiment_id": known}}) if known else (404, {})
            case "experiments/create":
                self.experiments[body["name"]] = "7"
                return 200, {"experiment_id": "7"}
            case "runs/search":
                wanted = body["filter"].split("'")[1]
                return 200, {"runs": [{"info": {"run_id": i}} for i, r in self.runs.items() if r["name"] == wanted]}
            case "runs/create":
                name = body["run_name"]
                self.runs[f"id-{name}"] = {"name": name, "metrics": [], "params": {}}
                return 200, {"run": {"info": {"run_id": f"id-{name}"}}}
            case "runs/log-batch":
                run = self.runs[body["run_id"]]
                run["metrics"] += [(m["key"], m["step"], m["value"]) for m in body.get("metrics", [])]
                run["params"] |= {p["key"]: p["value"] for p in body.get("params", [])}
                return 200, {}
            case "runs/update":
                self.runs[body["run_id"]]["status"] = body["status"]
                return 200, {}
        return 404, {}


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        status, found = self.server.answer(self.path, body)
        content = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


def test_mlflow_has_a_run_for_each_trial_and_continues_it(server: Server) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    told(Tracking(MlFlow(url, "s")))
    later = Tracking(MlFlow(url, "s"))
    later.epoch(KEY, EpochRecord(KEY.id, 4, {"val_accuracy": 0.8}))
    later.close()
    assert server.experiments == {"s": "7"}
    assert sorted(run["name"] for run in server.runs.values()) == sorted([KEY.id, "random/0"])
    trial = server.runs[f"id-{KEY.id}"]
    assert trial["metrics"] == [("val_accuracy", e, v) for e, v in ((1, 0.5), (2, 0.7), (3, 0.6), (4, 0.8))]
    assert trial["params"] == {"seed": "0", "learning_rate": "0.1"}
    assert trial["status"] == "FINISHED"
    assert server.runs["id-random/0"]["metrics"] == [("incumbent", 2, 0.7), ("incumbent", 3, 0.7)]


@pytest.mark.timeout(60)
def test_a_server_that_does_not_answer_loses_entries_and_holds_up_nothing() -> None:
    tracking = Tracking(MlFlow("http://127.0.0.1:9", "s"))
    told(tracking)
    assert tracking.lost == 5
