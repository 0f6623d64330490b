"""Which branches of a union plain JSON cannot always tell apart, and how one of them is named.

In plain JSON a union has no envelope: the first branch that takes the value, in the schema's order, is
meant. Where two branches take JSON values of one kind (text and bytes, enum and string, two records, int and
long), a value may also name its branch, as the Avro JSON encoding does: `{"com.acme.Cat": {...}}`. An object
with one member, named as a branch that takes its value, is read so before all else. The writer names a
branch only where the bare value would be read as another.
"""

from schemas.avro_type import Array, AvroType, Enumeration, Fixed, Map, Primitive, Record, Union
from schemas.leaf import JsonFlavour, leaf_of


def is_ambiguous(union: Union) -> bool:
    """Whether two branches take JSON values of one kind, so that a value may name its branch."""
    kinds = [kind for branch in union.branches for kind in json_kinds(branch, "plain")]
    return len(kinds) != len(set(kinds))


def json_kinds(branch: AvroType, flavour: JsonFlavour) -> frozenset[type]:
    """The Python types of the JSON values that a branch may take."""
    match branch:
        case Record() | Map():
            return frozenset({dict})
        case Array():
            return frozenset({list})
        case Enumeration():
            return frozenset({str})
        case Union():
            return frozenset()  # admission lets no union stand in a union
        case Primitive() | Fixed():
            return leaf_of(branch, flavour).kinds
