"""Contract files: what they hold is checked here, what they would change is for the gateway to say."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer

from gateway.cli.client import Client, path_of, under
from gateway.cli.command import Invocation, command
from gateway.cli.errors import ProblemError, UsageError
from gateway.cli.exits import Exit, exit_of
from gateway.cli.faults import problem_lines
from gateway.cli.leave import Leave, read_leave
from gateway.cli.secret_file import claimed
from gateway.contract_folder import Beside, LocalContract, beside, find_contracts, in_order, load_contract
from partners.errors import ContractFileError, Problem

_AT_ONCE: Final = 4
"""Contracts that are planned at the same time: a folder may hold a thousand."""

_PAGE: Final = 1_000
"""Partners are listed in as few requests as the gateway takes."""

_NAMED: Final = 10
"""Partners without a file that a note names; --json has all."""

File = Annotated[
    list[Path], typer.Option("--file", "-f", metavar="FILE|DIR", help="Contract file, or a folder of them.")
]
Allow = Annotated[
    str,
    typer.Option(
        "--allow", metavar="WORDS", help="Do what is blocked: destructive,incompatible.", show_default=False
    ),
]
Prune = Annotated[bool, typer.Option("--prune", help="Remove what a file no longer names.")]


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found out before anything is changed.

    `plans`: what each contract would change, in order. `without_file`: of a folder, the partners with a
    contract in force of which it has no file, by name; None: no folder was given. `refused`: contracts of
    several that have no plan, since the gateway refuses them as they are.
    """

    plans: tuple[dict[str, Any], ...]
    without_file: tuple[str, ...] | None
    refused: tuple[tuple[LocalContract, ProblemError], ...] = ()


def register(app: typer.Typer) -> None:
    """Add plan, apply and diff."""
    command(app, "plan")(plan)
    command(app, "diff")(diff)
    command(app, "apply", writes=True, asks=True)(apply)


def plan(call: Invocation, file: File, *, allow: Allow = "", prune: Prune = False) -> Exit | None:
    """Say what apply would change; exit code 6 where it would be refused. Changes nothing."""
    return _planned(call, file, read_leave(allow, prune=prune))[1]


def diff(call: Invocation, file: File, *, allow: Allow = "", prune: Prune = False) -> Exit | None:
    """As plan, with exit code 7 where anything would change."""
    looked, code = _planned(call, file, read_leave(allow, prune=prune))
    if code is not None:
        return code
    return Exit.CHANGES if any(one["changed"] for one in looked.plans) else None


def apply(
    call: Invocation,
    file: File,
    *,
    allow: Allow = "",
    prune: Prune = False,
    secrets_file: Annotated[
        Path | None,
        typer.Option("--secrets-file", metavar="FILE", help="Write new secrets there (mode 0600)."),
    ] = None,
) -> Exit | None:
    """Bring contracts into force: the plan first, then a question, then the change. No restart."""
    contracts, leave = read_contracts(file), read_leave(allow, prune=prune)
    with call.client() as client:
        looked = look(client, file, contracts)
        plans = {one["partner"]: one for one in looked.plans}
        ordered, code = in_order(contracts), _blocked(looked, leave)
        changed = [one for one in ordered if one.partner in plans and plans[one.partner]["changed"]]
        if call.dry_run or code is not None or not changed:
            closing = _closing(looked) if code is None or call.dry_run else "Nothing was changed."
            _show(call, looked, leave, closing, "apply would refuse this" if call.dry_run else "refused")
            return code
        if not call.output.as_json:
            show_plans(call, looked, leave)
        _note_others(call, looked)
        call.confirm(f"Apply {_count(len(changed), 'contract')} to {client.url}?")
        # What makes no secret may name a file that holds those of before.
        has_none = secrets_file is None or not any(map(_makes_secrets, plans.values()))
        with nullcontext() if has_none else claimed(cast("Path", secrets_file), "the secrets") as keep:
            done: list[dict[str, Any]] = []
            try:
                for contract in changed:
                    before = plans[contract.partner]
                    words, revision = leave.sent_with(before), before["previous"] or 0
                    later = [one for one in beside(contract, ordered) if not one.is_first]
                    done.append(put(client, contract, words, later, dry_run=False, revision=revision))
            finally:
                # What was applied is told, and its secrets kept, even where a later file fails.
                secrets = _secrets(done)
                if keep is not None and secrets:
                    keep("".join(f"{partner} {name} {text}\n" for partner, name, text in secrets))
                _tell(call, done, secrets_file, looked)
    return None


