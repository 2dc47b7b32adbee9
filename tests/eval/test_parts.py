"""Finished parts are used again, and a damaged one never is."""

import random

import pyarrow as pa
import pytest

from tif.eval.parts import PartsCache


def made(cache, calls):
    def make():
        calls.append(1)
        return {"loss": [0.25, 1e-9, float("inf")], "z": [1.0, 2.0, 3.0]}

    return cache.values("base.losses", ["key"], make)


def test_a_flipped_bit_is_never_a_score(tmp_path, capfd):
    cache, calls = PartsCache(tmp_path, "model"), []
    expected = made(cache, calls)
    assert made(cache, calls) == expected
    assert len(calls) == 1
    path = tmp_path / "base.losses.parquet"
    complete = path.read_bytes()
    dice = random.Random(3)
    for bit in [dice.randrange(8 * len(complete)) for _ in range(400)]:
        data = bytearray(complete)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        assert made(cache, calls) == expected
    # Bits that mean nothing, such as the name of the writer, are no damage.
    assert 200 < len(calls) - 1 <= 400
    assert "is damaged, and computed again" in capfd.readouterr().err


@pytest.mark.parametrize("content", [b"", b"PAR1", b"{}"])
def test_a_part_that_is_no_table_is_computed_again(tmp_path, content):
    cache, calls = PartsCache(tmp_path, "model"), []
    made(cache, calls)
    (tmp_path / "base.losses.parquet").write_bytes(content)
    made(cache, calls)
    assert len(calls) == 2


def test_texts_come_back_as_they_were(tmp_path):
    texts = ["", "Zoë 👩‍🔬", "a\u0000b", "\ud7ff"]
    first = PartsCache(tmp_path, "model").texts("answers", 1, lambda: texts)
    again = PartsCache(tmp_path, "model").texts("answers", 1, lambda: pytest.fail("the part is there"))
    assert first == again == texts
    assert pa.table({"text": texts}).num_rows == 4
