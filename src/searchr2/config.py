"""Every setting, one frozen section per concern; a function takes its section, never the whole.

``config.yaml`` holds the settings a person turns; whatever it leaves out takes the default here.
The JSON schema that the workflow checks a config against is generated from these classes
(``searchr2 schema``), and a test fails where the two drift apart.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

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
    hops: tuple[int, int] | None = None
    """Every set asks chains of so many facts, from and to; ``None``: each set its own kinds."""
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
    """A file of passages in one of the layouts of docs/data.md."""
    questions: dict[Set, str] | None = None
    """Evaluation set -> file of questions in one of the layouts of docs/data.md."""
    train: list[str] | None = None
    """Files of questions whose union GRPO trains on.

    The last ``validation`` rows of their shuffle are held out.
    """
    validation: int = Field(60, ge=1)
    """Rows held out of ``train`` for validation (files only; the world makes its own split)."""
    max_questions: int | None = Field(None, ge=1)
    """Evaluate only the first so many questions of each set."""
    expect: Literal["paper"] | None = None
    """``paper``: the files must hold the paper's questions, all seven sets and the training union,
    in its numbers (``splits``); nothing is checked by default."""

    @model_validator(mode="after")
    def _whole(self) -> Data:
        files = {"corpus": self.corpus, "questions": self.questions, "train": self.train}
        missing = [name for name, value in files.items() if not value]
        if missing and len(missing) < len(files):
            absent = " and no ".join(missing)
            raise ValueError(f"corpus, questions and train go together: no {absent}")
        return self


class Encoding(Section):
    """How texts become vectors (kind ``dense``); the defaults are E5's conventions."""

    encoder: str | None = None
    """A ``save_pretrained`` folder or hub id of a sentence encoder, as intfloat/e5-base-v2."""
    query_prefix: str = "query: "
    """Put before a query. BGE: a sentence of instruction; Contriever: nothing."""
    passage_prefix: str = "passage: "
    """Put before a passage. BGE, Contriever: nothing."""
    pooling: Literal["mean", "cls", "pooler"] = "mean"
    """The vector: mean over tokens (E5), the first token's (BGE), or the pooler's (DPR)."""
    normalise: bool = True
    """Divide by the L2 norm, so that the inner product is the cosine; DPR does not."""
    query_tokens: int = Field(256, ge=8)
    """Longer queries are cut."""
    passage_tokens: int = Field(256, ge=8)
    """Longer passages are cut; one of wiki-18 has about 150 tokens."""


class Remote(Section):
    """Where a retrieval server answers (kind ``http``), and how long to wait for it."""

    urls: list[str] = []
    """Addresses of servers with the same index, as http://127.0.0.1:8000/retrieve."""
    timeout_s: float = Field(60, gt=0)
    """Seconds a request may take."""
    deadline_s: float = Field(600, gt=0)
    """Seconds a search may take, with all that is tried again."""
    retries: int = Field(5, ge=0)
    """Times every address is tried again; pauses between grow to 15 seconds."""


class Retrieval(Encoding, Remote):
    """The search engine (section 5.1: E5 and its top 3)."""

    kind: Literal["bm25", "dense", "http"] = "bm25"
    """Which retriever builds and answers the index of the task."""
    k: int = Field(3, ge=1)
    """Passages a search returns."""
    k1: float = Field(1.5, ge=0)
    """BM25 term saturation."""
    b: float = Field(0.75, ge=0, le=1)
    """BM25 length normalisation."""
    factory: str = "Flat"
    """The index as FAISS's factory names it: Flat (exact), SQ8, HNSW64, IVF4096,PQ64."""
    search_parameters: str = ""
    """What FAISS is to search with: nprobe=32 (IVF), efSearch=128 (HNSW)."""
    vectors: list[str] = []
    """A FAISS index of the corpus, whole or in parts, to take instead of encoding it."""

    def encoding(self) -> Encoding:
        return Encoding(**{name: getattr(self, name) for name in Encoding.model_fields})

    def remote(self) -> Remote:
        return Remote(**{name: getattr(self, name) for name in Remote.model_fields})


