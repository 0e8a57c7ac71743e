"""Rolling checkpoints: whole or absent, verified when used, damaged ones named and passed over."""

import logging
from pathlib import Path

import pytest

from searchr2.files import MANIFEST, read_json
from searchr2.training.checkpoints import KEEP, found, newest, resume, save

FILES = ("weights.pt", "deepspeed/optimizer.pt")
IDENTITY = "abc"


def write(step):
    """What a policy writes of itself at a step."""

    def fill(folder):
        for name in FILES:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(f"{name} at step {step}".encode() * 20)

    return fill


def save_steps(folder, *steps, identity=IDENTITY):
    for step in steps:
        save(folder, step, write(step), {"identity": identity})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


def test_the_newest_is_used(tmp_path):
    save_steps(tmp_path, 4, 8)
    assert newest(tmp_path, IDENTITY) == (tmp_path / "step-000008", 8)


def test_without_one_the_run_starts_anew(tmp_path):
    assert newest(tmp_path, IDENTITY) is None
    assert newest(tmp_path / "nowhere", IDENTITY) is None


def test_only_the_newest_and_one_to_fall_back_on_are_kept(tmp_path):
    save_steps(tmp_path, 4, 8, 12, 16)
    assert names(tmp_path) == ["step-000012", "step-000016"]
    assert KEEP == 2


def test_steps_are_ordered_by_number(tmp_path):
    save_steps(tmp_path, 99, 100, 101)
    found = newest(tmp_path, IDENTITY)
    assert found is not None
    assert found[1] == 101


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("damage", [truncate, flip, empty, remove])
def test_a_damaged_one_is_named_in_the_log_and_the_one_before_it_used(
    tmp_path, caplog, name, damage
):
    save_steps(tmp_path, 4, 8)
    damage(tmp_path / "step-000008" / name)
    with caplog.at_level(logging.WARNING):
        assert newest(tmp_path, IDENTITY) == (tmp_path / "step-000004", 4)
    [record] = caplog.records
    assert f"{tmp_path / 'step-000008'}" in record.message
    assert name in record.message


def test_with_both_damaged_the_run_starts_anew_and_says_why(tmp_path, caplog):
    save_steps(tmp_path, 4, 8)
    for step in ("step-000004", "step-000008"):
        truncate(tmp_path / step / FILES[0])
    assert newest(tmp_path, IDENTITY) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2


def test_a_damaged_one_is_replaced_when_its_step_comes_round_again(tmp_path):
    save_steps(tmp_path, 4, 8)
    truncate(tmp_path / "step-000008" / FILES[0])
    save_steps(tmp_path, 8)
    assert newest(tmp_path, IDENTITY) == (tmp_path / "step-000008", 8)
    assert names(tmp_path) == ["step-000004", "step-000008"]


@pytest.mark.parametrize("written", [0, 1])
def test_a_save_that_is_cut_short_leaves_the_one_before_it(tmp_path, written):
    save_steps(tmp_path, 4)

    def dying(folder):
        for name in FILES[:written]:
            (folder / name).write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, 8, dying, {"identity": IDENTITY})
    assert newest(tmp_path, IDENTITY) == (tmp_path / "step-000004", 4)
    save_steps(tmp_path, 8)
    assert newest(tmp_path, IDENTITY) == (tmp_path / "step-000008", 8)
    assert names(tmp_path) == ["step-000004", "step-000008"]


def test_those_of_other_settings_are_not_this_runs(tmp_path):
    save_steps(tmp_path, 4, 8, identity="other")
    assert newest(tmp_path, IDENTITY) is None


def test_later_ones_of_other_settings_do_not_push_out_this_runs(tmp_path):
    save_steps(tmp_path, 20, 24, identity="other")
    save_steps(tmp_path, 4)
    assert newest(tmp_path, IDENTITY) == (tmp_path / "step-000004", 4)
    save_steps(tmp_path, 8)
    assert newest(tmp_path, IDENTITY) == (tmp_path / "step-000008", 8)
    assert names(tmp_path) == ["step-000004", "step-000008"]


def test_a_checkpoint_says_whose_it_is_and_at_which_step(tmp_path):
    save_steps(tmp_path, 4)
    manifest = read_json(tmp_path / "step-000004" / MANIFEST)
    assert (manifest["identity"], manifest["step"]) == (IDENTITY, 4)
    assert sorted(manifest["files"]) == sorted(FILES)


def test_what_is_still_being_written_does_not_count(tmp_path):
    save_steps(tmp_path, 4)
    (tmp_path / "step-000008.tmp").mkdir()
    assert found(tmp_path) == [tmp_path / "step-000004"]


def test_resuming_loads_the_newest_and_tells_its_step(tmp_path):
    loaded: list[Path] = []
    assert resume(tmp_path, IDENTITY, loaded.append) == 0
    save_steps(tmp_path, 4, 8)
    assert resume(tmp_path, IDENTITY, loaded.append) == 8
    assert loaded == [tmp_path / "step-000008"]
