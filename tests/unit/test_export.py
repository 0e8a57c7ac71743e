"""An export is a model folder like any other, with the tokenizer of where training started."""

from __future__ import annotations

import pytest
from fakes.hub import FakeHub

from searchr2.files import verify_manifest
from searchr2.training.export import export

FILES = {
    "config.json": b"{}",
    "tokenizer.json": b'{"t": 1}',
    "tokenizer_config.json": b"{}",
    "model.safetensors": b"weights that are not asked for",
    "modeling_evil.py": b"raise SystemExit",
}


def write(folder):
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"trained")


@pytest.fixture
def source(request, tmp_path, monkeypatch, hub: FakeHub):
    """A folder, or what the hub calls it."""
    if request.param == "folder":
        for name, content in FILES.items():
            (tmp_path / name).write_bytes(content)
        return tmp_path
    address = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    for name, value in {
        "ENDPOINT": hub.endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": address,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    hub.commit("org/name", FILES, "model")
    return "org/name"


@pytest.mark.parametrize("source", ["folder", "hub"], indirect=True)
def test_weights_of_ours_and_a_tokenizer_of_where_we_started(source, tmp_path):
    out = tmp_path / "out"
    export(write, source, out, {"stage": "train"})
    found = {path.name: path.read_bytes() for path in (out / "model").iterdir()}
    tokenizer = {name: content for name, content in FILES.items() if name.startswith("tokenizer")}
    assert found == {"model.safetensors": b"trained", **tokenizer}
    assert verify_manifest(out, "")["stage"] == "train"
    assert not (out / "model.tmp").exists()
