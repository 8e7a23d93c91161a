"""claims.yaml: what is in it, and that mistakes are reported with file and line."""

from __future__ import annotations

import pytest

from bench.claims import load_claims
from bench.errors import ConfigurationError
from bench.variants import load_variants

START = "claims:\n  a:\n    variant: hpcm_large\n    versus: hpcm_base\n    metric: decode_time\n"
REST = "    kind: predicted\n    source: README\n"
GOOD = START + "    change_percent: [-20, -10]\n" + REST


def written(tmp_path, text):
    path = tmp_path / "claims.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_entry_is_read(tmp_path):
    claim = load_claims(written(tmp_path, GOOD))["a"]
    assert (claim.variant, claim.versus, claim.change_percent, claim.value) == (
        "hpcm_large", "hpcm_base", (-20.0, -10.0), None)
    assert claim.unit == "%" and claim.where.endswith("claims.yaml:2")


@pytest.mark.parametrize(("text", "line", "said"), [
    (GOOD.replace("decode_time", "decoding"), 5, "'metric' must be one of bd_rate"),
    (GOOD.replace("decode_time", "[decode_time]"), 5, "'metric' must be one of"),
    (GOOD.replace("[-20, -10]", "[-10, -20]"), 6, "'change_percent' must be [low, high]"),
    (GOOD.replace("[-20, -10]", "-20"), 6, "'change_percent' must be [low, high]"),
    (GOOD.replace("[-20, -10]", "[-20, .inf]"), 6, "'change_percent' must be [low, high]"),
    (GOOD.replace("predicted", "guessed"), 7, "'kind' must be one of predicted, measured"),
    (GOOD + "    sorce: x\n", 9, "unknown key 'sorce'"),
    (GOOD + "    contradicts: b\n", 9, "'contradicts' must be a list"),
    (GOOD + "    contradicts: [b]\n", 9, "contradicts 'b', which is no other claim that contradicts it"),
    (GOOD + "    value: [1, 2]\n", 2, "must have one of 'change_percent', 'change_db' and 'value'"),
    (START + REST, 2, "must have one of 'change_percent', 'change_db' and 'value'"),
    (GOOD.replace("    versus: hpcm_base\n", ""), 5, "is a change, so it needs 'versus'"),
    (GOOD.replace("    source: README\n", ""), 2, "lacks 'source'"),
    (GOOD.replace("hpcm_large", "hpcm_huge"), 3, "'hpcm_huge' is no variant"),
    (GOOD.replace("hpcm_base", "vtm"), 4, "'vtm' is a codec"),
    (GOOD + "  b: 3\n", 9, "claim 'b' must be a mapping"),
])
def test_mistakes_name_file_and_line(tmp_path, text, line, said):
    with pytest.raises(ConfigurationError) as caught:
        load_claims(written(tmp_path, text), load_variants())
    assert f"claims.yaml:{line}: " in str(caught.value) and said in str(caught.value)


@pytest.mark.parametrize("text", ["", "claims: [a]\n", "a: 1\n"])
def test_a_file_without_claims_is_refused(tmp_path, text):
    with pytest.raises(ConfigurationError, match="mapping 'claims'"):
        load_claims(written(tmp_path, text))


def test_contradictions_are_linked_both_ways(tmp_path):
    both = GOOD + "    contradicts: [b]\n" + GOOD.replace("claims:\n  a:", "  b:") + "    contradicts: [a]\n"
    assert load_claims(written(tmp_path, both))["b"].contradicts == ("a",)


def test_the_suites_claims_are_sound():
    claims = load_claims(variants=load_variants())
    published = {name: claims[name].value for name in ("hpcm_base_macs", "hpcm_large_macs", "hpcm_base_decode")}
    assert published == {"hpcm_base_macs": (918.57,) * 2, "hpcm_large_macs": (1261.29,) * 2,
                         "hpcm_base_decode": (81.3,) * 2}
    assert {claim.kind for name, claim in claims.items() if not name.startswith("hpcm")} == {"predicted"}
    for line, phases in (("multiref", 3), ("rwkv", 4), ("weconv", 5)):
        assert {claim.variant for claim in claims.values()} >= {f"{line}_phase{n}" for n in range(1, phases + 1)}
