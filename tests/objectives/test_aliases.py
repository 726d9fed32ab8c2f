"""One class under several names: which of them its soft label is."""

import torch

from sedrepro.objectives.aliases import overwritten


def spoken(names: list[float]) -> float:
    """What is left when each name that says something new writes over those before."""
    left, heard = names[0], [names[0]]
    for name in names[1:]:
        if name > 0 and name not in heard:
            left = name
        heard.append(name)
    return left


def test_the_last_name_that_says_something_new_is_what_is_left():
    said = torch.cartesian_prod(*[torch.tensor([0.0, 0.25, 0.5, 0.75])] * 4).view(4, 64, 4)
    wanted = [[spoken(row.tolist()) for row in clip] for clip in said]
    assert overwritten(said).tolist() == wanted
    assert overwritten(said[..., :1]).tolist() == said[..., 0].tolist()


def test_a_silent_name_writes_nothing_and_a_repeated_one_neither():
    said = torch.tensor([[0.5, 0.0, 0.0], [0.5, 0.25, 0.5], [0.0, 0.25, 0.75], [0.0, 0.0, 0.25]])
    assert overwritten(said).tolist() == [0.5, 0.25, 0.75, 0.25]
