"""The API of DeepStack and CodeProject.AI, with forms as their clients send them."""

import io
import struct
import zlib

import numpy as np
import pytest

import segue
import serving

requests = pytest.importorskip("requests", reason="requests is not installed")


@pytest.fixture(scope="module")
def detector():
    return serving.MarkingDetector((1, 64, 64, 3))


@pytest.fixture(scope="module")
def server(parts, detector):
    pipeline = segue.Pipeline(parts)
    with serving.serving(pipeline, detector=detector, output_names=["conv2d_4"]) as server:
        yield server


def post(server, files, path="/v1/vision/detection", **fields):
    return requests.post(server.url + path, files=files, data=fields, timeout=30)


def boxes_of(detector, expected, pixels):
    prepared, transform = detector.prepare(pixels)
    return detector.decode([expected(prepared)], transform)


def as_predictions(boxes):
    return [
        {
            "label": serving.LABELS[box.class_id],
            "confidence": box.score,
            "x_min": round(box.left),
            "y_min": round(box.top),
            "x_max": round(box.right),
            "y_max": round(box.bottom),
        }
        for box in boxes
    ]


def test_boxes_are_in_image_pixels(server, detector, expected):
    for seed, (width, height) in enumerate([(64, 64), (640, 480), (31, 200)]):
        pixels = serving.picture(seed, width, height)
        answer = post(server, {"image": serving.encoded(pixels)})
        assert answer.status_code == 200
        body = answer.json()
        boxes = boxes_of(detector, expected, pixels)
        assert body["predictions"] == as_predictions(boxes[:2])  # 0.4 and more
        assert body["success"] is True and body["code"] == 200 and body["count"] == 2
        assert 0 <= body["inferenceMs"] <= body["processMs"] + 1


def test_min_confidence_filters_predictions(server, detector, expected):
    pixels = serving.picture(5)
    boxes = boxes_of(detector, expected, pixels)
    for confidence, count in (("", 2), ("0", 3), ("0.3", 3), ("0.7", 1), ("0.95", 0), ("1", 0)):
        body = post(server, {"image": serving.encoded(pixels)}, min_confidence=confidence).json()
        assert body["predictions"] == as_predictions(boxes[:count])
    assert body["message"] == "No objects found"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
def test_formats_of_images(server, detector, expected, kind):
    from PIL import Image

    data = serving.encoded(serving.picture(6), kind)
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    body = post(server, {"image": data}).json()
    assert body["predictions"] == as_predictions(boxes_of(detector, expected, pixels)[:2])


def test_frigate_deepstack_plugin_is_answered(server, detector, expected):
    """frigate/detectors/plugins/deepstack.py sends a JPEG and an empty api_key."""
    data = serving.encoded(serving.picture(7, 320, 320), "JPEG")
    answer = requests.post(
        f"{server.url}/v1/vision/detection",
        data={"api_key": ""},
        files={"image": data},
        timeout=10,
    )
    confidences = [found["confidence"] for found in answer.json()["predictions"]]
    # The plugin stops at the first one below 0.4, so the best must come first.
    assert confidences == sorted(confidences, reverse=True) == [0.9, 0.6]


def test_custom_model_is_listed_and_answers(server):
    for method in (requests.get, requests.post):
        answer = method(f"{server.url}/v1/vision/custom/list", timeout=30).json()
        assert answer["success"] is True and answer["models"] == ["small"]
    image = {"image": serving.encoded(serving.picture(8))}
    same = post(server, image).json()["predictions"]
    assert post(server, image, "/v1/vision/custom/small").json()["predictions"] == same
    answer = post(server, image, "/v1/vision/custom/other")
    assert answer.status_code == 404 and answer.json()["success"] is False
    assert requests.get(f"{server.url}/v1/server/status/ping", timeout=30).json()["success"] is True


def test_single_file_with_other_name_is_used(server):
    data = serving.encoded(serving.picture(9))
    wanted = post(server, {"image": data}).json()["predictions"]
    assert post(server, {"file1": ("a.png", data)}).json()["predictions"] == wanted


def png_that_claims(width, height):
    """Makes a small file that claims to be a huge image."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def bad_images():
    whole = serving.encoded(serving.picture(1), "JPEG")
    png = serving.encoded(serving.picture(1))
    damaged = bytearray(png)
    damaged[60] ^= 255
    return {
        "empty": (b"", 400),
        "text": (b"this is not an image", 400),
        "truncated jpeg": (whole[: len(whole) // 2], 400),
        "truncated png": (png[: len(png) // 2], 400),
        "damaged png": (bytes(damaged), 400),
        "only a header": (whole[:20], 400),
        "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400),
        "tiff": (serving.encoded(serving.picture(1), "TIFF"), 400),  # not among the formats
        "huge": (png_that_claims(50_000, 50_000), 413),
        "huger": (png_that_claims(10_000, 10_000), 413),
    }


@pytest.mark.parametrize("kind", list(bad_images()))
def test_invalid_image_fails_alone(server, kind):
    data, status = bad_images()[kind]
    answer = post(server, {"image": ("image", data)})
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["success"] is False and body["code"] == status and body["error"]
    assert post(server, {"image": serving.encoded(serving.picture(1))}).status_code == 200


@pytest.mark.parametrize("text", ["high", "1.1", "-0.1", "nan", "inf"])
def test_invalid_min_confidence_is_refused(server, text):
    answer = post(server, {"image": serving.encoded(serving.picture(1))}, min_confidence=text)
    assert answer.status_code == 400 and "min_confidence" in answer.json()["error"]


@pytest.mark.parametrize(
    "kind, body",
    [
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="image"'),
        ("multipart/form-data; boundary=x", b"not a form at all"),
        ("multipart/form-data", b"--x\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 99,
        ),
        ("application/x-www-form-urlencoded", b"image=abc"),
        ("application/json", b"{}"),
        ("image/jpeg", serving.encoded(serving.picture(1), "JPEG")),
    ],
)
def test_form_without_image_is_refused(server, kind, body):
    url = f"{server.url}/v1/vision/detection"
    answer = requests.post(url, data=body, headers={"content-type": kind}, timeout=30)
    assert answer.status_code == 400, answer.text
    assert answer.json()["success"] is False


def test_detection_without_model_gets_501(parts):
    with serving.serving(segue.Pipeline(parts)) as server:
        answer = post(server, {"image": serving.encoded(serving.picture(1))})
        assert answer.status_code == 501 and "--model" in answer.json()["error"]


def test_form_api_key_counts_as_token(parts, detector):
    settings = {"detector": detector, "output_names": ["conv2d_4"], "token": "t" * 20}
    image = {"image": serving.encoded(serving.picture(1))}
    with serving.serving(segue.Pipeline(parts), **settings) as server:
        for fields in ({}, {"api_key": ""}, {"api_key": "t" * 19}):
            answer = post(server, image, **fields)
            assert answer.status_code == 401 and answer.json()["success"] is False
            answer = post(server, image, "/v1/vision/custom/other", **fields)
            assert answer.status_code == 401 and "small" not in answer.text
        assert post(server, image, api_key="t" * 20).status_code == 200
        url = f"{server.url}/v1/vision/detection"
        for token, status in (("t" * 20, 200), ("u" * 20, 401)):
            headers = {"Authorization": f"Bearer {token}"}
            assert (
                requests.post(url, files=image, headers=headers, timeout=30).status_code == status
            )
