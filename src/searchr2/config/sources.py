"""Where passages and questions come from, and how they are retrieved."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from searchr2.config.sections import Section, Set


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

    @model_validator(mode="after")
    def _in_order(self) -> World:
        if self.hops and self.hops[0] > self.hops[1]:
            raise ValueError(f"hops go from the fewest to the most, not {list(self.hops)}")
        return self


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
