"""Engines behind servers: the policy as in process, the right weights, errors one can act on."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import ByteCodec
from fakes.rollouts import SERVERS, serving

torch = pytest.importorskip("torch")

from searchr2.config import ConfigError, Engine, load  # noqa: E402
from searchr2.engines.dialect import WrongWeights  # noqa: E402
from searchr2.engines.local import LocalEngine  # noqa: E402
from searchr2.engines.remote import RemoteEngine  # noqa: E402
from searchr2.engines.sglang import Sglang  # noqa: E402
from searchr2.engines.vllm import Vllm  # noqa: E402
from searchr2.engines.weights import Fixed, Snapshots  # noqa: E402
from searchr2.ports import Completion, Generate, Score  # noqa: E402
from searchr2.servers import BadReply, Refused, ServerError, Unreachable  # noqa: E402
from searchr2.tags import STOPS  # noqa: E402
from searchr2.training.export import export  # noqa: E402

pytestmark = pytest.mark.usefixtures("no_pauses")
CODEC = ByteCodec()
DIALECTS: dict[str, type[Vllm] | type[Sglang]] = {"vllm": Vllm, "sglang": Sglang}
CACHES = {"vllm": "/reset_prefix_cache", "sglang": "/flush_cache"}
LOADS = {"vllm": "/collective_rpc", "sglang": "/update_weights_from_disk"}
PROMPTS = [tuple(range(40)), (5,) * 3, (7, 8, 9, 10, 11) * 6]


def tiny(seed):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=CODEC.vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
    )
    return Qwen2ForCausalLM(config).eval()


def from_disk(folder):
    from transformers import Qwen2ForCausalLM

    return LocalEngine(Qwen2ForCausalLM.from_pretrained(folder), CODEC)


@pytest.fixture(scope="module")
def model():
    return tiny(0)


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(params=["vllm", "sglang"])
def kind(request):
    return request.param


@pytest.fixture
def running():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(kind, running, checkpoint):
    """Starts servers and gives the engine over them; ``.servers`` has what they were asked."""

    def started(count=1, weights=None, **settings):
        servers = [SERVERS[kind](from_disk) for _ in range(count)]
        urls = [running.enter_context(serving(server)) for server in servers]
        section = Engine(kind=kind, urls=urls, **({"retries": 1, "timeout": 30} | settings))
        weights = weights or Fixed(checkpoint)
        engine = RemoteEngine(DIALECTS[kind](), section, CODEC, weights)
        return SimpleNamespace(engine=engine, servers=servers, server=servers[0], urls=urls)

    return started


def ask(ids=PROMPTS[0], temperature=0.0, key=(1,), tokens=12, stops=STOPS):
    return Generate(tuple(ids), tokens, stops, temperature, key)


def close(found, wanted):
    return found == pytest.approx(wanted, abs=1e-5)


def test_greedy_ids_and_their_log_probabilities_are_those_of_the_local_engine(start, model):
    requests = [ask(ids) for ids in PROMPTS]
    found = start().engine.generate(requests)
    wanted = LocalEngine(model, CODEC).generate(requests)
    assert [(c.ids, c.finish) for c in found] == [(c.ids, c.finish) for c in wanted]
    assert all(close(a.logprobs, b.logprobs) for a, b in zip(found, wanted, strict=True))


def test_scores_are_those_of_the_local_engine_one_request_an_option(start, model):
    requests = [Score(PROMPTS[0], ((48,), (49,), (50, 10), ())), Score(PROMPTS[1], ((48,),))]
    of = start()
    found = of.engine.score(requests)
    wanted = LocalEngine(model, CODEC).score(requests)
    for ours, theirs in zip(found, wanted, strict=True):
        assert all(close(a, b) for a, b in zip(ours, theirs, strict=True))
    assert len(of.server.requests) == 4


def test_vllm_scores_past_every_cached_prefix(running, checkpoint):
    server = SERVERS["vllm"](from_disk)
    url = running.enter_context(serving(server))
    engine = RemoteEngine(Vllm(), Engine(kind="vllm", urls=[url]), CODEC, Fixed(checkpoint))
    for _ in range(2):
        engine.score([Score(PROMPTS[0], ((48,), (49,)))])
    assert len({request["cache_salt"] for request in server.requests}) == 4


def test_samples_carry_log_probabilities_at_their_temperature(start, model):
    [completion] = start().engine.generate([ask(temperature=0.7)])
    ids = (*PROMPTS[0], *completion.ids)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0] / 0.7
    logp = torch.log_softmax(logits, dim=-1)
    wanted = [float(logp[t - 1, ids[t]]) for t in range(len(PROMPTS[0]), len(ids))]
    assert close(completion.logprobs, tuple(wanted))


def test_a_sample_is_a_function_of_its_key(start):
    engine = start().engine
    keys = [(1, 2), (1, 3), (1, 2, 0)]
    batch = engine.generate([ask(temperature=1.0, key=key) for key in keys])
    alone = [engine.generate([ask(temperature=1.0, key=key)])[0] for key in keys]
    assert [c.ids for c in batch] == [c.ids for c in alone]
    assert len({c.ids for c in batch}) == 3


def test_no_sampling_setting_is_left_to_the_models_own_defaults(start):
    of = start()
    of.engine.generate([ask(temperature=0.5)])
    [request] = of.server.requests
    sampling = request.get("sampling_params", request)
    assert sampling["top_k"] in (0, -1)
    assert (sampling["top_p"], sampling["min_p"], sampling["repetition_penalty"]) == (1, 0, 1)
    assert (sampling["frequency_penalty"], sampling["presence_penalty"]) == (0, 0)
    assert sampling["stop_token_ids"] == [CODEC.eos_id]
    assert sampling["skip_special_tokens"] is False


def snapshots(root, tokenizer, state, keep=2):
    def write(folder: Path) -> Path:
        export(state.model.save_pretrained, tokenizer, folder, {})
        return folder / "model"

    return Snapshots(root, "run-abc", keep, lambda: state.updates, write)


def test_after_an_update_the_servers_sample_from_the_new_weights(start, tmp_path):
    state = SimpleNamespace(model=tiny(1), updates=0)
    of = start(count=2, weights=snapshots(tmp_path / "w", tmp_path, state))
    for updates in range(4):
        state.model, state.updates = tiny(updates + 1), updates
        of.engine.refresh()
        found = of.engine.generate([ask(ids) for ids in PROMPTS])
        wanted = LocalEngine(state.model, CODEC).generate([ask(ids) for ids in PROMPTS])
        assert [c.ids for c in found] == [c.ids for c in wanted]
        assert {c.version for c in found} == {f"run-abc-{updates:06d}"}
        assert {server.version for server in of.servers} == {f"run-abc-{updates:06d}"}
    kept = sorted(path.name for path in (tmp_path / "w").iterdir())
    assert kept == ["run-abc-000002", "run-abc-000003"]
    assert list((tmp_path / "w" / kept[0] / "model").glob("*.safetensors"))


def test_weights_that_changed_unannounced_are_never_sampled_from_stale(start, tmp_path):
    state = SimpleNamespace(model=tiny(1), updates=0)
    of = start(weights=snapshots(tmp_path / "w", tmp_path, state))
    of.engine.generate([ask()])
    state.updates = 5
    [completion] = of.engine.generate([ask()])
    assert completion.version == "run-abc-000005"


def test_without_new_weights_a_refresh_drops_prefixes_alone(start, kind):
    of = start()
    of.engine.refresh()
    before = len(of.server.calls)
    of.engine.refresh()
    assert CACHES[kind] in of.server.calls[before:]
    assert LOADS[kind] not in of.server.calls[before:]
    assert LOADS[kind] in of.server.calls[:before]
    assert CACHES[kind] in of.server.calls[:before]


def test_a_server_that_was_started_anew_is_given_the_weights_at_the_next_refresh(start):
    of = start(count=2)
    of.engine.refresh()
    of.servers[1].version, of.servers[1].engine = "default", None
    of.engine.refresh()
    assert of.servers[1].version == of.servers[0].version
    assert len(of.engine.generate([ask(), ask()])) == 2


def test_one_process_of_those_that_train_loads_the_weights_for_all(start, tmp_path, kind):
    state = SimpleNamespace(model=tiny(1), updates=0)
    of = start(weights=snapshots(tmp_path / "w", tmp_path, state))
    of.engine.once = lambda work: None
    of.engine.refresh()
    assert of.server.calls == []
    assert (tmp_path / "w" / "run-abc-000000").is_dir()  # all of them write it


def test_requests_are_spread_and_neighbours_stay_together(start):
    of = start(count=2)
    found = of.engine.generate([ask(tokens=n) for n in range(1, 7)])
    assert [len(c.ids) for c in found] == [1, 2, 3, 4, 5, 6]
    assert [len(server.requests) for server in of.servers] == [3, 3]


def test_a_server_that_somebody_else_loaded_is_refused(start):
    of = start(count=2)
    of.engine.refresh()
    of.servers[1].version = "another-run-000007"
    with pytest.raises(WrongWeights, match="another-run-000007") as error:
        of.engine.generate([ask()])
    assert of.urls[1] in str(error.value)


def test_a_version_that_changes_during_the_requests_is_refused(start):
    of = start()
    of.engine.refresh()

    def swap(reply):
        of.server.version = "other"

    of.server.told[of.server.completions] = [swap]
    with pytest.raises(WrongWeights, match="'other'"):
        of.engine.generate([ask()])


def test_a_reply_of_other_weights_is_refused(running, checkpoint):
    server = SERVERS["sglang"](from_disk)
    url = running.enter_context(serving(server))
    engine = RemoteEngine(Sglang(), Engine(kind="sglang", urls=[url]), CODEC, Fixed(checkpoint))
    stale = {"weight_version": "stale"}
    server.told["/generate"] = [lambda reply: reply["meta_info"].update(stale)]
    with pytest.raises(WrongWeights, match="'stale'"):
        engine.generate([ask()])


def test_a_server_that_does_not_take_the_version_is_refused(start, kind):
    of = start()
    of.server.told[LOADS[kind]] = [lambda reply: setattr(of.server, "version", "stuck")]
    if kind == "vllm":
        of.server.told = {"/resume": [lambda reply: setattr(of.server, "version", "stuck")]}
    with pytest.raises(WrongWeights, match="told to load version"):
        of.engine.refresh()


PASSING = {
    "500": (500, Unreachable, "status 500"),
    "429": (429, Unreachable, "status 429"),
    "html": ("html", BadReply, "not JSON"),
    "half": ("half", BadReply, "not JSON"),
    "drop": ("drop", Unreachable, "disconnected"),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_tried_again_and_then_named_with_a_remedy(start, fault):
    of = start()
    told, error, said = PASSING[fault]
    path = of.server.completions
    of.server.told[path] = [told]
    assert of.engine.generate([ask()])
    of.server.told[path] = [told, told]
    with pytest.raises(error, match=said) as raised:
        of.engine.generate([ask()])
    assert f"{of.urls[0]}{path}" in str(raised.value)
    assert "tried 2 times" in str(raised.value)
    assert "docs/engines.md" in str(raised.value)


def test_an_answer_that_does_not_come_is_given_up(start):
    of = start(retries=0)
    of.engine.refresh()
    of.engine.settings = of.engine.settings.model_copy(update={"timeout": 0.5})
    of.server.told[of.server.completions] = ["hang"]
    with pytest.raises(Unreachable, match=r"no answer within 0\.5 s"):
        of.engine.generate([ask()])


def test_nobody_there_is_said(checkpoint, kind):
    settings = Engine(kind=kind, urls=["http://127.0.0.1:9"], retries=0)
    engine = RemoteEngine(DIALECTS[kind](), settings, CODEC, Fixed(checkpoint))
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        engine.refresh()


def test_a_server_too_old_to_name_its_weights_is_refused_at_once(start, kind):
    of = start()
    path = "/weight_info" if kind == "vllm" else "/get_model_info"
    of.server.told[path] = [404]
    with pytest.raises(Refused, match="status 404") as raised:
        of.engine.refresh()
    assert "docs/engines.md" in str(raised.value)
    of.server.told[path] = [lambda reply: reply.clear()]
    with pytest.raises(ServerError, match="names no version"):
        of.engine.refresh()


def test_weights_that_cannot_be_loaded_stop_the_work(start, kind):
    of = start()
    of.server.told[LOADS[kind]] = [500, 500]
    with pytest.raises(Unreachable):
        of.engine.refresh()
    assert of.engine.loaded is None
    if kind == "vllm":
        assert of.server.paused, "nothing is sampled from half of the weights"
    of.engine.refresh()
    assert of.engine.generate([ask()])


def test_sglangs_refusal_to_load_is_read(running, checkpoint):
    server = SERVERS["sglang"](from_disk)
    url = running.enter_context(serving(server))
    engine = RemoteEngine(Sglang(), Engine(kind="sglang", urls=[url]), CODEC, Fixed(checkpoint))
    no = {"success": False, "message": "shape mismatch"}
    server.told["/update_weights_from_disk"] = [lambda reply: reply.update(no)]
    with pytest.raises(ServerError, match="shape mismatch"):
        engine.refresh()


def test_vllms_prefixes_that_are_still_there_stop_the_work(running, checkpoint):
    server = SERVERS["vllm"](from_disk)
    url = running.enter_context(serving(server))
    engine = RemoteEngine(Vllm(), Engine(kind="vllm", urls=[url]), CODEC, Fixed(checkpoint))
    server.told["/reset_prefix_cache"] = [lambda reply: reply.update(success=False)]
    with pytest.raises(ServerError, match="prefixes are still there"):
        engine.refresh()


def told(kind, vllm, sglang):
    """A change to a reply, made where that kind of server has it."""

    def change(reply):
        part = reply["choices"][0] if kind == "vllm" else reply["meta_info"]
        (vllm if kind == "vllm" else sglang)(part)

    return change


BAD = {
    "no log-probabilities": (
        lambda choice: choice.pop("logprobs"),
        lambda meta: meta.pop("output_token_logprobs"),
    ),
    "one is missing": (
        lambda choice: choice["logprobs"]["token_logprobs"].pop(),
        lambda meta: meta["output_token_logprobs"][-1].__setitem__(0, None),
    ),
    "not a number": (
        lambda choice: choice["logprobs"]["token_logprobs"].__setitem__(0, float("nan")),
        lambda meta: meta["output_token_logprobs"][0].__setitem__(0, float("nan")),
    ),
    "another prompt": (
        lambda choice: choice["prompt_token_ids"].append(1),
        lambda meta: meta.update(prompt_tokens=1),
    ),
    "nothing written": (
        lambda choice: choice.update(token_ids=[]),
        lambda meta: meta.update(output_token_logprobs=[]),
    ),
    "aborted": (
        lambda choice: choice.update(
            finish_reason="abort",
            token_ids=choice["token_ids"][:2],
            logprobs={"token_logprobs": choice["logprobs"]["token_logprobs"][:2]},
        ),
        lambda meta: meta.update(
            finish_reason={"type": "abort"},
            output_token_logprobs=meta["output_token_logprobs"][:2],
        ),
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_reply_that_cannot_be_trained_on_is_refused(start, kind, fault):
    of = start()
    of.server.told[of.server.completions] = [told(kind, *BAD[fault])] * 2
    with pytest.raises(BadReply) as raised:
        of.engine.generate([ask(stops=())])
    assert of.urls[0] in str(raised.value)
    assert "docs/engines.md" in str(raised.value)


def test_ids_beyond_the_stop_are_cut(running, kind):
    codec, text = CODEC, "a</search>bc"
    ids = codec.template(text)

    class Eager(LocalEngine):
        def __init__(self):
            pass

        def refresh(self):
            pass

        def generate(self, requests):
            return [Completion(ids, (-0.5,) * len(ids), "stop") for _ in requests]

    url = running.enter_context(serving(SERVERS[kind](lambda _: Eager())))
    settings = Engine(kind=kind, urls=[url])
    engine = RemoteEngine(DIALECTS[kind](), settings, codec, Fixed("some/model"))
    [completion] = engine.generate([ask(tokens=30)])
    assert codec.decode(completion.ids) == "a</search>"
    assert (completion.finish, len(completion.logprobs)) == ("stop", len(completion.ids))


def test_the_key_is_sent_and_shown_nowhere(start, monkeypatch):
    monkeypatch.setenv("ROLLOUT_KEY", "s3cret")
    of = start(api_key_env="ROLLOUT_KEY", retries=0)
    of.engine.refresh()
    assert {h["Authorization"] for h in of.server.headers} == {"Bearer s3cret"}
    of.server.told[of.server.completions] = [403]
    with pytest.raises(Refused) as raised:
        of.engine.generate([ask()])
    assert "s3cret" not in str(raised.value)
    monkeypatch.delenv("ROLLOUT_KEY")
    with pytest.raises(ConfigError, match="ROLLOUT_KEY, which is not set"):
        of.engine.generate([ask()])


def test_no_more_requests_than_allowed_are_under_way(start):
    of = start(concurrency=1)
    assert len(of.engine.generate([ask(key=(i,)) for i in range(5)])) == 5


def test_a_checkpoint_is_named_by_what_is_in_it(tmp_path, model):
    versions = []
    for seed in (1, 2, 1):
        export(tiny(seed).save_pretrained, tmp_path, tmp_path / "run", {})
        versions.append(Fixed(str(tmp_path / "run" / "model")).version)
    assert versions[0] == versions[2] != versions[1]
    assert Fixed("Qwen/Qwen2.5-7B").folder() == "Qwen/Qwen2.5-7B"


@pytest.mark.parametrize(
    "section",
    [
        {"kind": "vllm"},
        {"kind": "sglang", "urls": []},
        {"kind": "sglang", "urls": ["127.0.0.1:30000"]},
        {"kind": "vllm", "urls": ["http://key@host"]},
        {"kind": "hosted"},
    ],
)
def test_an_engine_that_cannot_be_asked_is_refused_by_the_config(section):
    with pytest.raises(ConfigError):
        load(Engine, section, "config.yaml")
