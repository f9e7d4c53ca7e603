"""`daybreak generate`: one prompt, one answer."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Annotated

import typer

from ..errors import DaybreakError
from .common import Ep, ModelDir, Option, Provider, err, parse_pairs

MaxTokens = Annotated[int, typer.Option("--max-tokens", "-n", min=1, help="Longest answer, in tokens.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="0 takes the most probable token.")]
TopK = Annotated[int, typer.Option(min=1, help="Sample from the K most probable tokens.")]
TopP = Annotated[float, typer.Option(min=0.0, max=1.0, help="Sample from tokens that sum up to P.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the sampling.")]
System = Annotated[str | None, typer.Option("--system", "-s", help="System message.")]


def command(
    model: ModelDir,
    prompt: Annotated[
        str, typer.Option("--prompt", "-p", help="Prompt; '-' reads it from the standard input.")
    ],
    system: System = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Continue the prompt without the chat template.")
    ] = False,
    max_tokens: MaxTokens = 256,
    temperature: Temperature = 0.0,
    top_k: TopK = 50,
    top_p: TopP = 1.0,
    seed: Seed = None,
    ep: Ep = Provider.daybreak,
    option: Option = None,
) -> None:
    """Answer one prompt, printing tokens as they come; the speed goes to stderr."""
    load = generation_module()
    text = sys.stdin.read() if prompt == "-" else prompt
    lm = load.LanguageModel(model, ep.value, parse_pairs(option, "provider options"))
    if raw:
        if system is not None:
            raise DaybreakError("--system needs the chat template, which --raw leaves out")
        tokens = lm.tokens(text)
    else:
        messages = [{"role": "system", "content": system}] if system is not None else []
        tokens = lm.chat_tokens([*messages, {"role": "user", "content": text}])
    sampling = load.Sampling(max_tokens, temperature, top_k, top_p, seed)
    stats = load.Stats()
    stream = lm.tokenizer.create_stream()
    for token in lm.stream(tokens, sampling, stats):
        print(stream.decode(token), end="", flush=True)
    print()
    err.print(
        f"prefill {stats.prompt_tokens} tokens, {stats.prefill_rate:.1f} tokens/s; "
        f"decode {stats.new_tokens} tokens, {stats.decode_rate:.1f} tokens/s; {lm.device}",
        highlight=False,
        soft_wrap=True,
    )


def generation_module() -> ModuleType:
    """The generation module, or an error that says what to install."""
    try:
        from .. import generation
    except ImportError as e:
        raise DaybreakError(
            f"language models need the package '{e.name}'; install onnxruntime-ep-daybreak[llm]"
        ) from e
    return generation
