"""The text of a contract file to values, with every problem found: file, line, pointer, and how to mend it.

The text is an outsider's: nothing in it is executed or constructed, sizes and depth are bounded, and the one
error that leaves this module is `ContractFileError`.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final, Literal, get_args

from partners import form, sections
from partners.contract import (
    SECTIONS,
    Authentication,
    Compatibility,
    Contract,
    ContractFile,
    DeliveryTerms,
    Direction,
    EndpointRules,
    Forward,
    Framing,
    IdRule,
    Keep,
    Limits,
    Terms,
    pointer_to,
)
from partners.declarations import read_declarations
from partners.errors import ContractFileError, Problem, SlotError
from partners.event_type import MAX_TYPES, RULE, is_reserved, is_type
from partners.form import Sink, Slot, each, shown
from partners.partner import verify_slug
from partners.yaml_tree import Items, is_clean, read_tree, walk

MAX_FILE_BYTES: Final = 256 * 1024
MAX_FILES_BYTES: Final = 8 * 1024 * 1024

_DEFAULT_LEVEL: Final[dict[Direction, Compatibility]] = {"inbound": "BACKWARD", "outbound": "FORWARD"}


def read_contract(text: str, *, name: str, allow_insecure_loopback: bool = False) -> ContractFile:
    """Read a contract file. The files that it names are not looked at: see `attach_files`.

    `name` is what messages call the file. `allow_insecure_loopback`: endpoints may be `http://` and have any
    port where their host is `localhost` or a loopback literal.

    Raises:
        ContractFileError: with all problems found. YAML that cannot be trusted is reported alone.
    """
    root = read_tree(text, name=name)
    sink = Sink(name, [])
    slot = Slot(root, "", root.line, sink)
    contract = slot.read(partial(_contract, is_exempt=allow_insecure_loopback), None)
    if sink.problems or contract is None:
        raise ContractFileError(sink.problems)
    return ContractFile(name, text, contract, places=dict(walk(root)))


def attach_files(file: ContractFile, files: Mapping[str, str]) -> ContractFile:
    """Join a contract with the contents of the files that it names, by the paths that it names them by.

    Raises:
        ContractFileError: one is missing, one is not named, or one is too large; a certificate is none.
    """
    problems = [_missing(file, path) for path in file.paths() if path not in files]
    problems += [
        file.problem("", "reference", f"'{shown(path)}' was sent along, but the contract does not name it")
        for path in sorted(files)
        if path not in file.paths()
    ]
    together = 0
    for path in sorted(set(files) & set(file.paths())):
        size = len(files[path].encode(errors="replace"))
        together += size
        if size > MAX_FILE_BYTES:
            problems.append(Problem(path, 1, "", "length", f"has {size} bytes; at most {MAX_FILE_BYTES}"))
        if not is_clean(files[path]):
            problems.append(
                Problem(path, 1, "", "not_allowed", "holds a control character or half of a surrogate pair")
            )
    if not problems and together > MAX_FILES_BYTES:
        problems.append(
            file.problem("", "length", f"its files have more than {MAX_FILES_BYTES} bytes together")
        )
    if problems:
        raise ContractFileError(problems)
    attached = replace(file, files=tuple(sorted(files.items())))
    read_declarations(attached)
    return attached


def _missing(file: ContractFile, path: str) -> Problem:
    pointer = "/authentication/certificates"
    for terms in file.contract.terms:
        if terms.schema_path == path:
            pointer = pointer_to(SECTIONS[terms.direction], terms.event_type, "schema")
            break
    return file.problem(pointer, "reference", f"the file '{path}' is missing: put it beside the contract")


def _contract(slot: Slot, *, is_exempt: bool) -> Contract:
    top = slot.form()
    top.need("gateway", form.choice(("v1",)), "v1")
    partner = top.need("partner", lambda one: verify_slug(form.text(one)), "")
    terms = (
        *top.take("sends", partial(_lines, direction="inbound", partner=partner), ()),
        *top.take("receives", partial(_lines, direction="outbound", partner=partner), ()),
    )
    received = frozenset(one.event_type for one in terms if one.direction == "outbound")
    limits = top.take("limits", sections.limits, Limits())
    delivery = top.take("delivery", sections.delivery, DeliveryTerms())
    endpoints = partial(
        sections.endpoints, received=received, delivery=delivery, limit=limits.endpoints, is_exempt=is_exempt
    )
    usual: Framing = "prefix"
    contract = Contract(
        partner=partner,
        name=top.take("name", form.text, partner),
        contacts=top.take("contacts", sections.contacts, ()),
        authentication=top.take("authentication", sections.authentication, Authentication()),
        terms=terms,
        limits=limits,
        delivery=delivery,
        endpoints=top.take("endpoints", endpoints, EndpointRules()),
        framing=top.take("topics", sections.framing, usual),
        keep=top.take("keep", sections.keep, Keep()),
    )
    top.close()
    return contract


def _lines(slot: Slot, *, direction: Direction, partner: str) -> tuple[Terms, ...]:
    slots = slot.form().slots()
    if len(slots) > MAX_TYPES:
        raise SlotError("length", f"names {len(slots)} event types; at most {MAX_TYPES} are allowed")
    found: list[Terms] = []
    for event_type, one in slots:
        if one.read(partial(_type_named, event_type), None) is None:
            continue
        terms = one.read(partial(_terms, event_type=event_type, direction=direction, partner=partner), None)
        if terms is not None:
            found.append(terms)
    return tuple(found)


def _terms(slot: Slot, *, event_type: str, direction: Direction, partner: str) -> Terms:
    line = slot.form()
    pointers = each(form.pointer, limit=sections.MAX_SEARCH)
    forward: Forward | None = None
    if direction == "inbound":
        forward = line.take("forward", partial(_forward, partner=partner, event_type=event_type), None)
    levels: tuple[Compatibility, ...] = get_args(Compatibility)
    codings: tuple[Literal["plain", "avro"], ...] = ("plain", "avro")
    terms = Terms(
        event_type=event_type,
        direction=direction,
        schema_path=line.need("schema", form.path, ""),
        id=line.take("id", _id_rule, IdRule()),
        key_pointer=line.take("key", form.pointer, None),
        time_pointer=line.take("time", form.pointer, None),
        search=line.take("search", pointers, ()),
        json=line.take("json", form.choice(codings), "plain"),
        compatibility=line.take("compatibility", form.choice(levels), _DEFAULT_LEVEL[direction]),
        accept_versions=line.take("accept_versions", form.integer(1, 10), 2),
        forward=forward,
    )
    line.close()
    return terms


def _id_rule(slot: Slot) -> IdRule:
    if isinstance(slot.node, Items):
        pointers = each(form.pointer, limit=sections.MAX_ID_POINTERS)(slot)
        if not slot.node.items:
            raise SlotError("length", "is an empty list; name a pointer, or write 'required' or 'generated'")
        return IdRule("pointers", pointers)
    word = form.text(slot, limit=512)
    if word == "required":
        return IdRule("required")
    if word == "generated":
        return IdRule("generated")
    if not word.startswith("/"):
        raise SlotError(
            "format", "write a pointer such as /order_id, a list of pointers, 'required' or 'generated'"
        )
    return IdRule("pointers", (form.pointer(slot),))


def _forward(slot: Slot, *, partner: str, event_type: str) -> Forward:
    line = slot.form()
    to = line.need("to", lambda one: verify_slug(form.text(one)), "")
    goes_as = line.take("as", lambda one: _verify_type(form.text(one)), event_type)
    line.close()
    if to and to == partner:
        raise SlotError("reference", "forwards to the partner itself: name another one")
    return Forward(to, goes_as)


def _type_named(name: str, _: Slot) -> str:
    return _verify_type(name)


def _verify_type(name: str) -> str:
    if not is_type(name):
        raise SlotError("format", RULE)
    if is_reserved(name):
        raise SlotError(
            "not_allowed", "event types under 'gateway.' are the gateway's own: choose another name"
        )
    return name
