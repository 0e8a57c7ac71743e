"""Every setting, one frozen section per concern; a function takes its section, never the whole.

``config.yaml`` holds the settings a person turns; whatever it leaves out takes the default here.
The JSON schema that the workflow checks a config against is generated from these classes
(``searchr2 schema``), and a test fails where the two drift apart.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from searchr2.files import UserError

Set = Literal["nq", "triviaqa", "popqa", "hotpotqa", "2wikimultihopqa", "musique", "bamboogle"]
SETS: tuple[str, ...] = get_args(Set)
"""The seven evaluation sets, in the order of the paper's Table 2."""


class ConfigError(UserError):
    """A setting that cannot be used; the message names the key, its place and what is allowed."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class World(Section):
    """The generated world ("mini"): a small encyclopedia, and questions as the seven sets ask."""

    seed: int = 8
    """Everything in the world is a function of this number."""
    works: int = Field(420, ge=40, le=10_000)
    """Films, novels and songs; people, cities and countries scale with them."""
    test_questions: int = Field(100, ge=1)
    """Test questions of each of the seven sets."""
    validation_questions: int = Field(140, ge=2)
    """Questions choices are made on; their entities appear in no test question."""
    train_questions: int = Field(1200, ge=2)
    """GRPO's prompts: NQ- and HotpotQA-style, half each."""
    demonstrations: int = Field(6000, ge=1)
    """Questions the base stage imitates, all seven styles, about training entities only."""


class Data(Section):
    """Where passages and questions come from. All ``None``: the generated world."""

    corpus: str | None = None
    """A JSONL file of passages, {"id", "contents": "\\"Title\\"\\ntext"}."""
    questions: dict[Set, str] | None = None
    """Evaluation set -> JSONL file in FlashRAG's format."""
    train: list[str] | None = None
    """JSONL files whose union GRPO trains on.

    The last ``validation`` rows of their shuffle are held out.
    """
    validation: int = Field(60, ge=1)
    """Rows held out of ``train`` for validation (files only; the world makes its own split)."""
    max_questions: int | None = Field(None, ge=1)
    """Evaluate only the first so many questions of each set."""

    @model_validator(mode="after")
    def _whole(self) -> Data:
        files = {"corpus": self.corpus, "questions": self.questions, "train": self.train}
        missing = [name for name, value in files.items() if not value]
        if missing and len(missing) < len(files):
            absent = " and no ".join(missing)
            raise ValueError(f"corpus, questions and train go together: no {absent}")
        return self


class Retrieval(Section):
    """The search engine (section 5.1: top 3)."""

    kind: Literal["bm25"] = "bm25"
    """Which retriever builds and answers the index."""
    k: int = Field(3, ge=1)
    """Passages a search returns."""
    k1: float = Field(1.5, ge=0)
    """BM25 term saturation."""
    b: float = Field(0.75, ge=0, le=1)
    """BM25 length normalisation."""


class Model(Section):
    """The language model of both roles. Without ``path``, a small Qwen2 is trained from scratch."""

    path: str | None = None
    """A ``save_pretrained`` folder or hub id to start from instead of the base stage."""
    backbone: str = "qwen2-mini"
    """The name in the tables."""
    vocab_size: int = Field(1536, ge=300)
    hidden_size: int = Field(128, ge=8)
    intermediate_size: int = Field(256, ge=8)
    layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)
    kv_heads: int = Field(4, ge=1)
    max_positions: int = Field(4096, ge=128)


class Base(Section):
    """The base stage: next-token training on the world's demonstrations.

    So that GRPO has a policy that knows the format, explores, and leaves room: it stands in for a
    pretrained instruct model.
    """

    seed: int = 1
    copying_steps: int = Field(150, ge=0)
    """Updates on runs of names said twice, which come first: to copy at all."""
    reading_steps: int = Field(1100, ge=0)
    """Updates on reading drills, which come next: to copy what a query asks for."""
    steps: int = Field(4400, ge=1)
    """Updates in all; what the drills leave goes to demonstrations."""
    batch_size: int = Field(8, ge=1)
    """Sequences an update."""
    learning_rate: float = Field(2e-3, gt=0)
    warmup_ratio: float = Field(0.02, ge=0, le=1)
    weight_decay: float = Field(0.1, ge=0)
    adam_beta2: float = Field(0.99, ge=0, lt=1)
    checkpoint_every: int = Field(200, ge=1)
    refiner_share: float = Field(0.15, ge=0, le=1)
    """Share of demonstrations that show the Meta-Refiner's role."""
    rag_share: float = Field(0.15, ge=0, le=1)
    """Share that answer from passages found with the question itself."""
    direct_share: float = Field(0.05, ge=0, le=1)
    """Share that answer from the weights; what remains shows the Actor's role."""
    full_query: float = Field(0.3, ge=0, le=1)
    """How often a demonstrated query is as good as it can be: the head-room of GRPO."""
    partial_share: float = Field(0.8, ge=0, le=1)
    """Of the other queries, how many drop the first piece of the name; the rest are worse."""
    sound_share: float = Field(0.5, ge=0, le=1)
    """Refiner demonstrations that are to accept: both classes are common."""

    def role_shares(self) -> dict[str, float]:
        """The share of each role; the Actor's is what the others leave."""
        others = {"refiner": self.refiner_share, "rag": self.rag_share, "direct": self.direct_share}
        return {"search": max(0.0, 1 - sum(others.values())), **others}


