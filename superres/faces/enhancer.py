"""Face enhancement: faces are found, restored by GFPGAN, and put into the enlarged image.

As gfpgan's GFPGANer and facexlib's FaceRestoreHelper do it, with four differences: the restored
face stays in floating point and 16-bit images keep their depth, only the area of a face is
touched, the decoder's noise is the stored one, and an image without colour stays without.
"""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from superres.errors import BadSetting, Failed, OutOfMemory
from superres.faces.networks import FACE, gfpgan, parsenet, retinaface
from superres.geometry import Box, Size, split_into_tiles
from superres.image.frame import Pixels
from superres.inference.quantize import to_tensor
from superres.inference.result import Progress
from superres.model_spec import Weights
from superres.weights.store import Store, load_state_dict, locate, read_state_dict

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Landmarks = NDArray[np.float64]  # (5, 2): x, y of left and right eye, nose, corners of the mouth
Matrix = NDArray[np.float64]  # (2, 3): an affine map of x, y
Detect = Callable[[Bytes], list[Landmarks]]  # from an RGB image (h, w, 3)
Network = Callable[[Tensor], Tensor]  # from a face (1, 3, 512, 512), RGB in -1..1

GFPGAN = "https://github.com/TencentARC/GFPGAN"
_FACEXLIB = "https://github.com/xinntao/facexlib"
# Neither publisher states a licence for the weights: these are the licences of code and sources.
_GFPGAN_LICENCE = "Apache-2.0 AND LicenseRef-NVIDIA-NC AND CC-BY-NC-SA-4.0"

DEFAULT = "gfpgan.v1.4"
FACE_MODELS: Mapping[str, Weights] = MappingProxyType(
    {
        DEFAULT: Weights(
            "GFPGANv1.4.pth",
            _GFPGAN_LICENCE,
            GFPGAN,
            f"{GFPGAN}/releases/download/v1.3.0/GFPGANv1.4.pth",
            "e2cd4703ab14f4d01fd1383a8a8b266f9a5833dacee8e6a79d3bf21a1b6be5ad",
            348632874,
        ),
        "gfpgan.v1.3": Weights(
            "GFPGANv1.3.pth",
            _GFPGAN_LICENCE,
            GFPGAN,
            f"{GFPGAN}/releases/download/v1.3.0/GFPGANv1.3.pth",
            "c953a88f2727c85c3d9ae72e2bd4846bbaf59fe6972ad94130e23e7017524a70",
            348632874,
        ),
    }
)
DETECTION = Weights(
    "detection_Resnet50_Final.pth",
    "MIT",
    _FACEXLIB,
    f"{_FACEXLIB}/releases/download/v0.1.0/detection_Resnet50_Final.pth",
    "6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
    109497761,
    keys=(),
)
PARSING = Weights(
    "parsing_parsenet.pth",
    "MIT AND CC-BY-NC-SA-4.0",  # facexlib, and PSFRGAN, which the network comes from
    _FACEXLIB,
    f"{_FACEXLIB}/releases/download/v0.2.2/parsing_parsenet.pth",
    "3d558d8d0e42c20224f13cf5a29c79eba2d59913419f945545d8cf7b72920de2",
    85331193,
    keys=(),
)
FACE_WEIGHTS = (*FACE_MODELS.values(), DETECTION, PARSING)

# Where eyes, nose and mouth lie in FFHQ's faces of 512x512, which GFPGAN was trained on.
TEMPLATE: Landmarks = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.1936],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ]
)
_BEYOND = (132, 133, 135)  # RGB of an aligned face past the image's border
_CONFIDENCE = 0.97
_EYE_DISTANCE = 5  # pixels of the image; below, there is nothing to restore from
DETECTION_PIXELS = 1600 * 2150  # RetinaFace's own largest image; larger ones are shrunk to it
LEFT_OUT = (0, 14, 16, 17, 18)  # ParseNet's background, hat, necklace, neck and cloth
BLUR, SIGMA, RIM = 101, 11, 10  # of the mask, in pixels of an aligned face
BLOCK = Size(1024, 1024)  # pasted at once: bounds memory whatever the size of the face


