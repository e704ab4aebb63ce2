"""What acts and what it acts on: environments and agents, many episodes at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from holdfast.core.dice import Dice


class Env(ABC):
    """A world that answers to actions; every row is an episode of its own.

    `steps` bounds the length of an episode, `least` its return from below (minus infinity if
    there is no such bound). The state is one tensor, rows first; `view` is what an agent sees.
    """

    @property
    @abstractmethod
    def steps(self) -> int:
        """Largest number of steps of an episode."""

    @property
    def least(self) -> float:
        """A number that no return falls below."""
        return float("-inf")

    @abstractmethod
    def reset(self, n: int, dice: Dice) -> Tensor:
        """`(n, ...)`: the states in which n episodes begin."""

    @abstractmethod
    def view(self, state: Tensor) -> Tensor:
        """`(n, ...)`: what is seen of the states; the adversary changes this, not the state."""

    @abstractmethod
    def step(self, state: Tensor, action: Tensor, dice: Dice) -> tuple[Tensor, Tensor, Tensor]:
        """The next states, the rewards `(n,)` and whether the episodes are over `(n,)`."""


class Agent(ABC):
    """Acts on what it sees; what it remembers is handed on, never kept inside."""

    def start(self, n: int) -> Any:  # noqa: B027
        """The memory with which n episodes begin; None if it needs none."""

    @abstractmethod
    def act(self, memory: Any, x: Tensor, dice: Dice) -> tuple[Tensor, Any]:
        """The actions `(n, ...)` on the views `(n, ...)`, and the memory afterwards."""

    def learn(self, memory: Any, x: Tensor, action: Tensor, reward: Tensor) -> Any:
        """The memory after a step has shown its rewards; most agents do not learn in use."""
        return memory
