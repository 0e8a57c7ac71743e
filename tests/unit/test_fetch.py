"""Fetching from the hub: pinned, checked, resumed; each way it can fail has one clear sentence."""

import hashlib
import io
import json
import os
import re
import shutil
import socket
import tarfile
from pathlib import Path

import pytest
import yaml
from fakes.hub import FakeHub, Fault

from searchr2 import splits
from searchr2.cli.main import main
from searchr2.config import SETS, ConfigError, Data, load
from searchr2.hub import catalogue, products
from searchr2.hub.catalogue import File, Item, Product
from searchr2.hub.fetch import fetch
from searchr2.hub.lock import FetchError
from searchr2.hub.remote import Hub, Patience
from searchr2.tracking.lock import LockedError, exclusive

CONFIGS = Path(__file__).parents[2] / "configs"

LARGE = bytes(range(256)) * 300
OTHER = LARGE[::-1]
FILES = {"a/large.bin": LARGE, "small.json": b"{}"}
QUICK = Patience(attempts=3, pause=0.01, silence=0.4, window=0.2, slowest=10_000)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def an_item(revision=None, files=None, **more) -> Item:
    files = {name: File() for name in FILES} if files is None else files
    about = {"what": "x", "type": "dataset", "folder": "f", "licence": "none"}
    return Item(**{"repo": "org/name", "revision": revision, "files": files, **about, **more})


def run(hub: FakeHub, out: Path, item: Item, patience: Patience = QUICK, **options) -> None:
    fetch({"x": item}, out, Hub(hub.endpoint, patience), **options)


def fails(hub: FakeHub, out: Path, item: Item, *told: str, patience: Patience = QUICK) -> None:
    with pytest.raises(FetchError) as error:
        run(hub, out, item, patience)
    for text in told:
        assert text in str(error.value)


def locked(out: Path):
    return json.loads((out / "fetch.lock.json").read_text())["org/name"]


def parts(out: Path) -> list[Path]:
    return [path for path in out.rglob(".*.part") if path.stat().st_size]


def test_files_are_fetched_checked_and_locked_and_the_hub_is_asked_no_more(hub, tmp_path, capsys):
    commit = hub.commit("org/name", FILES)
    run(hub, tmp_path, an_item(commit))
    assert {name: (tmp_path / "f" / name).read_bytes() for name in FILES} == FILES
    entry = {"size": len(LARGE), "sha256": sha256(LARGE)}
    assert (locked(tmp_path)["revision"], locked(tmp_path)["files"]["a/large.bin"]) == (
        commit,
        entry,
    )
    assert parts(tmp_path) == []
    hub.requests.clear()
    run(hub, tmp_path, an_item(commit))
    assert hub.requests == []
    assert capsys.readouterr().out.count(", there\n") == 2


def test_a_lock_file_is_enough_to_fetch_the_same_on_another_machine(hub, tmp_path):
    run(hub, tmp_path / "one", an_item(hub.commit("org/name", FILES)))
    hub.commit("org/name", {**FILES, "small.json": b"[]"})
    (tmp_path / "two").mkdir()
    shutil.copy(tmp_path / "one" / "fetch.lock.json", tmp_path / "two")
    run(hub, tmp_path / "two", an_item())
    assert (tmp_path / "two" / "f" / "small.json").read_bytes() == b"{}"


def test_without_a_commit_the_newest_is_taken_once_and_for_all(hub, tmp_path):
    hub.commit("org/name", {"small.json": b"old"})
    commit = hub.commit("org/name", FILES)
    run(hub, tmp_path, an_item())
    later = hub.commit("org/name", dict.fromkeys(FILES, b"new"))
    (tmp_path / "f" / "small.json").unlink()
    run(hub, tmp_path, an_item())
    assert (tmp_path / "f" / "small.json").read_bytes() == b"{}"
    assert locked(tmp_path)["revision"] == commit
    fails(hub, tmp_path, an_item(later), f"locked at {commit}", f"catalogue wants {later}")


