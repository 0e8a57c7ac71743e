"""What an experiment will take: parameters, memory, disk, hours, and the refusal."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from searchr2.cli.main import main
from searchr2.config import (
    ConfigError,
    Deepspeed,
    Engine,
    Experiment,
    Grpo,
    Lora,
    Model,
    Prompts,
    Rollout,
)
from searchr2.plan import advice, evaluations, footprint, lengths, pace, shown, storage
from searchr2.plan.experiment import make_plan
from searchr2.plan.footprint import Training
from searchr2.plan.machine import GIB, GPUS, Machine, _cards, available, named_gpu
from searchr2.plan.measured import measured
from searchr2.plan.settings import laid_over, only_tables, read_config, trained
from searchr2.plan.shape import KNOWN, Shape, read_shape, shape_of

ROOT = Path(__file__).parents[2]
H100 = GPUS["h100-80"]
CLUSTER = Machine(1, 8, H100, 64, 1000 * GIB, 20e12)
BARE = Machine(1, 0, None, 2, 24 * GIB, 50e9)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("qwen2.5-0.5b", 494_032_768),
        ("qwen2.5-1.5b", 1_543_714_304),
        ("qwen2.5-3b", 3_085_938_688),
        ("qwen2.5-7b", 15_231_233_024 / 2),  # bytes of the published bf16 weights
        ("qwen2.5-14b", 14_770_033_664),
        ("qwen2.5-32b", 65_527_752_704 / 2),
        ("qwen3-8b", 16_381_470_720 / 2),
    ],
)
def test_known_shapes_have_as_many_parameters_as_published(name, published):
    assert KNOWN[name].parameters == pytest.approx(published, rel=1e-3)


def test_the_small_model_has_as_many_parameters_as_transformers_gives_it():
    build = pytest.importorskip("searchr2.build")
    pytest.importorskip("torch")
    settings = Model(kv_heads=2)
    made = build.new_model(settings, settings.vocab_size, seed=0)
    assert shape_of(settings).parameters == sum(p.numel() for p in made.parameters())


def test_a_shape_is_read_from_the_models_own_config(tmp_path):
    said = {
        "model_type": "llama",
        "vocab_size": 32_000,
        "hidden_size": 4096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(said))
    assert read_shape(path).parameters == 6_738_415_616  # Llama-2-7B
    assert shape_of(Model(path=str(tmp_path))).kv_heads == 32


def test_a_model_that_is_not_here_and_not_known_is_named():
    with pytest.raises(ConfigError, match="some/other is no folder"):
        shape_of(Model(path="some/other"))
    assert shape_of(Model(path="Qwen/Qwen2.5-7B-Instruct")) == KNOWN["qwen2.5-7b"]


@pytest.mark.parametrize("said", [{"model_type": "mamba"}, {"model_type": "qwen2"}])
def test_a_models_config_that_cannot_be_read_is_named(tmp_path, said):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(said))
    with pytest.raises(ConfigError, match=r"config\.json"):
        read_shape(path)


TOY = Shape(100, 8, 16, 2, 4, 2, 2, tied=True, bias=False)


def toy(processes=1, lora=None, **deepspeed) -> Training:
    settings = Deepspeed(**deepspeed)
    grpo = Grpo(micro_batch_tokens=128)
    return Training(
        TOY, settings, Lora(rank=lora), grpo, Rollout(), Engine(), 128, 100, 0.25, processes
    )


def test_parameters_by_hand():
    # q 8x8, k and v 8x4, o 8x8: 192; gate, up, down 8x16: 384; two norms of 8
    assert TOY.block == 192 + 384 + 16
    assert TOY.parameters == 800 + 2 * 592 + 8
    # rank 2 on q: 2 (8 + 8) in each of two blocks
    assert TOY.adapters(2, ["q_proj"]) == 64


def test_states_by_hand():
    n = TOY.parameters
    assert footprint.states(toy()) == {
        "weights": 4 * n,
        "gradients": 4 * n,
        "optimizer": 8 * n,
        "reference policy": 4 * n,
        "reduction buffer": 0,
    }
    bf16 = footprint.states(toy(bf16=True, zero_stage=1))
    assert bf16 == {
        "weights": 2 * n,
        "gradients": (4 + 2) * n,
        "optimizer": 12 * n,
        "reference policy": 2 * n,
        "reduction buffer": 4 * footprint.BUCKET,  # which sums in fp32
    }


@pytest.mark.parametrize(
    ("stage", "divided"),
    [
        (0, set()),
        (1, {"optimizer"}),
        (2, {"optimizer", "gradients"}),
        (3, {"optimizer", "gradients", "weights", "reference policy"}),
    ],
)
def test_zero_divides_what_its_stage_says(stage, divided):
    one, four = (footprint.states(toy(count, zero_stage=stage)) for count in (1, 4))
    assert {name for name in one if one[name] and four[name] == one[name] / 4} == divided
    assert all(four[name] == one[name] for name in one if name not in divided)


def test_offloading_moves_states_to_ram():
    run = toy(4, zero_stage=3, bf16=True, offload_optimizer=True, offload_parameters=True)
    states = footprint.states(run)
    assert states["optimizer"] == states["weights"] == states["reference policy"] == 0
    kept = TOY.parameters * ((12 + 4) / 4 + 2 * 2 / 4)
    assert footprint.in_ram(run)["offloaded"] == pytest.approx(4 * kept)


def test_adapters_alone_have_gradients_and_states_and_there_is_no_second_model():
    run = toy(lora=2, bf16=True, zero_stage=1)
    adapters = TOY.adapters(2, [])
    states = footprint.states(run)
    assert run.trained == adapters
    assert states["optimizer"] == 12 * adapters
    assert states["weights"] == 2 * (TOY.parameters + adapters)
    assert states["reference policy"] == 0


def test_activations_with_and_without_checkpointing_by_hand():
    # inputs and outputs of norms 4 x 8, queries and keys twice 12, values 4, attention 8, MLP 64
    block = 2 * (32 + 24 + 4 + 8 + 64) + 8 * 8
    assert footprint.layer(TOY, 2) == block
    assert footprint.activations(toy(bf16=True)) == 128 * 2 * block
    saved = footprint.activations(toy(bf16=True, activation_checkpointing=True))
    assert saved == 128 * (2 * 2 * 8 + block)


def test_logits_keys_and_values_by_hand():
    assert footprint.logits(toy(bf16=True)) == 128 * 100 * (4 + 16 * 0.25)
    assert footprint.cache(toy(bf16=True)) == 2 * 2 * 4 * 2  # two layers of 4 keys, 4 values
    taken = footprint.rolling_out(toy(bf16=True))
    row = 128 * 32
    assert taken["keys and values"] == 120 * row + 120 * row  # in a batch, and kept between turns
    many = replace(toy(bf16=True), longest=10**6)
    kept = footprint.rolling_out(many)["keys and values"] - 120 * 10**6 * 32
    assert kept == footprint.PREFIXES  # and never more


def test_adamw_steps_all_tensors_at_once_unless_its_states_are_in_ram():
    assert footprint.stepping(toy(4, zero_stage=2)) == {"optimizer's step": TOY.parameters}
    away = footprint.stepping(toy(4, zero_stage=2, offload_optimizer=True))
    assert away == {"optimizer's step": 0}


def test_servers_take_the_rollouts_off_the_gpu_and_stage_3_gathers_the_weights():
    served = Engine(kind="vllm", urls=["http://127.0.0.1:8000"])
    run = replace(toy(2, zero_stage=3, bf16=True), engine=served)
    assert footprint.rolling_out(run) == {"weights gathered whole": 2 * TOY.parameters}


@pytest.mark.parametrize(
    ("factory", "gigabytes"),
    [
        ("Flat", 64.6),
        ("SQ8", 16.1),
        ("IVF65536,SQ8", 16.5),
        ("IVF65536,PQ64", 1.7),
        ("HNSW64", 75.5),
    ],
)
def test_an_index_is_as_large_as_the_page_on_retrieval_says(factory, gigabytes):
    size = storage.index_bytes(factory, storage.WIKI18[0], 768)
    assert size / 1e9 == pytest.approx(gigabytes, abs=0.08)
    page = (ROOT / "docs" / "retrieval.md").read_text()
    assert f"| `{factory}` | {gigabytes} GB |" in page


def test_a_flat_index_of_wiki_18_is_the_published_file():
    assert storage.index_bytes("Flat", storage.WIKI18[0], 768) == pytest.approx(
        64_559_075_373, rel=1e-6
    )


def pretrained(**rollout) -> Experiment:
    return Experiment(
        model=Model(path="Qwen/Qwen2.5-7B"), prompts=Prompts(), rollout=Rollout(**rollout)
    )


def test_a_trajectory_ends_where_its_context_does():
    limits = {"max_turns": 4, "max_turn_tokens": 500, "max_document_tokens": 500}
    asked = lengths.template(pretrained(), "actor")
    whole = lengths.trajectory(pretrained(**limits, max_context_tokens=9000), turns=4)
    assert (whole.prompt, whole.written) == (asked, 400)
    assert whole.read == 3 * 3 * (148 - lengths.ROW) / 4  # passages of the generated world
    room = round(asked) + 100 + (100 + 84) // 2  # for one turn and half a turn with its search
    short = lengths.trajectory(pretrained(**limits, max_context_tokens=room), turns=4)
    assert short.written == pytest.approx(150, abs=1)


def test_the_longest_row_uses_the_limits_in_full_and_no_more_than_the_context():
    limits = {"max_turns": 4, "max_turn_tokens": 500, "max_document_tokens": 180}
    long = lengths.longest(pretrained(**limits, max_context_tokens=9000))
    assert (long.written, long.read) == (2000, 3 * 3 * 200)
    tight = lengths.longest(pretrained(**limits, max_context_tokens=3000))
    assert tight.all == 3000
    assert lengths.longest(pretrained(**limits, max_context_tokens=1500)).all == 1500
    direct = lengths.longest(pretrained(**limits), "direct")
    assert (direct.written, direct.read) == (500, 0)


def test_prompts_are_as_long_as_their_templates():
    """Qwen's tokenizer makes 101 tokens of the Actor's template, and 123 of the Meta-Refiner's."""
    settings = paper()
    for name, tokens in {"actor": 101, "refiner": 123}.items():
        found = lengths.template(settings, name) - lengths.QUESTION
        assert found == pytest.approx(tokens, rel=0.2)


