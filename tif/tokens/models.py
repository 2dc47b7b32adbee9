"""Tokenizers and models from a folder or the hub, and the digest that names a model's weights."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from tif.errors import InputError, MissingError
from tif.packages import install_hint
from tif.readers import read_json
from tif.records import RUN_FILE, RunRecord, run_around
from tif.seal import file_digest
from tif.tokens.size import check_size

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

_ADAPTER: Final = "adapter_config.json"
_ADAPTER_WEIGHTS: Final = "adapter_model.safetensors"
_STATES: Final = re.compile(r"optimizer\.|random-\d+\.")
"""Files of a checkpoint that are no weights."""


def load_tokenizer(spec: str | Path) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a model folder, a run folder of `tif train`, one of its checkpoints, or a hub id.

    A checkpoint has none, and neither has an adapter. Then it is that of the model beneath.

    Raises:
        MissingError: when there is no such folder and the hub cannot give it.
        InputError: for a folder that holds no tokenizer, or one that gives no offsets.
    """
    from transformers import AutoTokenizer

    where, _ = _reachable(_with_tokenizer(resolve(spec)))
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
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

    where, folder = _reachable(spec)
    if _is_adapter(where):
        return _merged(where, dtype, attn_implementation)
    return _loaded(
        AutoModelForCausalLM,
        where,
        folder,
        "model",
        fault="no usable model in this folder",
        lacks="tensors that config.json asks for",
        hint="Restore config.json and the safetensors files from a copy.",
        dtype="auto" if dtype is None else dtype,
        attn_implementation=attn_implementation,
    )


def load_classifier(spec: str | Path) -> PreTrainedModel:
    """The text classifier of a model folder or a hub id, in evaluation mode. Its tokenizer comes from `load_tokenizer`.

    Raises:
        MissingError: when there is no such folder and the hub cannot give it.
        InputError: for a folder without a model, or with weights that do not fit its config.
    """
    from transformers import AutoModelForSequenceClassification

    return _loaded(
        AutoModelForSequenceClassification,
        *_reachable(spec),
        "classifier",
        # transformers would draw missing tensors at random, and each evaluation would get another fluency.
        fault="is not a trained text classifier",
        lacks="of its tensors",
        hint="Give a model that was fine-tuned for text classification.",
    )


def load_token_classifier(spec: str | Path) -> PreTrainedModel:
    """The token classifier of a model folder or a hub id, in float32 and evaluation mode.

    Raises:
        MissingError: when there is no such folder and the hub cannot give it.
        InputError: for a folder without a token classifier, or with weights that do not fit its config.
    """
    from transformers import AutoModelForTokenClassification

    return _loaded(
        AutoModelForTokenClassification,
        *_reachable(spec),
        "token classifier",
        fault="is not a token-classification model",
        lacks="of its tensors",
        hint="Give a model that was trained to tag tokens.",
        dtype="float32",
    )


def _loaded(
    auto: Any, where: str, folder: Path, what: str, *, fault: str, lacks: str, hint: str, **how: Any
) -> PreTrainedModel:
    """A model in evaluation mode. Weights are read from safetensors only, and its own Python code is never run.

    Args:
        auto: the class of transformers that loads it.
        where: folder or hub id.
        folder: where its files are.
        what: the model, for a message about files that cannot be used.
        fault: the message about weights without some of the tensors that the model has.
        lacks: these tensors, in that message.
        hint: what to do then.
        how: more arguments of `from_pretrained`.
    """
    check_size(folder)
    try:
        model, loaded = auto.from_pretrained(
            where, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **how
        )
    except Exception as error:  # config checks, safetensors, torch: transformers raises nearly anything
        raise _unusable(where, what, error) from None
    if missing := sorted(loaded.get("missing_keys") or ()):
        why = f"the weights lack {len(missing)} {lacks}, first {missing[0]}"
        raise InputError(fault, where=where, why=why, hint=hint)
    return cast("PreTrainedModel", model.eval())


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
    return hub_id(str(spec))


def hub_id(name: str) -> str:
    """Return a name that is no folder, if it can be a hub id.

    Raises:
        MissingError: for a path that does not exist.
        InputError: for the path of a file.
    """
    if Path(name).expanduser().exists():
        raise InputError("a file, not a model folder", where=name)
    # A hub id is `name` or `owner/name`; whatever else looks like a path is one.
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or not name.strip():
        raise MissingError(f"no model folder {name!r}")
    return name


def model_digest(model: str | Path | PreTrainedModel) -> str:
    """SHA-256 over the weights and the config.

    For a folder or hub id the bytes of `config.json` and of the safetensors files, in the order of their names. They
    are read each time, but once within `seal.read_once`: a file's size and time of change do not tell whether it is the
    same. For an adapter, its files and the digest of the model beneath. A checkpoint's optimizer and random states do
    not count.
    For a model in memory: config, and each tensor's name, type, shape and bytes; this digest is not the folder's.

    Raises:
        MissingError, InputError: as `load_model`, and for a folder without safetensors.
    """
    if not isinstance(model, (str, Path)):
        return _digest_in_memory(model)
    where = resolve(model)
    folder = _folder(where)
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
    return AutoConfig.from_pretrained(
        resolve(_beneath(where)) if _is_adapter(where) else where, trust_remote_code=False
    )


def prompting_digest(model: str | Path, tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 over the tokenizer, its chat template and `generation_config.json`.

    They change prompts and answers, and `model_digest` does not cover them.

    Raises:
        MissingError, InputError: as `load_model`.
    """
    where = resolve(model)
    if _is_adapter(where):
        return prompting_digest(_beneath(where), tokenizer)
    generation = _folder(where) / "generation_config.json"
    parts = [
        tokenizer.backend_tokenizer.to_str() if tokenizer.is_fast else sorted(tokenizer.get_vocab().items()),
        tokenizer.chat_template,
        {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        generation.read_text(errors="replace") if generation.is_file() else None,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


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
    if not (Path(where) / _ADAPTER_WEIGHTS).is_file():
        raise InputError(
            "no safetensors in this adapter's folder",
            where=where,
            why=f"weights are read from {_ADAPTER_WEIGHTS} only: other files can run code when they are read",
            hint="Save the adapter as safetensors.",
        )
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
        with warnings.catch_warnings():
            # peft only warns of missing weights, and takes new ones.
            warnings.filterwarnings("error", message=".*missing adapter keys")
            adapted = PeftModel.from_pretrained(model, where)
        # peft freezes the model beneath.
        return adapted.merge_and_unload().requires_grad_(True).eval()
    except Exception as error:  # as in `load_model`
        raise _unusable(where, "adapter", error) from None


def _digest_in_memory(model: PreTrainedModel) -> str:
    import torch

    digest = hashlib.sha256(model.config.to_json_string().encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _reachable(spec: str | Path) -> tuple[str, Path]:
    """`resolve`, and the model's folder. An unknown hub id fails here, early and only once."""
    import transformers.utils

    # Loading bars and retries in the log are for developers of these libraries. `_unusable` reports failures.
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    where = resolve(spec)
    return where, _folder(where)


def _folder(where: str) -> Path:
    """The folder of a model's files: for a hub id that in the hub's cache, which takes one small request."""
    from transformers.utils import cached_file

    if Path(where).is_dir():
        return Path(where)
    try:
        config = cached_file(where, "config.json")
    except OSError as error:
        raise _unusable(where, "model", error) from None
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
    "hub_id",
    "load_classifier",
    "load_config",
    "load_model",
    "load_token_classifier",
    "load_tokenizer",
    "model_digest",
    "prompting_digest",
    "resolve",
]