def test_an_interrupted_file_goes_on_where_it_stopped(hub, tmp_path):
    commit = hub.commit("org/name", FILES)
    hub.faults["a/large.bin"] = [Fault(cut=20_000), Fault(status=502), Fault(cut=30_000)]
    run(hub, tmp_path, an_item(commit))
    assert (tmp_path / "f" / "a" / "large.bin").read_bytes() == LARGE
    assert hub.ranges("a/large.bin") == [None, "bytes=20000-", "bytes=20000-", "bytes=50000-"]
    assert hub.sent == sum(map(len, FILES.values()))


def test_a_later_command_goes_on_with_what_an_earlier_one_kept(hub, tmp_path):
    item = an_item(hub.commit("org/name", FILES))
    hub.faults["a/large.bin"] = [Fault(cut=20_000)] + [Fault(status=503)] * 3
    fails(hub, tmp_path, item, "org/name, a/large.bin", "status 503", "3 times in a row", "is kept")
    [part] = parts(tmp_path)
    assert part.read_bytes() == LARGE[:20_000]
    assert not (tmp_path / "f" / "a" / "large.bin").exists()
    run(hub, tmp_path, item)
    assert hub.ranges("a/large.bin")[-1] == "bytes=20000-"
    assert (tmp_path / "f" / "a" / "large.bin").read_bytes() == LARGE


def test_a_terminal_shows_how_far_a_file_has_come(hub, tmp_path, monkeypatch, terminal):
    item = an_item(hub.commit("org/name", FILES))
    hub.faults["a/large.bin"] = [Fault(cut=19_200)] + [Fault(status=503)] * 3
    fails(hub, tmp_path, item, "503")
    ours, theirs = terminal
    monkeypatch.setenv("SEARCHR2_PROGRESS_FD", str(theirs))
    run(hub, tmp_path, item)
    shown = os.read(ours, 10_000).decode()
    assert "large.bin:  25%" in shown
    assert "large.bin: 100%" in shown
    assert "checking large.bin: 100%" in shown


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_checksum_is_told_and_the_file_removed(hub, tmp_path, name):
    item = an_item(hub.commit("org/name", FILES))
    wrong = FILES[name][::-1]
    hub.faults[name] = [Fault(content=wrong, same_etag=True)]
    fails(hub, tmp_path, item, "wrong checksum", "removed", hub.endpoint)
    assert not (tmp_path / "f" / name).exists()
    assert parts(tmp_path) == []
    run(hub, tmp_path, item)
    assert (tmp_path / "f" / name).read_bytes() == FILES[name]


def test_a_file_that_changes_while_it_is_fetched_is_begun_anew(hub, tmp_path):
    hub.faults["a/large.bin"] = [Fault(cut=20_000, content=OTHER), Fault(cut=30_000)]
    run(hub, tmp_path, an_item(hub.commit("org/name", FILES)))
    assert hub.ranges("a/large.bin") == [None, "bytes=20000-", None]
    assert (tmp_path / "f" / "a" / "large.bin").read_bytes() == LARGE


def test_a_file_that_changes_unsaid_is_found_out_by_its_checksum(hub, tmp_path):
    hub.faults["a/large.bin"] = [Fault(cut=20_000, content=OTHER, same_etag=True)]
    fails(hub, tmp_path, an_item(hub.commit("org/name", FILES)), "wrong checksum")


def test_a_part_of_one_content_is_never_continued_as_another(hub, tmp_path):
    first = an_item(hub.commit("org/name", {**FILES, "a/large.bin": OTHER}))
    hub.faults["a/large.bin"] = [Fault(cut=20_000)] + [Fault(status=500)] * 3
    fails(hub, tmp_path, first, "500")
    (tmp_path / "fetch.lock.json").unlink()
    run(hub, tmp_path, an_item(hub.commit("org/name", FILES)))
    assert hub.ranges("a/large.bin")[-1] is None
    assert (tmp_path / "f" / "a" / "large.bin").read_bytes() == LARGE
    assert parts(tmp_path) == []


