"""Best-first search: the published worth, its order, and what it may ask."""

from __future__ import annotations

from itertools import pairwise
from math import e

import pytest
import torch

from holdfast.attacks.best_first import BestFirst, worth
from holdfast.attacks.quiz import Quiz, letter
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.run.search import search
from holdfast.testing.worlds import Tokens
from holdfast.testing.worlds.quizzes import overlapping, questions
from holdfast.threats.tokens import Substitutions


def test_worth_is_the_published_one():
    left, depth = torch.tensor([1.0, 0.5, 1.0]).double(), torch.tensor([1.0, 1.0, 2.0]).double()
    want = torch.tensor([e**2, e**4, e**2 / 2]).double()
    torch.testing.assert_close(worth(left, depth, 2.0, 1.0).exp(), want)


def _quiz(items=6, seed=3):
    asked, offered, answers = questions(items, seed=seed)
    return Quiz.of(asked, offered, answers, dice=Dice.of(3 * items, seed))


def test_what_is_found_was_wrong_every_time_and_passed_the_judge():
    quiz, seen = _quiz(), []

    def judge(question, text):
        seen.append(text)
        return "library" not in text

    x, threat = quiz.x(), quiz.threat(judge)
    victim = quiz.victim(overlapping, seed=3)
    found = search(BestFirst(), victim, x, quiz.goal(), threat)
    assert found.broken.sum() >= 4 and seen
    assert (victim(threat.apply(x, found.change))[found.broken] == 1).all()
    assert not any("library" in t for t in quiz.read(threat.apply(x, found.change)))
    texts = quiz.read(threat.apply(x, found.change))
    assert all(q in t for q, t in zip(quiz.questions, texts, strict=True))


def test_no_change_is_asked_about_twice():
    world, rows = Tokens.make(rows=5, vocabulary=6), []

    def model(ids):
        rows.extend(map(tuple, ids.tolist()))
        return world.model(ids)

    threat = Substitutions(edits=1, vocabulary=6)
    BestFirst(steps=20, samples=5)(model, world.x, world.goal, threat)
    assert len(rows) == len(set(rows)) and len(rows) > 10


def test_the_best_open_change_is_expanded_next():
    world, order = Tokens.make(rows=1, seed=4), []

    class Watched(BestFirst):
        def _children(self, active, change):
            order.append((active.own["worth"].clone(), change.clone()))
            return super()._children(active, change)

    Watched(steps=5)(world.model, world.x, world.goal, Substitutions(edits=1, vocabulary=12))
    assert all(not torch.equal(a[1], b[1]) for a, b in pairwise(order))
    assert all((w == -torch.inf).any() for w, _ in order[1:])


def test_victims_answer_the_same_text_alike_wherever_it_stands():
    quiz = _quiz()
    victim, x = quiz.victim(overlapping, samples=7, seed=5), quiz.x()
    whole = victim(x)
    assert torch.equal(victim(x[[4, 1]]), whole[[4, 1]])
    assert set((7 * whole).flatten().tolist()) <= set(range(8))


def test_unreadable_answers_are_wrong():
    quiz = _quiz(2)

    def silent(prompts, samples, dice):
        return [["I cannot say"] for _ in prompts]

    assert (quiz.victim(silent)(quiz.x()) == 1).all()
    assert letter("The answer is B.", 4) == "B" and letter("I think so", 4) == ""


def test_sentences_that_are_too_long_are_not_offered():
    def verbose(prompts, samples, dice):
        return [["long " * 200] for _ in prompts]

    asked, offered, answers = questions(2)
    quiz = Quiz.of(asked, offered, answers, writer=verbose)
    assert quiz.pool == (((), (), ()), ((), (), ()))
    found = search(BestFirst(), quiz.victim(overlapping), quiz.x(), quiz.goal(), quiz.threat())
    assert torch.equal(found.change, quiz.threat().none(quiz.x()))
    with pytest.raises(ConfigError, match="equally many"):
        Quiz.of(asked, [offered[0], offered[1][:2]], [0, 0])


def test_fewer_victim_calls_than_breadth_first_for_as_many_questions():
    calls = {2.0: 0, 0.0: 0}
    for seed in (1, 2, 3):
        for eagerness in calls:
            quiz = _quiz(10, seed)
            attack, victim = BestFirst(eagerness=eagerness), quiz.victim(overlapping, seed=seed)
            found = search(attack, victim, quiz.x(), quiz.goal(), quiz.threat())
            assert found.broken.all()
            calls[eagerness] += found.passes.forwards
    assert calls[2.0] < 0.95 * calls[0.0]