def test_a_step_by_hand():
    tokens = lengths.Tokens(prompt=200, written=300, read=500)
    grpo = Grpo(prompts_per_step=2, group_size=5)
    plain = pace.step(grpo, tokens, revisions=0, joint=False, asking=0)
    assert (plain.trajectories, plain.written, plain.trained_on) == (10, 3000, 10_000)
    joint = pace.step(grpo, tokens, revisions=1, joint=True, asking=150)
    assert joint.written == pytest.approx(3000 * 1.15)
    assert joint.trained_on == pytest.approx(10 * (1000 + 1150))  # and the verdict's row


def paper(name="paper_qwen2.5_7b") -> Experiment:
    return read_config([ROOT / "config.yaml", ROOT / "configs" / f"{name}.yaml"])


def test_twice_the_gpus_halve_an_update():
    one, two = (make_plan(paper(), replace(CLUSTER, nodes=n)).runs[-1] for n in (1, 2))
    assert one.update_s == pytest.approx(2 * two.update_s)


def test_the_default_fits_two_cores_and_says_its_assumptions(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["plan", "--gpus", "0", "--ram-gib", "24", "--disk-gb", "50"]) == 0
    shown = capsys.readouterr().out
    assert "690.18 k parameters" in shown
    assert "search-r2" in shown
    assert "Assumed, not measured" in shown
    assert "GPU-hours" not in shown


