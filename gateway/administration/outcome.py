"""What an apply of a contract did, or would do, as a value: with its plan, as a terminal shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gateway.administration.effect import without_effect
from gateway.administration.hits import Impact
from gateway.administration.recorded import Recorded, Trial
from gateway.administration.unchanged import InForce
from partners.contract import Contract, ContractFile
from partners.endpoint import Endpoint
from partners.onboarding import ContractChange
from partners.partner import Partner
from partners.plan import Difference, render_plan


@dataclass(frozen=True, slots=True)
class ContractOutcome:
    """What an apply did, or would do.

    `plan`: for a terminal, `notes` among its lines. `blocked`: codes that refuse the apply unless allowed
    (told by a dry run only). `partner`: as it is, or would be made. `secrets`: endpoint name and `whsec_`
    text, shown this once. `impacts`: whom what is changed or removed hits. `recorded`: how the newest events
    would fare, of a dry run, which tries them against `trials`. `contract`: as it is to be, where it changes.
    """

    created: bool
    changed: bool
    revision: int
    previous: int
    plan: str
    differences: tuple[Difference, ...]
    blocked: tuple[str, ...]
    notes: tuple[str, ...] = ()
    partner: Partner | None = field(default=None, repr=False)
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    impacts: tuple[Impact, ...] = ()
    recorded: tuple[Recorded, ...] = ()
    trials: tuple[Trial, ...] = field(default=(), repr=False)
    contract: Contract | None = field(default=None, repr=False)


def settled(known: InForce, topics: tuple[str, ...]) -> ContractOutcome:
    """The outcome where all is as it was sent; `topics`: what is odd about those of the partner."""
    notes = (*(f"? {note}" for note in known.notes), *without_effect(known.file, known.endpoints))
    notes += tuple(f"? topic {words}" for words in topics)
    slug, revision = known.partner.slug, known.revision
    return ContractOutcome(
        created=False,
        changed=False,
        revision=revision,
        previous=revision,
        plan=render_plan(slug, (), revision=revision, notes=notes),
        differences=(),
        blocked=(),
        notes=notes,
        partner=known.partner,
    )


def with_lost(outcome: ContractOutcome, lost: tuple[str, ...]) -> ContractOutcome:
    """The outcome where the external registry has lost schemas: that alone is something to do."""
    differences = (
        *outcome.differences,
        *(Difference("+", "registry", one, "registered again") for one in lost),
    )
    slug = outcome.partner.slug if outcome.partner else ""
    plan = render_plan(slug, differences, revision=outcome.previous, notes=outcome.notes)
    return replace(outcome, changed=True, differences=differences, plan=plan)


def outcome_of(
    file: ContractFile,
    change: ContractChange,
    previous: int,
    incompatible: tuple[str, ...],
    there: Sequence[Endpoint],
) -> ContractOutcome:
    """The outcome of a change; `incompatible`: what it breaks, in words; `there`: endpoints after it."""
    destructive = any(one.is_destructive for one in change.differences)
    blocked = ("destructive",) * destructive + ("incompatible",) * bool(incompatible)
    notes = (*incompatible, *(f"? {note}" for note in change.notes), *without_effect(file, there))
    return ContractOutcome(
        created=change.is_new,
        changed=not change.is_unchanged,
        revision=change.revision,
        previous=previous,
        plan=render_plan(file.contract.partner, change.differences, revision=previous, notes=notes),
        differences=change.differences,
        blocked=blocked,
        notes=notes,
        partner=change.partner,
        secrets=change.secrets,
        contract=file.contract,
    )
