"""Tokenizers and models from a folder or the hub, and the digest that names a model's weights."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tif.errors import InputError, MissingError
from tif.packages import install_hint
from tif.readers import read_json
from tif.records import RUN_FILE, RunRecord, run_around
from tif.seal import file_digest

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

_ADAPTER: Final = "adapter_config.json"
_STATES: Final = re.compile(r"optimizer\.|random-\d+\.")
"""Files of a checkpoint that are no weights."""

_COUNT: Final = re.compile(r"(?:^|_)(?:layers?|experts|blocks)$")
"""Names of fields such as `num_hidden_layers`, `n_layer`, `num_local_experts`."""
_LEAST: Final = {"num_hidden_layers": 1, "num_layers": 1, "n_layers": 1, "n_layer": 1}
_MOST: Final = 10_000


def load_tokenizer(spec: str | Path) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a model folder, a run folder of `tif train`, one of its checkpoints, or a hub id.

    A checkpoint has none, and neither has an adapter. Then it is that of the model beneath.

    Raises:
        MissingError: when there is no such folder and the hub cannot give it.
        InputError: for a folder that holds no tokenizer, or one that gives no offsets.
    """
    from transformers import AutoTokenizer

    where = _reachable(_with_tokenizer(resolve(spec)))
    try:
        tokenizer = AutoTokenizer.from_pretrained(where)
    except Exception as error:  # a damaged file makes transformers and tokenizers raise nearly anything
        raise _unusable(where, "tokenizer", error) from None
    # Mistral's own backend, for tekken.json, has no such attribute at all.
    return tokenizer if getattr(tokenizer, "is_fast", False) else _fast(where, type(tokenizer).__name__)


def _fast(where: str, kind: str) -> PreTrainedTokenizerBase:
    """The tokenizer of `tokenizer.json`, where transformers prefers one that gives no offsets."""
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import cached_file

    # Without that file transformers would convert another one, and may number its tokens otherwise.
    try:
        if cached_file(where, "tokenizer.json") is not None:
            return PreTrainedTokenizerFast.from_pretrained(where)
    except Exception as error:
        if (Path(where) / "tokenizer.json").is_file():
            raise _unusable(where, "tokenizer", error) from None
    raise InputError(
        f"the tokenizer is a {kind}, which gives no offsets: spans cannot be carried over to its tokens",
        where=where,
        hint="Use a folder of this model that has a tokenizer.json.",
    )


def load_model(
    spec: str | Path, *, dtype: torch.dtype | str | None = None, attn_implementation: str | None = None
) -> PreTrainedModel:
    """The causal language model of a model folder, a run folder of `tif train`, or a hub id, in evaluation mode.

    An adapter's folder stands for the model beneath with the adapter merged into it. Weights are read from safetensors
    only, and a model's own Python code is never run.

    Args:
        spec: folder or hub id.
        dtype: of the weights; None for the one they are stored in.
        attn_implementation: passed to transformers; None for its choice.

    Raises:
        MissingError: when there is no such folder and the hub cannot give it.
        InputError: for a folder without a model, or with weights that do not fit its config.
    """
    from transformers import AutoModelForCausalLM

    where = _reachable(spec)
    if _is_adapter(where):
        return _merged(where, dtype, attn_implementation)
    _check_size(where)
    try:
        model, loaded = AutoModelForCausalLM.from_pretrained(
            where,
            dtype="auto" if dtype is None else dtype,
            use_safetensors=True,
            attn_implementation=attn_implementation,
            output_loading_info=True,
        )
    except Exception as error:  # config checks, safetensors, torch: transformers raises nearly anything
        raise _unusable(where, "model", error) from None
    if missing := sorted(loaded.get("missing_keys") or ()):
        raise InputError(
            "no usable model in this folder",
            where=where,
            why=f"the weights lack {len(missing)} tensors that config.json asks for, first {missing[0]}",
            hint="Restore config.json and the safetensors files from a copy.",
        )
    return model.eval()


