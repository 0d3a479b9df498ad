"""onnxruntime and OpenVINO with the network exported for the size of the image."""

import io
import logging
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.case import Case, Contender, Output, Run, Unavailable, to_floats, to_levels
from benchmarks.peers.plain import plain
from benchmarks.peers.tiles import Floats

INSTALL = "is not installed: pip install -r requirements-bench.txt"


def exported(case: Case) -> Path:
    """Return the network as an ONNX file for exactly this image's size, written once."""
    x = to_floats(case.pixels, case.spec.input_size.multiple_of)
    path = case.folder / f"{case.spec.name}-{x.shape[3]}x{x.shape[2]}.onnx"
    if not path.exists():
        if find_spec("onnx") is None:
            raise Unavailable(f"onnx {INSTALL}")
        export(plain(case.spec, case.state), x, path)
    return path


def export(network: nn.Module, x: Tensor, path: Path) -> None:
    """Write `network` for inputs like `x`.

    torch's older exporter takes seconds where the newer one takes a minute for a SwinIR.
    """
    names: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"]}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that the older exporter is the older one
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            torch.onnx.export(network, (x,), path, dynamo=False, opset_version=17, **names)


def runs(case: Case, call: Callable[[Floats], Floats]) -> Run:
    """Return what enlarges the image by `call`, the network in a runtime."""
    height, width = (side * case.spec.scale for side in case.pixels.shape[:2])

    def run() -> Output:
        x = to_floats(case.pixels, case.spec.input_size.multiple_of).numpy()
        return Output(to_levels(call(x), height, width), x.shape[2] * x.shape[3])

    return run


def onnxruntime(case: Case) -> Run:
    """onnxruntime as it comes, with as many threads as everybody has. Raises Unavailable."""
    try:
        from onnxruntime import InferenceSession, SessionOptions
    except ImportError as error:
        raise Unavailable(f"onnxruntime {INSTALL}") from error
    options = SessionOptions()
    options.intra_op_num_threads = case.threads
    session = InferenceSession(exported(case), options, providers=["CPUExecutionProvider"])
    return runs(case, lambda x: session.run(None, {"x": x})[0])


def openvino(precision: str) -> Callable[[Case], Run]:
    """Return what makes a contender of OpenVINO; by itself it would take bf16 where the CPU
    has it.
    """

    def make(case: Case) -> Run:
        try:
            from openvino import Core
        except ImportError as error:
            raise Unavailable(f"openvino {INSTALL}") from error
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": case.threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = Core().compile_model(str(exported(case)), "CPU", settings)
        return runs(case, lambda x: compiled([x])[0])

    return make


CONTENDERS = (
    Contender("onnxruntime", "onnxruntime, whole image", onnxruntime),
    Contender("openvino", "OpenVINO in fp32, whole image", openvino("f32")),
    Contender("openvino-bf16", "OpenVINO in bf16, whole image", openvino("bf16")),
)
