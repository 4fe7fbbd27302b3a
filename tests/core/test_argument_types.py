"""What travels and comes back as it was: the types of arguments."""

from __future__ import annotations

import dataclasses
import enum
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs import ArgumentError
from tests.core.goldens import golden
from tests.core.wire import over_the_wire, received


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.0


class Line(msgspec.Struct):
    sku: str
    count: int = 1


class Order(pydantic.BaseModel):
    id: int
    lines: list[dict[str, Any]] = []
    paid: Decimal | None = None


class Customer(pydantic.BaseModel):
    user_id: int = pydantic.Field(alias="userId")


class Nested(msgspec.Struct):
    at: datetime
    order: Order
    points: dict[str, Point]


class Pair(NamedTuple):
    left: int
    right: str


class Shape(TypedDict):
    sides: int


def round_trip(kind: Any, value: Any) -> Any:
    """The value as a job gets it that says it is of this kind, positionally and by name."""

    def job(it, *, also) -> None: ...  # type: ignore[no-untyped-def]

    def alone(it) -> None: ...  # type: ignore[no-untyped-def]

    job.__annotations__ = {"it": kind, "also": kind}
    alone.__annotations__ = {"it": kind}
    (it,), named = over_the_wire(job, value, also=value)
    assert named == {"also": it}
    assert type(named["also"]) is type(it)
    assert over_the_wire(alone, value) == ((it,), {})
    return it


NOON = datetime(2026, 11, 23, 12, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, -7),
        (int, 2**63),
        (str, "größe\n\0"),
        (bool, True),
        (float, 0.1),
        (bytes, bytes(range(256))),
        (datetime, NOON),
        (datetime, datetime(2026, 1, 2, 3, 4, 5)),
        (date, date(2026, 11, 23)),
        (time, time(12, 30)),
        (timedelta, timedelta(days=1, microseconds=5)),
        (UUID, UUID("01936f2e-7c1a-7b3e-9d5a-4c2b1f0e8d7c")),
        (Decimal, Decimal("12.340")),
        (Colour, Colour.BLUE),
        (Level, Level.HIGH),
        (Point, Point(1, 2.5)),
        (Line, Line("a", 2)),
        (Order, Order(id=7, lines=[{"sku": "a"}], paid=Decimal("1.50"))),
        (Customer, Customer(userId=7)),
        (Nested, Nested(NOON, Order(id=1), {"a": Point(1)})),
        (Pair, Pair(1, "a")),
        (Shape, {"sides": 3}),
        (list[Point], [Point(1), Point(2)]),
        (dict[str, UUID], {"a": UUID(int=5)}),
        (dict[int, str], {1: "a"}),
        (tuple[int, str], (1, "a")),
        (set[int], {1, 2}),
        (frozenset[str], frozenset({"a"})),
        (int | None, None),
        (datetime | None, NOON),
        (list[Order], [Order(id=1)]),
        (Order | None, None),
        (Literal["a", "b"], "b"),
        (Annotated[int, msgspec.Meta(ge=0)], 5),
        (Any, {"a": [1, None]}),
    ],
)
def test_a_value_comes_back_as_the_annotation_says(kind: Any, value: Any) -> None:
    found = round_trip(kind, value)
    assert found == value
    assert type(found) is type(value)


@given(st.datetimes(timezones=st.just(UTC)), st.decimals(allow_nan=False), st.uuids(), st.binary())
def test_any_value_of_these_comes_back(moment: datetime, price: Decimal, ident: UUID, data: bytes) -> None:
    def job(moment: datetime, price: Decimal, ident: UUID, data: bytes) -> None: ...

    assert over_the_wire(job, moment, price, ident, data) == ((moment, price, ident, data), {})


def typed(
    at: datetime,
    day: date,
    ident: UUID,
    price: Decimal,
    colour: Colour,
    data: bytes,
    *,
    wait: timedelta,
    pair: tuple[int, str],
    tags: set[str],
    point: Point,
    order: Order,
) -> None: ...


def test_typed_arguments_of_released_versions_are_restored_for_ever() -> None:
    wire = msgspec.json.decode(golden("v1/typed").wire, type=dict[str, msgspec.Raw])
    args, kwargs = received(typed, bytes(wire["args"]), bytes(wire["kwargs"]))
    assert args == (
        datetime(2026, 11, 23, 14, 30, 27, 661000, tzinfo=UTC),
        date(2026, 11, 23),
        UUID("01936f2e-7c1a-7b3e-9d5a-4c2b1f0e8d7c"),
        Decimal("12.340"),
        Colour.RED,
        b"\x00\xff\x10",
    )
    assert kwargs == {
        "wait": timedelta(seconds=90.5),
        "pair": (1, "a"),
        "tags": {"x", "y"},
        "point": Point(1, 2.5),
        "order": Order(id=7, lines=[{"sku": "a", "count": 2}]),
    }


# --- strictness ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, "7"),
        (int, 7.0),
        (int, True),
        (int, None),
        (str, 7),
        (str, None),
        (bool, 1),
        (float, "1.5"),
        (float, float("nan")),
        (float, float("inf")),
        (datetime, "tomorrow"),
        (UUID, "no uuid"),
        (Colour, "green"),
        (Point, {"y": 1.0}),
        (Order, {"id": "seven"}),
        (list[int], [1, "2"]),
        (int | None, "7"),
        (Literal["a", "b"], "c"),
        (Annotated[int, msgspec.Meta(ge=0)], -1),
    ],
)
def test_a_value_of_another_type_is_refused_when_it_is_enqueued(kind: Any, value: Any) -> None:
    def alone(it) -> None: ...  # type: ignore[no-untyped-def]

    alone.__annotations__ = {"it": kind}
    with pytest.raises(ArgumentError, match=r"\bit\b"):
        over_the_wire(alone, value)
    with pytest.raises(ArgumentError, match=r"\bit\b"):
        over_the_wire(alone, it=value)


def test_an_enum_of_whole_numbers_is_one_to_a_parameter_that_says_so() -> None:
    def job(level: int) -> None: ...

    args, _ = over_the_wire(job, Level.HIGH)
    assert args == (2,)
    assert type(args[0]) is int
