"""``specvit predict --plot``: a figure a star, in a folder or a PDF."""

import astropy.units as u
import numpy as np
import pytest
from specutils import Spectrum

from specvit import example_spectrum
from specvit.cli.fitfigures import _rows
from specvit.cli.program import main


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    spectrum = example_spectrum()
    columns = spectrum.spectral_axis.value, spectrum.flux.value, spectrum.uncertainty.array
    path = tmp_path_factory.mktemp("stars") / "my star.txt"
    np.savetxt(path, np.stack(columns, 1), header="wavelength flux uncertainty", comments="")
    return path


def test_a_folder_has_a_picture_of_each(file, tmp_path, capsys):
    assert main(["predict", str(file), str(file), "--medium", "vacuum", "--plot", str(tmp_path / "new")]) == 0
    assert {one.name for one in (tmp_path / "new").iterdir()} == {"my_star.png", "my_star-2.png"}
    assert (tmp_path / "new" / "my_star.png").read_bytes()[:4] == b"\x89PNG"
    assert "±" in capsys.readouterr().out


def test_a_pdf_has_a_page_of_each(file, tmp_path):
    assert main(["predict", str(file), "--medium", "vacuum", "--plot", str(tmp_path / "stars.pdf")]) == 0
    text = (tmp_path / "stars.pdf").read_bytes()
    assert text[:4] == b"%PDF" and text.count(b"/Type /Page ") + text.count(b"/Type /Page\n") == 1


def test_an_image_is_of_one_star_and_the_next_ones_lie_beside_it(file, tmp_path):
    assert (
        main(["predict", str(file), str(file), "--medium", "vacuum", "--plot", str(tmp_path / "it.svg")]) == 0
    )
    assert {one.name for one in tmp_path.iterdir()} == {"it.svg", "it-2.svg"}
    assert b"<svg" in (tmp_path / "it-2.svg").read_bytes()


def test_a_folder_that_is_missing_is_told_of_before_the_work(file, tmp_path, capsys):
    nowhere = tmp_path / "missing" / "star.png"
    assert main(["predict", str(file), "--medium", "vacuum", "--plot", str(nowhere)]) == 2
    told = capsys.readouterr()
    assert "missing" in told.err and "does not exist" in told.err and not told.out


def test_endings_of_other_files_are_no_folders(file, tmp_path, capsys):
    assert main(["predict", str(file), "--plot", str(tmp_path / "star.gif")]) == 2
    assert "must be a folder, or end in .pdf, .png" in capsys.readouterr().err
    assert not (tmp_path / "star.gif").exists()


def test_a_file_without_a_figure_is_named_once(file, tmp_path, capsys):
    path = tmp_path / "words.txt"
    path.write_text("no numbers here\n")
    assert main(["predict", str(file), str(path), "--plot", str(tmp_path / "new"), "--quiet"]) == 1
    (told,) = (line for line in capsys.readouterr().err.splitlines() if "no figure" in line)
    assert told.startswith(f"specvit: no figure: {path}: ") and told.count(str(path)) == 1


def test_targets_that_share_their_pixels_have_a_picture_each(tmp_path, capsys):
    stars = [example_spectrum(seed=seed) for seed in (1, 2)]
    arrays = {
        "flux": [one.flux.value for one in stars],
        "err": [one.uncertainty.array for one in stars],
        "wave": stars[0].spectral_axis.value,
    }
    np.savez(tmp_path / "stars.npz", **{name: np.array(values) for name, values in arrays.items()})
    command = ["predict", str(tmp_path / "stars.npz"), "--medium", "vacuum", "--plot", str(tmp_path / "new")]
    assert main([*command, "--quiet"]) == 0
    assert {one.name for one in (tmp_path / "new").iterdir()} == {"stars_0.png", "stars_1.png"}
    assert "no figure" not in capsys.readouterr().err


def test_each_target_keeps_what_is_its_own():
    wave = np.arange(7000.0, 8900.0)
    power = np.array([np.full(wave.size, 4000.0), np.full(wave.size, 5000.0)])
    flux = np.array([np.ones(wave.size), np.full(wave.size, 2.0)])
    meta = {"targetid": [7, 8], "resolution": list(power), "medium": "vacuum"}
    both = Spectrum(flux=flux * u.one, spectral_axis=wave * u.AA, meta=meta)
    for k, one in enumerate(_rows(both)):
        assert one.flux.value.tolist() == flux[k].tolist() and one.meta["targetid"] == 7 + k
        assert one.meta["resolution"].tolist() == power[k].tolist() and one.meta["medium"] == "vacuum"
