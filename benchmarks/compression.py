"""Restore images that were compressed by JPEG: what is gained, and whether compression is seen without being told.

    python benchmarks/compression.py SCOREBOARD --qualities 10 20 40 --crop 192 --threads 1 --json compression.json

Truths are written as JPEG and read back. "auto" finds out by itself, "told" is the setting noise="compression".
"""

from __future__ import annotations

import sys

import numpy as np
from report import options, read, save, table
from simulate import compressed, psnr, truths

import napari_dip as dip


def main() -> int:
    """Restore all."""
    parser = options(__doc__)
    parser.add_argument("--qualities", type=int, nargs="+", default=[10, 20, 40], help="of JPEG (default: 10 20 40)")
    given = read(parser)
    results = []
    for name, truth in truths(given.folder, given.images, given.crop).items():
        for quality in given.qualities:
            image = np.round(255 * compressed(truth, quality)).astype(np.uint8)
            row = {"image": name, "quality": quality, "input": psnr(image / 255, truth)}
            for title, noise in (("auto", "auto"), ("told", "compression")):
                settings = {"noise": noise, "threads": given.threads, "max_iterations": given.iterations}
                end = dip.denoise(image, axes="YXS" if image.ndim == 3 else "YX", **settings)
                row[title] = psnr(end.image / 255, truth)
                row[f"{title} found"] = end.record["planes"][0]["noise"]
            results.append(row)
            save(given, results)
    header = ["image", "quality", "input (dB)", "auto (dB)", "found", "told (dB)"]
    names = ("image", "quality", "input", "auto", "auto found", "told")
    table("JPEG", header, ([str(row[key]) if key == "quality" else row[key] for key in names] for row in results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
