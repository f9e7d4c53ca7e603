"""Builds tokenizer.json and tokenizer_config.json from the tokens, merges and scores inside a GGUF file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from .errors import ConversionError
from .source import GgufSource

_CONTROL, _USER_DEFINED = 3, 4
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}{{1,3}}|{_REST}"
_QWEN2 = rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}|{_REST}"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# tokenizer.ggml.pre -> (split pattern, digits one by one before it)
PRE_TOKENIZERS: dict[str, tuple[str, bool]] = {
    "gpt-2": (_GPT2, False),
    "phi-2": (_GPT2, False),
    "smollm": (_GPT2, True),
    "starcoder": (_GPT2, True),
    "refact": (_GPT2, True),
    "llama-bpe": (_LLAMA3, False),
    "llama-v3": (_LLAMA3, False),
    "llama3": (_LLAMA3, False),
    "smaug-bpe": (_LLAMA3, False),
    "qwen2": (_QWEN2, False),
    "deepseek-r1-qwen": (_QWEN2, False),
    "gpt-4o": (_O200K, False),
}

# Names of control tokens that end an answer, whichever of them the metadata names.
_END_TOKENS = (
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
)


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer as the file has it."""

    kind: str
    pre: str
    tokens: list[str]
    types: list[int]
    scores: list[float]
    merges: list[str]
    bos: int | None
    eos: list[int]
    pad: int
    unknown: int | None
    add_bos: bool
    add_space_prefix: bool
    chat_template: str | None

    def controls(self) -> list[int]:
        return [i for i, t in enumerate(self.types) if t in (_CONTROL, _USER_DEFINED)]


def read_vocabulary(source: GgufSource) -> Vocabulary:
    """Reads and checks the tokenizer's metadata."""
    kind = source.require("tokenizer.ggml.model", str)
    if kind not in ("gpt2", "llama"):
        raise ConversionError(
            f"the tokenizer '{kind}' is not supported; gpt2 (BPE) and llama (SentencePiece) are"
        )
    tokens = source.require("tokenizer.ggml.tokens", list)
    if len(set(tokens)) != len(tokens):
        raise ConversionError("the tokenizer lists a token twice")
    types = source.get("tokenizer.ggml.token_type") or [1] * len(tokens)
    scores = source.get("tokenizer.ggml.scores") or []
    pre = source.get("tokenizer.ggml.pre", "")
    if kind == "gpt2" and pre not in PRE_TOKENIZERS:
        known = ", ".join(sorted(PRE_TOKENIZERS))
        raise ConversionError(f"the pre-tokenizer '{pre}' is not supported; supported are {known}")
    if len(types) != len(tokens) or (kind == "llama" and len(scores) != len(tokens)):
        raise ConversionError(f"the tokenizer's types or scores do not match its {len(tokens)} tokens")
    eos = _end_tokens(source, tokens, types)
    pad = _token_id(source, "padding_token_id", len(tokens))
    return Vocabulary(
        kind=kind,
        pre=pre,
        tokens=tokens,
        types=types,
        scores=scores,
        merges=source.get("tokenizer.ggml.merges") or [],
        bos=_token_id(source, "bos_token_id", len(tokens)),
        eos=eos,
        pad=eos[0] if pad is None else pad,
        unknown=_token_id(source, "unknown_token_id", len(tokens)),
        add_bos=bool(source.get("tokenizer.ggml.add_bos_token", kind == "llama" or pre.startswith("llama"))),
        add_space_prefix=bool(source.get("tokenizer.ggml.add_space_prefix", True)),
        chat_template=source.get("tokenizer.chat_template"),
    )


def _token_id(source: GgufSource, key: str, count: int) -> int | None:
    value = source.get(f"tokenizer.ggml.{key}")
    if value is None:
        return None
    if not 0 <= int(value) < count:
        raise ConversionError(f"metadata 'tokenizer.ggml.{key}' is {value}, beyond the {count} tokens")
    return int(value)


def _end_tokens(source: GgufSource, tokens: list[str], types: list[int]) -> list[int]:
    """The tokens that end an answer: the metadata's, then control tokens with a name that says so."""
    ids = [_token_id(source, key, len(tokens)) for key in ("eos_token_id", "eot_token_id", "eom_token_id")]
    ends = [i for i in ids if i is not None]
    index = {t: i for i, t in enumerate(tokens)}
    ends += [index[name] for name in _END_TOKENS if name in index and types[index[name]] == _CONTROL]
    if not ends:
        raise ConversionError("the tokenizer names no end-of-text token")
    return list(dict.fromkeys(ends))


