"""The figures of the datasets show what the summaries hold."""

from dataclasses import replace

import numpy as np
import pytest
from ase.data import chemical_symbols

from irrepress.report import figures, periodic_table


@pytest.fixture(scope="module")
def panel(study):
    return figures.data_panel(study)


def test_many_elements_make_a_periodic_table(panel, study):
    absent, held = panel.figures["foundation", "elements"].data
    drawn = {}
    for row, column in np.ndindex(held.z.shape):
        if np.isfinite(held.z[row][column]):
            assert np.isnan(absent.z[row][column])
            drawn[held.text[row][column]] = round(10 ** held.z[row][column])
    expected = {
        chemical_symbols[e.number]: e.structures for e in study.data["foundation"].summary.elements
    }
    assert drawn == expected
    assert np.isfinite(absent.z).sum() == 118 - len(expected)
    row, column = periodic_table.place(47)
    assert held.customdata[row][column].startswith("<b>Ag</b><br>4 atoms in 1 structure")


def test_few_elements_make_bars(panel):
    (bars,) = panel.figures["ethanol", "elements"].data
    assert dict(zip(bars.x, bars.y, strict=True)) == {"H": 60, "C": 20, "O": 10}


def test_a_histogram_has_the_counts_of_the_summary(panel, study):
    for shown in ("sizes", "energies", "forces", "pressures"):
        drawn = panel.figures["foundation", shown].data[0]
        distribution = getattr(study.data["foundation"].summary, shown)
        assert list(drawn.y) == [0, *distribution.counts, 0]
        # Each count is drawn from the edge where its bin begins to the next one.
        assert drawn.line.shape == "hv"
        assert list(drawn.x[1:]) == distribution.edges


def test_quantiles_are_marked(panel, study):
    _, median, tails = panel.figures["ethanol", "forces"].data
    quantiles = study.data["ethanol"].summary.forces.quantiles
    assert list(median.x) == [quantiles["0.5"]] * 2 + [None]
    assert f"{quantiles['0.99']:.2f}" in tails.name


def test_forces_have_a_logarithmic_axis(panel):
    figure = panel.figures["ethanol", "forces"]
    assert figure.layout.xaxis.type == "log" and "[eV/Å]" in figure.layout.xaxis.title.text
    assert figure.layout.xaxis.range[0] == pytest.approx(np.log10(figure.data[0].x[0]))


def test_values_beside_the_axis_are_counted(study):
    summary = study.data["ethanol"].summary
    forces = summary.forces.model_copy(update={"below": 3, "above": 12})
    card = study.data["ethanol"]
    changed = {
        "ethanol": type(card)(
            summary.model_copy(update={"forces": forces}), card.labelled_by_model, card.uses
        )
    }
    panel = figures.data_panel(replace(study, data=changed))
    title = panel.figures["ethanol", "forces"].layout.xaxis.title.text
    assert "not shown: 3 further left, 12 further right" in title


@pytest.mark.parametrize(
    ("dataset", "shown", "label"),
    [
        ("silicon", "energies", "an energy"),
        ("silicon", "forces", "forces"),
        ("ethanol", "pressures", "a stress"),
    ],
)
def test_absent_labels_are_said(panel, dataset, shown, label):
    (text,) = panel.figures[dataset, shown].data
    assert text.text[0] == f"No structure is labelled<br>with {label}."


def test_every_element_has_a_place_of_its_own():
    places = {periodic_table.place(number) for number in range(1, 119)}
    assert len(places) == 118
    assert all(
        0 <= row < periodic_table.ROWS and 0 <= column < periodic_table.COLUMNS
        for row, column in places
    )
    # One column holds what is alike.
    for alike in ((3, 11, 19, 37, 55, 87), (9, 17, 35, 53, 85, 117), (29, 47, 79, 111)):
        assert len({periodic_table.place(number)[1] for number in alike}) == 1
