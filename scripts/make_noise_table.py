"""Reduce the exposure-time calculator's table to the columns that specvit needs.

usage: python scripts/make_noise_table.py mr_noise_table.npz [--out src/specvit/data/pfs_mr_noise.safetensors]

The input is the output of Subaru-PFS/spt_ExposureTimeCalculator v2.0 (commit aac84fa, MIT, instrument
file PFS.redMR.20240714) for 12 x 900 s at zenith 22.5 deg, field angle 0.325 deg, seeing 0.8 arcsec,
no moon, point source.
"""

import argparse

import numpy as np
import torch

from specvit.archive import write_archive
from specvit.survey.pfsnoise import FORMAT

COLUMNS = (
    "counts_22p5_3h_center",
    "sky_counts_3h",
    "var_sky_3h",
    "var_skysys_3h",
    "var_stray_3h",
    "var_dark_3h",
    "var_read_3h",
    "ap_seeing",
    "ap_field_deg",
    "ap_wave_A",
    "aperture_factor_grid",
    "field_vignetting",
    "field_obscuration_corr",
    "field_fiber_radius_arcsec",
)

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("table")
parser.add_argument("--out", default="src/specvit/data/pfs_mr_noise.safetensors")
arguments = parser.parse_args()
with np.load(arguments.table) as table:
    columns = {name: torch.as_tensor(table[name].astype(np.float32)) for name in COLUMNS}
    write_archive(arguments.out, FORMAT, columns, {"columns": list(COLUMNS)})