def build_tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    """The tokenizer as the `tokenizers` library runs it."""
    tokenizer = _bpe(vocabulary) if vocabulary.kind == "gpt2" else _sentencepiece(vocabulary)
    tokenizer.add_tokens(
        [
            AddedToken(vocabulary.tokens[i], normalized=False, special=vocabulary.types[i] == _CONTROL)
            for i in vocabulary.controls()
        ]
    )
    if vocabulary.add_bos and vocabulary.bos is not None:
        token = vocabulary.tokens[vocabulary.bos]
        bos = processors.TemplateProcessing(
            single=[token, "$A"], pair=[token, "$A", "$B"], special_tokens=[(token, vocabulary.bos)]
        )
        tokenizer.post_processor = bos
    return tokenizer


def _merge_pairs(merges: list[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for merge in merges:
        left, separator, right = merge.partition(" ")
        if not separator or not right:
            raise ConversionError(f"the tokenizer's merge {merge!r} is not a pair")
        pairs.append((left, right))
    return pairs


def _bpe(vocabulary: Vocabulary) -> Tokenizer:
    pattern, digits = PRE_TOKENIZERS[vocabulary.pre]
    vocab = {t: i for i, t in enumerate(vocabulary.tokens)}
    try:
        model = models.BPE(
            vocab,
            _merge_pairs(vocabulary.merges),
            fuse_unk=False,
            ignore_merges=pattern is _LLAMA3,
        )
    except Exception as e:  # the library raises plain Exception, e.g. for a merge of unknown tokens
        raise ConversionError(f"the tokenizer's merges do not fit its tokens: {e}") from e
    tokenizer = Tokenizer(model)
    steps: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    if pattern is _GPT2:
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True))
    else:
        steps.append(pre_tokenizers.Split(Regex(pattern), behavior="isolated"))
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    tokenizer.pre_tokenizer = steps[0] if len(steps) == 1 else pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentencepiece(vocabulary: Vocabulary) -> Tokenizer:
    """SentencePiece's BPE: merges are the splits of each token into two tokens, best score first."""
    vocab = {t: i for i, t in enumerate(vocabulary.tokens)}
    scored: list[tuple[float, int, str, str]] = []
    for token, index in vocab.items():
        if vocabulary.types[index] in (_CONTROL, _USER_DEFINED):
            continue
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in vocab and right in vocab:
                scored.append(
                    (-vocabulary.scores[index], vocab[left] * len(vocab) + vocab[right], left, right)
                )
    scored.sort(key=lambda m: m[:2])
    unknown = None if vocabulary.unknown is None else vocabulary.tokens[vocabulary.unknown]
    merges = [(left, right) for _, _, left, right in scored]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    steps: list[Any] = [normalizers.Prepend("▁")] if vocabulary.add_space_prefix else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    tail: list[Any] = [decoders.Strip(" ", 1, 0)] if vocabulary.add_space_prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *tail]
    )
    return tokenizer


def write_tokenizer(vocabulary: Vocabulary, folder: Path) -> None:
    """Writes tokenizer.json, tokenizer_config.json and, where the file has one, chat_template.jinja."""
    build_tokenizer(vocabulary).save(str(folder / "tokenizer.json"))
    tokens = vocabulary.tokens
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast" if vocabulary.kind == "gpt2" else "LlamaTokenizer",
        "add_bos_token": vocabulary.add_bos,
        "add_prefix_space": vocabulary.add_space_prefix if vocabulary.kind == "llama" else False,
        "bos_token": None if vocabulary.bos is None else tokens[vocabulary.bos],
        "eos_token": tokens[vocabulary.eos[0]],
        "pad_token": tokens[vocabulary.pad],
        "unk_token": None if vocabulary.unknown is None else tokens[vocabulary.unknown],
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {
            str(i): {
                "content": tokens[i],
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": vocabulary.types[i] == _CONTROL,
            }
            for i in vocabulary.controls()
        },
    }
    if vocabulary.chat_template:
        config["chat_template"] = vocabulary.chat_template
        (folder / "chat_template.jinja").write_text(vocabulary.chat_template, encoding="utf-8")
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
