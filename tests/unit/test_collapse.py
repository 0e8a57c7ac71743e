"""A Meta-Refiner that judges every draft alike is told of, once."""

from searchr2.training.metrics import CollapseWatch


def said(*shares):
    watch = CollapseWatch(patience=3)
    return [watch.see(share) for share in shares]


def test_a_judge_that_rejects_or_accepts_everything_is_named_when_it_has_lasted():
    assert said(1.0, 1.0, 1.0, 1.0) == [None, None, said(1.0, 1.0, 1.0)[2], None]
    assert "rejects everything" in said(1.0, 1.0, 1.0)[2]
    assert "accepts everything" in said(0.0, 0.0, 0.0)[2]


def test_one_step_that_differs_begins_the_count_anew():
    assert said(0.0, 0.0, 0.2, 0.0, 0.0) == [None] * 5
    assert said(0.0, 0.0, 0.2, 0.0, 0.0, 0.0)[5] is not None


def test_without_a_meta_refiner_nothing_is_said():
    assert said(None, None, None) == [None] * 3
