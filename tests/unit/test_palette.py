"""Colours: readable on both papers, distinguishable with colour blindness, the same for a method in every figure."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from hpo.report.palette import CARD, INK, METHODS, MUTED, OTHER, PAPER, TINTS, TOP, contrast, css, looks, luminance

# Machado, Oliveira, Fernandes 2009, Table 1 at full severity: linear RGB as a dichromat sees it
SIGHT = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "trichromacy": np.eye(3),
}


def lab(colour, sight):
    """CIE L*a*b* of #rrggbb as seen with `sight`."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(SIGHT[sight]) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    f = np.cbrt(xyz / np.array([0.9505, 1.0, 1.089]) + 1e-9)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_lines_stand_out_from_both_papers(theme):
    for paper in (PAPER, CARD):
        for tint in (INK, MUTED, *METHODS):
            assert contrast(getattr(tint, theme), getattr(paper, theme)) >= 4.5, tint.name


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_two_methods_look_the_same(theme, sight):
    """Any two of eight methods differ by 10 units of L*a*b*, or in both dash and marker."""
    drawn = looks([f"m{i}" for i in range(8)])
    for a, b in combinations(drawn.values(), 2):
        distance = np.linalg.norm(lab(getattr(a.tint, theme), sight) - lab(getattr(b.tint, theme), sight))
        assert distance >= 10 or (a.dash != b.dash and a.marker != b.marker), (a.tint.name, b.tint.name, distance)


def test_a_method_keeps_its_look_and_eight_differ():
    assert looks(["a", "b"])["b"] == looks(["a", "b", "c"])["b"]
    assert len(set(looks([str(i) for i in range(8)]).values())) == 8


@pytest.mark.parametrize("count", [8, 9, 20])
def test_of_more_than_eight_methods_the_best_have_a_colour_and_the_others_share_a_grey(count):
    names = [f"m{i}" for i in range(count)]
    drawn = looks(names, best=names[::-1])
    assert list(drawn) == names
    coloured = [name for name, look in drawn.items() if look.top]
    assert coloured == (names if count == 8 else names[-TOP:])
    assert len({drawn[name] for name in coloured}) == len(coloured)
    assert {look.colour for name, look in drawn.items() if name not in coloured} <= {OTHER.light}
    assert all(look.text == MUTED.light for look in drawn.values() if not look.top)


def test_light_colours_identify_their_css_variables():
    assert len({tint.light for tint in TINTS}) == len(TINTS)
    assert all(f"--{tint.name}:{tint.dark}" in css() for tint in TINTS)


def test_luminance_runs_from_black_to_white():
    assert luminance("#000000") == 0
    assert luminance("#ffffff") == pytest.approx(1)
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
