"""SwinIR."""

from functools import partial

from superres.catalogue.window_transformers import (
    CLASSICAL,
    LIGHTWEIGHT,
    REAL_GAN,
    REAL_PSNR,
    describe_window_transformer,
)
from superres.model_spec import NetworkSpec, Weights
from superres.networks.swinir import (
    build_classical,
    build_lightweight,
    build_real,
    build_real_large,
    drop_tables,
)

SWINIR = "https://github.com/JingyunLiang/SwinIR"


def describe_release_file(file: str, size: int | None, sha256: str | None) -> Weights:
    """Return a file of SwinIR's release v0.0."""
    url = f"{SWINIR}/releases/download/v0.0/{file}"
    return Weights(file, "Apache-2.0", SWINIR, url, sha256, size)


def _describe_medium(
    patch: int, scale: int, size: int, sha256: str, bytes_per_pixel: int, seconds: float
) -> NetworkSpec:
    """Return classical SwinIR-M, trained on DF2K with patches of 64 or on DIV2K with 48."""
    data = {64: "DF2K", 48: "DIV2K"}[patch]
    return describe_window_transformer(
        f"swinir.classical-x{scale}" if patch == 64 else f"swinir.classical-div2k-x{scale}",
        scale,
        partial(build_classical, scale),
        describe_release_file(
            f"001_classicalSR_{data}_s{patch}w8_SwinIR-M_x{scale}.pth", size, sha256
        ),
        bytes_per_pixel,
        seconds,
        CLASSICAL,
        drop_tables,
    )


def _describe_small(scale: int, size: int, sha256: str, seconds: float) -> NetworkSpec:
    """Return lightweight SwinIR-S."""
    return describe_window_transformer(
        f"swinir.lightweight-x{scale}",
        scale,
        partial(build_lightweight, scale),
        describe_release_file(f"002_lightweightSR_DIV2K_s64w8_SwinIR-S_x{scale}.pth", size, sha256),
        1_400,
        seconds,
        LIGHTWEIGHT,
        drop_tables,
    )


def _describe_real(
    kind: str, scale: int, size: int | None, sha256: str | None, seconds: float, large: bool = False
) -> NetworkSpec:
    """Return real-world SwinIR; `kind` is GAN or PSNR."""
    network = "BSRGAN_DFOWMFC_s64w8_SwinIR-L" if large else "BSRGAN_DFO_s64w8_SwinIR-M"
    return describe_window_transformer(
        f"swinir.real{'-l' if large else ''}-x{scale}{'' if kind == 'GAN' else '-psnr'}",
        scale,
        build_real_large if large else partial(build_real, scale),
        describe_release_file(f"003_realSR_{network}_x{scale}_{kind}.pth", size, sha256),
        {2: 4_700, 4: 9_500}[scale],
        seconds,
        REAL_GAN if kind == "GAN" else REAL_PSNR,
        drop_tables,
    )


# Scale, bytes and SHA-256 of the file, peak bytes per input pixel, seconds per megapixel.
_CLASSICAL_DF2K = (
    (2, 67277475, "2032ebf8f401dd3ce2fae5f3852117cb72101ec6ed8358faa64c2a3fa09ed4ac", 3_600, 108),
    (3, 68016035, "6eca3aee41f53322cd2f5a13650e212b80be8f3c0439d6fe19aef13ab1f509c7", 6_000, 110),
    (4, 67869037, "4e78e33f22c1aa8a773db0cf4a7381bae97c2362c717f155439ebc690cbd9215", 8_500, 113),
    (8, 68460535, "6b522c1ea5c21006ce3398797eb20b131ca0024cc6e7b8f3d5d29fad1310a49c", 36_000, 136),
)
_CLASSICAL_DIV2K = (
    (2, 59019939, "ac6d4895f73aa1b3d563937e29dcedcfdff4d401280e248f23db3c6f68e8343b", 3_600, 108),
    (3, 59758497, "d835497f2332aae839ae19a033290ced8686fa2a795f76fc5153ec2c83003f75", 6_000, 110),
    (4, 59611499, "129dc773ba2d4c07f3eb0bb116fbe692011b7cc072d9ca12797cd3748198610a", 8_500, 118),
    (8, 60202999, "3c3ae9238a7125e52aab457df052aa8981adb2fb8e42b6d4112a96b3c19432d7", 36_000, 142),
)
# Scale, bytes, SHA-256, seconds per megapixel.
_LIGHTWEIGHT = (
    (2, 17147989, "193b229909ca89cd8b55de9c9e7fce146ae759d59dfcd78d8feb9dd1d6fa0fd7", 18.5),
    (3, 17180437, "53af0cf0b15876752c1c2646a71444f739523b3d562e126d200521a817ab5d2c", 19.8),
    (4, 17225941, "09fad24e32ae62722e1a055efde9921328f4137981bab0a42a4a3a806306c58e", 19.8),
)
# Kind, scale, bytes, SHA-256, seconds per megapixel.
_REAL = (
    ("GAN", 2, 66974517, "f397408977a3e07eb06afb7238d453a12ef35ebab7328a54241f307860dbe342", 113),
    ("PSNR", 2, None, None, 113),
    ("PSNR", 4, 67129849, "1fd8fed99684bd271db55563e4906d36459cf535446820053f7a1081d4781dc5", 117),
)
_REAL_LARGE = (
    ("GAN", 4, 142473939, "99adfa91350a84c99e946c1eb3d8fce34bc28f57d807b09dc8fe40a316328c0a", 249),
    ("PSNR", 4, 142473947, "450be6eac63a59959b55a83df6743444de9f018547f81d16f699b3680d366ad7", 246),
)

ROWS = (
    _describe_real(
        "GAN", 4, 67129861, "b9afb61e65e04eb7f8aba5095d070bbe9af28df76acd0c9405aeb33b814bcfc6", 118
    ),
    *(_describe_small(*row) for row in _LIGHTWEIGHT),
    *(_describe_medium(64, *row) for row in _CLASSICAL_DF2K),
    *(_describe_medium(48, *row) for row in _CLASSICAL_DIV2K),
    *(_describe_real(*row) for row in _REAL),
    *(_describe_real(*row, large=True) for row in _REAL_LARGE),
)
