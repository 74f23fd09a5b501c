"""What a question refers to, for the training of the heads that look it up.

"Which image has a red square?" needs a head that finds the red square among the visual tokens. From answers alone such heads are not found in
thousands of steps; told where to look, they are in two hundred.
"""
import re

import numpy as np

COLORS = ["red", "green", "blue", "yellow", "purple", "orange", "black", "white"]
SHAPES = ["circle", "square", "triangle", "star"]
PLACES = ["top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right"]
CHANGE = ("change", None)
KINDS = {"shapes", "gallery", "pair", "marks", "cameras", "chart", "screenshots"}
COLOR, SHAPE = "|".join(COLORS), "|".join(SHAPES)
PLACE = "|".join(sorted(PLACES, key=len, reverse=True))
REFERENCE = re.compile(
    rf"(?P<bar>{COLOR}) bar|(?P<color>{COLOR}) (?P<shape>{SHAPE})|is (?P<alone>{COLOR})|the (?P<only>{SHAPE})"
    rf"|(?:at|on) the (?P<place>{PLACE})|(?:shows|mark) (?P<digit>\d)|changed|different"
)


def lookups(question):
    """Where in the question a reference ends, and what it is to: labels [colour, shape, digit] (0: any), a bar's colour, a place or a change."""
    for found in REFERENCE.finditer(question):
        says, end = found.groupdict(), found.end()
        if says["bar"]:
            yield end, ("bar", COLORS.index(says["bar"]) + 1)
        elif says["place"]:
            yield end, ("place", PLACES.index(says["place"]))
        elif says["digit"]:
            yield end, ("labels", (0, 0, int(says["digit"]) + 1))
        elif says["color"] or says["alone"] or says["only"]:
            color, shape = says["color"] or says["alone"], says["shape"] or says["only"]
            yield end, ("labels", (COLORS.index(color) + 1 if color else 0, SHAPES.index(shape) + 1 if shape else 0, 0))
        else:
            yield len(question), CHANGE


def place_of(row, cells):
    """The place of a row of the features of tiles with `cells` by `cells` rows each."""
    return 3 * (row // cells % cells // 3) + row % cells // 3


def referred(what, rows, labels, cells):
    """Which tokens of a drawing are referred to, or the first where none is.

    `rows` has the row of the features for each token (-1: none), `labels` the labels of the rows.
    """
    there, first_tile = rows >= 0, rows < cells**2
    own = np.where(there[:, None], labels[rows], 0)
    kind, value = what
    if kind == "labels":
        match = there & ((own == value) | (np.array(value) == 0)).all(1)
    elif kind == "place":
        match = there & first_tile & (place_of(rows, cells) == value)
    elif kind == "bar":
        match = there & first_tile & (own[:, 0] == value)
        # The bar's upper end.
        match &= rows // cells == (rows[match] // cells).min(initial=cells)
    else:
        before, after = labels.reshape(2, -1, 3)
        match = there & (before != after).any(1)[rows % cells**2]
    if not match.any():
        match[0] = True
    return match