def test_a_server_that_ignores_ranges_sends_the_whole_file_again(hub, tmp_path):
    hub.faults["a/large.bin"] = [Fault(cut=20_000), Fault(whole=True)]
    run(hub, tmp_path, an_item(hub.commit("org/name", FILES)))
    assert hub.ranges("a/large.bin") == [None, "bytes=20000-"]
    assert (tmp_path / "f" / "a" / "large.bin").read_bytes() == LARGE


def test_a_server_that_sends_another_range_is_not_believed(hub, tmp_path):
    moved = {"Content-Range": f"bytes 0-{len(LARGE) - 1}/{len(LARGE)}"}
    hub.faults["a/large.bin"] = [Fault(cut=20_000), Fault(headers=moved)]
    run(hub, tmp_path, an_item(hub.commit("org/name", FILES)))
    assert hub.ranges("a/large.bin") == [None, "bytes=20000-", None]


@pytest.mark.parametrize("longer", [b"", b"more"])
def test_a_file_of_unsaid_length_ends_with_the_connection(hub, tmp_path, longer):
    faults = [Fault(unmeasured=True, cut=20_000), Fault(unmeasured=True, content=LARGE + longer)]
    hub.faults["a/large.bin"] = faults
    run(hub, tmp_path, an_item(hub.commit("org/name", FILES)))
    assert (tmp_path / "f" / "a" / "large.bin").read_bytes() == LARGE


def test_a_dripping_server_is_given_up_with_its_rate(hub, tmp_path):
    item = an_item(hub.commit("org/name", FILES))
    hub.faults["a/large.bin"] = [Fault(drip=0.01)] * 3
    fails(hub, tmp_path, item, "bytes a second", "3 times in a row", "goes on from there")
    [part] = parts(tmp_path)
    assert 10 < part.stat().st_size < 5_000
    run(hub, tmp_path, item)
    assert (tmp_path / "f" / "a" / "large.bin").read_bytes() == LARGE


def test_a_silent_server_is_given_up(hub, tmp_path):
    hub.faults["a/large.bin"] = [Fault(silent=True)] * 3
    item = an_item(hub.commit("org/name", FILES))
    fails(
        hub, tmp_path, item, "ReadTimeout", patience=Patience(attempts=3, pause=0.01, silence=0.1)
    )


def test_a_busy_server_is_asked_again_when_it_says(hub, tmp_path):
    hub.faults["a/large.bin"] = [Fault(status=429, headers={"Retry-After": "0"}), Fault(status=503)]
    run(hub, tmp_path, an_item(hub.commit("org/name", FILES)))
    assert len(hub.ranges("a/large.bin")) == 3


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (
            {"repo": "org/other"},
            ["org/other", "no such repository, or a private one", "auth login"],
        ),
        ({"repo": "org/gated"}, ["access must be asked for"]),
        ({"revision": "0" * 40}, ["org/name at 000", "no such commit"]),
        ({"files": {"b.bin": File()}}, ["x: org/name has no file b.bin in commit"]),
        ({"type": "model"}, ["no such repository"]),
    ],
)
def test_what_the_hub_does_not_have_is_named(hub, tmp_path, item, told):
    commit = hub.commit("org/name", FILES)
    hub.commit("org/gated", FILES)
    hub.gated.add("org/gated")
    fails(hub, tmp_path, an_item(**{"revision": commit, **item}), *told)
    run(hub, tmp_path, an_item(commit))  # a mistake in the catalogue is locked by nothing


def test_a_file_that_is_listed_and_not_there_is_named(hub, tmp_path):
    hub.faults["a/large.bin"] = [Fault(status=404, headers={"X-Error-Code": "EntryNotFound"})]
    item = an_item(hub.commit("org/name", FILES))
    fails(hub, tmp_path, item, "org/name, a/large.bin", "HTTP status 404: no such file")