def test_the_papers_7b_fits_8_gpus_of_80_gb_and_not_one_of_24():
    settings = paper()
    assert list(shown.problems(make_plan(settings, CLUSTER))) == []
    small = replace(CLUSTER, gpus=1, gpu=GPUS["rtx4090-24"])
    with pytest.raises(shown.PlanError) as caught:
        shown.check(make_plan(settings, small))
    line = next(line for line in str(caught.value).splitlines() if "search-r1, search-r2" in line)
    assert "optimizer 85.1" in line  # 12 bytes of 7.6 billion, by hand
    assert "has 23.6 GiB" in line


def test_7b_under_zero_3_on_eight_gpus_by_hand():
    """7,615,616,512 parameters in bf16, 1/8 of each state a GPU; a step of 8,192 tokens.

    GB: weights 15.23 / 8 = 1.904, and the reference as much; gradients in fp32 30.46 / 8 = 3.808;
    fp32 weights and moments 91.39 / 8 = 11.42; gathered whole 15.23. A layer keeps 233,472 bytes a
    token, and its input of 7,168 is kept of all 28: 8,192 x (200,704 + 233,472) = 3.557.
    """
    settings = paper()
    zero = settings.deepspeed.model_copy(update={"zero_stage": 3})
    plan = make_plan(settings.model_copy(update={"deepspeed": zero}), CLUSTER)
    run = plan.runs[-1].memory
    assert run.shape.parameters == 7_615_616_512
    gigabytes = {
        name: size / 1e9
        for parts in (footprint.states(run), *footprint.phases(run).values())
        for name, size in parts.items()
    }
    by_hand = {
        "weights": 1.904,
        "reference policy": 1.904,
        "gradients": 3.808,
        "optimizer": 11.423,
        "reduction buffer": 1.0,
        "weights gathered whole": 15.231,
        "optimizer's step": 3.808,
        "activations": 3.557,
    }
    assert {name: gigabytes[name] for name in by_hand} == pytest.approx(by_hand, abs=1e-3)
    # 8,192 x 152,064 logits of 2 + 2 bytes, and 16 of each trained one: 3,000 of 5,624 at the most
    assert gigabytes["logits"] == pytest.approx(1.2457 * (4 + 16 * 0.53), rel=0.01)
    h200 = replace(CLUSTER, gpu=GPUS["h200-141"])
    assert list(shown.problems(make_plan(settings, h200))) == []


