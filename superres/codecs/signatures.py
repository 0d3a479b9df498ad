"""How image files begin: the formats that are read, and those that are refused by name."""

# How the formats begin that are read.
SIGNATURES = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "WebP": rb"RIFF....WEBP",
    "TIFF": rb"II\*\0|MM\0\*|II\+\0|MM\0\+",
    "GIF": rb"GIF8[79]a",
    "AVIF": rb"....ftyp(?:avif|avis|(?:mif1|msf1).{0,40}avi[fs])",
    "BMP": rb"BM",
    "ICO": rb"\0\0\x01\0",
    "PPM": rb"P[456]\s",
}
SUPPORTED = ", ".join(SIGNATURES)

# Refused by name. Most have decoders that are rarely tested, that run other programs (EPS) or
# fetch other files (SVG).
REFUSED = {
    "HEIC": rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
    "MP4": rb"....ftyp",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "PSD": rb"8BPS",
    "PDF": rb"%PDF",
    "EPS": rb"%!PS|\xc5\xd0\xd3\xc6",
    "FITS": rb"SIMPLE  =",
    "WMF": rb"\xd7\xcd\xc6\x9a|\x01\0\x09\0\0\x03",
    "EMF": rb"\x01\0\0\0.{36} EMF",
    "MPEG": rb"\0\0\x01[\xba\xb3]",
    "Matroska or WebM": rb"\x1a\x45\xdf\xa3",
    "DDS": rb"DDS ",
    "QOI": rb"qoif",
    "OpenEXR": rb"\x76\x2f\x31\x01",
    "PFM": rb"P[Ff]\s",
    "PAM": rb"P7\s",
    "plain-text PPM": rb"P[123]\s",
    "SVG": rb"\s*(?:<\?xml.*|<!--.*|<!DOCTYPE svg.*)?<svg[\s>]",
    "XML": rb"\s*<\?xml",
    "HTML": rb"(?i)\s*<(?:!doctype html|html|head|body)",
    "ZIP": rb"PK\x03\x04",
    "gzip": rb"\x1f\x8b",
}