class Model(Section):
    """The language model of both roles. Without ``path``, a small Qwen2 is trained from scratch."""

    path: str | None = None
    """A ``save_pretrained`` folder or hub id to start from instead of the base stage."""
    instruct: str | None = None
    """The same of its instruct version; ``None`` is the base model after the instruction stage,
    or ``path`` itself."""
    backbone: str = "qwen2-mini"
    """The name in the tables."""
    vocab_size: int = Field(1536, ge=300)
    hidden_size: int = Field(128, ge=8)
    intermediate_size: int = Field(256, ge=8)
    layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)
    kv_heads: int = Field(4, ge=1)
    max_positions: int = Field(4096, ge=128)


class Updates(Section):
    """Next-token training: how many updates, and how large."""

    steps: int = Field(300, ge=1)
    """Updates in all."""
    batch_size: int = Field(16, ge=1)
    """Sequences an update."""
    micro_batch_size: int | None = Field(None, ge=1)
    """Sequences of one forward and backward pass (memory, not method); ``None``: all of them."""
    learning_rate: float = Field(5e-4, gt=0)
    warmup_ratio: float = Field(0.02, ge=0, le=1)
    weight_decay: float = Field(0.1, ge=0)
    adam_beta2: float = Field(0.99, ge=0, lt=1)
    checkpoint_every: int = Field(200, ge=1)


class Supervised(Updates):
    """A run of kind ``sft`` or ``rejection``."""

    samples: int = Field(5, ge=1)
    """Rejection Sampling: rollouts of a prompt, of which the right ones are kept."""
    prompts: int | None = Field(400, ge=1)
    """Rejection Sampling: training prompts rolled out; ``None`` is all of them."""


Role = Literal["search", "rag", "direct", "refiner", "cot", "ircot", "search-o1", "note"]
"""What a demonstration shows: a method of answering, a verdict, or a note on what was found."""


class Demonstrated(Updates):
    """Next-token training on demonstrations that were searched for real in the generated world."""

    seed: int = 1
    copying_steps: int = Field(0, ge=0)
    """Updates on runs of names said twice, which come first: to copy at all."""
    reading_steps: int = Field(0, ge=0)
    """Updates on reading drills, which come next: to copy what a query asks for."""
    shares: dict[Role, float] = {}
    """Role -> its share of the demonstrations; they sum to 1."""
    full_query: float = Field(0.3, ge=0, le=1)
    """How often a demonstrated query is as good as it can be: the head-room of GRPO."""
    partial_share: float = Field(0.8, ge=0, le=1)
    """Of the other queries, how many drop the first piece of the name; the rest are worse."""
    sound_share: float = Field(0.5, ge=0, le=1)
    """Refiner demonstrations that are to accept: both classes are common."""

    @model_validator(mode="after")
    def _all_of_it(self) -> Demonstrated:
        if self.shares and abs(sum(self.shares.values()) - 1) > 1e-6:
            raise ValueError(f"shares sum to {sum(self.shares.values()):g}, not to 1")
        return self


class Base(Demonstrated):
    """The base stage: the small model from random weights, in place of a pretrained one.

    So that GRPO has a policy that knows the format, explores, and leaves room.
    """

    steps: int = Field(4400, ge=1)
    """Updates in all; what the drills leave goes to demonstrations."""
    batch_size: int = Field(8, ge=1)
    """Sequences an update."""
    learning_rate: float = Field(2e-3, gt=0)
    copying_steps: int = Field(150, ge=0)
    """Updates on runs of names said twice, which come first: to copy at all."""
    reading_steps: int = Field(1100, ge=0)
    """Updates on reading drills, which come next: to copy what a query asks for."""
    shares: dict[Role, float] = {
        "search": 0.6,
        "refiner": 0.15,
        "rag": 0.15,
        "direct": 0.05,
        "cot": 0.05,
    }
    """Role -> its share of the demonstrations; they sum to 1."""


class Instruct(Demonstrated):
    """The instruction stage: the base model learns the prompts of the prompting methods."""

    steps: int = Field(500, ge=1)
    """Updates in all."""
    shares: dict[Role, float] = {
        "cot": 0.1,
        "ircot": 0.3,
        "search-o1": 0.2,
        "note": 0.15,
        "search": 0.15,
        "rag": 0.05,
        "direct": 0.05,
    }
    """Role -> its share of the demonstrations; they sum to 1."""


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
    oracle: bool = False
    """Verdicts by gold evidence in place of the model's: an upper bound, not a method."""

    @model_validator(mode="after")
    def _own_verdicts(self) -> Refiner:
        if self.oracle and self.joint:
            raise ValueError("an oracle's verdicts are not the policy's to learn: set joint: false")
        return self


