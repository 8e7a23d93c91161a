"""Which rows of latencies a report takes, and what they are compared with."""

from __future__ import annotations

import pytest
from latency_reports import OOM, line_of, lines_of, numbers_in, report, report_of, table_of  # noqa: F401 (fixtures)
from latency_samples import both, row
from msgspec.structs import replace as replace_row

from bench.results.latency_selection import compare_rows, select_latency


class TestSelection:
    def test_the_last_row_of_a_key_counts(self):
        rows = both("hpcm_base", 0.1, 0.2) + both("hpcm_base", 0.3, 0.4)
        selection = select_latency(rows)
        assert [row.samples_s for row in selection.rows] == [row.samples_s for row in rows[2:]]
        assert not selection.older  # one session that was told twice

    def test_a_session_that_was_interrupted_does_not_mix_with_a_whole_one(self):
        whole = both("hpcm_base", 0.1, 0.2)
        cut_off = row("hpcm_base", "encode", 0.3, session="s2", measured_at="2026-02-01T00:00:00+00:00")
        (case,) = select_latency([*whole, cut_off]).cases
        assert {one.session for one in case.rows} == {"s1"} and len(case.rows) == 2
        (alone,) = select_latency([cut_off]).cases
        assert alone.rows == (cut_off,)

    def test_a_newer_session_replaces_and_the_older_stays_listed(self):
        old = both("hpcm_base", session="old") + both("hpcm_large", session="old")
        new = both("hpcm_base", 0.5, session="new", measured_at="2026-02-01T00:00:00+00:00")
        report = report_of(new + old)  # in any order of files
        assert numbers_in(line_of(table_of(report, "latency"), variant="HPCM-Base")["encode_ms"])[0] == pytest.approx(
            502, abs=1)
        assert table_of(report, "earlier").column("variant") == ["HPCM-Base"] * 2
        assert table_of(report, "sessions").column("session") == ["old", "new"]

    def test_ratios_are_to_the_base_of_the_own_session(self):
        """The base got faster; what was measured beside the slow one must not look slower for it."""
        old = both("hpcm_base", 0.2, session="old") + both("hpcm_large", 0.3, session="old")
        new = both("hpcm_base", 0.1, session="new", measured_at="2026-02-01T00:00:00+00:00")
        line = line_of(table_of(report_of(old + new), "timings"), variant="HPCM-Large", direction="encode")
        assert line["vs_base"] == pytest.approx(1.5)

    def test_pairs_with_the_base_in_sessions_of_their_own(self):
        rows = []
        for number, (name, factor) in enumerate((("hpcm_large", 1.5), ("rwkv_phase1", 0.8))):
            speed, at = 1 + number, f"2026-01-0{number + 1}T00:00:00+00:00"
            rows += both("hpcm_base", 0.1 * speed, session=f"s{number}", measured_at=at)
            rows += both(name, 0.1 * speed * factor, session=f"s{number}", measured_at=at)
        table = table_of(report_of(rows), "timings")
        assert line_of(table, variant="HPCM-Large", direction="encode")["vs_base"] == pytest.approx(1.5)
        assert line_of(table, variant="RWKV-1", direction="encode")["vs_base"] == pytest.approx(0.8)

    def test_not_in_turns_gives_no_ratio(self):
        rows = both("hpcm_base") + both("hpcm_large", session="alone")
        line = line_of(table_of(report_of(rows), "latency"), variant="HPCM-Large")
        assert line["encode_vs_base"] == "not in turns"

    def test_a_new_failure_counts_and_the_old_success_is_listed(self):
        later = "2026-02-01T00:00:00+00:00"
        report = report_of(both("hpcm_base") + both("hpcm_base", session="s2", measured_at=later, **OOM))
        assert len(table_of(report, "failures").rows) == 2 and len(table_of(report, "earlier").rows) == 2

    def test_threads_and_batches_do_not_mix(self):
        alone = [replace_row(one, identity={**one.identity, "threads": 1}, key=one.key + "1")
                 for one in both("hpcm_large", 0.3)]
        table = table_of(report_of(both("hpcm_base") + both("hpcm_large") + alone), "latency")
        assert [text for _, text in table.headings] == ["768x512, 1 thread", "768x512, 2 threads"]
        assert lines_of(table)[0]["encode_vs_base"] == "not in turns"

    def test_rounds_that_both_have_are_compared(self):
        first = row("hpcm_large", "encode", samples_s=[0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 9.0])
        found = compare_rows(first, row("hpcm_base", "encode", samples_s=[0.1] * 6))
        assert (found.value, found.rounds) == (pytest.approx(2), 6)
