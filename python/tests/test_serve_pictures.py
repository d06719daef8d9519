"""Pictures with an EXIF orientation or 16 bits; tests/orientation_test.cc has the same claims."""

import io

import numpy as np
import pytest

pytest.importorskip("serving")

from PIL import Image

from segue.serve.detection import decode_image
from segue.serve.errors import Refused

STORED = np.array([[0, 1, 2], [3, 4, 5]], np.uint8)
# The table of the standard: where the first row and the first column of the file lie.
UPRIGHT = {
    1: [[0, 1, 2], [3, 4, 5]],
    2: [[2, 1, 0], [5, 4, 3]],
    3: [[5, 4, 3], [2, 1, 0]],
    4: [[3, 4, 5], [0, 1, 2]],
    5: [[0, 3], [1, 4], [2, 5]],
    6: [[3, 0], [4, 1], [5, 2]],
    7: [[5, 2], [4, 1], [3, 0]],
    8: [[2, 5], [1, 4], [0, 3]],
}


def tiff(orientation, order="big"):
    """A TIFF block whose only entry is the orientation."""

    def of(value, size):
        return value.to_bytes(size, order)

    mark = b"MM" if order == "big" else b"II"
    entry = of(0x0112, 2) + of(3, 2) + of(1, 4) + of(orientation, 2) + of(0, 2)
    return mark + of(42, 2) + of(8, 4) + of(1, 2) + entry + of(0, 4)


def encoded(pixels, kind="PNG", exif=b""):
    file = io.BytesIO()
    options = {"exif": b"Exif\0\0" + exif} if exif else {}
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def grey(data):
    pixels = decode_image(data)
    assert (pixels == pixels[:, :, :1]).all()
    return pixels[:, :, 0].tolist()


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_each_orientation_turns_the_picture(orientation, order):
    assert grey(encoded(STORED, exif=tiff(orientation, order))) == UPRIGHT[orientation]


def test_jpeg_is_turned():
    pixels = np.repeat(np.uint8([[0] * 8 + [255] * 8]), 8, axis=0)
    for orientation, ends in ((6, (0, 255)), (8, (255, 0))):
        rows = grey(encoded(pixels, "JPEG", tiff(orientation)))
        assert len(rows) == 16 and (rows[0][0], rows[15][7]) == ends
    assert len(grey(encoded(pixels, "JPEG"))) == 8


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_block_counts_as_none():
    whole = tiff(6)
    for size in range(1, len(whole) - 6):
        assert grey(encoded(STORED, exif=whole[:size])) == STORED.tolist(), size
    for orientation in (0, 9):
        assert grey(encoded(STORED, exif=tiff(orientation))) == STORED.tolist()


def test_upper_byte_of_16_bits_counts():
    pixels = np.array([[0, 255, 256, 0x80FF, 65535]], np.uint16)
    assert grey(encoded(pixels)) == [[0, 0, 1, 0x80, 255]]


def test_truncated_picture_is_refused():
    with pytest.raises(Refused):
        decode_image(encoded(STORED, exif=tiff(6))[:-30])
