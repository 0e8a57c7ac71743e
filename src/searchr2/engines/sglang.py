"""SGLang's dialect: its own ``/generate`` on token ids, and weights from disk.

``python -m sglang.launch_server``; with ``--enable-deterministic-inference`` seeds are heeded.
Every sampling setting is sent, since a model's generation_config.json would fill what is left out.
"""

from __future__ import annotations

from typing import Any

from searchr2.engines.dialect import Reply, Written, named
from searchr2.ports import Generate
from searchr2.servers import Client, ServerError, json_of

PLAIN = {
    "top_p": 1.0,
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "skip_special_tokens": False,
    "spaces_between_special_tokens": False,
}


class Sglang:
    """dialect.Dialect of ``sglang.launch_server``."""

    path = "/generate"

    def generate(self, request: Generate, seed: int, eos_id: int) -> Reply:
        sampling = {
            **PLAIN,
            "max_new_tokens": request.max_new_tokens,
            "temperature": request.temperature,
            "sampling_seed": seed,
            "stop": list(request.stops),
            "stop_token_ids": [eos_id],
            "no_stop_trim": True,
        }
        return {
            "input_ids": list(request.ids),
            "sampling_params": sampling,
            "return_logprob": True,
            "logprob_start_len": -1,
        }

    def written(self, reply: Reply, request: Generate) -> Written:
        meta = reply["meta_info"]
        if meta["prompt_tokens"] != len(request.ids):
            raise ValueError("another prompt than the one that was sent")
        finish = meta["finish_reason"]
        matched = finish.get("matched")
        return Written(
            *_columns(meta["output_token_logprobs"]),
            finish["type"],
            matched if isinstance(matched, str) else None,
            meta["weight_version"],
        )

    def score(self, ids: tuple[int, ...], option: tuple[int, ...]) -> Reply:
        """The option as the end of the prompt; its prefix is read from the cache."""
        return {
            "input_ids": [*ids, *option],
            "sampling_params": {**PLAIN, "max_new_tokens": 0, "temperature": 1.0},
            "return_logprob": True,
            "logprob_start_len": len(ids) - 1,  # the first place told of has no log-probability
        }

    def scored(self, reply: Reply, option: tuple[int, ...]) -> Written:
        meta = reply["meta_info"]
        ids, logprobs = _columns(meta["input_token_logprobs"][-len(option) :])
        return Written(ids, logprobs, "score", None, meta["weight_version"])

    async def version(self, client: Client, url: str) -> str:
        return await named(client, f"{url}/get_model_info")

    async def load(
        self, client: Client, url: str, folder: str, version: str, timeout: float
    ) -> None:
        """What is under way (given up by its client) is aborted before the weights change."""
        told = {
            "model_path": folder,
            "weight_version": version,
            "abort_all_requests": True,
            "flush_cache": True,
        }
        address = f"{url}/update_weights_from_disk"
        reply = await client.ask([address], told, json_of, timeout=timeout)
        if not isinstance(reply, dict) or not reply.get("success"):
            raise ServerError(f"{address}: did not load {folder}: {reply}")
        await self.flush(client, url)

    async def flush(self, client: Client, url: str) -> None:
        await client.ask([f"{url}/flush_cache"], read=bytes.decode)


def _columns(entries: list[Any]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Ids and log-probabilities of SGLang's (log-probability, id, text)."""
    return tuple(entry[1] for entry in entries), tuple(entry[0] for entry in entries)