def load_classifier(spec: str | Path) -> PreTrainedModel:
    """The text classifier of a model folder or a hub id, in evaluation mode. Its tokenizer comes from `load_tokenizer`.

    Raises:
        MissingError: when there is no such folder and the hub cannot give it.
        InputError: for a folder without a model, or with weights that do not fit its config.
    """
    from transformers import AutoModelForSequenceClassification

    where = _reachable(spec)
    try:
        model, loaded = AutoModelForSequenceClassification.from_pretrained(
            where, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # config checks, safetensors, torch: transformers raises nearly anything
        raise _unusable(where, "classifier", error) from None
    if missing := sorted(loaded.get("missing_keys") or ()):
        # transformers would draw them at random, and each evaluation would get another fluency.
        raise InputError(
            "is not a trained text classifier",
            where=where,
            why=f"the weights lack {len(missing)} of its tensors, first {missing[0]}",
            hint="Give a model that was fine-tuned for text classification.",
        )
    return model.eval()


def load_token_classifier(spec: str | Path) -> PreTrainedModel:
    """The token classifier of a model folder or a hub id, in float32 and evaluation mode.

    Weights are read from safetensors only, and a model's own Python code is never run.

    Raises:
        MissingError: when there is no such folder and the hub cannot give it.
        InputError: for a folder without a token classifier, or with weights that do not fit its config.
    """
    from transformers import AutoModelForTokenClassification

    where = _reachable(spec)
    _check_size(where)
    try:
        model, loaded = AutoModelForTokenClassification.from_pretrained(
            where, dtype="float32", use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except Exception as error:  # as in `load_model`
        raise _unusable(where, "token classifier", error) from None
    if missing := sorted(loaded.get("missing_keys") or ()):
        raise InputError(
            "is not a token-classification model",
            where=where,
            why=f"the weights lack {len(missing)} of its tensors, first {missing[0]}",
            hint="Give a model that was trained to tag tokens.",
        )
    return model.eval()


def resolve(spec: str | Path) -> str:
    """A folder that holds a model, or a hub id. A run folder of `tif train` stands for the model inside it.

    Raises:
        MissingError: for a path that does not exist.
        InputError: for a path that is no model folder.
    """
    path = Path(spec).expanduser()
    if path.is_dir():
        if (path / RUN_FILE).is_file():
            path = path / "model"
            if not path.is_dir():
                raise InputError(
                    "the run has no final model yet", where=str(spec), hint="Run the same `tif train` again."
                )
        if not (path / "config.json").is_file() and not _is_adapter(path):
            raise InputError("no model in this folder", where=str(path), why="it has no config.json")
        return str(path)
    if path.exists():
        raise InputError("a file, not a model folder", where=str(spec))
    name = str(spec)
    # A hub id is `name` or `owner/name`; whatever else looks like a path is one.
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or not name.strip():
        raise MissingError(f"no model folder {name!r}")
    return name


def model_digest(model: str | Path | PreTrainedModel) -> str:
    """SHA-256 over the weights and the config.

    For a folder or hub id the bytes of `config.json` and of the safetensors files, in the order of their names. They
    are read each time: a file's size and time of change do not tell whether it is the same. For an adapter, its files
    and the digest of the model beneath. A checkpoint's optimizer and random states do not count.
    For a model in memory: config, and each tensor's name, type, shape and bytes; this digest is not the folder's.

    Raises:
        MissingError, InputError: as `load_model`, and for a folder without safetensors.
    """
    if not isinstance(model, (str, Path)):
        return _digest_in_memory(model)
    where = resolve(model)
    folder = Path(where) if Path(where).is_dir() else _snapshot(where)
    states = run_around(folder) is not None
    weights = [path for path in sorted(folder.glob("*.safetensors")) if not (states and _STATES.match(path.name))]
    if not weights:
        raise InputError("no safetensors in this model folder", where=str(folder))
    digest = hashlib.sha256()
    adapter = _is_adapter(folder)
    for path in (folder / (_ADAPTER if adapter else "config.json"), *weights):
        digest.update(f"{path.name} {file_digest(path)}\n".encode())
    if adapter:
        digest.update(f"beneath {model_digest(_beneath(where))}\n".encode())
    return digest.hexdigest()


def load_config(model: str | Path) -> PretrainedConfig:
    """The config of a model; for an adapter, that of the model beneath.

    Raises:
        MissingError, InputError: as `load_model`.
    """
    from transformers import AutoConfig

    where = resolve(model)
    return AutoConfig.from_pretrained(resolve(_beneath(where)) if _is_adapter(where) else where)


def prompting_digest(model: str | Path, tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 over the tokenizer, its chat template and `generation_config.json`.

    They change prompts and answers, and `model_digest` does not cover them.

    Raises:
        MissingError, InputError: as `load_model`.
    """
    where = resolve(model)
    if _is_adapter(where):
        return prompting_digest(_beneath(where), tokenizer)
    folder = Path(where) if Path(where).is_dir() else _snapshot(where)
    generation = folder / "generation_config.json"
    parts = [
        tokenizer.backend_tokenizer.to_str() if tokenizer.is_fast else sorted(tokenizer.get_vocab().items()),
        tokenizer.chat_template,
        {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        generation.read_text(errors="replace") if generation.is_file() else None,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _check_size(where: str) -> None:
    """Refuse a config with more layers or experts than any model has: building them would take hours. Or without any.

    Raises:
        InputError: naming the field.
    """
    folder = Path(where) if Path(where).is_dir() else _snapshot(where)
    content = read_json(folder / "config.json", constants=True)
    parts = [("", content)]
    while parts:
        path, part = parts.pop()
        for name, value in part.items() if isinstance(part, dict) else ():
            parts.append((f"{path}{name}.", value))
            if _COUNT.search(name) and isinstance(value, int) and not _LEAST.get(name, 0) <= value <= _MOST:
                raise InputError(
                    f"asks for {value:.3g} layers or experts",
                    where=(str(folder / "config.json"), f"{path}{name}"),
                    why=f"a model has {_LEAST.get(name, 0)} to {_MOST:,}",
                    hint="Restore config.json from a copy.",
                )


def _is_adapter(folder: str | Path) -> bool:
    """Whether the folder has an adapter instead of a model: the checkpoints of a run with LoRA do."""
    return (Path(folder) / _ADAPTER).is_file() and not (Path(folder) / "config.json").is_file()


def _beneath(where: str) -> str:
    """The model that an adapter was trained on, or the starting model of a checkpoint's run.

    Raises:
        InputError: if it is not named.
    """
    path, run = None, RunRecord.of_model(where)
    if run is not None:
        path = run.model.path
    elif _is_adapter(where):
        content = read_json(Path(where) / _ADAPTER)
        path = content.get("base_model_name_or_path") if isinstance(content, dict) else None
    if not isinstance(path, str) or not path:
        raise InputError("names no model beneath the adapter", where=where, hint=f"Set it in {_ADAPTER}.")
    if Path(path).resolve() == Path(where).resolve():
        raise InputError("names itself as the model beneath the adapter", where=where, hint=f"Correct {_ADAPTER}.")
    return path


def _with_tokenizer(where: str) -> str:
    """The folder or hub id that has a model's tokenizer."""
    own = any((Path(where) / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json"))
    if own or not (_is_adapter(where) or run_around(where)):
        return where
    return resolve(_beneath(where))


def _merged(where: str, dtype: torch.dtype | str | None, attn_implementation: str | None) -> PreTrainedModel:
    """The model beneath an adapter, with the adapter merged into it.

    Raises:
        MissingError: without peft.
        InputError: for an adapter that does not fit, or if the starting model of its run has changed.
    """
    try:
        from peft import PeftModel
    except ModuleNotFoundError:
        raise MissingError("an adapter needs peft", where=where, hint=install_hint("lora")) from None
    beneath, run = _beneath(where), RunRecord.of_model(where)
    if run is not None and run.model.digest not in (None, model_digest(beneath)):
        raise InputError(
            "is not the model that the run started from",
            where=f"starting model {beneath}",
            why="its weights or its config have changed since, and the checkpoint has only an adapter to it",
        )
    # Adapters are trained in float32 beside weights of any type. Merging into fewer bits would lose some of them.
    model = load_model(beneath, dtype="float32" if dtype is None else dtype, attn_implementation=attn_implementation)
    try:
        return PeftModel.from_pretrained(model, where).merge_and_unload().eval()
    except Exception as error:  # as in `load_model`
        raise _unusable(where, "adapter", error) from None


def _digest_in_memory(model: PreTrainedModel) -> str:
    import torch

    digest = hashlib.sha256(model.config.to_json_string().encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _reachable(spec: str | Path) -> str:
    """`resolve`, and for a hub id one small request, so that an unknown name fails early and only once."""
    import transformers.utils

    # Loading bars and retries in the log are for developers of these libraries. `_unusable` reports failures.
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    where = resolve(spec)
    if not Path(where).is_dir():
        _snapshot(where)
    return where


def _snapshot(hub_id: str) -> Path:
    """The folder in the hub's cache that holds a model."""
    from transformers.utils import cached_file

    try:
        config = cached_file(hub_id, "config.json")
    except OSError as error:
        raise _unusable(hub_id, "model", error) from None
    return Path(str(config)).parent


def _unusable(where: str, what: str, error: BaseException) -> MissingError | InputError:
    why = " ".join(str(error).split()).split(". ")[0][:200]
    if Path(where).is_dir():
        return InputError(f"no usable {what} in this folder", where=where, why=f"{type(error).__name__}: {why}")
    return MissingError(
        f"no {what} {where!r}",
        why="no such folder, and the hub did not give it",
        hint="Give a model folder, or check the name and the connection.",
    )


__all__ = [
    "load_classifier",
    "load_config",
    "load_model",
    "load_token_classifier",
    "load_tokenizer",
    "model_digest",
    "prompting_digest",
    "resolve",
]
