"""Cheap paths through groups of nodes, beside all paths that there are."""

from itertools import permutations, product

import numpy as np
import pytest

from musiclatent.edm import cheapest_paths


def _steps(rng, sizes) -> tuple[np.ndarray, np.ndarray]:
    """Groups of so many nodes each, with random steps between them."""
    track = np.repeat(np.arange(len(sizes)), sizes)
    step = rng.uniform(0, 1, (len(track), len(track)))
    step[track[:, None] == track] = np.inf
    return track, step


def _all(track: np.ndarray, step: np.ndarray) -> float:
    """The cheapest of all paths, by trying them; each begins at the first node of its group."""
    groups = [np.flatnonzero(track == t) for t in np.unique(track)]
    return min(
        cheapest_paths.length(path, step)
        for order in permutations(groups)
        for path in product(order[0][:1], *order[1:])
    )


@pytest.mark.parametrize("sizes", [[1], [2, 1], [1, 2, 3], [2, 2, 1, 2]])
def test_the_exact_path_is_the_best_of_all_and_the_search_no_better(rng, sizes):
    track, step = _steps(rng, sizes)
    best = _all(track, step)
    exact = cheapest_paths.exact(track, step)
    assert cheapest_paths.length(exact, step) == pytest.approx(best)
    assert sorted(track[exact]) == list(range(len(sizes)))
    found = cheapest_paths.search(track, step, 0)
    assert sorted(track[found]) == list(range(len(sizes)))
    by_number = cheapest_paths._entries(np.arange(len(sizes)), track, step)
    length = cheapest_paths.length(found, step)
    assert best - 1e-9 <= length <= cheapest_paths.length(by_number, step) + 1e-9


def test_an_order_begins_and_ends_where_that_is_cheap_and_is_no_worse_than_one_given():
    place = np.array([3.0, 0, 4, 1, 2])
    step = np.abs(place[:, None] - place)
    np.fill_diagonal(step, np.inf)
    find = cheapest_paths.cheapest_order
    away = np.where(np.arange(5) == 1, 0.0, 9.0)
    assert find(np.arange(5), step, before=away).tolist() == [1, 3, 4, 0, 2]
    assert find(np.arange(5), step, after=away).tolist() == [2, 0, 4, 3, 1]
    given = np.array([2, 0, 4, 3, 1])
    found = find(np.arange(5), step, start=given)
    assert cheapest_paths.length(found, step) <= cheapest_paths.length(given, step) == 4


def test_the_way_through_layers_is_the_cheapest():
    steps = [np.array([[1.0, 5.0]]), np.array([[9.0, 9.0], [1.0, 2.0]]), np.array([[9.0], [0.0]])]
    assert cheapest_paths.through_layers(steps) == [0, 1, 1, 0]
    assert cheapest_paths.through_layers([]) == [0]