def put(
    client: Client,
    contract: LocalContract,
    allow: Sequence[str],
    others: Sequence[Beside] = (),
    *,
    dry_run: bool,
    revision: int | None = None,
) -> dict[str, Any]:
    """Send one contract; `revision`: the one that its author has seen, 0 for none.

    `others`: what it forwards to and is not in force yet. Raises as the client.
    """
    params = {"dry_run": dry_run, "allow": ",".join(allow) or None}
    headers: dict[str, str] = {}
    if revision is not None:
        headers = {"If-Match": f'"{revision}"'} if revision else {"If-None-Match": "*"}
    whole: dict[str, Any] = _sent(contract, contract.files)
    if others:
        whole["beside"] = [{**_sent(one.contract, one.files), "first": one.is_first} for one in others]
    body = json.dumps(whole, ensure_ascii=False).encode()
    path = under(contract.partner, "contract")
    return client.put(path, body, params=params, headers=headers).document()


def _sent(contract: LocalContract, files: Mapping[str, str]) -> dict[str, Any]:
    return {"contract": contract.text, "files": dict(files), "file_name": contract.name}


def look(client: Client, file: Sequence[Path], contracts: Sequence[LocalContract]) -> Looked:
    """What each would change; some at a time, so that neither side waits for the other.

    Who has no file is asked for at the same time, where a folder was given. Raises as the client, for the
    first that fails; of several contracts none hides the others because the gateway refuses it.
    """
    ordered, is_alone = in_order(contracts), len(contracts) == 1

    def plan_one(contract: LocalContract) -> dict[str, Any] | ProblemError:
        try:
            return put(client, contract, (), beside(contract, ordered), dry_run=True)
        except ProblemError as error:
            if is_alone or exit_of(error) not in {Exit.REFUSED, Exit.CONFLICT}:
                raise
            return error

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        is_fleet = any(path.is_dir() for path in file)
        others = threads.submit(_without_file, client, contracts) if is_fleet else None
        found = tuple(zip(contracts, threads.map(plan_one, contracts), strict=True))
        plans = tuple(one for _, one in found if not isinstance(one, ProblemError))
        refused = tuple((contract, one) for contract, one in found if isinstance(one, ProblemError))
        return Looked(plans, None if others is None else others.result(), refused)


def _without_file(client: Client, contracts: Sequence[LocalContract]) -> tuple[str, ...]:
    """The partners, not closed, with a contract in force that is none of these, by name."""
    named = {one.partner for one in contracts}
    return tuple(
        one["slug"]
        for one in client.pages(path_of("v1", "partners"), size=_PAGE)
        if one["slug"] not in named and one["state"] != "closed" and one["contract"] is not None
    )


def read_contracts(paths: Sequence[Path]) -> tuple[LocalContract, ...]:
    """Read contract files, and folders of them, with the files that they name.

    Raises:
        UsageError: there is no such file, or two are of one partner.
        ContractFileError: with every problem of every file.
    """
    contracts: list[LocalContract] = []
    problems: list[Problem] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"there is no contract file {path}")
        for each in find_contracts(path):
            try:
                contracts.append(load_contract(each))
            except ContractFileError as error:
                problems += error.problems
    if problems:
        raise ContractFileError(problems)
    found: dict[str, LocalContract] = {}
    for one in contracts:
        other = found.setdefault(one.partner, one)
        if Path(other.file.name).resolve() != Path(one.file.name).resolve():
            both = f"{other.file.name} and {one.file.name}"
            raise UsageError(f"{both} are both of the partner {one.partner}: keep one")
    return tuple(found.values())