class Prompts(Section):
    """Prompt templates: ``default`` (instruct models), ``brief`` (the small model), or a folder."""

    templates: str = "brief"
    """Name of a shipped set, or a folder with the same file names."""
    chat: bool = False
    """Wrap the prompt as a user turn of the tokenizer's chat template."""


class Rollout(Section):
    """Limits of a trajectory (Algorithm 2, Appendix E)."""

    max_turns: int = Field(5, ge=1)
    """B: assistant turns, the answering one included. The paper has 4; four hops need 5."""
    max_turn_tokens: int = Field(64, ge=1)
    """Tokens the Actor may write in one turn."""
    max_document_tokens: int = Field(64, ge=1)
    """Tokens of a passage that are shown; longer ones are cut, tags stay closed."""
    max_prompt_tokens: int = Field(4096, ge=1)
    """Longer prompts are left out of training; nothing truncates a prompt."""
    max_context_tokens: int = Field(1024, ge=1)
    """A turn that would not fit any more is not started."""
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature in training; evaluation is greedy."""


class Refiner(Section):
    """The Meta-Refiner (section 3.2, Algorithm 1, Appendices E and L)."""

    max_revisions: int = Field(1, ge=0)
    """N_max; 0 turns the Meta-Refiner off."""
    margin: float = 0.0
    """Revise when log p(revise) - log p(accept) exceeds this."""
    trim: Literal["sample", "argmax"] = "sample"
    """How the Trimmer chooses the flawed step from p(1..T)."""
    joint: bool = True
    """Whether meta-action tokens carry loss (joint optimisation, section 3.4)."""


class Reward(Section):
    """The hybrid reward (section 3.3)."""

    process: bool = True
    """Multiply EM by 1 + density of useful evidence; off, the reward is EM."""


class Grpo(Section):
    """Group-relative policy optimisation (section 3.4; values of Appendix E where given)."""

    steps: int = Field(24, ge=1)
    prompts_per_step: int = Field(24, ge=1)
    group_size: int = Field(5, ge=2)
    """G: rollouts of a prompt."""
    learning_rate: float = Field(5e-4, gt=0)
    warmup_ratio: float = Field(0.1, ge=0, le=1)
    clip: float = Field(0.2, gt=0)
    """PPO clip; the paper does not state it, 0.2 is verl's default."""
    kl_coefficient: float = Field(0.001, ge=0)
    """Weight of the k3 KL to the reference policy, in the loss."""
    max_grad_norm: float = Field(1.0, gt=0)
    updates_per_step: int = Field(1, ge=1)
    """Mini-batches a step's traces are split into; 1 is the paper's one update a step."""
    micro_batch_tokens: int = Field(8192, ge=128)
    """Padded tokens of one forward and backward pass (memory, not method)."""
    validate_every: int = Field(4, ge=1)
    checkpoint_every: int = Field(4, ge=1)


class Deepspeed(Section):
    """How the update runs; further keys are DeepSpeed's own."""

    zero_stage: Literal[0, 1, 2, 3] = 0
    bf16: bool = False


class Evaluation(Section):
    """Greedy evaluation of the Actor alone (section 5.5)."""

    batch_size: int = Field(128, ge=1)
    """Trajectories in flight at once; part of the record, since batching moves float rounding."""
    refine: bool = False
    """Let the Meta-Refiner work at inference too (off in the paper)."""
    bootstrap: int = Field(2000, ge=100)
    """Resamples behind each interval."""


