"""What each recorded execution must give, checked by hand against the raw data, not taken from the code under test.

Hashes are of the bytes that the camera sent; where the detector answered, they equal its own `image_hash`. Boxes were
computed from the detector's pixels: 768, 378, 1056, 734.4 of 1920x1080 are 0.4, 0.35, 0.15, 0.33.
"""

from dataclasses import dataclass, field

Box = tuple[str, float, tuple[float, float, float, float]]


@dataclass(frozen=True)
class Expected:
    """The facts of one sample.

    `image` is the SHA-256 of the bytes, `image_reason` a part of the reason where there are none. `boxes` is None when
    no detector answered. `telegram` is the number of the message, or a part of the error, or None when the step did
    not run. `camera` is (device, camera). `absent` says which notes there must be, with a part of each.
    """

    status: str = "success"
    image: str | None = None
    image_reason: str | None = None
    boxes: tuple[Box, ...] | None = None
    risk: str | None = None
    alert: str | None = None
    telegram: int | str | None = None
    contract: str | None = "by_name"
    camera: tuple[str, str] | None = ("sai-cam-node-01", "cam1")
    absent: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    final_data_lost_the_frame: bool = False


SMOKE: tuple[Box, ...] = (("smoke", 0.7431, (0.4, 0.35, 0.15, 0.33)),)
FIRE: tuple[Box, ...] = (("fire", 0.894, (0.36, 0.45, 0.06, 0.15)), ("smoke", 0.682, (0.3, 0.1, 0.3, 0.4)))
TWO: tuple[Box, ...] = (("smoke", 0.6617, (0.2, 0.3, 0.1, 0.3)), ("smoke", 0.4312, (0.7, 0.4, 0.08, 0.26)))

A01 = "512c61f0c9573f021f6277de1285815f91774d08995c751b70d369e52943c341"
A02 = "d19d6b03d8d4aa62d67599c4545f382c0878e16d77c33cc89ba73117b89eeee4"
A03 = "e3453647d1b111a0900eb912b728d015ff32aaf7dec273c79a6cb6b499b44b5b"
A04 = "3ba4460cee2d2b6cd7314ac2857a58fb82ca518730281d29270e2a4d2b7ba01b"
A05 = "7c21a835fb5c5f20b06401cfba1b2c6beb7ee07db813d26103e10a0f2b831a52"
A06 = "ee03ba7a21dfb9c7e2bc2acfc91a592785d7227726e6ff94266d71a1934853ba"
A11 = "0b734ac7536fa52bf10696736814d88d00627e7b1bd82ed7ff56235282622d61"
A13 = "1810cfdcfe5b5b98511dadb9ad4d71fe643384f77d5f211bb315a4061683cac1"
B01 = "e1091130b6f66ac306f3d29dea68f13a6b260729e99deb71c307b9cc94245070"
B02 = "d5ca57f824015c10a15fcdbbc565051953610157b1b9ee1e1fc4aa991209a21a"
B03 = "e15a6e5069ef134ac207f396397bb6aa68270fdc1b4357a2fe5d3569d088a0fb"
B04 = "f68f73bedcbb8ab0483c8072e9332e847b81a489891bfe61f87f628b031ef85d"
B05 = "27fd3c7d25d4e585fb1b3f833375e059e75a4f6c343133d294f955c205c2338c"
B06 = "b9135bac2e04f9d6f2fdaab1979be0d8ee3bff4c88fdcfb0ad9e236987becde6"
B08 = "4ac3125c0301bcec544785a9860fbb4d5ec4ea2c8c39676f5d535007b4bdbda0"
B09 = "157621db78745227e539d5fefcd7464e72effb4c11885cefbb7620060a676227"
C01 = "928b92276c6821bce524f5bb16ae08267f26318e21f8bf117f057ddeb0c34808"
C02 = "2272dfb19c055d4c7f80884d5908ac6270a527be26ef7b2820e1a26d07221951"
C04 = "4f00cd5f2b4d72790dcc9e5d537a35154312dab8c46a5fde4fbc9bc8e1088fcb"
E1 = "89f36e15b9ba5a8bf8ca32140e1c42bf8502569cf6866dde72131967945a2cc9"
F1_FIRST = "29e4d12bc21d9b0819b5dedb959a05efc8330f2274325d9eef590fdec0f66311"
F1_THIRD = "a1029c739c48044932b28ab71dbab9441bc06dc275ea5b01c5946fd30554c8b2"
F2 = "dd2c5d0480b6a10fecd5964d118b3a3450ad5c012d39f9c043af42e8cbd6d419"
F4 = "b3330941d73428398b13df1d02257a03b4b1eb6883c52fe8a17dedb2bf702a5c"

NO_IMAGE = "sent no image"
LABELLED = {"risk_level": "labelled statement"}
MEMORY = {"detector": "CUDA out of memory", "vision": "has answered"}
CRASHED = {"detector": "lost the answer of YOLO Inference", "vision": "lost the answer of Ollama"}
NOTHING_RAN = {"detector": "has answered", "vision": "has answered"}


def smoke(image: str, telegram: int | str, camera: str = "cam1", device: str = "sai-cam-node-01") -> Expected:
    """Smoke, said so by the detector and in the vision model's prose."""
    return Expected("success", image, None, SMOKE, "high", "high", telegram, camera=(device, camera), absent=LABELLED)


def quiet(image: str) -> Expected:
    """Nothing found, nobody told."""
    return Expected("success", image, None, (), "none", "none", camera=("sai-cam-node-01", "cam2"), absent=LABELLED)


