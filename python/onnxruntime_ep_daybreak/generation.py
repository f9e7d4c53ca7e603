"""Text generation with onnxruntime-genai, on Daybreak or on the CPU."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnxruntime_genai as og

from .errors import DaybreakError
from .library import device_label, devices, get_library_path, is_registered, unregister

# The name under which onnxruntime-genai finds its own WebGPU support.
_GENAI_PROVIDER = "WebGPU"


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; a temperature of 0 takes the most probable one."""

    max_tokens: int = 256
    temperature: float = 0.0
    top_k: int = 50
    top_p: float = 1.0
    seed: int | None = None

    def options(self) -> dict[str, Any]:
        if self.temperature <= 0:
            return {"do_sample": False}
        options: dict[str, Any] = {
            "do_sample": True,
            "temperature": self.temperature,
            "top_k": self.top_k,
            "top_p": self.top_p,
        }
        if self.seed is not None:
            options["random_seed"] = self.seed
        return options


@dataclass
class Stats:
    """Times of one answer. Prefill ends with the first token."""

    prompt_tokens: int = 0
    new_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    step_seconds: list[float] = field(default_factory=list)

    @property
    def prefill_rate(self) -> float:
        return self.prompt_tokens / self.prefill_seconds if self.prefill_seconds else 0.0

    @property
    def decode_rate(self) -> float:
        return len(self.step_seconds) / self.decode_seconds if self.decode_seconds else 0.0


class LanguageModel:
    """A model folder as `daybreak convert` or onnxruntime-genai's model builder writes it."""

    def __init__(
        self, folder: Path | str, ep: str = "daybreak", options: Mapping[str, str] | None = None
    ) -> None:
        """Loads the model on the provider `ep` (daybreak or cpu) with provider options.

        Raises DaybreakError where the folder is no model; errors of the session come as RuntimeError.
        """
        folder = Path(folder)
        config_file = folder / "genai_config.json"
        if not config_file.is_file():
            raise DaybreakError(f"{folder} is not a model folder: it has no genai_config.json")
        try:
            model = json.loads(config_file.read_text(encoding="utf-8"))["model"]
            self.context, self.vocab = int(model["context_length"]), int(model["vocab_size"])
            self._bos, self._add_bos = int(model.get("bos_token_id", 0)), _adds_bos(folder)
        except (ValueError, KeyError, TypeError) as e:
            raise DaybreakError(f"{config_file} cannot be read: {e!r}") from e
        config = og.Config(str(folder))
        config.clear_providers()
        self.device = "CPU"
        if ep == "daybreak":
            self.device = _register()
            config.append_provider(_GENAI_PROVIDER)
            for key, value in (options or {}).items():
                config.set_provider_option(_GENAI_PROVIDER, key, value)
        elif options:
            raise DaybreakError("provider options can be given for Daybreak only")
        self.ep = ep
        self.model = og.Model(config)
        self._tokenizer: og.Tokenizer | None = None

    @property
    def tokenizer(self) -> og.Tokenizer:
        """The model's tokenizer, loaded when it is first needed (token-level use does without)."""
        if self._tokenizer is None:
            self._tokenizer = og.Tokenizer(self.model)
        return self._tokenizer

    def chat_tokens(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Tokens of a conversation, through the model's chat template, up to where the answer begins."""
        text = self.tokenizer.apply_chat_template(json.dumps(list(messages)), add_generation_prompt=True)
        return self.tokens(text)

    def tokens(self, text: str) -> list[int]:
        """Tokens of a text, led by the beginning-of-text token where the model wants it."""
        tokens = [int(t) for t in self.tokenizer.encode(text)]
        if self._add_bos and tokens[:1] != [self._bos]:
            tokens.insert(0, self._bos)
        return tokens

    def check_length(self, prompt: int) -> None:
        """Raises DaybreakError where a prompt leaves no room for an answer."""
        if prompt == 0:
            raise DaybreakError("the prompt is empty")
        if prompt >= self.context:
            raise DaybreakError(f"the prompt has {prompt} tokens; the model's context holds {self.context}")

    def generator(self, length: int, sampling: Sampling) -> og.Generator:
        """A generator whose cache holds `length` tokens at most."""
        params = og.GeneratorParams(self.model)
        params.set_search_options(max_length=min(length, self.context), **sampling.options())
        return og.Generator(self.model, params)

    def stream(self, prompt: Sequence[int], sampling: Sampling, stats: Stats | None = None) -> Iterator[int]:
        """New tokens as they come, the end token left out; `stats` is filled on the way."""
        self.check_length(len(prompt))
        generator = self.generator(len(prompt) + sampling.max_tokens, sampling)
        yield from self.answer(generator, prompt, sampling.max_tokens, stats or Stats())

    def answer(
        self, generator: og.Generator, prompt: Sequence[int], limit: int, stats: Stats
    ) -> Iterator[int]:
        """Appends `prompt` to a generator and yields up to `limit` new tokens."""
        stats.prompt_tokens = len(prompt)
        ends = set(self.end_tokens())
        start = time.perf_counter()
        generator.append_tokens(list(prompt))
        generator.generate_next_token()
        stats.prefill_seconds = time.perf_counter() - start
        while True:
            token = int(generator.get_next_tokens()[0])
            if token in ends:
                return
            stats.new_tokens += 1
            yield token
            if stats.new_tokens >= limit or generator.is_done():
                return
            start = time.perf_counter()
            generator.generate_next_token()
            stats.step_seconds.append(time.perf_counter() - start)
            stats.decode_seconds += stats.step_seconds[-1]

    def end_tokens(self) -> list[int]:
        return [int(t) for t in self.tokenizer.eos_token_ids]


def _adds_bos(folder: Path) -> bool:
    """What tokenizer_config.json says; onnxruntime-genai itself adds no special tokens."""
    file = folder / "tokenizer_config.json"
    return file.is_file() and bool(json.loads(file.read_text(encoding="utf-8")).get("add_bos_token"))


@functools.cache
def _register() -> str:
    """Registers the plugin with onnxruntime-genai and returns the name of the device that it uses, the first one.

    genai has an ONNX Runtime of its own, which does not tell device names. So the name comes from the Python
    package's, where the plugin is registered for that long only, unless the program has done so itself.
    """
    kept = is_registered()
    found = devices()
    label = device_label(found[0]) if found else ""
    del found
    if not kept:
        unregister()
    if not label:
        raise DaybreakError("no WebGPU device was found")
    og.register_execution_provider_library(_GENAI_PROVIDER, get_library_path())
    return label
