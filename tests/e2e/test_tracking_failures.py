"""A tracking store that is down, broken, hanging or locked: nothing is lost, nobody waits long."""

import socket
import socketserver
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest
from records import open_training, train_record, training_metrics

from searchr2.config import Tracking
from searchr2.files import read_json, read_jsonl, write_json
from searchr2.tracking.follow import SETTINGS, SyncError, sync_once
from searchr2.tracking.store import Store
from tests.e2e.stages import PATIENCE, environment, files, finish, logged, metrics, serving

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
TROUBLES = ("down", "error", "hang")


class Proxy(socketserver.ThreadingTCPServer):
    """Hands connections to a real server, or behaves as ``trouble`` says."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, upstream):
        super().__init__(("127.0.0.1", 0), Connection)
        self.upstream, self.trouble = upstream, None
        self.open: list[socket.socket] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def become(self, trouble):
        self.trouble = trouble
        while self.open:  # clients keep connections for later
            with suppress(OSError):
                self.open.pop().shutdown(socket.SHUT_RDWR)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Connection(socketserver.BaseRequestHandler):
    server: Proxy

    def handle(self):
        trouble = self.server.trouble
        if trouble == "hang":
            time.sleep(10)
        elif trouble == "error":
            self.request.recv(65536)
            self.request.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops")
        elif trouble is None:
            with socket.create_connection(("127.0.0.1", self.server.upstream)) as upstream:
                self.server.open.append(upstream)
                back = threading.Thread(target=pump, args=(upstream, self.request))
                back.start()
                pump(self.request, upstream)
                back.join()


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """A real MLflow server on this port."""
    store = tmp_path_factory.mktemp("server")
    server = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    server += ["--backend-store-uri", f"sqlite:///{store}/mlflow.db"]
    server += ["--artifacts-destination", store / "artifacts"]
    with serving(server) as port:
        yield port


@pytest.fixture
def proxy(port):
    with Proxy(port) as proxy:
        yield proxy
        proxy.shutdown()


@contextmanager
def impatience(monkeypatch):
    """Give up on a server soon; not on one that answers, which may take its time under load."""
    with monkeypatch.context() as context:
        context.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        yield


@pytest.mark.parametrize("trouble", TROUBLES)
def test_troubles_at_the_start_in_the_middle_and_at_the_end(tmp_path, proxy, monkeypatch, trouble):
    settings = Tracking(uri=proxy.url, experiment=f"through {trouble}")

    def in_trouble():
        proxy.become(trouble)
        with impatience(monkeypatch), pytest.raises(SyncError, match="files hold all of it"):
            sync_once(tmp_path, settings)
        proxy.become(None)

    with open_training(tmp_path, "x", 1) as record:
        record.log(training_metrics(1, 1), 1)
        in_trouble()
        sync_once(tmp_path, settings)
        record.log(training_metrics(2, 1), 2)
        in_trouble()
        record.log(training_metrics(3, 1), 3)
        sync_once(tmp_path, settings)
        record.log(training_metrics(4, 1), 4)
    in_trouble()
    sync_once(tmp_path, settings)
    sync_once(tmp_path, settings)
    assert mirrored(tmp_path, settings) == recorded(tmp_path / "train/x/seed1")


def recorded(record):
    """Every point of a run's ledger."""
    return sorted(
        (name, line["step"], line["time"], value)
        for _, line in read_jsonl(record / "metrics.jsonl")
        for name, value in line["metrics"].items()
    )


def mirrored(results, settings):
    """Every point that the store has of the one training run."""
    store = Store(results, settings)
    (run,) = store.client.search_runs([store.experiment], "tags.stage = 'train'")
    assert run.info.status == "FINISHED"
    return sorted(
        (name, point.step, point.timestamp, point.value)
        for name in run.data.metrics
        for point in store.client.get_metric_history(run.info.run_id, name)
    )


def outcome(record):
    """What a training run made, whenever it was made: weights, rollouts, figures of each step."""
    manifest = (record / "manifest.json").read_bytes()
    return manifest, files(record / "model"), files(record / "rollouts"), metrics(record)


