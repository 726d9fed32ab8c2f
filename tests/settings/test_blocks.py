"""Settings of one's own classes."""

from sedrepro.settings import Decoding


def test_median_windows_of_classes_without_one_are_the_average():
    decoding = Decoding(median={"Cat": 3, "Dog": 4, "Owl": 20})
    assert decoding.windows(["Heron", "Owl", "Bittern", "Cat"]) == [9, 20, 9, 3]
    assert Decoding(median=5).windows(["Heron", "Owl"]) == [5, 5]
