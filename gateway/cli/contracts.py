"""Contract files: what they hold is checked here, what they would change is for the gateway to say."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.client import Client, under
from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.secret_file import claimed
from gateway.contract_folder import LocalContract, find_contracts, load_contract
from partners.errors import ContractFileError, Problem

_AT_ONCE: Final = 4
"""Contracts that are planned at the same time: a folder may hold a thousand."""

ALLOWED: Final = frozenset({"destructive", "incompatible"})

File = Annotated[
    list[Path], typer.Option("--file", "-f", metavar="FILE|DIR", help="Contract file, or a folder of them.")
]
Allow = Annotated[
    str,
    typer.Option(
        "--allow", metavar="WORDS", help="Do what is blocked: destructive,incompatible.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    """Add plan, apply and diff."""
    command(app, "plan")(plan)
    command(app, "diff")(diff)
    command(app, "apply", writes=True, asks=True)(apply)


def plan(call: Invocation, file: File, *, allow: Allow = "") -> Exit | None:
    """Say what apply would change; exit code 6 where it would be refused. Changes nothing."""
    return _planned(call, file, allow)[1]


def diff(call: Invocation, file: File, *, allow: Allow = "") -> Exit | None:
    """As plan, with exit code 7 where anything would change."""
    documents, code = _planned(call, file, allow)
    if code is not None:
        return code
    return Exit.CHANGES if any(one["changed"] for one in documents) else None


def apply(
    call: Invocation,
    file: File,
    *,
    allow: Allow = "",
    secrets_file: Annotated[
        Path | None,
        typer.Option("--secrets-file", metavar="FILE", help="Write new secrets there (mode 0600)."),
    ] = None,
) -> Exit | None:
    """Bring contracts into force: the plan first, then a question, then the change. No restart."""
    contracts, words = read_contracts(file), _words(allow)
    with call.client() as client:
        planned = plan_all(client, contracts, words)
        changed = [pair for pair in zip(contracts, planned, strict=True) if pair[1]["changed"]]
        code = _blocked(planned, words)
        if call.dry_run or code is not None or not changed:
            refused = code is not None and not call.dry_run
            show_plans(call, planned, closing="Nothing was changed." if refused else _closing(planned))
            _advise(call, planned, words, "apply would refuse this" if call.dry_run else "refused")
            return code
        if not call.output.as_json:
            show_plans(call, planned)
        call.confirm(f"Apply {_count(len(changed), 'contract')} to {client.url}?")
        with nullcontext() if secrets_file is None else claimed(secrets_file, "the secrets") as keep:
            done: list[dict[str, Any]] = []
            try:
                for contract, before in changed:
                    done.append(put(client, contract, words, dry_run=False, revision=before["previous"] or 0))
            finally:
                # What was applied is told, and its secrets kept, even where a later file fails.
                secrets = _secrets(done)
                if keep is not None and secrets:
                    keep("".join(f"{partner} {name} {text}\n" for partner, name, text in secrets))
                _tell(call, done, secrets_file)
    return None


def put(
    client: Client,
    contract: LocalContract,
    allow: Sequence[str],
    *,
    dry_run: bool,
    revision: int | None = None,
) -> dict[str, Any]:
    """Send one contract; `revision`: the one that its author has seen, 0 for none. Raises as the client."""
    params = {"dry_run": dry_run, "allow": ",".join(allow) or None}
    headers: dict[str, str] = {}
    if revision is not None:
        headers = {"If-Match": f'"{revision}"'} if revision else {"If-None-Match": "*"}
    whole = {"contract": contract.text, "files": dict(contract.files), "file_name": contract.name}
    body = json.dumps(whole, ensure_ascii=False).encode()
    path = under(contract.partner, "contract")
    return client.put(path, body, params=params, headers=headers).document()


def plan_all(
    client: Client, contracts: Sequence[LocalContract], allow: Sequence[str]
) -> list[dict[str, Any]]:
    """What each would change, in order; some at a time, so that neither side waits for the other.

    Raises as the client, for the first that fails.
    """
    plan_one = partial(put, client, allow=allow, dry_run=True)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(plan_one, contracts))


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
    names: dict[str, str] = {}
    for one in contracts:
        other = names.setdefault(one.partner, one.name)
        if other != one.name:
            raise UsageError(f"{other} and {one.name} are both of the partner {one.partner}: keep one")
    return tuple({one.partner: one for one in contracts}.values())


def show_plans(call: Invocation, planned: Sequence[Mapping[str, Any]], *, closing: str = "") -> None:
    """Print plans, sums where there are several, and a closing line where there is one."""
    if call.output.as_json:
        call.output.document(planned[0] if len(planned) == 1 else {"items": planned})
        return
    for one in planned:
        for line in str(one["plan"]).splitlines():
            call.output.line(line)
    if len(planned) > 1:
        changed = sum(bool(one["changed"]) for one in planned)
        blocked = sum(bool(one["blocked"]) for one in planned)
        call.output.line(f"{_count(len(planned), 'contract')}: {changed} to change, {blocked} blocked.")
    if closing:
        call.output.line(closing)


def _closing(planned: Sequence[Mapping[str, Any]]) -> str:
    """What a plan ends with: whether there is anything to do is told apart from whether it was done."""
    if any(one["changed"] for one in planned):
        return "Only planned: nothing was changed yet."
    return "Nothing to change."


def _planned(call: Invocation, file: Sequence[Path], allow: str) -> tuple[list[dict[str, Any]], Exit | None]:
    contracts, words = read_contracts(file), _words(allow)
    with call.client() as client:
        planned = plan_all(client, contracts, words)
    show_plans(call, planned, closing=_closing(planned))
    _advise(call, planned, words, "apply would refuse this")
    return planned, _blocked(planned, words)


def _advise(call: Invocation, planned: Sequence[Mapping[str, Any]], allow: Sequence[str], begin: str) -> None:
    """Say how a change gets past what blocks it, where something does."""
    left = sorted({word for one in planned for word in one["blocked"]} - set(allow))
    if left:
        words = ",".join(sorted({*left, *allow}))
        call.output.warn(f"{begin}: mend it, or say --allow {words} if that is meant")


def _blocked(planned: Sequence[Mapping[str, Any]], allow: Sequence[str]) -> Exit | None:
    return Exit.REFUSED if any(set(one["blocked"]) - set(allow) for one in planned) else None


def _tell(call: Invocation, done: Sequence[Mapping[str, Any]], secrets_file: Path | None) -> None:
    secrets = _secrets(done)
    if call.output.as_json:
        hidden = [one if secrets_file is None else {**one, "secrets": []} for one in done]
        call.output.document(hidden[0] if len(hidden) == 1 else {"items": hidden})
        return
    for one in done:
        call.output.line(f"{one['partner']}: contract {one['revision']} is in force.")
    if secrets_file is not None and secrets:
        call.output.note(f"{_count(len(secrets), 'secret')} written to {secrets_file}")
    elif secrets:
        call.output.line("Webhook secrets, shown this once:")
        for partner, name, text in secrets:
            call.output.line(f"  {partner} {name}  {text}")


def _secrets(done: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Partner, endpoint and secret of each that was made."""
    return [(one["partner"], each["endpoint"], each["secret"]) for one in done for each in one["secrets"]]


def _words(allow: str) -> tuple[str, ...]:
    words = tuple(sorted({word.strip() for word in allow.split(",") if word.strip()}))
    if not set(words) <= ALLOWED:
        raise UsageError(f"--allow takes {' and '.join(sorted(ALLOWED))}, separated by a comma")
    return words


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