@contextmanager
def following(results, settings):
    """The mirror beside a workflow, as the workflow starts it; at the end, what it said."""
    write_json(results / SETTINGS, settings.model_dump())
    said: list[str] = []
    with subprocess.Popen(["sleep", "600"]) as workflow:
        command = [sys.executable, "-m", "searchr2.cli.main", "sync", "--follow"]
        command += ["--results", str(results), "--parent", str(workflow.pid)]
        follower = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            yield said
        finally:
            workflow.kill()
            workflow.wait()
            said += follower.communicate(timeout=PATIENCE)  # it leaves a minute after us


@pytest.mark.parametrize("trouble", [None, *TROUBLES])
def test_training_is_the_same_beside_any_server(
    tmp_path, proxy, monkeypatch, stages, trained, trouble
):
    """At the start, in the middle and at the end; what it must equal knew of no tracking."""
    settings = Tracking(uri=proxy.url, experiment=f"beside {trouble}")
    record = tmp_path / "train/search-r2/seed1"
    proxy.become(trouble)
    with (
        impatience(monkeypatch) if trouble else nullcontext(),
        following(tmp_path, settings) as said,
    ):
        training = subprocess.Popen(stages.train(record), env=environment())
        for moment, becomes in ((2, None), (4, trouble)):
            while training.poll() is None and logged(record) < moment:
                time.sleep(0.01)
            proxy.become(becomes)
        assert training.wait(timeout=PATIENCE) == 0
    assert outcome(record) == outcome(trained)
    assert ("not mirrored yet" in said[1]) == bool(trouble)
    proxy.become(None)
    sync_once(tmp_path, settings)
    assert mirrored(tmp_path, settings) == recorded(record)


def test_training_is_the_same_beside_a_locked_database(tmp_path, stages, trained):
    record = tmp_path / "train/search-r2/seed1"
    Store(tmp_path, Tracking()).runs()
    with sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None) as database:
        database.execute("BEGIN EXCLUSIVE")
        with following(tmp_path, Tracking()) as said:
            finish(stages.train(record))
        database.execute("ROLLBACK")
    assert outcome(record) == outcome(trained)
    assert "database is locked" in said[1]
    sync_once(tmp_path, Tracking())
    assert mirrored(tmp_path, Tracking()) == recorded(record)


def test_two_processes_may_open_a_fresh_store_at_once(tmp_path):
    code = (
        "import sys; from pathlib import Path; from searchr2.config import Tracking\n"
        "from searchr2.tracking.store import Store; Store(Path(sys.argv[1]), Tracking()).runs()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    openers = [subprocess.Popen(command) for _ in range(2)]
    assert [opener.wait(timeout=PATIENCE) for opener in openers] == [0, 0]


def test_a_locked_database(tmp_path):
    train_record(tmp_path, "x", 1)
    sync_once(tmp_path, Tracking())
    train_record(tmp_path, "y", 1)
    with sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None) as database:
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SyncError, match="locked"):
            sync_once(tmp_path, Tracking())
        database.execute("ROLLBACK")
    sync_once(tmp_path, Tracking())
    store = Store(tmp_path, Tracking())
    names = {run.info.run_name for run in store.client.search_runs([store.experiment])}
    assert {"train/x/qwen2-mini/seed1", "train/y/qwen2-mini/seed1"} <= names


def test_a_record_that_makes_no_sense_stops_no_other(tmp_path, caplog):
    train_record(tmp_path, "x", 1)
    (tmp_path / "train/w/seed1").mkdir(parents=True)
    (tmp_path / "train/w/seed1/run.json").write_text("{")
    sync_once(tmp_path, Tracking())
    assert "train/w/seed1" in caplog.text
    assert Store(tmp_path, Tracking()).runs()


def test_the_benchmark_compares_with_no_mirror(tmp_path, stages, base):
    script, figures = ROOT / "benchmarks/tracking.py", tmp_path / "figures.json"
    options = ["--config", stages.results / "train.json", "--steps", "1", "--rounds", "1"]
    options += ["--trainings", "1", "--states", "500s"]
    done = subprocess.run(
        [sys.executable, script, *options, "--json", figures],
        env=environment() | {"MLFLOW_HTTP_REQUEST_TIMEOUT": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    rounds = read_json(figures)["rounds"]
    [none], [broken] = rounds["no mirror"], rounds["500s"]
    assert min(none["mean step, s"], broken["mean step, s"]) > 0
    assert none["mirror, CPU s"] == 0 < broken["mirror, CPU s"]
    assert "500s / no mirror" in done.stdout
