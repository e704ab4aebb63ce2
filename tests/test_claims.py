"""Quick claims hold as the ledger says, their mutants are caught, and the ledger is fresh."""

import pytest

from holdfast.claims import harness
from holdfast.core.catalog import entries, find
from holdfast.core.kinds import KINDS
from holdfast.core.papers import papers

CLAIMS = harness.claims()


@pytest.mark.parametrize("key", [k for k, c in CLAIMS.items() if c.quick])
def test_quick_claim(key: str) -> None:
    claim = CLAIMS[key]
    result = harness.run(claim)
    assert result.standing == claim.known, result
    assert not result.missed, f"mutants went unnoticed: {result.missed}"


@pytest.mark.parametrize("key", list(CLAIMS))
def test_claim_names_what_exists(key: str) -> None:
    claim = CLAIMS[key]
    assert key in papers() or key in KINDS or find(key)
    for method in claim.methods:
        find(method)


def test_every_entry_of_the_catalogue_has_a_claim() -> None:
    tried = {method for claim in CLAIMS.values() for method in claim.methods}
    without = [entry.key for entry in entries() if entry.key not in tried]
    assert not without, f"no claim can fail for {without}"


def test_every_paper_has_a_claim() -> None:
    without = [key for key in papers() if key not in CLAIMS]
    assert not without, f"no claim is tried for {without}"


def test_ledger_is_fresh() -> None:
    stale = harness.stale()
    assert not stale, f"run `holdfast claim {' '.join(stale)}` and commit docs/claims.*"


def test_ledger_holds_no_claim_that_does_not_exist() -> None:
    assert set(harness.ledger()) <= set(CLAIMS)
