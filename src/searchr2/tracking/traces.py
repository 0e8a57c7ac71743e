"""Trajectories as MLflow traces: spans in the order things happened, with answers and scores.

Ids are digests of what they name, so uploading a trace again adds nothing. Predictions carry no
times: spans are a millisecond each, one after another, and only their order means anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlflow.entities import (
    AssessmentSource,
    Expectation,
    Feedback,
    Span,
    TraceInfo,
    TraceLocation,
    TraceState,
)
from mlflow.tracing.client import TracingClient

from searchr2.tracking.trajectories import Event, Row, events, outcome

SPAN_TYPES = {
    "turn": "LLM",
    "search": "RETRIEVER",
    "discriminator": "EVALUATOR",
    "trimmer": "EVALUATOR",
}
MILLISECOND = 1_000_000  # in nanoseconds, the unit of spans
SCORES = ("em", "f1", "sub_em", "process", "reward")
"""Of a row; ``process``, the share of searches that the judge found useful, may be ``None``."""
CODE = AssessmentSource(source_type="CODE", source_id="searchr2 evaluate")


def upload(
    client: TracingClient,
    experiment: str,
    rows: Sequence[Row],
    start: int,
    tags: Mapping[str, str],
    metadata: Mapping[str, str],
) -> None:
    """Store each row as a trace; ``start`` (epoch ms) is the first one's time."""
    spans: list[Span] = []
    infos = []
    for offset, row in enumerate(rows):
        what = (tags["step"], row["dataset"], row["id"], row.get("rollout", 0))
        trace = f"tr-{_id(32, metadata['mlflow.sourceRun'], *what)}"
        happened = list(events(row))
        spans.extend(_spans(trace, row, happened, start + offset, tags["row"]))
        infos.append(_info(experiment, trace, row, start + offset, len(happened), tags, metadata))
    client.log_spans(experiment, spans)
    for info in infos:
        client.start_trace(info)


def _info(
    experiment: str,
    trace: str,
    row: Row,
    start: int,
    milliseconds: int,
    tags: Mapping[str, str],
    metadata: Mapping[str, str],
) -> TraceInfo:
    about = {"dataset": row["dataset"], "question": str(row["id"]), "outcome": outcome(row)}
    return TraceInfo(
        trace_id=trace,
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=start,
        state=TraceState.OK,
        request_preview=row["question"],
        response_preview=row["prediction"] or "(no answer)",
        execution_duration=milliseconds,
        trace_metadata=dict(metadata),
        tags={**tags, **about, "mlflow.traceName": f"{tags['stage']} {tags['row']}"},
        assessments=list(_assessments(trace, row, start)),
    )


def _assessments(trace: str, row: Row, start: int) -> Iterator[Expectation | Feedback]:
    values = {name: row[name] for name in SCORES if row.get(name) is not None}
    if row.get("supporting_titles"):
        values["evidence"] = len(row["titles_found"]) / len(row["supporting_titles"])
    made: list[Expectation | Feedback] = [
        Expectation(name="gold answers", value=row["golden_answers"], source=CODE),
        *(Feedback(name=name, value=value, source=CODE) for name, value in values.items()),
    ]
    for assessment in made:
        assessment.assessment_id = f"a-{_id(32, trace, assessment.name)}"
        assessment.trace_id = trace
        assessment.create_time_ms = assessment.last_update_time_ms = start
        yield assessment


def _spans(
    trace: str, row: Row, happened: Sequence[Event], start: int, name: str
) -> Iterator[Span]:
    root = _id(16, trace, "root")
    times = [start * MILLISECOND + i * MILLISECOND for i in range(len(happened) + 1)]
    answer = {"answer": row["prediction"], "correct": bool(row["em"])}
    yield _span(trace, root, None, name, "AGENT", row["question"], answer, (times[0], times[-1]))
    for i, event in enumerate(happened):
        outputs = event.outputs
        if event.kind == "search":
            outputs = [_passage(document) for document in event.outputs]
        kind, during = SPAN_TYPES[event.kind], (times[i], times[i + 1])
        span = _id(16, trace, str(i))
        yield _span(trace, span, root, event.name, kind, event.inputs, outputs, during)


def _span(
    trace: str,
    span: str,
    parent: str | None,
    name: str,
    kind: str,
    inputs: Any,
    outputs: Any,
    during: tuple[int, int],
) -> Span:
    attributes = {
        "mlflow.traceRequestId": trace,
        "mlflow.spanType": kind,
        "mlflow.spanInputs": inputs,
        "mlflow.spanOutputs": outputs,
    }
    return Span.from_dict(
        {
            "trace_id": trace,
            "span_id": span,
            "parent_span_id": parent,
            "name": name,
            "start_time_unix_nano": during[0],
            "end_time_unix_nano": during[1],
            "status": {"code": "STATUS_CODE_OK", "message": ""},
            "attributes": {key: json.dumps(value) for key, value in attributes.items()},
            "events": [],
        }
    )


def _passage(document: Mapping[str, Any]) -> dict[str, Any]:
    """A passage in the shape the UI shows as a document."""
    return {
        "page_content": document["text"],
        "id": document["id"],
        "metadata": {"title": document["title"], "score": document["score"]},
    }


def _id(digits: int, *of: Any) -> str:
    return hashlib.sha256("\0".join(map(str, of)).encode()).hexdigest()[:digits]