def failed(
    image: str | None, error: str, camera: str = "cam1", reason: str | None = None, device: str = "sai-cam-node-01"
) -> Expected:
    """The detector failed and stopped the workflow: no result, which is not "no fire"."""
    absent = {"detector": error, "vision": "has answered"}
    return Expected("error", image, reason, contract=None, camera=(device, camera), absent=absent, error=error)


def crashed() -> Expected:
    """n8n was killed after the detector had answered; the answer is lost, the frame is not."""
    error = "Workflow did not finish"
    return Expected("crashed", C04, contract=None, camera=("sai-cam-node-01", "cam3"), absent=CRASHED, error=error)


def canceled() -> Expected:
    return Expected("canceled", C01, contract=None, absent=NOTHING_RAN, error="cancelled manually")


def two_models_disagree(telegram: int) -> Expected:
    """The vision model's JSON in a Markdown fence says: smoke, no fire. The detector sees both."""
    camera = ("sai-cam-node-01", "cam3")
    return Expected("success", A03, None, FIRE, "high", "critical", telegram, camera=camera, absent={"flags": "fire"})


def cut_off_json(telegram: int) -> Expected:
    """The vision model's JSON ends in the middle; its risk level was complete."""
    return Expected(
        *("success", A04, None, TWO, "medium", "medium", telegram),
        camera=("sai-cam-node-02", "cam1"),
        absent={"raw_response": "cut off"},
    )


NO_BODY = Expected(
    "error",
    image_reason=NO_IMAGE,
    contract=None,
    camera=None,
    absent={"detector": "image_url must be provided", "metadata": "no metadata", "captured_at": "no time"},
    error="image_url must be provided",
)
NO_METADATA = Expected(image=B08, contract=None, camera=None, absent=NOTHING_RAN | {"metadata": "no metadata"})
NO_IMAGE_URL = "image_url must be provided"
NO_BINARY = "no binary field 'image'"

EXPECTED: dict[str, dict[int, Expected]] = {
    "1.60.1": {
        1: smoke(A01, 1016),
        5: failed(A05, "CUDA out of memory"),
        16: smoke(B01, 1020),
        18: smoke(B03, "Bad request - please check your parameters"),
        # Canceled, then n8n lost track of it and cut its data to almost nothing.
        26: Expected(
            *("error", C01),
            contract=None,
            absent=CRASHED,
            error="No active execution found",
            final_data_lost_the_frame=True,
        ),
        29: crashed(),
    },
    "1.123.5": {
        1: smoke(A01, 1001),
        2: quiet(A02),
        3: two_models_disagree(1002),
        4: cut_off_json(1003),
        5: failed(A05, "CUDA out of memory"),
        6: failed(A06, "The connection was aborted"),
        # The detector answered before the vision model failed.
        7: Expected(
            *("error", A04, None, SMOKE, None, "high"),
            camera=("sai-cam-node-01", "cam4"),
            absent={"vision": "llama runner process has terminated"},
            error="llama runner process has terminated",
        ),
        9: failed(None, NO_IMAGE_URL, reason=NO_IMAGE),
        10: failed(None, "Only base64 data is allowed", reason="not valid base64"),
        11: failed(A11, "cannot identify image file"),
        12: NO_BODY,
        13: smoke(A13, 1004, "cam2"),
        15: NO_BODY,
        16: smoke(B01, 1005),
        17: quiet(B02),
        18: smoke(B03, "Bad Request: chat not found"),
        20: Expected(
            *("success", B05, None, FIRE, "high", "critical", 1006),
            camera=("sai-cam-node-01", "cam3"),
            absent=LABELLED,
        ),
        21: failed(B06, "CUDA out of memory", "cam3"),
        22: failed(None, NO_BINARY, reason=NO_IMAGE),
        23: NO_METADATA,
        24: failed(B09, "cannot identify image file"),
        26: canceled(),
        27: failed(C02, "CUDA out of memory", "cam2"),
        29: crashed(),
        30: smoke(B01, 1008),
        31: quiet(B02),
        32: smoke(B03, "Bad Request: chat not found"),
        33: smoke(B04, "Too Many Requests: retry after 14", device="sai-cam-node-02"),
        35: failed(B06, "CUDA out of memory", "cam3"),
        36: failed(None, NO_BINARY, reason=NO_IMAGE),
        37: NO_METADATA,
        # n8n drops a part without bytes, and the metadata part with it.
        39: Expected(
            image_reason=NO_IMAGE, contract=None, camera=None, absent=NOTHING_RAN | {"metadata": "no metadata"}
        ),
        40: smoke(F1_FIRST, 1026),
        42: smoke(F1_THIRD, 1028, "cam2"),
        # The waiting workflow has neither a vision model nor a notification.
        43: Expected("success", F2, None, SMOKE, None, "high", absent={"vision": "has answered"}),
        47: smoke(F4, 1032),
    },
    "2.41.1": {
        1: smoke(A01, 1010),
        3: two_models_disagree(1011),
        4: cut_off_json(1012),
        5: failed(A05, "CUDA out of memory"),
        9: failed(None, NO_IMAGE_URL, reason=NO_IMAGE),
        16: quiet(B02),
        20: failed(B06, "CUDA out of memory", "cam3"),
        25: canceled(),
        28: crashed(),
        31: smoke(E1, 1024),
        33: smoke(E1, 1025),
    },
}