class Reward(Section):
    """The hybrid reward (section 3.3)."""

    process: bool = True
    """Multiply EM by 1 + density of useful evidence; off, the reward is EM."""


class JudgeModel(Section):
    """A language model that judges, greedily: in this process, or behind a server."""

    kind: str
    model: str | None = None
    """``local``: a ``save_pretrained`` folder or hub id; ``http``: its name on the server."""
    url: str | None = Field(None, pattern=r"^https?://[^@\s]+$")
    """``http``: where an OpenAI-compatible API begins, as ``http://127.0.0.1:8000/v1``."""
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """``http``: the environment variable that holds the key, which itself is written nowhere."""
    templates: str = "default"
    """Name of a shipped set of prompts, or a folder with the same file names."""
    chat: bool = True
    """``local``: wrap the prompt as a user turn of the chat template (a server does so itself)."""
    max_tokens: int = Field(3000, ge=1)
    """Longest reply (Appendix K); one that is cut off there is no verdict."""
    timeout: float = Field(120.0, gt=0)
    """``http``: seconds until an attempt is given up."""
    retries: int = Field(5, ge=0)
    """``http``: further attempts, after pauses of 1, 2, 4 ... seconds, more or less."""
    concurrency: int = Field(16, ge=1)
    """Prompts that are read at the same time."""

    @model_validator(mode="after")
    def _reachable(self) -> JudgeModel:
        needed = {"local": ("model",), "http": ("url", "model")}.get(self.kind, ())
        if missing := [key for key in needed if not getattr(self, key)]:
            raise ValueError(f"a judge of kind {self.kind} needs {' and '.join(missing)}")
        return self


class Judge(JudgeModel):
    """Who counts the useful collections of the process reward (Appendix K)."""

    kind: Literal["evidence", "local", "http"] = "evidence"
    """Gold supporting titles; a model in this process; a model behind a server."""


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
    importance_cap: float | None = Field(None, gt=0)
    """Truncated importance sampling: weigh each token by min(p trainer / p sampler, this), as 2."""
    micro_batch_tokens: int = Field(8192, ge=128)
    """Padded tokens of one forward and backward pass (memory, not method)."""
    validate_every: int = Field(4, ge=1)
    checkpoint_every: int = Field(4, ge=1)
    snapshot_every: int = Field(8, ge=1)
    """Steps after which the weights are kept for good, to be evaluated (Fig. 5)."""


class Deepspeed(Section):
    """How the update runs (docs/training.md)."""

    processes: int = Field(1, ge=1)
    """Processes on this machine, one a GPU; under a launcher of your own, as many as it starts."""
    zero_stage: Literal[0, 1, 2, 3] | None = None
    """What ZeRO splits over the processes: 1 optimizer states, 2 gradients too, 3 weights too.

    ``None`` here and below: as ``config`` has it; without one 0, under bf16 1, and the others off.
    """
    bf16: bool | None = None
    """Weights and passes in bfloat16, the optimizer's own copy in fp32."""
    offload_optimizer: bool | None = None
    """Keep optimizer states in the CPU's memory (from stage 1 on)."""
    offload_parameters: bool | None = None
    """Keep weights in the CPU's memory while they are not needed (stage 3)."""
    activation_checkpointing: bool = False
    """Compute activations again in the backward pass, to save their memory."""
    config: str | None = None
    """A JSON file of DeepSpeed's own settings; one that contradicts ours is refused."""


class Lora(Section):
    """Low-rank adapters, trained in place of the weights and merged into them on export."""

    rank: int | None = Field(None, ge=1)
    """Rank of the adapters, as 16; ``None``: the weights themselves are trained."""
    alpha: float = Field(32, gt=0)
    """The adapters' product is scaled by alpha / rank."""
    targets: list[str] = []
    """Names of the layers that get one, as q_proj; none: every linear layer but the output."""