@pytest.mark.parametrize(
    ("name", "seconds", "gibibytes"),
    [("search-r1", 2.4, 1.24), ("search-r2", 4.7, 1.19), ("base", 289 / 4400, 0.75)],
)
def test_the_default_is_estimated_within_half_of_what_it_takes(name, seconds, gibibytes):
    """CPU time of a step, one thread, and resident memory, of a run of the default config."""
    plan = make_plan(read_config([ROOT / "config.yaml"]), BARE)
    [run] = [run for run in [*plan.stages, *plan.runs] if run.name == name]
    assert 1 / 1.5 < (run.rollout_s + run.update_s) / seconds < 1.5
    assert 1 / 1.5 < sum(footprint.peak(run.memory)[1].values()) / GIB / gibibytes < 1.5


def test_what_a_finished_run_of_the_same_settings_took_stands_beside_the_estimate(tmp_path):
    settings = read_config([ROOT / "config.yaml"]).model_copy(update={"results": str(tmp_path)})
    folder = tmp_path / "train" / "search-r2" / "seed1"
    folder.mkdir(parents=True)
    grpo = settings.grpo.model_dump()
    recorded = {"config": {"grpo": grpo, "seed": 1}}
    rows = [{"metrics": {"time/step": second}} for second in (9.0, 4.5, 4.0)]
    for stage in ("world", "data"):
        said = {stage: getattr(settings, stage).model_dump(mode="json")}
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config" / f"{stage}.json").write_text(json.dumps(said))
    (folder / "run.json").write_text(json.dumps(recorded))
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, [{"metrics": {}}, *rows])))
    assert measured(settings) == {}  # it is not finished
    (folder / "manifest.json").write_text("{}")
    assert measured(settings) == {"search-r2": 4.5}
    assert re.search(r"search-r2 .* 4\.5 \|$", shown.page(make_plan(settings, BARE)), re.M)
    world = settings.world.model_copy(update={"works": 900})
    assert measured(settings.model_copy(update={"world": world})) == {}
    grpo["group_size"] += 1
    (folder / "run.json").write_text(json.dumps(recorded))
    assert measured(settings) == {}


def test_the_papers_32b_fits_four_nodes_and_not_one():
    settings = paper("paper_qwen2.5_32b")
    assert list(shown.problems(make_plan(settings, replace(CLUSTER, nodes=4)))) == []
    alone = "\n".join(shown.problems(make_plan(settings, CLUSTER)))
    assert "weights gathered whole 61.0" in alone


def test_one_gpu_of_24_gb_holds_adapters_and_one_of_80_all_weights():
    settings = only_tables(paper("single_gpu"), ["table1"])
    alone = replace(CLUSTER, gpus=1, gpu=GPUS["rtx4090-24"], ram=64 * GIB, disk=1e12)
    assert list(shown.problems(make_plan(settings, alone))) == []
    model = settings.model.model_copy(update={"path": "Qwen/Qwen2.5-1.5B"})
    whole = settings.model_copy(update={"model": model, "lora": Lora()})
    large = replace(alone, gpu=GPUS["a100-80"])
    assert list(shown.problems(make_plan(whole, large))) == []


def test_what_would_help_is_computed_and_fits():
    memory = GPUS["l40s-48"].memory
    run = make_plan(paper(), CLUSTER).runs[-1].memory
    said, changed = next(c for c in advice.changes(run) if advice.total(c[1]) <= memory)
    assert f"it would fit with {said}: " in advice.advice(run, memory)
    assert "deepspeed.offload_optimizer: true" in said
    assert changed.deepspeed.offload_optimizer
    assert [
        c for c in advice.changes(run) if c[1].deepspeed.offload_parameters and c[1].stage < 3
    ] == []


def test_a_bucket_of_ones_own_is_planned_with(tmp_path):
    (tmp_path / "ds.json").write_text('{"zero_optimization": {"reduce_bucket_size": 5e7}}')
    settings = paper("single_gpu")
    own = settings.deepspeed.model_copy(update={"config": str(tmp_path / "ds.json")})
    small = make_plan(settings.model_copy(update={"deepspeed": own}), CLUSTER).runs[-1]
    assert footprint.states(small.memory)["reduction buffer"] == 4 * 5e7


