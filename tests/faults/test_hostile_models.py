"""Models, templates and configs of strangers: one line each, in bounded time and memory."""

import json
import resource
import threading
import time

import pytest
from safetensors.torch import load_file, save_file

from tests.tokens.tiny import byte_level, llama, save
from tif.errors import InputError, MaskError, TifError, UsageError
from tif.spans import Example
from tif.tokens import templates
from tif.tokens.bounded import TooLongError, bounded
from tif.tokens.models import load_model, load_tokenizer
from tif.tokens.templates import Template

EXAMPLE = Example("a", "Who?", "Ada Lovelace.")
LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% if a == -1 %}x{% endif %}{% endfor %}{% endfor %}"
HOSTILE = {
    "loop": (LOOP, "took more than"),
    "loop on content": ("{% for m in messages %}{{ m.content }}{% if 'Lov' in m.content %}" + LOOP + "{% endif %}"
                        "{% endfor %}", "took more than"),
    "caught loop": ("{% macro f() %}" + LOOP + "{% endmacro %}{{ f()|default('x') }}", "took more than"),
    "recursion": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself without end"),
    "doubling": ("{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
                 "too much memory"),
    "long": ("{{ 'x' * 99999999999 }}", "too much memory"),
    "power": ("{{ 10**10**10 }}", "computes a power"),
    "range": ("{{ range(10000000000)|list }}", "big"),
    "raises": ("{{ raise_exception('no\x1b]52;\nsystem role') }}", "no"),
    "divides": ("{{ 1 // 0 }}", "zero"),
    "attribute": ("{{ messages.__class__.__mro__ }}", "unsafe"),
    "index": ("{{ messages[9].content }}", "no element 9"),
    "undefined": ("{{ nothing.at.all }}", "undefined"),
    "include": ("{% include '/etc/passwd' %}", "loader"),
    "import": ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "unsafe"),
    "syntax": ("{% for %}", "Expected"),
    "unclosed": ("{{ messages", "end"),
    "filter": ("{{ messages|nofilter }}", "nofilter"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_chat_template_is_one_line(monkeypatch, name):
    monkeypatch.setattr(templates, "RENDER_SECONDS", 0.5 if "loop" in name else 20.0)
    tokenizer = byte_level()
    tokenizer.chat_template, why = HOSTILE[name]
    began = time.monotonic()
    with pytest.raises(MaskError, match="the chat template cannot be used") as caught:
        Template.of(tokenizer, "chat").render(EXAMPLE, tokenizer)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("value", ["", " ", "no answer here", "{{ messages[1].content|upper }}"])
def test_what_is_no_template_is_one_line(value):
    tokenizer = byte_level()
    tokenizer.chat_template = value
    with pytest.raises((MaskError, UsageError)) as caught:
        Template.of(tokenizer, "chat").render(EXAMPLE, tokenizer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [5, True, ["x"], {"a": "b"}, [{"name": "x", "template": "y"}], [{"name": 1}], {}])
def test_a_config_whose_template_is_no_text_is_one_line(tmp_path, value):
    byte_level().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": value}))

    def use():
        tokenizer = load_tokenizer(tmp_path)
        Template.of(tokenizer).render(EXAMPLE, tokenizer)
        Template.of(tokenizer, "chat").render(EXAMPLE, tokenizer)

    with pytest.raises(TifError) as caught:
        use()
    assert "\n" not in str(caught.value)


def test_limits_end_with_what_they_limit():
    with bounded(seconds=0.2, memory=1 << 30):
        pass
    began = time.monotonic()
    while time.monotonic() - began < 0.5:
        pass

    def endless():
        with bounded(seconds=0.2, memory=1 << 30):
            while True:
                pass

    for _ in range(3):
        with pytest.raises(TooLongError, match=r"took more than 0\.2 seconds"):
            endless()
    with pytest.raises(MemoryError), bounded(seconds=9, memory=1 << 28):
        bytearray(1 << 29)
    assert len(bytearray(1 << 29)) == 1 << 29


def test_one_thread_at_its_limit_leaves_the_others_alone():
    results = []

    def work(seconds):
        try:
            with bounded(seconds=seconds, memory=1 << 30):
                began = time.monotonic()
                while time.monotonic() - began < 0.6:
                    pass
                results.append("done")
        except TooLongError:
            results.append("stopped")

    threads = [threading.Thread(target=work, args=[seconds]) for seconds in (0.2, 30, 0.2, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["done", "done", "stopped", "stopped"]


def test_limits_of_memory_that_overlap_end_with_the_last():
    before = resource.getrlimit(resource.RLIMIT_AS)
    inside, outside = threading.Event(), threading.Event()

    def second():
        with bounded(seconds=30, memory=1 << 30):
            inside.set()
            outside.wait(30)

    thread = threading.Thread(target=second)
    with bounded(seconds=30, memory=1 << 30):
        thread.start()
        inside.wait(30)
        assert resource.getrlimit(resource.RLIMIT_AS) != before
    assert resource.getrlimit(resource.RLIMIT_AS) != before
    outside.set()
    thread.join()
    assert resource.getrlimit(resource.RLIMIT_AS) == before


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    tokenizer = byte_level()
    return save(tmp_path_factory.mktemp("model"), llama(len(tokenizer)), tokenizer)


@pytest.fixture
def copy(model, tmp_path):
    for path in model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


HARMLESS = ("auto_map", "quantization_config")
"""transformers reads the model without them."""


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("num_hidden_layers", 1_000_000, "1e+06 layers"),
        ("num_hidden_layers", 10**30, "1e+30 layers"),
        ("num_hidden_layers", 3, "lack 9 tensors"),
        ("num_hidden_layers", -1, "-1 layers"),
        ("num_hidden_layers", 0, "0 layers"),
        ("num_hidden_layers", "two", None),
        ("hidden_size", 10**12, None),
        ("hidden_size", 0, None),
        ("vocab_size", 10**15, None),
        ("intermediate_size", -4, None),
        ("num_attention_heads", 0, None),
        ("num_attention_heads", 7, None),
        ("rope_scaling", {"rope_type": "none of these", "factor": 1e400}, None),
        ("model_type", "no_such_model", None),
        ("model_type", ["llama"], None),
        ("dtype", "float7", None),
        ("quantization_config", {"quant_method": "none of these"}, None),
        ("auto_map", {"AutoModelForCausalLM": "evil.Model"}, None),
    ],
)
def test_a_config_that_asks_too_much_is_one_line(copy, field, value, why):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, field: value}))
    (copy / "evil.py").write_text("raise SystemExit('code of the model ran')")
    began = time.monotonic()
    if field in HARMLESS:
        load_model(copy)
    else:
        with pytest.raises(InputError) as caught:
            load_model(copy)
        assert "\n" not in str(caught.value)
        assert why is None or why in str(caught.value)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}'])
def test_a_config_that_is_no_config_is_one_line(copy, content):
    (copy / "config.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_model(copy)
    assert "\n" not in str(caught.value)


def test_weights_that_are_cut_off_or_lack_a_tensor_are_one_line(copy):
    path = copy / "model.safetensors"
    whole = path.read_bytes()
    for size in (0, 1, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError) as caught:
            load_model(copy)
        assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    tensors = load_file(path)
    del tensors["model.norm.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 tensors .* first model\.norm\.weight"):
        load_model(copy)
