"""Many procedures side by side: one batch a kind, each told what it would be told alone."""

from fakes import ScriptedEngine
from hypothesis import given
from hypothesis import strategies as st
from rollouts import CODEC, KEY, Library, actor, answer, document, meta_refiner, question, search

from searchr2.driver import drive
from searchr2.ports import Generate, Score, Search

ROOM = 200


class Echo(ScriptedEngine):
    """Answers each request by itself alone, and remembers the size of every batch."""

    def __init__(self):
        super().__init__(CODEC, [])
        self.batches = []

    def generate(self, requests):
        self.batches.append(("generate", len(requests)))
        for request in requests:
            self.turns.append(CODEC.decode(request.ids[-1:]) + "</answer>")
        return super().generate(requests)

    def score(self, requests):
        self.batches.append(("score", len(requests)))
        self.choices.extend(len(request.ids) % 2 for request in requests)
        return super().score(requests)


def ask(*requests):
    """A procedure that makes these requests and returns the replies."""
    replies = []
    for request in requests:
        replies.append((yield request))
    return replies


def generate(text):
    return Generate(CODEC.template(text), ROOM, ("</answer>",), 0.0, KEY)


def score(text):
    return Score(CODEC.template(text), ((48,), (49,)))


REQUESTS = st.one_of(
    st.text("abc", min_size=1, max_size=3).map(generate),
    st.text("abc", min_size=1, max_size=3).map(score),
    st.sampled_from(["a", "b", "nothing"]).map(Search),
)
FILED = {"a": [document("A")], "b": [document("B"), document("C")]}


@given(st.lists(st.lists(REQUESTS, max_size=4), max_size=5), st.none() | st.integers(1, 6))
def test_each_procedure_is_told_what_it_would_be_told_alone(plans, in_flight):
    beside = drive([ask(*plan) for plan in plans], Echo(), Library(FILED), 3, in_flight)
    alone = [drive([ask(*plan)], Echo(), Library(FILED), 3)[0] for plan in plans]
    assert beside == alone


def test_results_come_in_the_order_of_the_procedures():
    slow = [ask(Search("a"), generate("x"), Search("b")), ask(), ask(generate("y"))]
    assert [len(replies) for replies in drive(slow, Echo(), Library(), 3)] == [3, 0, 1]


def test_requests_of_a_kind_are_answered_in_one_batch():
    engine, library = Echo(), Library()
    drive([ask(generate("x"), score("y"), Search(str(n))) for n in range(5)], engine, library, 3)
    assert engine.batches == [("generate", 5), ("score", 5)]
    assert library.asked == [["0", "1", "2", "3", "4"]]


def test_generations_wait_until_nothing_cheaper_is_pending():
    engine = Echo()
    plans = [
        [generate("x")],
        [Search("a"), generate("y")],
        [score("z"), Search("a"), generate("w")],
    ]
    drive([ask(*plan) for plan in plans], engine, Library(), 3)
    assert engine.batches == [("score", 1), ("generate", 3)]


def test_a_query_that_many_ask_is_searched_once():
    library = Library(FILED)
    replies = drive([ask(Search("b")) for _ in range(4)], Echo(), library, 2)
    assert library.asked == [["b"]]
    assert replies == [[tuple(FILED["b"])]] * 4


def test_a_search_returns_no_more_than_k_passages():
    assert drive([ask(Search("b"))], Echo(), Library(FILED), 1) == [[tuple(FILED["b"][:1])]]


def test_no_more_run_at_once_than_may_be_in_flight():
    engine = Echo()
    drive([ask(generate("x"), generate("y")) for _ in range(7)], engine, Library(), 3, in_flight=3)
    assert max(size for _, size in engine.batches) == 3
    assert sum(size for _, size in engine.batches) == 14


def test_a_place_in_flight_is_taken_again_as_soon_as_it_is_free():
    engine = Echo()
    plans = [[generate("x")] * n for n in (1, 3, 1, 1)]
    drive([ask(*plan) for plan in plans], engine, Library(), 3, in_flight=2)
    assert [size for _, size in engine.batches] == [2, 2, 2]


def test_the_end_of_each_is_told():
    ended = []
    drive(
        [ask(Search("a")) for _ in range(3)], Echo(), Library(), 3, finished=lambda: ended.append(1)
    )
    assert len(ended) == 3


def test_nothing_to_do_is_nothing_done():
    assert drive([], Echo(), Library(), 3) == []


def test_procedures_that_ask_nothing_need_no_engine():
    assert drive([ask(), ask()], None, None, 3) == [[], []]
    assert drive([ask(), ask()], None, None, 3, in_flight=1) == [[], []]


def test_a_group_on_the_method_runs_turn_by_turn_in_full_batches():
    engine = ScriptedEngine(
        CODEC, [search("a")] * 4 + [answer("x")] * 4 + [answer("y")] * 2, [0, 1, 0, 2]
    )
    group = [meta_refiner(actor()).roll_out(question(), (n,)) for n in range(4)]
    traces = drive(group, engine, Library(), 3)
    assert [trace.final.answer for trace in traces] == ["x", "y", "x", "y"]
    assert [len(trace.final.steps) for trace in traces] == [2, 1, 2, 2]
