"""Load a GLiNER model so that it stays on this machine: a folder or the hub's cache, no code of the model's own."""

from __future__ import annotations

import hashlib
import logging
import warnings
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tif.errors import InputError, MissingError, TifError
from tif.packages import install_hint
from tif.readers import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CONFIG: Final = "gliner_config.json"
WEIGHTS: Final = "model.safetensors"
"""The file with weights. GLiNER takes it before any other, and would unpickle the others."""
_KINDS: Final = ("UniEncoderSpanGLiNER", "UniEncoderTokenGLiNER", "BiEncoderSpanGLiNER", "BiEncoderTokenGLiNER")
"""The classes of GLiNER that only mark entities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A GLiNER model in float32 and evaluation mode."""

    model: Any
    """A `GLiNER` with the method `inference`."""
    tokenizer: PreTrainedTokenizerBase
    digest: str
    """SHA-256 over the config and the weights."""
    tokenizer_digest: str

    @property
    def reads_types(self) -> bool:
        """Whether the entity types and the text share the model's context."""
        return type(self.model).__name__.startswith("UniEncoder")


def version() -> str:
    """Return the installed version of GLiNER."""
    return metadata.version("gliner")


def load(spec: str) -> Loaded:
    """Return the model of a folder, or of a hub id whose files are in the hub's cache.

    Raises:
        MissingError: if GLiNER is not installed or does not run here, or files of the model are not on this machine.
        InputError: for a folder without a usable model.
    """
    gliner = _imported()
    folder = _folder(spec)
    config = _config(folder)
    if not (folder / WEIGHTS).is_file():
        raise InputError(
            "no safetensors in this model folder",
            where=str(folder),
            why=f"weights are read from {WEIGHTS} only: other files can run code when they are read",
            hint="If you trust it, load it with GLiNER, then save_pretrained(FOLDER, safe_serialization=True).",
        )
    _refuse_own_code(folder, config)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = gliner.from_pretrained(str(folder), local_files_only=True, map_location="cpu")
    except Exception as error:  # config checks, safetensors, torch, transformers: nearly anything
        raise _unusable(folder, config, error) from None
    kind = type(model).__name__
    if kind not in _KINDS:
        raise InputError(
            f"is a {kind}, and only models that mark entities are used", where=spec, hint="Give a GLiNER model for NER."
        )
    if missing := sorted(set(model.model.state_dict()) - _names(folder / WEIGHTS)):
        why = f"the weights lack {len(missing)} of its tensors, first {missing[0]}"
        raise InputError("is not a trained GLiNER model", where=spec, why=why)
    tokenizer = model.data_processor.transformer_tokenizer
    if not tokenizer.is_fast:
        raise InputError(f"the tokenizer is a {type(tokenizer).__name__}, which is not a fast one", where=spec)
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        digest=_digest(model.model),
        tokenizer_digest=hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
    )


def _imported() -> Any:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("gliner").setLevel(logging.ERROR)
    try:
        from gliner import GLiNER
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "gliner":
            raise MissingError("GLiNER is not installed", hint=install_hint("gliner")) from None
        raise _does_not_run(error) from None
    except Exception as error:  # code that another transformers breaks raises errors of many types
        raise _does_not_run(error) from None
    return GLiNER


def _does_not_run(error: Exception) -> MissingError:
    import transformers

    return MissingError(
        f"gliner {version()} does not run with transformers {transformers.__version__}",
        why=f"{type(error).__name__}: {error}",
        hint=f"{install_hint('gliner')}. It installs versions that fit each other.",
    )


def _folder(spec: str) -> Path:
    path = Path(spec).expanduser()
    if path.is_dir():
        return path
    from huggingface_hub import snapshot_download

    from tif.tokens.models import hub_id

    name = hub_id(spec)
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except Exception:  # a name that the hub would not take, or no copy of it
        raise _not_here(spec) from None


def _not_here(spec: str) -> MissingError:
    return MissingError(
        f"no model {spec!r} on this machine",
        why="no such folder, and the hub's cache does not have it; tif downloads no GLiNER model",
        hint=f"Download it: hf download {spec}",
    )


def _config(folder: Path) -> dict[str, object]:
    if not (folder / CONFIG).is_file():
        raise InputError("no GLiNER model in this folder", where=str(folder), why=f"it has no {CONFIG}")
    config = read_json(folder / CONFIG, constants=True)
    if not isinstance(config, dict):
        raise InputError("is not an object", where=str(folder / CONFIG))
    return config


def _refuse_own_code(folder: Path, config: dict[str, object]) -> None:
    """Refuse encoders with Python code of their own: GLiNER would run it.

    Raises:
        InputError: naming the config.
        MissingError: if the config of an encoder is not on this machine.
    """
    from transformers import AutoConfig

    encoders: list[tuple[str, object]] = [(str(folder / CONFIG), config)]
    for own, name in (("encoder_config", "model_name"), ("labels_encoder_config", "labels_encoder")):
        spec = config.get(name)
        if config.get(own) is None and isinstance(spec, str):
            try:
                encoder = AutoConfig.from_pretrained(spec, local_files_only=True, trust_remote_code=False)
            except OSError:
                raise _not_here(spec).within(str(folder / CONFIG), name) from None
            except Exception as error:  # as in `load`
                raise _unusable(folder, config, error) from None
            encoders.append((spec, encoder.to_dict()))
    for where, content in encoders:
        if _has_code(content):
            raise InputError(
                "needs Python code of its own, and tif runs no code of a model", where=where, why="it has auto_map"
            )


def _has_code(content: object) -> bool:
    if isinstance(content, dict):
        return bool(content.get("auto_map")) or any(map(_has_code, content.values()))
    return isinstance(content, list) and any(map(_has_code, content))


def _names(weights: Path) -> set[str]:
    """Return the names of a file's tensors."""
    from safetensors import safe_open

    with safe_open(weights, framework="pt") as content:
        aliases = content.metadata() or {}
        names = set(content.keys())
    return names | {name for name, saved in aliases.items() if saved in names}


def _digest(model: Any) -> str:
    from tif.tokens.models import model_digest

    return model_digest(model)


def _unusable(folder: Path, config: dict[str, object], error: Exception) -> TifError:
    encoder = config.get("model_name")
    if isinstance(error, OSError) and isinstance(encoder, str) and not (folder / "tokenizer_config.json").is_file():
        return _not_here(encoder).within(str(folder / CONFIG), "model_name")
    why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return InputError("no usable GLiNER model in this folder", where=str(folder), why=why)


__all__ = ["Loaded", "load", "version"]