def show_plans(call: Invocation, looked: Looked, leave: Leave, *, closing: str = "") -> None:
    """Print plans, sums where there are several, and a closing line where there is one."""
    plans = looked.plans
    if call.output.as_json:
        call.output.document(_document(plans, looked))
        return
    for one in plans:
        for line in str(one["plan"]).splitlines():
            call.output.line(line)
    whole = len(plans) + len(looked.refused)
    if whole > 1:
        changed = sum(bool(one["changed"]) for one in plans)
        blocked = sum(bool(leave.missing(one)) for one in plans) + len(looked.refused)
        call.output.line(f"{_count(whole, 'contract')}: {changed} to change, {blocked} blocked.")
    if closing:
        call.output.line(closing)


def _show(call: Invocation, looked: Looked, leave: Leave, closing: str, begin: str) -> None:
    """Show plans that are not carried out, and say how they get past what blocks them, if anything does."""
    show_plans(call, looked, leave, closing=closing)
    _note_others(call, looked)
    for contract, error in looked.refused:
        call.output.warn(f"{contract.file.name} cannot be applied as it is:")
        for line in problem_lines(error.document, "  ", path=error.path):
            call.output.warn(line)
    advice = leave.advice(looked.plans)
    if advice:
        call.output.warn(f"{begin}: mend it, or say {advice} if that is meant")


def _note_others(call: Invocation, looked: Looked) -> None:
    """Name partners of which the folder has no file: a file that is gone ends nothing."""
    names = looked.without_file or ()
    if names:
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        call.output.note(
            f"in force without a file here: {', '.join(names[:_NAMED])}{more}. "
            "Nothing of it changes; gateway partners close ends with a partner."
        )


def _document(items: Sequence[Mapping[str, Any]], looked: Looked) -> dict[str, Any]:
    """One document of the API as it came, several as items; with those whom a folder has no file of.

    Contracts that have no plan are `refused`, each with the gateway's problem document.
    """
    whole = dict(items[0]) if len(items) == 1 and not looked.refused else {"items": list(items)}
    if looked.refused:
        whole["refused"] = [
            {"partner": one.partner, "file": one.file.name, "problem": error.document}
            for one, error in looked.refused
        ]
    return whole if looked.without_file is None else {**whole, "without_file": list(looked.without_file)}


def _closing(looked: Looked) -> str:
    """What a plan ends with: whether there is anything to do is told apart from whether it was done."""
    if looked.refused or any(one["changed"] for one in looked.plans):
        return "Only planned: nothing was changed yet."
    return "Nothing to change."


def _planned(call: Invocation, file: Sequence[Path], leave: Leave) -> tuple[Looked, Exit | None]:
    contracts = read_contracts(file)
    with call.client() as client:
        looked = look(client, file, contracts)
    _show(call, looked, leave, _closing(looked), "apply would refuse this")
    return looked, _blocked(looked, leave)


def _blocked(looked: Looked, leave: Leave) -> Exit | None:
    if looked.refused:
        return exit_of(looked.refused[0][1])
    return Exit.REFUSED if any(map(leave.missing, looked.plans)) else None


def _tell(
    call: Invocation, done: Sequence[Mapping[str, Any]], secrets_file: Path | None, looked: Looked
) -> None:
    secrets = _secrets(done)
    if call.output.as_json:
        hidden = [one if secrets_file is None else {**one, "secrets": []} for one in done]
        call.output.document(_document(hidden, looked))
        return
    for one in done:
        call.output.line(f"{one['partner']}: contract {one['revision']} is in force.")
    if secrets_file is not None and secrets:
        call.output.note(f"{_count(len(secrets), 'secret')} written to {secrets_file}")
    elif secrets:
        call.output.line("Webhook secrets, shown this once:")
        for partner, name, text in secrets:
            call.output.line(f"  {partner} {name}  {text}")


def _makes_secrets(plan: Mapping[str, Any]) -> bool:
    """Whether a declared endpoint is new: each has a secret."""
    return any(one["sign"] == "+" and one["section"] == "endpoint" for one in plan["differences"])


def _secrets(done: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Partner, endpoint and secret of each that was made."""
    return [(one["partner"], each["endpoint"], each["secret"]) for one in done for each in one["secrets"]]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
