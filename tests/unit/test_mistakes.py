"""Words for what was probably meant, and silence where nobody can tell."""

import pytest

from kagglekit.mistakes import mistaken_ids, mistaken_labels, mistaken_numbers


@pytest.mark.parametrize(
    ("have", "want", "says"),
    [
        (["1 ", " 2"], ["1", "2"], "blanks around 1"),
        ([7, 12], ["007", "012"], "leading zeros of 007"),
        ([0], ["000"], "leading zeros of 000"),
        (["10.0"], [10], "decimals, 10 is"),
        (["ABC.jpg"], ["abc.JPG"], "other letters than abc.JPG"),
        (["abc.png", "d"], ["abc.jpg", "d.jpg"], "another file ending than abc.jpg"),
        (["test/a.jpg"], ["a.jpg"], "other folders before them than a.jpg"),
        (["zebra"], ["a"], ""),
        (["a ", "zebra"], ["a"], ""),
        ([], ["a"], ""),
    ],
)
def test_ids(have, want, says):
    assert says in mistaken_ids(have, want)
    assert bool(says) == bool(mistaken_ids(have, want))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["0,5", "1,25"], "decimal comma"),
        (["12 %"], "percent sign"),
        (["[0.1\n0.2]"], "lists"),
        (["tensor(0.1, device='cuda:0')"], "printed tensors"),
        ([True, "false"], "truth values"),
        (["1 234.5", "12'000"], "marks between thousands"),
        (["0,5", "many"], ""),
        ([], ""),
    ],
)
def test_numbers(values, says):
    assert says in mistaken_numbers(values)
    assert bool(says) == bool(mistaken_numbers(values))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([" rice"], "blanks around rice"),
        (["Rice"], "other letters than rice"),
        (["brown-spot"], "another way than brown spot"),
        (["1", 0], "1 may mean brown spot"),
        ([2], ""),
        (["oats"], ""),
        ([], ""),
    ],
)
def test_labels(values, says):
    assert says in mistaken_labels(values, ["rice", "brown spot"])
    assert bool(says) == bool(mistaken_labels(values, ["rice", "brown spot"]))
