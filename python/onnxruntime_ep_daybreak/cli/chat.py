"""`daybreak chat`: a conversation in the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from ..errors import DaybreakError
from .common import Ep, ModelDir, Option, Provider, err, out, parse_pairs
from .generate import MaxTokens, Seed, System, Temperature, TopK, TopP, generation_module

_HELP = "/clear starts anew, /exit or Ctrl-D ends, Ctrl-C stops an answer"


class Conversation:
    """The messages so far, and a generator whose cache holds their tokens."""

    def __init__(self, model: Any, sampling: Any, system: str | None) -> None:
        self._model, self._sampling = model, sampling
        self._system = [{"role": "system", "content": system}] if system is not None else []
        self.clear()

    def clear(self) -> None:
        self._messages: list[dict[str, str]] = []
        self._generator: Any = None
        self._cached: list[int] = []

    def ask(self, text: str) -> None:
        """Prints the answer to `text` as it comes; a KeyboardInterrupt ends it early and keeps what there
        is.
        """
        self._messages.append({"role": "user", "content": text})
        try:
            tokens = self._fit()
            answer = self._print_answer(tokens)
        except BaseException:  # Ctrl-C between the tokens and the prompt included
            self._messages.pop()
            self._generator = None
            raise
        self._messages.append({"role": "assistant", "content": answer})

    def _fit(self) -> list[int]:
        """The conversation's tokens; the oldest exchanges go when the context is full."""
        while True:
            tokens: list[int] = self._model.chat_tokens([*self._system, *self._messages])
            if len(tokens) + self._sampling.max_tokens <= self._model.context or len(self._messages) < 3:
                self._model.check_length(len(tokens))
                return tokens
            err.print(
                "the conversation is longer than the context; forgetting its oldest exchange", style="dim"
            )
            del self._messages[:2]

    def _print_answer(self, tokens: list[int]) -> str:
        pieces: list[str] = []
        prompt = self._resume(tokens)
        stream = self._model.tokenizer.create_stream()
        with contextlib.suppress(KeyboardInterrupt):
            stats = generation_module().Stats()
            for token in self._model.answer(self._generator, prompt, self._sampling.max_tokens, stats):
                pieces.append(stream.decode(token))
                print(pieces[-1], end="", flush=True)
        print()
        self._cached = [int(t) for t in self._generator.get_sequence(0)]
        return "".join(pieces).strip()

    def _resume(self, tokens: Sequence[int]) -> list[int]:
        """Rewinds the cache to what it shares with `tokens` and returns the tokens that are left to
        process.
        """
        if self._generator is None:
            self._generator = self._model.generator(self._model.context, self._sampling)
            return list(tokens)
        # The last cached token may not have been processed yet, and one token at least has to be.
        limit = min(len(self._cached) - 1, len(tokens) - 1)
        shared = next((i for i in range(limit) if self._cached[i] != tokens[i]), limit)
        self._generator.rewind_to(shared)
        return list(tokens[shared:])


def command(
    model: ModelDir,
    system: System = None,
    max_tokens: MaxTokens = 512,
    temperature: Temperature = 0.0,
    top_k: TopK = 50,
    top_p: TopP = 1.0,
    seed: Seed = None,
    ep: Ep = Provider.daybreak,
    option: Option = None,
) -> None:
    """Talk to a model; Ctrl-C stops the answer only."""
    generation = generation_module()
    lm = generation.LanguageModel(model, ep.value, parse_pairs(option, "provider options"))
    sampling = generation.Sampling(max_tokens, temperature, top_k, top_p, seed)
    conversation = Conversation(lm, sampling, system)
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # line editing for input()
    out.print(f"{model} on {lm.device}; {_HELP}", style="dim", highlight=False, soft_wrap=True)
    while True:
        try:
            text = input("> ").strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            out.print(_HELP, style="dim")
            continue
        if text in ("/exit", "/quit"):
            return
        if text == "/clear":
            conversation.clear()
        elif text.startswith("/"):
            out.print(_HELP, style="dim")
        elif text:
            try:
                conversation.ask(text)
            except KeyboardInterrupt:
                print()
            except DaybreakError as e:
                err.print(str(e), style="red", soft_wrap=True)
