"""Where MLflow is, and that no secret is needed in a file to get in."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from searchr2.config import ConfigError, Tracking
from searchr2.files import write_json
from searchr2.tracking.follow import SETTINGS, SyncError, read_settings, sync_once


@pytest.mark.parametrize(
    "uri",
    ["https://me:hush@host", "http://hush@host:5000/", "postgresql://me:hu/sh@host/db"],
)
def test_a_secret_in_the_uri_is_refused_and_not_repeated(tmp_path, uri):
    (tmp_path / "config").mkdir()
    write_json(tmp_path / SETTINGS, {"uri": uri})
    with pytest.raises(ConfigError, match=r"uri: .*MLFLOW_TRACKING_PASSWORD") as refusal:
        read_settings(tmp_path)
    assert uri.partition("://")[2].rpartition("@")[0] not in str(refusal.value)


@pytest.mark.parametrize("uri", [None, "http://127.0.0.1:5000", "sqlite:////home/a@b/mlflow.db"])
def test_any_other_uri_is_taken(uri):
    assert Tracking(uri=uri).uri == uri


class Door(BaseHTTPRequestHandler):
    """Notes who knocks, and lets nobody in."""

    seen: ClassVar[list[str | None]] = []

    def do_GET(self):
        self.seen.append(self.headers["Authorization"])
        self.send_error(401)

    def log_message(self, *_):
        pass


def test_user_and_password_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hush")
    with HTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = Tracking(uri=f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(SyncError, match="401") as refusal:
            sync_once(tmp_path, settings)
        server.shutdown()
    assert Door.seen[0] == f"Basic {base64.b64encode(b'me:hush').decode()}"
    assert "hush" not in str(refusal.value)
