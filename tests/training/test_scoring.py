"""Which clips become examples."""

from sedrepro.training.scoring import varied

LABELS = [("a", "Cat"), ("b", "Cat"), ("b", "Dog"), ("c", "Dog"), ("d", "Speech")]


def test_examples_show_every_class_before_one_is_repeated():
    names = ["a", "b", "c", "d", "empty"]
    assert varied(names, LABELS, 2) == [1, 3]
    assert varied(names, LABELS, 3) == [1, 3, 0]


def test_there_are_never_more_examples_than_clips():
    assert varied(["x"], [], 4) == [0]
