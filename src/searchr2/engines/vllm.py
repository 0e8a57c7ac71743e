"""vLLM's dialect: its completions of token ids, and its endpoints for reinforcement learning.

``vllm serve`` with ``VLLM_SERVER_DEV_MODE=1`` and ``--logprobs-mode processed_logprobs``. Every
sampling setting is sent, since a model's generation_config.json would fill what is left out.
"""

from __future__ import annotations

from secrets import token_hex

from searchr2.engines.dialect import Reply, Written, named
from searchr2.ports import Generate
from searchr2.servers import Client, ServerError, json_of

PLAIN = {
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "add_special_tokens": False,
    "skip_special_tokens": False,
    "spaces_between_special_tokens": False,
    "return_token_ids": True,
}


class Vllm:
    """dialect.Dialect of ``vllm serve``."""

    path = "/v1/completions"

    def generate(self, request: Generate, seed: int, eos_id: int) -> Reply:
        return {
            **PLAIN,
            "prompt": list(request.ids),
            "max_tokens": request.max_new_tokens,
            "temperature": request.temperature,
            "seed": seed,
            "stop": list(request.stops),
            "stop_token_ids": [eos_id],
            "include_stop_str_in_output": True,
            "logprobs": 0,
        }

    def written(self, reply: Reply, request: Generate) -> Written:
        [choice] = reply["choices"]
        if tuple(choice["prompt_token_ids"]) != request.ids:
            raise ValueError("another prompt than the one that was sent")
        matched = choice.get("stop_reason")
        return Written(
            tuple(choice["token_ids"]),
            tuple(choice["logprobs"]["token_logprobs"]),
            choice["finish_reason"],
            matched if isinstance(matched, str) else None,
        )

    def score(self, ids: tuple[int, ...], option: tuple[int, ...]) -> Reply:
        """The option as the end of the prompt; one id must be generated, and is thrown away.

        The salt keeps every cached prefix out: of what lies in one no log-probability is computed.
        """
        score = {"max_tokens": 1, "temperature": 1.0, "seed": 0, "prompt_logprobs": 0}
        return {**PLAIN, **score, "prompt": [*ids, *option], "cache_salt": token_hex(16)}

    def scored(self, reply: Reply, option: tuple[int, ...]) -> Written:
        [choice] = reply["choices"]
        found = choice["prompt_logprobs"][-len(option) :]
        ends = choice["prompt_token_ids"][-len(option) :]
        logprobs = [at[str(token)]["logprob"] for token, at in zip(option, found, strict=True)]
        return Written(tuple(ends), tuple(logprobs), "score")

    async def version(self, client: Client, url: str) -> str:
        return await named(client, f"{url}/weight_info")

    async def load(
        self, client: Client, url: str, folder: str, version: str, timeout: float
    ) -> None:
        """What is under way (given up by its client) is aborted before the weights change.

        A server that fails on the way stays paused: nothing is sampled from half of the weights.
        """
        call = {"method": "reload_weights", "kwargs": {"weights_path": folder}, "timeout": timeout}
        await client.ask([f"{url}/pause?mode=abort"], read=bytes.decode)
        await client.ask([f"{url}/collective_rpc"], call, json_of, timeout=timeout)
        await client.ask([f"{url}/update_weight_version"], {"new_version": version}, json_of)
        await self.flush(client, url)
        await client.ask([f"{url}/resume"], read=bytes.decode)

    async def flush(self, client: Client, url: str) -> None:
        address = f"{url}/reset_prefix_cache"
        reply = await client.ask([address], read=json_of)
        if not isinstance(reply, dict) or reply.get("success") is not True:
            raise ServerError(
                f"{address}: the prefixes are still there: {reply}; is somebody else asking this"
                " server?"
            )