class Engine(Section):
    """Who samples: the model in this process, or servers that are given its weights."""

    kind: Literal["local", "vllm", "sglang"] = "local"
    """This process, by transformers; vLLM or SGLang servers (docs/engines.md)."""
    urls: list[Annotated[str, Field(pattern=r"^https?://[^@\s]+$")]] = []
    """``vllm``, ``sglang``: addresses of servers of the same model, as http://127.0.0.1:8000."""
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the servers' key, which itself is written nowhere."""
    snapshots: str | None = None
    """Where versions of the weights are written, a folder that the servers see under the same path;
    ``None`` is ``state/weights`` of the run's own record."""
    keep: int = Field(2, ge=1)
    """Versions that stay there."""
    timeout: float = Field(600, gt=0)
    """Seconds until an attempt of a request is given up."""
    load_timeout: float = Field(1800, gt=0)
    """The same for loading weights."""
    retries: int = Field(3, ge=0)
    """Further attempts, after pauses of 1, 2, 4 ... seconds, more or less."""
    concurrency: int = Field(256, ge=1)
    """Requests under way at each server."""

    @model_validator(mode="after")
    def _reachable(self) -> Engine:
        if self.kind != "local" and not self.urls:
            raise ValueError(f"an engine of kind {self.kind} needs urls")
        return self


class Evaluation(Section):
    """Greedy evaluation of the Actor alone (section 5.5)."""

    batch_size: int = Field(128, ge=1)
    """Trajectories in flight at once; part of the record, since batching moves float rounding."""
    refine: bool = False
    """Let the Meta-Refiner work at inference too (off in the paper)."""
    bootstrap: int = Field(2000, ge=100)
    """Resamples behind each interval."""


class StepTime(Section):
    """The comparison of step times (Table 5)."""

    runs: list[str] = ["search-r1", "search-r2"]
    """Names in ``runs`` that take turns; the first is what the others are compared with."""
    steps: int = Field(12, ge=2)
    """Steps of each, after one that warms up."""


class Gains(Section):
    """The Meta-Refiner's gain, taken apart (section 4): Monte-Carlo on checkpoints of a run.

    With the defaults a checkpoint of the small model takes about 60 to 90 CPU seconds.
    """

    run: str = "search-r2"
    """Whose checkpoints, with the first of ``seeds``; without a Meta-Refiner none are measured."""
    seed: int = 1
    """Questions and every sample are a function of it, the same at each checkpoint."""
    questions: int = Field(140, ge=2)
    """Validation questions asked; standard errors are over these."""
    drafts: int = Field(6, ge=1)
    """Drafts of a question, each shown to the Meta-Refiner."""
    regenerations: int = Field(1, ge=1)
    """Of each draft from each place it could be cut. More drafts narrow the errors sooner."""
    rollouts: int = Field(8, ge=1)
    """Traces of a question that measure the gain itself, apart from all of these."""
    batch_size: int = Field(256, ge=1)
    """Trajectories in flight at once; part of the record, since batching moves float rounding."""


class QualityJudge(JudgeModel):
    """Who compares trajectories."""

    kind: Literal["rules", "local", "http"] = "rules"
    """Formulas over gold supporting titles; a model in this process; a model behind a server."""


class Quality(Section):
    """The comparison of how two rows work, on six rubrics (Table 9, Fig. 4)."""

    rows: tuple[str, str] | None = None
    """The two names in ``rows``; ``None``: nothing is compared."""
    pairs: int = Field(100, ge=1)
    """Questions of each set."""
    seed: int = 1
    """Which questions are drawn, and who of a pair is A."""
    judge: QualityJudge = QualityJudge()


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


Method = Literal["direct", "cot", "ircot", "search-o1", "rag", "search"]
"""How a question is answered: from the weights, after one retrieval, or by searches of its own."""
METHODS: tuple[str, ...] = get_args(Method)


class Row(Section):
    """A way of answering that is evaluated: who answers, and how."""

    label: str
    method: Method
    checkpoint: str = "base"
    """``base``, ``instruct`` or a name in ``runs``."""
    refine: bool = False
    """Let the Meta-Refiner work at evaluation too (off in the paper)."""


class Table(Section):
    """A table of exact match."""

    title: str
    rows: list[str] = Field(min_length=1)
    """Names in ``rows``, top to bottom."""
    over_steps: bool = False
    """A line for every snapshot of each row's training, not for its end alone."""
    compare: list[tuple[str, str]] = []
    """Pairs of rows whose paired difference is printed under the table."""