@pytest.mark.parametrize("answer", [b"<html>log in</html>", b"[]", b"{}"])
def test_something_that_is_no_hub_is_found_out(hub, tmp_path, answer):
    hub.listing = answer
    fails(hub, tmp_path, an_item("0" * 40), f"no answer of a hub at {hub.endpoint}")


def test_a_hub_that_answers_with_another_commit_is_not_believed(hub, tmp_path):
    hub.listing = json.dumps({"id": "org/name", "sha": "1" * 40, "siblings": []}).encode()
    fails(hub, tmp_path, an_item("0" * 40), f"commit {'1' * 40} instead of {'0' * 40}")


def test_a_hub_that_cannot_be_reached_is_named(hub, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(FetchError, match=f"{nobody} failed 3 times in a row: ConnectError"):
        fetch({"x": an_item()}, tmp_path, Hub(nobody, QUICK))


def test_the_offline_switch_is_named(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    fails(hub, tmp_path, an_item(hub.commit("org/name", FILES)), "HF_HUB_OFFLINE is set", "copy")


def test_room_is_made_sure_of_before_anything_is_fetched(hub, tmp_path, monkeypatch):
    item = an_item(hub.commit("org/name", FILES))
    usage = shutil.disk_usage(tmp_path)._replace(free=len(LARGE))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    fails(hub, tmp_path, item, "0.08 MB are needed", "0.08 MB are free", "--out")
    assert hub.sent == 0


def test_room_is_needed_for_what_is_missing_alone(hub, tmp_path, monkeypatch):
    item = an_item(hub.commit("org/name", FILES))
    hub.faults["a/large.bin"] = [Fault(cut=20_000), *[Fault(status=500)] * 3]
    fails(hub, tmp_path, item, "500")
    usage = shutil.disk_usage(tmp_path)._replace(free=len(LARGE) - 20_000 + 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    run(hub, tmp_path, item)


@pytest.mark.parametrize("must", [{"size": 3}, {"sha256": "0" * 64}])
def test_a_listing_against_the_catalogue_is_refused_before_a_byte_comes(hub, tmp_path, must):
    commit = hub.commit("org/name", FILES)
    item = an_item(commit, files={"a/large.bin": File(**must)})
    fails(hub, tmp_path, item, "the hub lists", "the catalogue demands", "a/large.bin")
    assert hub.sent == 0


def test_a_listing_against_the_lock_file_is_refused(hub, tmp_path):
    commit = hub.commit("org/name", FILES)
    run(hub, tmp_path, an_item(commit))
    hub.commits[("dataset", "org/name")][commit] = {**FILES, "b": b"1", "a/large.bin": OTHER}
    (tmp_path / "f" / "a" / "large.bin").unlink()
    more = {name: File() for name in (*FILES, "b")}
    fails(hub, tmp_path, an_item(commit, files=more), "the lock file demands")


def test_a_checksum_of_the_catalogue_is_demanded_where_the_hub_gives_none(hub, tmp_path):
    item = an_item(hub.commit("org/name", FILES), files={"small.json": File(sha256="0" * 64)})
    fails(hub, tmp_path, item, "wrong checksum", "instead of 0000")


def test_a_file_somebody_copied_there_is_checked_and_taken(hub, tmp_path, capsys):
    target = tmp_path / "f" / "a" / "large.bin"
    target.parent.mkdir(parents=True)
    target.write_bytes(LARGE)
    item = an_item(hub.commit("org/name", FILES))
    run(hub, tmp_path, item)
    assert hub.ranges("a/large.bin") == []
    assert ", checked\n" in capsys.readouterr().out
    assert locked(tmp_path)["files"]["a/large.bin"]["sha256"] == sha256(LARGE)


@pytest.mark.parametrize(
    ("content", "told"), [(OTHER, "wrong checksum"), (b"1", "1 bytes instead")]
)
def test_a_file_somebody_copied_there_that_is_another_is_left_alone(hub, tmp_path, content, told):
    target = tmp_path / "f" / "a" / "large.bin"
    target.parent.mkdir(parents=True)
    target.write_bytes(content)
    fails(hub, tmp_path, an_item(hub.commit("org/name", FILES)), told, str(target))
    assert target.read_bytes() == content


def test_what_is_there_is_read_again_where_asked(hub, tmp_path):
    item = an_item(hub.commit("org/name", FILES))
    run(hub, tmp_path, item)
    (tmp_path / "f" / "a" / "large.bin").write_bytes(OTHER)
    run(hub, tmp_path, item)
    with pytest.raises(FetchError, match="wrong checksum"):
        run(hub, tmp_path, item, verify=True)


def test_patterns_take_files_of_their_own_folder_and_none_outside(hub, tmp_path):
    names = ["config.json", "tokenizer.json", "onnx/config.json", "../up.json", "/etc/x.json"]
    hub.commit("org/name", {name: name.encode() for name in names}, "model")
    run(hub, tmp_path, an_item(type="model", files={"*.json": File(), "onnx/*": File()}))
    found = {
        path.relative_to(tmp_path / "f").as_posix() for path in (tmp_path / "f").rglob("*.json")
    }
    assert found == {"config.json", "tokenizer.json", "onnx/config.json"}
    assert not (tmp_path / "up.json").exists()


def test_a_token_is_shown_to_the_hub_alone(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    run(hub, tmp_path, an_item(hub.commit("org/name", FILES)))
    assert hub.tokens == [None]


def test_one_fetch_at_a_time_works_in_a_folder(hub, tmp_path):
    item = an_item(hub.commit("org/name", FILES))
    with exclusive(tmp_path / ".fetch.lock"), pytest.raises(LockedError, match="held by process"):
        run(hub, tmp_path, item)


INDEX = {"part_aa": LARGE, "part_ab": OTHER[:70_000], "part_ac": b"end"}


def an_index(commit, size=146_803):
    makes = Product(name="whole.index", how="join", size=size)
    return an_item(commit, files={name: File() for name in INDEX}, makes=makes)


def test_parts_are_joined_where_asked_and_may_be_deleted_then(hub, tmp_path):
    item = an_index(hub.commit("org/name", INDEX))
    run(hub, tmp_path, item)
    assert not (tmp_path / "f" / "whole.index").exists()
    run(hub, tmp_path, item, prepare=True)
    assert (tmp_path / "f" / "whole.index").read_bytes() == b"".join(INDEX.values())
    for name in INDEX:
        (tmp_path / "f" / name).unlink()
    hub.requests.clear()
    run(hub, tmp_path, item, prepare=True)
    assert hub.requests == []


@pytest.mark.parametrize("done", [0, 10, len(LARGE), len(LARGE) + 1, len(LARGE) + 70_000])
def test_joining_goes_on_where_it_was_killed(tmp_path, monkeypatch, done):
    monkeypatch.setattr(products, "_BLOCK", 1000)
    sources = []
    for name, content in INDEX.items():
        (tmp_path / name).write_bytes(content)
        sources.append(tmp_path / name)
    whole = b"".join(INDEX.values())
    (tmp_path / ".whole.index.part").write_bytes(whole[:done])
    products.make(Product(name="whole.index", how="join"), sources, tmp_path)
    assert (tmp_path / "whole.index").read_bytes() == whole
    assert not (tmp_path / ".whole.index.part").exists()


def test_a_product_of_another_size_is_refused(hub, tmp_path):
    item = an_index(hub.commit("org/name", INDEX), size=7)
    with pytest.raises(
        FetchError, match=r"whole\.index: 146803 bytes instead of 7; it was removed"
    ):
        run(hub, tmp_path, item, prepare=True)
    assert not (tmp_path / "f" / "whole.index").exists()


def test_the_corpus_is_unpacked_from_its_gzipped_tar(hub, tmp_path):
    rows = b"".join(b'{"id": "%d", "contents": "c"}\n' % number for number in range(300))
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        about = tarfile.TarInfo("data00/somebody/wiki_dump.jsonl")
        about.size = len(rows)
        archive.addfile(about, io.BytesIO(rows))
    commit = hub.commit("org/name", {"wiki-18.jsonl.gz": made.getvalue()})
    makes = Product(name="wiki-18.jsonl", how="unpack", size=len(rows))
    run(hub, tmp_path, an_item(commit, {"wiki-18.jsonl.gz": File()}, makes=makes), prepare=True)
    assert (tmp_path / "f" / "wiki-18.jsonl").read_bytes() == rows


def test_the_room_for_what_is_made_is_counted(hub, tmp_path, monkeypatch):
    item = an_index(hub.commit("org/name", INDEX))
    usage = shutil.disk_usage(tmp_path)._replace(free=200_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(FetchError, match=r"0\.29 MB are needed \(0\.15 MB of them"):
        run(hub, tmp_path, item, prepare=True)
    run(hub, tmp_path, item)


def test_the_shipped_catalogue_is_pinned_and_adds_up():
    items = catalogue.load()
    assert all(item.revision for item in items.values())
    index = items["index"]
    assert index.makes
    assert index.makes.size == index.size() == 21_015_324 * 768 * 4 + 45
    wanted = {f"{name}/{split.name}.jsonl" for name, split in splits.EVALUATION.items()}
    assert set(items["questions"].files) == wanted
    assert {name.split("/")[0] for name in wanted} == set(SETS)
    assert set(items["train"].files) == {f"{name}/train.jsonl" for name in splits.TRAINING}
    assert len({item.folder for item in items.values()}) == len(items) - 1  # FlashRAG's twice


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[x]\nwhat = 3", "x.what"),
        ("[x", "not TOML"),
        (
            '[x]\nwhat="w"\nrepo="r"\ntype="dataset"\nrevision="main"\nfolder="f"\nlicence="l"\nfiles={}',
            "x.revision",
        ),
    ],
)
def test_a_catalogue_of_ones_own_is_checked(tmp_path, text, told):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        catalogue.load(path)
    assert str(error.value).startswith(f"{path}: ")
    assert told in str(error.value)
    with pytest.raises(ConfigError, match="nowhere"):
        catalogue.load(tmp_path / "nowhere")


def test_the_command_lists_the_catalogue_and_names_what_is_not_in_it(tmp_path, capsys):
    assert main(["fetch", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(catalogue.load())
    assert "64.6 GB" in lines[1]
    assert main(["fetch", "qwen", "--out", str(tmp_path)]) == 2
    assert "qwen: not in the catalogue, which has corpus, index," in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_a_config_says_is_fetched_is_where_it_looks_for_it(path):
    items = catalogue.load()
    text = path.read_text()
    for line in re.findall(r"searchr2 fetch ([^#\n]+)", text):
        for name in [name for name in line.split() if not name.startswith("--")]:
            assert f"data/{items[name].folder}" in text
    for place in re.findall(r"\bdata/(models/[\w.-]+)", text):
        assert place in {item.folder for item in items.values()}


def test_the_papers_config_names_what_is_fetched_and_demands_the_papers_numbers():
    text = (CONFIGS / "paper_data.yaml").read_text()
    settings = load(Data, yaml.safe_load(text)["data"], "paper_data.yaml")
    items = catalogue.load()

    def fetched(name: str) -> set[str]:
        return {f"data/{items[name].folder}/{path}" for path in items[name].files}

    assert items["corpus"].makes
    assert settings.corpus == f"data/{items['corpus'].folder}/{items['corpus'].makes.name}"
    assert set((settings.questions or {}).values()) == fetched("questions")
    assert set(settings.train or ()) == fetched("train")
    assert settings.expect == "paper"
