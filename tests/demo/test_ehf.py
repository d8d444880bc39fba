"""EHF's demo data: official layout, read back, every mesh where its picture's person is."""

import cv2
import numpy as np
import pytest

from handlib import datasets, geometry
from handlib.bodies import free_body
from handlib.demo import ehf
from handlib.files import InputError


@pytest.fixture(scope="module")
def data(tmp_path_factory, grey):
    return ehf.make(tmp_path_factory.mktemp("demo") / "EHF", pictures=2, processes=1, show_progress=False)


def test_the_reader_reads_it(data):
    reader = datasets.read("ehf", data, "test")
    samples = list(reader)
    assert len(samples) == 2 and not reader.skipped
    assert reader.facts["fits_of"] == "handlib free body"
    for sample in samples:
        assert cv2.imread(sample["image_path"]).shape == (1200, 1600, 3)
        assert sample["part_bbox_valid"].all() and len(reader.complete(sample)["image"]) > 100


def test_meshes_lie_in_their_boxes(data):
    """Through the scanner's frame and back, before EHF's own camera."""
    face = free_body.index_files()["face"]
    for sample in datasets.read("ehf", data, "test"):
        verts = sample["smplx_verts"]
        assert verts.shape == (10475, 3)
        pixels = geometry.project(verts.astype(float), sample["K"])[:, :2]
        x, y, w, h = sample["bbox"]
        low, high = pixels.min(0), np.minimum(pixels.max(0), [1599, 1199])
        np.testing.assert_allclose([x, y, x + w, y + h], [*low, *high], atol=25)  # clothes and hair stand off
        assert verts[face, 1].mean() < verts[:, 1].max() - 1.2, "heads are up: y is down"


def test_too_few_pictures_are_refused(tmp_path):
    with pytest.raises(InputError, match="too few"):
        ehf.make(tmp_path / "x", pictures=1)