class Settings(Section):
    """The sections a run may override."""

    prompts: Prompts = Prompts()
    rollout: Rollout = Rollout()
    refiner: Refiner = Refiner()
    reward: Reward = Reward()
    judge: Judge = Judge()
    grpo: Grpo = Grpo()
    supervised: Supervised = Supervised()
    deepspeed: Deepspeed = Deepspeed()
    lora: Lora = Lora()


Kind = Literal["grpo", "sft", "rejection", "verdicts"]
"""GRPO; or supervised on gold answers, on own rollouts that were right, or on verdicts by gold
evidence on own rollouts, as many accepting as not (a warm start for the Meta-Refiner)."""


class Run(Section):
    """A training run: what it starts from, how it trains, and the settings in which it differs."""

    start: str = "base"
    """What it starts from: ``base``, ``instruct`` or another run."""
    model: str | None = None
    """A ``save_pretrained`` folder or hub id to take as the trained run, instead of training."""
    kind: Kind = "grpo"
    """How it trains."""
    method: Method = "search"
    """How questions are answered while it trains (``sft``: the prompt that is trained)."""
    prompts: dict[str, Any] = {}
    rollout: dict[str, Any] = {}
    refiner: dict[str, Any] = {}
    reward: dict[str, Any] = {}
    judge: dict[str, Any] = {}
    grpo: dict[str, Any] = {}
    supervised: dict[str, Any] = {}
    deepspeed: dict[str, Any] = {}
    lora: dict[str, Any] = {}


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
    instruct: Instruct = Instruct()
    engine: Engine = Engine()
    evaluation: Evaluation = Evaluation()
    gains: Gains = Gains()
    quality: Quality = Quality()
    tracking: Tracking = Tracking()
    runs: dict[str, Run] = {}
    """Training runs: name -> what it does and the settings in which it differs."""
    rows: dict[str, Row] = {}
    """Ways of answering: name -> row."""
    step_time: StepTime | None = None
    """Which runs' step times are compared; ``None``: no such table."""
    tables: dict[str, Table] = {}
    """Tables of exact match: name -> the rows it has; ``<results>/<name>.csv``."""


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
    kind: Kind = "grpo"
    method: Method = "search"
    backbone: str
    retrieval_k: int = 3
    engine: Engine = Engine()
    paths: TrainPaths


class StepTimeConfig(Section):
    """``searchr2 steptime --config``: the runs that take turns; made by the workflow."""

    runs: list[TrainConfig] = Field(min_length=2)
    labels: dict[str, str]
    """Run -> its name in the table."""
    steps: int = StepTime().steps
    resamples: int = Evaluation().bootstrap


class Line(Section):
    """A line of a table and what it is read from."""

    label: str
    folders: list[str] = Field(min_length=1)
    """Its evaluations, one a training seed, below the folder of all evaluations."""
    step: int | None = None
    """The training step that was evaluated, in tables over steps."""
    shown: bool = True
    """Off: compared, but not a line of the table."""


class TableConfig(Section):
    """``searchr2 table --config``: the lines of a table, what is compared; from the workflow."""

    name: str
    """The scale."""
    title: str
    backbone: str
    evaluation: Evaluation = Evaluation()
    lines: dict[str, Line]
    compare: list[tuple[str, str]] = []


class QualityConfig(Quality):
    """``searchr2 quality --config``: the comparison, and what it reads; made by the workflow."""

    rows: tuple[str, str]
    """The two rows: wins are the first one's."""
    lines: dict[str, Line]
    """Row -> its label and evaluations."""

    @model_validator(mode="after")
    def _lines_of_rows(self) -> QualityConfig:
        if missing := set(self.rows) - set(self.lines):
            raise ValueError(f"no lines of {' and '.join(sorted(missing))}")
        return self


class BaseConfig(Section):
    """``searchr2 base --config``: the sections the base stage reads, or the instruction stage."""

    stage: Literal["base", "instruct"] = "base"
    lessons: Demonstrated = Base()
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
    engine: Engine = Engine()
    evaluation: Evaluation = Evaluation()


class GainsConfig(Section):
    """``searchr2 gains --config``: the sections it reads of the run that is measured."""

    run: str = ""
    seed: int = 1
    backbone: str = ""
    prompts: Prompts = Prompts()
    rollout: Rollout = Rollout()
    refiner: Refiner = Refiner()
    reward: Reward = Reward()
    judge: Judge = Judge()
    retrieval_k: int = 3
    gains: Gains = Gains()


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