class FaceEnhancer:
    """Restores the faces of enlarged images; safe to call from several threads.

    Calls take turns face by face. Everything is computed in fp32.
    """

    def __init__(
        self, detect: Detect, restore: Network, parse: Network, device: torch.device
    ) -> None:
        """Put together; `from_store` makes the parts from the publishers' files.

        `restore` gives a face like the one it gets, `parse` scores of 19 classes for one.
        """
        self.detect = detect
        self.restore = restore
        self.parse = parse
        self.device = device
        self.turn = threading.Lock()

    @classmethod
    def from_store(cls, face_model: str, device: torch.device, store: Store) -> Self:
        """Return a FaceEnhancer with the networks of `face_model`, one of FACE_MODELS, on `device`.

        Raises BadSetting, WeightsMissing, WeightsCorrupt or WeightsMismatch, before any network is
        built where a file is missing.
        """
        files = (_face_weights(face_model), DETECTION, PARSING)
        restoration, detection, parsing = [(locate(file, store), file.keys) for file in files]
        detector = load_network(retinaface(device), *detection, device)
        restorer = load_network(gfpgan(), *restoration, device)
        parser = load_network(parsenet(), *parsing, device)
        return cls(
            partial(find_landmarks, detector),
            lambda face: restorer(face, return_rgb=False, randomize_noise=False)[0],
            lambda face: parser(face)[0],
            device,
        )

    def enhance(
        self,
        original: Pixels,
        enlarged: Pixels,
        scale: int,
        progress: Progress = lambda done, total: None,
    ) -> Pixels:
        """Return `enlarged` with its faces restored, or itself where `original` has none.

        `original` is (h, w, 1 or 3), uint8 or uint16; `enlarged` is what a network made of it,
        (scale·h, scale·w) of the same channels and depth, and is not written to. `progress` is
        called after every face with faces done and in all; an error it raises ends the work.
        Raises Failed if a restored face is not finite, OutOfMemory where the device has no room.
        """
        height, width, channels = original.shape
        assert enlarged.shape == (height * scale, width * scale, channels), enlarged.shape
        image = convert_to_8_bits(original)
        try:
            matrices = self.found(image)
            if not matrices:
                return enlarged
            result = enlarged.copy()
            grey = channels == 1 or not has_colour(original)
            for done, matrix in enumerate(matrices, start=1):
                face, mask = self.restored(_cut_out_face(image, matrix))
                face = _convert_to_luma(face, channels) if grey else face
                paste(result, face, mask, invert_alignment(matrix, scale))
                progress(done, len(matrices))
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                f"face_enhance of an image of {width}x{height} pixels does not fit into device "
                "memory",
                allowed="face_enhance=false, or a device with more free memory",
            ) from error
        return result

    def found(self, image: Bytes) -> list[Matrix]:
        """For every face of `image` the map from it to the aligned face."""
        with self.turn:
            faces = self.detect(image)
        matrices = [estimate_alignment(landmarks) for landmarks in faces]
        return [matrix for matrix in matrices if matrix is not None]

    @torch.inference_mode()
    def restored(self, face: Bytes) -> tuple[Floats, Floats]:
        """Return a restored aligned face (512, 512, 3) in 0..1, and how much of it counts (512,
        512).
        """
        with self.turn:
            out = self.restore(to_tensor(face, self.device).contiguous() * 2 - 1).float()
            if not bool(torch.isfinite(out).all()):
                raise Failed("GFPGAN gave numbers that are not finite", code="NON_FINITE")
            out = out.clamp(-1, 1)
            classes = self.parse(out).argmax(1)[0].cpu().numpy()
        pixels: Floats = out[0].permute(1, 2, 0).add(1).div(2).cpu().numpy()
        return pixels, make_soft_mask(classes)


def _face_weights(face_model: str) -> Weights:
    """Return the file of `face_model`. Raises BadSetting that lists the names there are."""
    if face_model not in FACE_MODELS:
        allowed = f"one of {', '.join(FACE_MODELS)}"
        message = f'face_model "{face_model}": expected {allowed}'
        raise BadSetting(message, option="face_model", allowed=allowed)
    return FACE_MODELS[face_model]


def load_network(
    network: nn.Module, path: Path, keys: tuple[str, ...], device: torch.device
) -> nn.Module:
    """Return `network` with the weights in the file at `path`, on `device`, for inference only."""
    load_state_dict(network, read_state_dict(path, keys), path)
    return network.eval().requires_grad_(False).to(device)


@torch.inference_mode()
def find_landmarks(detector: Any, image: Bytes) -> list[Landmarks]:
    """Return the landmarks of the faces that RetinaFace sees in an RGB image (h, w, 3), best
    first.
    """
    height, width, _ = image.shape
    seen = _shrink_to_pixels(image, DETECTION_PIXELS)
    rows = detector.detect_faces(np.ascontiguousarray(seen[..., ::-1]), _CONFIDENCE)
    ratio = np.array([width / seen.shape[1], height / seen.shape[0]])
    faces = rows[:, 5:15].reshape(-1, 5, 2).astype(np.float64) * ratio
    return [face for face in faces if np.hypot(*(face[0] - face[1])) >= _EYE_DISTANCE]


def _shrink_to_pixels(image: Bytes, pixels: int) -> Bytes:
    """Return `image`, shrunk in proportion if it has more than `pixels` pixels."""
    height, width, _ = image.shape
    factor = (pixels / (height * width)) ** 0.5
    if factor >= 1:
        return image
    size = (max(int(width * factor), 1), max(int(height * factor), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def convert_to_8_bits(pixels: Pixels) -> Bytes:
    """Return (h, w, 1 or 3) of either depth as (h, w, 3) of 8 bits, rounded."""
    if pixels.dtype == np.uint16:
        # 65535 is 257 times 255; the sum needs more than 16 bits.
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)), dtype=np.uint8)


