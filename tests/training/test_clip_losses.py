"""The losses that the image tower learns from: who is pushed where, and who is left alone."""

from __future__ import annotations

import torch
from torch import Tensor

from training.clip.losses import (
    FIRST_LEVEL,
    SHARPNESS,
    Level,
    pair_loss,
    stranger_loss,
    wrong_names,
)
from training.text.teacher import TEACHER_DIM

NAMES = 200


def meanings() -> Tensor:
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(NAMES, TEACHER_DIM, generator=random)
    rows[1] = rows[0] + 0.1 * rows[1]  # two words for one thing
    return torch.nn.functional.normalize(rows, dim=-1)


def test_two_words_for_one_thing_are_not_wrong_for_each_other() -> None:
    wrong = wrong_names(torch.tensor([0, 5]), meanings())
    assert wrong.shape == (2, NAMES)
    assert not wrong[0, 0]
    assert not wrong[0, 1]
    assert wrong[0, 2:].all()
    assert not wrong[1, 5]
    assert wrong[1].sum() == NAMES - 1


def test_the_level_is_where_a_pair_is_as_likely_as_not() -> None:
    told = meanings()
    made = torch.zeros(1, TEACHER_DIM + 128)
    made[0, :TEACHER_DIM] = told[7] * 0.3  # colours beside it shorten the words' part
    logits = Level()(made, told)
    assert logits.shape == (1, NAMES)
    assert torch.isclose(logits[0, 7], torch.tensor(SHARPNESS * (1 - FIRST_LEVEL)), atol=1e-4)
    assert logits[0].argmax() == 7


def test_a_pair_pulls_at_its_thing_pushes_wrong_names_and_leaves_the_others() -> None:
    logits = torch.zeros(2, 4, requires_grad=True)
    things = torch.tensor([0, 3])
    wrong = torch.tensor([[False, False, True, True], [True, True, True, False]])
    (slope,) = torch.autograd.grad(pair_loss(logits, things, wrong), logits)
    assert (slope[wrong] > 0).all()
    assert (slope[[0, 1], things] < 0).all()
    assert slope[0, 1] == 0  # shown too, or another word for it


def test_a_stranger_is_kept_from_all_names_but_the_likeliest() -> None:
    told = meanings()
    remembered = torch.cat([told[40:43], torch.zeros(3, 128)], 1)
    logits = torch.zeros(3, NAMES, requires_grad=True)
    (slope,) = torch.autograd.grad(stranger_loss(logits, remembered, told), logits)
    left = slope == 0
    assert left.sum(1).tolist() == [2, 2, 2]  # one in a hundred
    assert left[[0, 1, 2], [40, 41, 42]].all()
