"""The hub of the tests answers huggingface_hub's own functions as the real one does."""

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

FILES = {"config.json": b"{}", "folder/model.safetensors": bytes(range(256)) * 40}


@pytest.mark.parametrize("type_", ["model", "dataset"])
def test_files_and_snapshots_are_downloaded_by_the_library_itself(hub, tmp_path, type_):
    commit = hub.commit("org/name", FILES, type_)
    about = {"repo_type": type_, "endpoint": hub.endpoint}
    for name, content in FILES.items():
        path = hf_hub_download("org/name", name, revision=commit, local_dir=tmp_path, **about)
        with open(path, "rb") as file:
            assert file.read() == content
    folder = snapshot_download("org/name", cache_dir=tmp_path / "cache", **about)
    assert folder.endswith(commit)


def test_a_commit_is_listed_with_sizes_and_checksums(hub):
    first, second = hub.commit("org/name", {"a": b"1"}), hub.commit("org/name", FILES)
    api = HfApi(endpoint=hub.endpoint)
    info = api.dataset_info("org/name", files_metadata=True)
    assert info.sha == second != first
    assert info.siblings
    small, large = info.siblings
    assert (small.size, small.lfs, len(small.blob_id or "")) == (2, None, 40)
    assert large.lfs
    assert (large.lfs.size, len(large.lfs.sha256)) == (10_240, 64)
    older = api.dataset_info("org/name", revision=first)
    assert [sibling.rfilename for sibling in older.siblings or ()] == ["a"]


def test_what_is_not_there_raises_the_librarys_errors(hub, tmp_path):
    commit = hub.commit("org/name", FILES)
    hub.commit("org/gated", FILES)
    hub.gated.add("org/gated")
    for error, repo, name, revision in (
        (RepositoryNotFoundError, "org/other", "config.json", commit),
        (GatedRepoError, "org/gated", "config.json", commit),
        (RevisionNotFoundError, "org/name", "config.json", "0" * 40),
        (EntryNotFoundError, "org/name", "other.json", commit),
    ):
        about = {"repo_type": "dataset", "revision": revision, "endpoint": hub.endpoint}
        with pytest.raises(error):
            hf_hub_download(repo, name, local_dir=tmp_path, **about)
