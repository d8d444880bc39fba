"""The tool that packs and evaluates more and more frames; its long run is ``python tools/scale.py``."""

import sys

import pytest

from tools import scale

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_frames_go_through_packing_and_evaluation(tmp_path):
    scale.make_bank(tmp_path / "bank", (160, 120))
    row = scale.one(130, tmp_path, tmp_path / "bank", (160, 120), workers=0, shard_size=50)
    assert (row["shard"], row["part"]) == (50, 4096)
    assert abs(row["figure"] - scale.NOISE) < 0.02 * scale.NOISE  # of 130 x 21 joints
    assert all(row[stage]["busy"] > 0 and row[stage]["main_mb"] > 10 for stage in scale.STAGES)
    assert row["pack_bytes"] > 130 * 12e3 and row["parts_bytes"] > 130 * 2 * 799 * 12


def made(frames, per_frame, fixed):
    stage = {"seconds": 1.0, "busy": fixed + frames * per_frame, "main_mb": 300.0, "worker_mb": 20.0}
    row = {"frames": frames, "shard": 64, "part": 64, "pack_bytes": 1000 * frames, "parts_bytes": 500 * frames}
    return row | dict.fromkeys(scale.STAGES, stage)


def test_the_outlook_is_a_straight_line():
    rows = [made(frames, 0.0036, 5.0) for frames in (10, 1000, 10_000)]
    words = scale.outlook(rows, 1_000_000, rows[0])
    assert "pack 1.0, predict 1.0, score 1.0" in words and "pack 1 GB, predictions 0 GB" in words
    assert len(scale.table(rows).splitlines()) == 5
