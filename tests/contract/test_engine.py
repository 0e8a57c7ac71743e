"""What ``ports.Engine`` promises: asked of the local engine, of those behind vLLM's and SGLang's
protocols, and of the fake the other tests use."""

import math
from contextlib import ExitStack
from functools import partial
from types import SimpleNamespace

import pytest
from fakes import QWEN2_PIECES, PieceCodec, ScriptedEngine, rollouts

from searchr2 import config
from searchr2.build import make_engine
from searchr2.engines.weights import Fixed
from searchr2.ports import Generate, Score
from searchr2.tags import STOPS, parse

CODEC = PieceCodec(QWEN2_PIECES)
PROMPT = CODEC.template("Where is Arvane?|")


def chain_model(codec, text, size):
    """A causal language model that writes the ids of ``text`` one after the other, from "|" on."""
    torch = pytest.importorskip("torch")
    from torch import nn

    ids = (*codec.template("|"), *codec.template(text))
    assert len(set(ids)) == len(ids), "each id has one successor"

    class Chain(nn.Module):
        config = SimpleNamespace(vocab_size=size)

        def __init__(self):
            super().__init__()
            self.next = torch.nn.Parameter(torch.zeros(size, dtype=torch.long), requires_grad=False)
            self.next[list(ids[:-1])] = torch.tensor(ids[1:])

        def forward(self, input_ids, past_key_values, **_):
            nothing = torch.zeros(*input_ids.shape, 1)[:, None]
            past_key_values.update(nothing, nothing, 0)
            likely = torch.nn.functional.one_hot(self.next[input_ids[:, -1:]], size)
            return SimpleNamespace(logits=likely * 30.0)

    return Chain()


def local(text, codec=CODEC, size=CODEC.vocab_size):
    from searchr2.engines.local import LocalEngine

    return LocalEngine(chain_model(codec, text, size), codec)


@pytest.fixture(params=["local", "vllm", "sglang", "scripted"])
def engine(request):
    """An engine whose policy wants to write a text, whatever it is asked."""
    if request.param == "scripted":
        yield lambda text: ScriptedEngine(CODEC, [text] * 20, [0] * 20)
        return
    with ExitStack() as running:
        yield local if request.param == "local" else partial(served, request.param, running)


def served(kind, running, text):
    """The engine of a server that holds the local one."""
    from searchr2.build import make_engine
    from searchr2.engines.weights import Fixed

    behind = local(text)
    url = running.enter_context(rollouts.serving(rollouts.SERVERS[kind](lambda _: behind)))
    settings = config.Engine(kind=kind, urls=[url])
    return make_engine(settings, CODEC, lambda: None, Fixed("some/model"))


def ask(tokens=50, stops=STOPS, temperature=0.0, key=(1,), ids=PROMPT):
    return Generate(ids, tokens, stops, temperature, key)


def written(completion, codec=CODEC):
    return codec.decode(completion.ids)


def test_it_halts_where_a_stop_is_completed(engine):
    [completion] = engine("a</search>bc").generate([ask()])
    assert (written(completion), completion.finish) == ("a</search>", "stop")


@pytest.mark.parametrize("after", ["\n", "\n\n"])
def test_the_id_that_completes_a_stop_is_kept_whole(engine, after):
    [completion] = engine(f"a</search>{after}bc").generate([ask()])
    assert (written(completion), completion.finish) == (f"a</search>{after}", "stop")
    assert completion.ids == CODEC.template(f"a</search>{after}")


def test_it_halts_at_the_end_of_sequence_and_keeps_it(engine):
    [completion] = engine("ab<|im_end|>cd").generate([ask()])
    assert completion.ids == (*CODEC.template("ab"), CODEC.eos_id)
    assert completion.finish == "eos"


def test_it_writes_no_more_than_it_may(engine):
    [completion] = engine("abcdefgh").generate([ask(tokens=3)])
    assert (written(completion), completion.finish) == ("abc", "length")


def test_a_stop_in_the_last_id_allowed_is_a_stop(engine):
    tokens = len(CODEC.template("a</search>"))
    [completion] = engine("a</search>bc").generate([ask(tokens=tokens)])
    assert completion.finish == "stop"


def test_what_the_prompt_holds_stops_nothing(engine):
    for prompt in ("<search> x</search>|", "<search> x</search|"):
        [completion] = engine("ab>cd").generate([ask(tokens=4, ids=CODEC.template(prompt))])
        assert (written(completion), completion.finish) == ("ab>c", "length")


def test_each_request_of_a_batch_has_its_own_limit_and_stops(engine):
    requests = [ask(tokens=2), ask(stops=("c",)), ask(stops=("b", "x")), ask(tokens=5, stops=())]
    completions = engine("abcdefgh").generate(requests)
    assert [written(c) for c in completions] == ["ab", "abc", "ab", "abcde"]
    assert [c.finish for c in completions] == ["length", "stop", "stop", "length"]


def test_every_id_comes_with_its_log_probability(engine):
    for completion in engine("abc</answer>de").generate([ask(), ask(temperature=0.7)]):
        assert len(completion.logprobs) == len(completion.ids)
        assert all(math.isfinite(logp) and logp <= 0 for logp in completion.logprobs)


def test_scores_have_a_log_probability_for_each_id_of_each_option(engine):
    requests = [Score(PROMPT, ((97,), (98, 99), ())), Score(PROMPT, ((97,),))]
    replies = engine("abc").score(requests)
    assert [[len(option) for option in reply] for reply in replies] == [[1, 2, 0], [1]]
    assert all(logp <= 0 for reply in replies for option in reply for logp in option)


def test_the_policys_own_continuation_scores_best(engine):
    [(own, other)] = engine("abc").score([Score(PROMPT, ((97,), (98,)))])
    assert own[0] > other[0]


def test_nothing_asked_is_nothing_answered(engine):
    assert engine("abc").generate([]) == []
    assert engine("abc").score([]) == []


def test_forgetting_prefixes_changes_no_answer(engine):
    policy = engine("abc</search>de")
    before = policy.generate([ask(), ask(tokens=2)])
    policy.refresh()
    assert policy.generate([ask(), ask(tokens=2)]) == before


def test_more_requests_than_rows_are_answered_in_turns():
    from searchr2.engines.local import LocalEngine

    model = chain_model(CODEC, "abcdefgh", CODEC.vocab_size)
    policy = make_engine(config.Engine(max_rows=2), CODEC, lambda: model, Fixed("a/model"))
    assert isinstance(policy, LocalEngine)
    assert policy.max_rows == 2
    completions = policy.generate([ask(tokens=n) for n in range(1, 6)])
    assert [written(c) for c in completions] == ["a", "ab", "abc", "abcd", "abcde"]


def test_with_qwen2s_vocabulary_a_fused_closing_tag_stops_and_is_read(real):
    """``</search>`` is three ids there, and ``>`` with two line breaks a single one."""
    from searchr2.codec import Codec

    codec = Codec.load(real / "qwen2_tokenizer")
    text = "<search> Arvane</search>\n\n"
    ids = codec.template(text)
    assert codec.decode(ids[:-1]) == "<search> Arvane</search"
    policy = local("Arvane</search>\n\nand on", codec, codec.size)
    [completion] = policy.generate([ask(ids=codec.template("|"))])
    assert (written(completion, codec), completion.finish) == ("Arvane</search>\n\n", "stop")
    assert completion.ids[-1] == ids[-1]
    assert parse(codec.decode(ids)).content == "Arvane"