def test_a_supervised_run_is_told_of_its_own_setting():
    run = next(run.memory for run in make_plan(paper(), CLUSTER).runs if run.name == "rejection")
    said = [said for said, _ in advice.changes(run)]
    assert any("supervised.micro_batch_size: 1" in line for line in said)
    assert not any("grpo." in line for line in said)


def test_smaller_passes_are_no_advice_where_rollouts_take_most():
    settings = paper("single_gpu")
    run = make_plan(settings, replace(CLUSTER, gpus=1)).runs[-1].memory
    assert footprint.peak(run)[0] == "rollout"
    assert "micro_batch" not in advice.advice(run, 8 * GIB)
    assert "fewer rollouts a step" in advice.advice(run, 8 * GIB)


def test_where_nothing_helps_it_says_so():
    run = make_plan(paper(), CLUSTER).runs[-1].memory
    assert "take more or larger GPUs" in advice.advice(run, 4 * GIB)


def test_disk_and_ram_that_are_short_are_refused_with_numbers(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    short = ["--gpus", "0", "--ram-gib", "1", "--disk-gb", "0.1"]
    assert main(["plan", *short]) == 2
    said = capsys.readouterr().err
    assert "0.1 GB are free" in said
    assert "has 1.0 GiB" in said


def test_a_run_that_was_brought_is_not_trained():
    settings = read_config([ROOT / "config.yaml"])
    assert "search-r1" in trained(settings)
    run = settings.runs["search-r1"].model_copy(update={"model": "a/published"})
    brought = settings.model_copy(update={"runs": {**settings.runs, "search-r1": run}})
    assert "search-r1" not in trained(brought)


def test_a_supervised_row_of_a_table_over_steps_is_evaluated_once_a_seed():
    settings = read_config([ROOT / "config.yaml"])
    table = settings.tables["table_curves"]

    def counted(*rows):
        only = {"only": table.model_copy(update={"rows": list(rows)})}
        return evaluations.count(settings.model_copy(update={"tables": only, "seeds": [1, 2]}))

    assert counted("search-r2") == 2 * 3  # after 8, 16 and 24 steps
    assert counted("search-r2", "sft", "rejection") == 2 * (3 + 1 + 1)


def test_files_are_laid_over_each_other_as_snakemake_does(tmp_path):
    utils = pytest.importorskip("snakemake.utils")
    under = {"a": {"b": 1, "c": [1, 2]}, "d": 3, "e": None}
    over = {"a": {"c": [9]}, "d": {"f": 1}, "e": {"g": 2}}
    theirs = {"a": {"b": 1, "c": [1, 2]}, "d": 3, "e": None}
    utils.update_config(theirs, over)
    assert laid_over(under, over) == theirs


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "not YAML"), ("- 1", "not a mapping"), ("grpo: {stepz: 1}", "stepz")],
)
def test_a_config_that_cannot_be_read_is_named(tmp_path, text, message):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_config([path])
    assert "wrong.yaml" in str(caught.value)


def test_a_corpus_that_is_not_here_is_known_only_if_it_is_wiki_18():
    settings = paper()
    assert storage.corpus_of(settings).passages == 21_015_324
    other = settings.data.model_copy(update={"corpus": "my/corpus.jsonl"})
    with pytest.raises(ConfigError, match=r"my/corpus\.jsonl does not exist"):
        storage.corpus_of(settings.model_copy(update={"data": other}))


def test_gpus_are_known_by_name_by_size_and_by_what_the_driver_lists():
    assert named_gpu("h100-80").flops == 989e12
    assert named_gpu("24").memory == 24 * GIB
    with pytest.raises(ConfigError, match="--gpu tpu"):
        named_gpu("tpu")
    listed = "NVIDIA H100 80GB HBM3, 81559\nNVIDIA GeForce RTX 4090, 24564\n"
    small, large = _cards(listed)
    assert (small.bandwidth, large.bandwidth) == (1.01e12, 3.35e12)
    assert large.memory == 81559 * (1 << 20)


def test_a_container_or_a_job_has_what_its_control_group_allows(tmp_path):
    own, groups = tmp_path / "own", tmp_path / "groups"
    (groups / "job_1").mkdir(parents=True)
    own.write_text("0::/job_1\n")
    everything = available(own, groups)  # it says nothing
    (groups / "job_1" / "memory.max").write_text("max\n")
    assert available(own, groups) == everything
    (groups / "job_1" / "memory.max").write_text(f"{GIB}\n")
    assert available(own, groups) == GIB
    assert available(tmp_path / "none", groups) == everything
