"""Face enhancement: faces are found, restored, and put into the enlarged image.

As gfpgan's GFPGANer and facexlib's FaceRestoreHelper do it, with these differences: the face is
put back half a pixel further left and up, where it came from; it is resampled cubically, and
antialiased where it shrinks; it stays in floating point from the image to the image, so that 16
bits keep their depth; only the area of a face is touched, the decoder's noise is the stored one,
and an image without colour stays without.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from superres.errors import BadSetting, Failed, OutOfMemory, WeightsMissing
from superres.faces.alignment import (
    Floats,
    Landmarks,
    Matrix,
    cut_out_face,
    estimate_alignment,
    invert_alignment,
    make_soft_mask,
    paste,
)
from superres.faces.models import DETECTION, FACE_MODELS, PARSING, FaceModel
from superres.faces.networks import parsenet, retinaface
from superres.image.frame import Pixels
from superres.inference.result import Progress
from superres.model_spec import Weights
from superres.weights.store import Store, load_state_dict, locate, read_state_dict

Bytes = NDArray[np.uint8]
Detect = Callable[[Bytes], list[Landmarks]]  # from an RGB image (h, w, 3), best first
Network = Callable[[Tensor], Tensor]  # from a face (1, 3, 512, 512), RGB in -1..1

_CONFIDENCE = 0.97
DETECTION_PIXELS = 1600 * 2150  # RetinaFace's own largest image; larger ones are shrunk to it
MAX_FACES = 100  # of an image; the surest ones are restored, the others stay as they are


class EnhancedImage(NamedTuple):
    """An image with its faces restored: how many were found, and how many of them restored.

    Not restored are faces whose eyes are closer than 5 pixels, those beyond the first 100, and
    all at strength 0.
    """

    pixels: Pixels
    found: int
    restored: int


class FaceEnhancer:
    """Restores the faces of enlarged images; safe to call from several threads.

    Calls take turns face by face. Everything is computed in fp32.
    """

    def __init__(
        self,
        detect: Detect,
        restore: Network,
        parse: Network,
        device: torch.device,
        name: str = "custom",
    ) -> None:
        """Put together; `from_store` makes the parts from the publishers' files.

        `restore` gives a face like the one it gets, `parse` scores of 19 classes for one; `name`
        is the restorer's, for answers.
        """
        self.detect = detect
        self.restore = restore
        self.parse = parse
        self.device = device
        self.name = name
        self.turn = threading.Lock()

    @classmethod
    def from_store(cls, face_model: str, device: torch.device, store: Store) -> Self:
        """Return a FaceEnhancer with the networks of `face_model`, one of FACE_MODELS, on `device`.

        Raises BadSetting, WeightsMissing, WeightsCorrupt or WeightsMismatch, before any network is
        built where a file is missing.
        """
        chosen = _find_face_model(face_model)
        files = (chosen.weights, DETECTION, PARSING)
        restoration, detection, parsing = [(_locate_verifiable(f, store), f.keys) for f in files]
        detector = load_network(retinaface(device), *detection, device)
        restorer = load_network(chosen.build(), *restoration, device)
        parser = load_network(parsenet(), *parsing, device)
        return cls(
            partial(find_landmarks, detector),
            partial(restore_face, restorer),
            lambda face: parser(face)[0],
            device,
            face_model,
        )

    def enhance(
        self,
        original: Pixels,
        enlarged: Pixels,
        scale: int,
        progress: Progress = lambda done, total: None,
        strength: float = 1.0,
    ) -> EnhancedImage:
        """Restore the faces of an enlarged image.

        Args:
            original: (h, w, 1 or 3), uint8 or uint16.
            enlarged: What a network made of it, (scale·h, scale·w) of the same channels and depth;
                it is not written to.
            scale: How many times larger that is.
            progress: Called after every face with faces done and in all; an error it raises ends
                the work.
            strength: How much of a restored face is blended into the enlarged one, 0..1.

        Returns:
            A new image, or `enlarged` itself where no face was restored.

        Raises:
            Failed: A restored face is not finite.
            OutOfMemory: The device has no room.
        """
        height, width, channels = original.shape
        assert enlarged.shape == (height * scale, width * scale, channels), enlarged.shape
        try:
            found, matrices = self.find_faces(original)
            matrices = matrices if strength else []
            if not matrices:
                return EnhancedImage(enlarged, found, 0)
            result = enlarged.copy()
            grey = channels == 1 or not has_colour(original)
            for done, matrix in enumerate(matrices, start=1):
                face, mask = self.restored(cut_out_face(original, matrix))
                face = _convert_to_luma(face, channels) if grey else face
                paste(result, face, mask, invert_alignment(matrix, scale), strength)
                progress(done, len(matrices))
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                f"face_enhance of an image of {width}x{height} pixels does not fit into device "
                "memory",
                allowed="face_enhance=false, or a device with more free memory",
            ) from error
        return EnhancedImage(result, found, len(matrices))

    def find_faces(self, image: Pixels) -> tuple[int, list[Matrix]]:
        """Return how many faces an image has, and the maps from it to those worth restoring."""
        with self.turn:
            faces = self.detect(convert_to_8_bits(image))
        matrices = [estimate_alignment(landmarks) for landmarks in faces]
        return len(faces), [matrix for matrix in matrices if matrix is not None][:MAX_FACES]

    @torch.inference_mode()
    def restored(self, face: Floats) -> tuple[Floats, Floats]:
        """Return a restored aligned face (512, 512, 3) in 0..1, and how much of it counts (512,
        512).
        """
        x = torch.from_numpy(face).to(self.device).permute(2, 0, 1)[None].contiguous()
        with self.turn:
            out = self.restore(x * 2 - 1).float()
            if not bool(torch.isfinite(out).all()):
                raise Failed(f"{self.name} gave numbers that are not finite", code="NON_FINITE")
            out = out.clamp(-1, 1)
            classes = self.parse(out).argmax(1)[0].cpu().numpy()
        pixels: Floats = out[0].permute(1, 2, 0).add(1).div(2).cpu().numpy()
        return pixels, make_soft_mask(classes)


def _find_face_model(face_model: str) -> FaceModel:
    """Return a row of FACE_MODELS. Raises BadSetting that lists the names there are."""
    if face_model not in FACE_MODELS:
        allowed = f"one of {', '.join(FACE_MODELS)}"
        message = f'face_model "{face_model}": expected {allowed}'
        raise BadSetting(message, option="face_model", allowed=allowed)
    return FACE_MODELS[face_model]


def _locate_verifiable(weights: Weights, store: Store) -> Path:
    """Return where a file lies. One whose hash is not known is never downloaded: the network alone
    judges the operator's copy.
    """
    if weights.sha256 is not None:
        return locate(weights, store)
    try:
        return locate(weights, replace(store, offline=True))
    except WeightsMissing as error:
        raise WeightsMissing(
            f"{error}; it is not downloaded for you, since no hash of it is published"
        ) from error


def load_network(
    network: nn.Module, path: Path, keys: tuple[str, ...], device: torch.device
) -> nn.Module:
    """Return `network` with the weights in the file at `path`, on `device`, for inference only."""
    load_state_dict(network, read_state_dict(path, keys), path)
    return network.eval().requires_grad_(False).to(device)


def restore_face(network: nn.Module, face: Tensor) -> Tensor:
    """Compute a face (1, 3, 512, 512) with a network of FACE_MODELS, RGB in -1..1; RestoreFormer
    has no noise to fix and ignores both arguments.
    """
    restored: Tensor = network(face, return_rgb=False, randomize_noise=False)[0]
    return restored


@torch.inference_mode()
def find_landmarks(detector: Any, image: Bytes) -> list[Landmarks]:
    """Return the landmarks of the faces that RetinaFace sees in an RGB image (h, w, 3), best
    first.
    """
    height, width, _ = image.shape
    seen = _shrink_to_pixels(image, DETECTION_PIXELS)
    rows = detector.detect_faces(np.ascontiguousarray(seen[..., ::-1]), _CONFIDENCE)
    ratio = np.array([width / seen.shape[1], height / seen.shape[0]])
    faces = rows[:, 5:15].reshape(-1, 5, 2).astype(np.float64) * ratio + (ratio - 1) / 2
    return list(faces)


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
