"""A face in a photo, and enhancers whose landmarks are given by hand."""

from typing import Any

import cv2
import numpy as np
import torch
from skimage import data

from superres.faces import alignment, networks
from superres.faces.alignment import Landmarks
from superres.faces.enhancer import Bytes, FaceEnhancer, Network
from superres.image.frame import Pixels

CPU = torch.device("cpu")
# Read off the astronaut's photo: left and right eye, nose, corners of the mouth.
EYES_NOSE_MOUTH: Landmarks = np.array(
    [[204.2, 100.8], [246.7, 103.3], [224.2, 125.8], [204.2, 140.8], [243.3, 141.7]]
)
LEFT, TOP, SIDE = 120, 20, 200  # a part of the photo with her face
LANDMARKS: Landmarks = EYES_NOSE_MOUTH - [LEFT, TOP]


def photo() -> Bytes:
    picture: Any = data
    return np.asarray(picture.astronaut(), np.uint8)


def portrait() -> Bytes:
    return np.ascontiguousarray(photo()[TOP : TOP + SIDE, LEFT : LEFT + SIDE])


def ellipse(face: torch.Tensor) -> torch.Tensor:
    """Scores that call the middle of any face skin and all else background."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 512), torch.linspace(-1, 1, 512), indexing="ij")
    scores = torch.zeros(1, networks.CLASSES, 512, 512)
    scores[0, 1] = 1 - 2 * ((x / 0.7) ** 2 + (y / 0.8) ** 2)
    return scores


def make_enhancer(
    *landmarks: Landmarks, restore: Network = lambda face: face, parse: Network = ellipse
) -> FaceEnhancer:
    return FaceEnhancer(lambda picture: list(landmarks), restore, parse, CPU)


def darker(face: torch.Tensor) -> torch.Tensor:
    return face * 0.5 - 0.25


def enlarged(picture: Pixels, scale: int) -> Pixels:
    big = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    if big.ndim == 2:  # OpenCV drops the axis of a single channel
        big = big[..., None]
    return np.asarray(big, np.uint16) if picture.dtype == np.uint16 else np.asarray(big, np.uint8)


def psnr(a: Pixels, b: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def moved(size: float, angle: float, x: float, y: float) -> Landmarks:
    """Landmarks of a face with its middle at x, y, `size` times 512 pixels, turned by `angle`."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks: Landmarks = (alignment.TEMPLATE - 256) @ turn.T * size + [x, y]
    return landmarks
