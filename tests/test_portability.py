"""Whether a codec's files decode elsewhere, from rows made by hand."""

from __future__ import annotations

import pytest
from crosscheck_samples import ENCODER, IMAGES, SETTINGS, make_row, make_rows

from bench.results.crosschecks import FAILED, IDENTICAL, LATENTS, OFF_BY_ONE, OUTCOMES, WRONG
from bench.results.portability import choose_rows, decodes_alike, find_portability, is_elsewhere
from bench.results.rows import Provenance


def test_samples_come_out_as_they_are_called():
    assert [make_row(outcome).outcome for outcome in OUTCOMES] == list(OUTCOMES)


@pytest.mark.parametrize(("outcome", "values", "alike"), [
    (IDENTICAL, {}, True), (OFF_BY_ONE, {}, True), (LATENTS, {}, True), (FAILED, {}, False), (WRONG, {}, False),
    (IDENTICAL, {"latents_match": None}, True), (OFF_BY_ONE, {"latents_match": None}, False),
    (IDENTICAL, {"latents_match": False}, False), (FAILED, {"latents_match": True}, False),
    (WRONG, {"latents_match": True, "decode_max_abs_difference": None, "reason": "of another size"}, False),
])
def test_latents_decide_and_pixels_where_these_are_not_told(outcome, values, alike):
    assert decodes_alike(make_row(outcome, **values)) is alike


def test_elsewhere_is_another_setting_or_machine():
    other = Provenance(device="cpu: Other", instructions="AVX2")
    assert not is_elsewhere(make_row(setting="same"))
    assert is_elsewhere(make_row(setting="same", provenance=other)) and is_elsewhere(make_row(setting="scalar"))
    assert not is_elsewhere(make_row(setting="scalar", encoder_setting="scalar"))
    assert find_portability([make_row(FAILED, setting="same")]).files == 0


def test_files_count_once_and_one_fault_is_enough():
    found = find_portability(make_rows())
    assert (found.files, found.files_alike, found.settings, len(found.rows)) == (24, 24, 3, 72)
    assert found.decodes is True and not found.failed and not found.wrong
    found = find_portability(make_rows([FAILED, IDENTICAL, WRONG, OFF_BY_ONE]))
    assert (found.files_alike, len(found.failed), len(found.wrong), found.decodes) == (22, 1, 1, False)
    twice = [make_row(FAILED, setting=setting) for setting in SETTINGS]
    assert find_portability(twice).files_alike == 0 and find_portability(twice).files == 1


@pytest.mark.parametrize("values", [{"settings": SETTINGS[:2]}, {"images": IMAGES[:5]},
                                    {"settings": ("same", *SETTINGS[:2])}])
def test_nothing_is_said_of_a_codec_that_was_hardly_tried(values):
    assert find_portability(make_rows(**values)).decodes is None
    assert find_portability(make_rows([FAILED] * 72, **values)).decodes is False


def test_every_file_has_to_meet_enough_settings():
    rows = [row for row in make_rows() if (row.decoder_setting, row.image) != (SETTINGS[0], IMAGES[0])]
    found = find_portability(rows)
    assert (found.files, found.settings, found.decodes) == (24, 3, None)


def test_a_file_of_another_encoder_is_another_file():
    rows = [*make_rows(), *make_rows(encoder_machine="cpu: Other")]
    assert find_portability(rows).files == 48 and {row.encoder_machine for row in rows} == {ENCODER, "cpu: Other"}


def test_codecs_exact_configurations_and_the_first_format_are_apart():
    rows = [make_row(), make_row(exact=True), make_row(version=1), make_row(name="rwkv_phase1_mini"),
            make_row(name="jpeg", version=None)]
    assert list(choose_rows(rows, "hpcm_base_mini", exact=False)) == rows[:1]
    assert list(choose_rows(rows, "hpcm_base_mini", exact=True)) == rows[1:2]
    assert list(choose_rows(rows, "jpeg", exact=False)) == rows[-1:]
