"""What each kind is for, and when a reader should reach for one."""

from __future__ import annotations

# kind: heading, what one does, when to use one.
KINDS: dict[str, tuple[str, str, str]] = {
    "attack": (
        "Attacks",
        "An attack looks for an admissible change that wins. What it finds is an upper bound of "
        "robustness: another attack may find more.",
        "when you want to know how a model breaks, and by how much a number is too high",
    ),
    "certifier": (
        "Certifiers",
        "A certifier proves that no admissible change can win. What it proves is a lower bound of "
        "robustness: what it leaves open may hold all the same.",
        "when a promise is needed that no attack of the future can break",
    ),
    "threat": (
        "Threats",
        "A threat is a set of admissible changes: what an adversary, or bad luck, may do.",
        "to say what shall not turn the model; every number names its threat",
    ),
    "shift": (
        "Shifts",
        "A shift changes data as weather, sensors, handling or another population do. Severity 0 "
        "changes nothing, 1 is the strongest published level.",
        "when nobody attacks, but the world differs from the training data",
    ),
    "measure": (
        "Measures",
        "A measure turns outputs, models or runs into numbers, each with its interval.",
        "when one number shall be compared between models or followed over time",
    ),
    "check": (
        "Checks",
        "A check asks one question of a model and its data, and answers with findings.",
        "in a profile: an audit is a list of checks",
    ),
    "recipe": (
        "Recipes",
        "A recipe trains a model. `holdfast harden` runs any of them.",
        "when an audit has shown what to mend",
    ),
    "objective": (
        "Objectives",
        "An objective gives one loss per row; a recipe minimises it.",
        "to build a training of your own from parts",
    ),
    "loss": (
        "Losses",
        "A loss compares outputs with targets, row by row.",
        "inside an objective, in place of the cross-entropy",
    ),
    "hook": (
        "Hooks",
        "A hook looks into a training run at fixed stages and may change what happens there.",
        "to add one idea to any recipe",
    ),
    "backward": (
        "Backward passes",
        "How the losses of a step become gradients.",
        "where the usual backward pass is not what you want",
    ),
    "optimizer": (
        "Optimizers",
        "Optimizers of torch that look around before they step.",
        "in a recipe, in place of SGD",
    ),
    "defence": (
        "Defences",
        "A defence wraps a model; attacked and certified is the whole.",
        "when the model itself must stay as it is",
    ),
    "detector": (
        "Detectors",
        "A detector learns from trusted rows how far to trust an output.",
        "when a model may decline to answer",
    ),
    "explainer": (
        "Explainers",
        "An explainer distributes an output over the input.",
        "to see what a decision rests on, and whether that is stable",
    ),
    "rewrite": (
        "Rewrites",
        "A rewrite returns a new model, smaller or cheaper.",
        "when robustness must survive compression",
    ),
    "merge": ("Merges", "A merge joins the weights of several models.", "after several trainings"),
    "aggregator": ("Aggregators", "An aggregator joins updates of clients.", "among many clients"),
    "source": (
        "Sources",
        "A source makes data of which the truth is known.",
        "to try something where the right answer can be looked up",
    ),
    "env": ("Environments", "An environment in which an agent acts.", "to judge agents"),
    "agent": ("Agents", "An agent acts, and may learn.", "to judge what holds under noise"),
}