class Tracking(Section):
    """The MLflow mirror of the record under the results folder."""

    enabled: bool = True
    uri: str | None = None
    """A tracking server; ``None`` is a sqlite store in the results folder.

    User name and password are read from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
    """
    experiment: str = "search-r2"
    traces: int = Field(2, ge=0)
    """Trajectories shown in MLflow of each set and of each kind of outcome; files hold them all."""

    @field_validator("uri")
    @classmethod
    def _no_secret(cls, uri: str | None) -> str | None:
        if re.search("://[^/].*@", uri or ""):
            raise ValueError(
                "a user name or password here would be kept with the results; leave it out and set"
                " the variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
        return uri


METHODS = ("direct", "rag", "search")
Method = Literal["direct", "rag", "search"]
"""How a question is answered: from the weights, after one retrieval, or by the Actor's searches."""


class Row(Section):
    """A row of Table 1: who is evaluated, and how."""

    label: str
    method: Method
    checkpoint: str = "base"
    """``base`` or a name in ``runs``."""
    table: bool = True
    """Off: evaluated and compared, but not a row of the table (as the untrained searcher)."""


class Settings(Section):
    """The sections a run may override."""

    prompts: Prompts = Prompts()
    rollout: Rollout = Rollout()
    refiner: Refiner = Refiner()
    reward: Reward = Reward()
    grpo: Grpo = Grpo()
    deepspeed: Deepspeed = Deepspeed()


Overridable = Literal["prompts", "rollout", "refiner", "reward", "grpo", "deepspeed"]
"""The sections of ``Settings``, spelled out so that the JSON schema names them."""


class Experiment(Settings):
    """The whole of ``config.yaml``."""

    name: str = "mini"
    """The scale, printed with every table."""
    results: str = "results"
    """Folder everything is written to."""
    seeds: list[int] = Field([1], min_length=1)
    """Training seeds; every run is trained once with each."""
    world: World = World()
    data: Data = Data()
    retrieval: Retrieval = Retrieval()
    model: Model = Model()
    base: Base = Base()
    evaluation: Evaluation = Evaluation()
    tracking: Tracking = Tracking()
    runs: dict[str, dict[Overridable, dict[str, Any]]] = {}
    """Training runs: name -> the settings in which it differs."""
    rows: dict[str, Row] = {}
    """Evaluations, in the table's order: name -> row."""
    compare: list[tuple[str, str]] = []
    """Pairs of rows whose paired difference is printed under the table."""


class WorldConfig(Section):
    """``searchr2 world --config``."""

    world: World = World()


class DataConfig(Section):
    """``searchr2 data --config``."""

    data: Data = Data()


class TrainPaths(Section):
    """What a training run reads."""

    model: str
    index: str
    train: list[str]
    validation: list[str]


class TrainConfig(Settings):
    """``searchr2 train --config``: one run, resolved; made by the workflow from ``runs``."""

    run: str
    seed: int
    backbone: str
    retrieval_k: int = 3
    paths: TrainPaths


class TableConfig(Section):
    """``searchr2 table --config``: rows of Table 1 and what is compared; made by the workflow."""

    name: str
    seeds: list[int] = Field(min_length=1)
    """Evaluations of a trained row."""
    base_seed: int = Base().seed
    """The one evaluation of a row of the base model."""
    evaluation: Evaluation = Evaluation()
    rows: dict[str, Row]
    backbone: str
    compare: list[tuple[str, str]] = []


class BaseConfig(Section):
    """``searchr2 base --config``: the sections the base stage reads."""

    base: Base = Base()
    model: Model = Model()
    prompts: Prompts = Prompts()
    rollout: Rollout = Rollout()
    retrieval: Retrieval = Retrieval()
    deepspeed: Deepspeed = Deepspeed()


class EvaluateConfig(Section):
    """``searchr2 evaluate --config`` and ``searchr2 ask``: the sections they read."""

    backbone: str = ""
    checkpoint: str = ""
    """Name of the evaluated checkpoint in the record, e.g. ``train/search-r2/seed1``."""
    prompts: Prompts = Prompts()
    rollout: Rollout = Rollout()
    retrieval: Retrieval = Retrieval()
    refiner: Refiner = Refiner()
    evaluation: Evaluation = Evaluation()


S = TypeVar("S", bound=Section)


def load(kind: type[S], data: Any, source: str | Path) -> S:
    """A validated section of type ``kind``; raises ``ConfigError`` naming key, place and reason."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        lines = [
            f"{source}: {'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}"
            for e in error.errors()
        ]
        raise ConfigError("\n".join(lines)) from None