def has_colour(pixels: Pixels) -> bool:
    """Return whether any pixel of (h, w, 3) is not grey."""
    red, green, blue = np.moveaxis(pixels, 2, 0)
    return not (np.array_equal(red, green) and np.array_equal(red, blue))


def _convert_to_luma(face: Floats, channels: int) -> Floats:
    """Return the luma (BT.601) of an RGB face, in `channels` equal channels."""
    luma = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[..., None]
    return np.repeat(luma, channels, axis=2)


def estimate_alignment(landmarks: Landmarks) -> Matrix | None:
    """Return the similarity that takes `landmarks` to TEMPLATE; None where they fit no face
    at all.
    """
    # Untyped: the stubs promise a matrix where there may be None.
    found: Any = cv2.estimateAffinePartial2D(landmarks, TEMPLATE, method=cv2.LMEDS)[0]
    if found is None or not np.isfinite(found).all() or not found[:, :2].any():
        return None
    return np.asarray(found, np.float64)


def _cut_out_face(image: Bytes, matrix: Matrix) -> Bytes:
    """Return the face (512, 512, 3) that `matrix` cuts out of an RGB image."""
    face = cv2.warpAffine(
        image, matrix, (FACE, FACE), borderMode=cv2.BORDER_CONSTANT, borderValue=_BEYOND
    )
    return np.asarray(face, np.uint8)


def invert_alignment(matrix: Matrix, scale: int) -> Matrix:
    """Return the map from an aligned face to the image enlarged `scale` times; facexlib's
    offset.
    """
    inverse = np.asarray(cv2.invertAffineTransform(matrix), np.float64) * scale
    inverse[:, 2] += 0.5 * scale if scale > 1 else 0
    return inverse


def make_soft_mask(classes: NDArray[np.int64]) -> Floats:
    """Return how much of an aligned face counts, 0..1 (512, 512): its own parts, with soft
    borders.
    """
    mask = np.isin(classes, LEFT_OUT, invert=True).astype(np.float32)
    once = cv2.GaussianBlur(mask, (BLUR, BLUR), SIGMA)
    twice = np.asarray(cv2.GaussianBlur(once, (BLUR, BLUR), SIGMA), np.float32)
    inside = np.zeros_like(twice)
    inside[RIM:-RIM, RIM:-RIM] = twice[RIM:-RIM, RIM:-RIM]
    return np.clip(inside, 0, 1)


def paste(image: Pixels, face: Floats, mask: Floats, inverse: Matrix) -> None:
    """Blend an aligned `face` (512, 512, channels) into `image` in place, by `mask`.

    Pixels that the mask does not reach keep their values exactly.
    """
    area = bound_face(inverse, Size(image.shape[1], image.shape[0]))
    if min(area.size) <= 0:
        return
    for _, core in split_into_tiles(area.size, BLOCK, overlap=0):
        left, top = area.left + core.left, area.top + core.top
        part = image[top : area.top + core.bottom, left : area.left + core.right]
        shifted = inverse - np.array([[0, 0, left], [0, 0, top]])
        weight = _warp(mask, shifted, core.size)
        if weight.any():
            part[...] = _blend(part, _warp(face, shifted, core.size), weight)


def _warp(values: Floats, matrix: Matrix, size: Size) -> Floats:
    """Return (h, w) or (h, w, channels) as `matrix` maps it into `size`, interpolated linearly,
    else 0.
    """
    return np.asarray(cv2.warpAffine(values, matrix, size), np.float32)


def bound_face(inverse: Matrix, size: Size) -> Box:
    """Return the part of an image of `size` in which the aligned face comes to lie."""
    corners = np.array([[0, 0, 1], [FACE, 0, 1], [0, FACE, 1], [FACE, FACE, 1]]) @ inverse.T
    # A pixel of the face spreads to its neighbours, hence one more on every side.
    left, top = (int(edge) for edge in np.floor(corners.min(axis=0)) - 1)
    right, bottom = (int(edge) for edge in np.ceil(corners.max(axis=0)) + 2)
    return Box(max(left, 0), max(top, 0), min(right, size.width), min(bottom, size.height))


def _blend(part: Pixels, face: Floats, weight: Floats) -> Pixels:
    """Return `part` (h, w, channels) where `weight` is 0, `face` in 0..1 where it is 1, rounded."""
    white = int(np.iinfo(part.dtype).max)
    base = part.astype(np.float32)
    mixed = base + weight[..., None] * (face.reshape(part.shape) * white - base)
    mixed = np.clip(np.rint(mixed), 0, white)
    return mixed.astype(np.uint16) if part.dtype == np.uint16 else mixed.astype(np.uint8)
