"""The parameters of a job: check a call's arguments when it is enqueued, restore them when it is run.

Arguments travel as JSON. The annotations of the job's function say what they become again: ``datetime``,
``UUID``, ``Decimal``, enums, ``bytes``, dataclasses, msgspec structs and pydantic models. A parameter
without an annotation gets plain JSON values.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .envelope import decode

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

#: Types whose every value comes out of JSON as it went in. (A float may be NaN, which becomes null.)
_EXACT = (int, str, bool)

_NO_KWARGS = msgspec.Raw(b"{}")

#: Decoders kept per job; calls of one job come with few different numbers of arguments.
_MOST_DECODERS = 32


class Mismatch(TypeError):
    """A call's arguments do not fit the job's parameters; the message says which and why."""


class Arguments:
    """The parameters of a function, compiled for checking and restoring calls of it.

    Raises:
        TypeError: a parameter's annotation names a type that JSON cannot carry.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        signature = inspect.signature(function)
        hints = _hints(function)
        parameters = signature.parameters.values()
        self._types: dict[str, Any] = {}
        for parameter in parameters:
            annotation = hints.get(parameter.name, Any)
            _check_annotation(parameter.name, annotation)
            self._types[parameter.name] = annotation
        self._positional = [p.name for p in parameters if p.kind in _POSITIONAL]
        self._required = [p.name for p in parameters if p.kind in _POSITIONAL and p.default is p.empty]
        self._required_named = {
            p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty
        }
        self._nameable = {p.name for p in parameters if p.kind in _NAMED}
        self._rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        self._others = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
        self.defaults: Mapping[str, Any] = {p.name: p.default for p in parameters if p.default is not p.empty}
        self._fewest = len(self._required)
        self._most = len(self._positional)
        self._safe = self._safe_types()
        self._decoders: dict[int, msgspec.json.Decoder[tuple[Any, ...]]] = {}
        self._decode_usual: Callable[[Any], tuple[Any, ...]] = self._decoder(self._fewest).decode
        self._usual = self._fewest
        self._named_decoder: msgspec.json.Decoder[Any] | None = None

    @property
    def names(self) -> frozenset[str]:
        """The parameters that an ordering key may be taken from."""
        return frozenset(self._positional) | self._nameable

    def position(self, name: str) -> int | None:
        """The index of a parameter among the positional ones, None if it goes by name only."""
        return self._positional.index(name) if name in self._positional else None

    # --- run ---------------------------------------------------------------------------------------

    def restore(self, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Turn the JSON of a call's arguments into what the function is called with.

        Raises:
            Mismatch: they do not fit the parameters.
        """
        try:
            positional = self._decode_usual(args)
        except Exception:
            positional = self._restore_unusual(args)
        if kwargs == _NO_KWARGS:
            if len(positional) < self._fewest or self._required_named:
                self.check(positional, {})
            return positional, {}
        named = self._restore_named(kwargs)
        self.check(positional, named)
        return positional, named

    def _restore_unusual(self, args: Any) -> tuple[Any, ...]:
        """Restore another number of arguments than the last call had, or say what is wrong."""
        try:
            count = len(msgspec.json.decode(args, type=list[msgspec.Raw]))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise Mismatch(f"args is not a list: {error}") from None
        if count > self._most and self._rest is None:
            raise Mismatch(
                f"takes at most {_plural(self._most, 'positional argument')} but {count} were given"
            )
        decoder = self._decoder(count)
        try:
            positional = decoder.decode(args)
        except Exception as error:  # types may have code of their own, which may raise anything
            raise Mismatch(self._explained(_said(error))) from None
        self._decode_usual = decoder.decode
        return positional

    def _restore_named(self, kwargs: Any) -> dict[str, Any]:
        if self._named_decoder is None:
            self._named_decoder = msgspec.json.Decoder(self._named_type(), dec_hook=_decode_other)
        try:
            found = self._named_decoder.decode(kwargs)
        except Exception as error:
            raise Mismatch(_said(error)) from None
        if self._others is not None:
            return self._restore_others(found)
        values = ((name, getattr(found, name)) for name in found.__struct_fields__)
        return {name: value for name, value in values if value is not msgspec.UNSET}

    def _restore_others(self, found: dict[str, msgspec.Raw]) -> dict[str, Any]:
        """Restore named arguments of a function that takes any: ``**kwargs``."""
        named: dict[str, Any] = {}
        for name, raw in found.items():
            kind = self._types[name] if name in self._nameable else self._types[self._others or ""]
            try:
                named[name] = msgspec.json.decode(raw, type=kind, dec_hook=_decode_other)
            except Exception as error:
                raise Mismatch(f"{name}: {_said(error)}") from None
        return named

    def _decoder(self, count: int) -> msgspec.json.Decoder[tuple[Any, ...]]:
        """The decoder for this many positional arguments."""
        decoder = self._decoders.get(count)
        if decoder is None:
            types = [self._types[name] for name in self._positional[:count]]
            if self._rest is not None:
                types += [self._types[self._rest]] * (count - len(types))
            shape: Any = tuple[tuple(types)] if types else tuple[()]  # type: ignore[misc]
            decoder = msgspec.json.Decoder(shape, dec_hook=_decode_other)
            if len(self._decoders) >= _MOST_DECODERS:
                self._decoders.clear()
            self._decoders[count] = decoder
        return decoder

    def _named_type(self) -> Any:
        if self._others is not None:
            return dict[str, msgspec.Raw]
        fields = [
            (
                name,
                self._types[name] | msgspec.UnsetType if self._types[name] is not Any else Any,
                msgspec.UNSET,
            )
            for name in sorted(self._nameable)
        ]
        return msgspec.defstruct("NamedArguments", fields, forbid_unknown_fields=True)

    # --- enqueue -----------------------------------------------------------------------------------

    def plain(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether a call's arguments surely fit, and come out of JSON as they went in."""
        return not kwargs and tuple(map(type, args)) in self._safe

    def verify(self, value: bytes) -> None:
        """Check that a worker will restore a call's arguments, by restoring them.

        Args:
            value: the call as it will be sent.

        Raises:
            Mismatch: their types do not fit the annotations.
        """
        envelope = decode(value)
        self.restore(envelope.args, envelope.kwargs)

    def label(self, position: int) -> str:
        """The name of a positional argument, for messages."""
        if position < self._most:
            return self._positional[position]
        return f"{self._rest or 'args'}[{position - self._most}]"

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Check the number and names of a call's arguments.

        Raises:
            Mismatch: they do not fit, in the words of Python's own error.
        """
        given = len(args)
        if not kwargs and self._fewest <= given <= self._most and not self._required_named:
            return
        if given > self._most and self._rest is None:
            raise Mismatch(
                f"takes at most {_plural(self._most, 'positional argument')} but {given} were given"
            )
        if self._others is None and not kwargs.keys() <= self._nameable:
            strange = sorted(kwargs.keys() - self._nameable)
            raise Mismatch(f"got an unexpected argument {strange[0]!r}")
        for name in self._positional[:given]:
            if name in kwargs and name in self._nameable:
                raise Mismatch(f"got two values for argument {name!r}")
        missing = [
            name for name in self._required[given:] if name not in kwargs or name not in self._nameable
        ]
        missing += sorted(self._required_named - kwargs.keys())
        if missing:
            raise Mismatch(f"is missing {_plural(len(missing), 'argument')}: {', '.join(missing)}")

    def _safe_types(self) -> frozenset[tuple[type, ...]]:
        """Combinations of argument types that need no check, because JSON keeps them as they are."""
        if self._required_named:
            return frozenset()
        kinds = [self._types[name] for name in self._positional]
        counts = range(self._fewest, self._most + 1)
        return frozenset(tuple(kinds[:n]) for n in counts if all(kind in _EXACT for kind in kinds[:n]))

    def _explained(self, message: str) -> str:
        """Msgspec's message with the parameter's name in place of its index."""
        for index, name in enumerate(self._positional):
            message = message.replace(f"`$[{index}]", f"`{name}")
        return message


def encode_other(value: Any) -> Any:
    """Turn a value that msgspec does not know into one that it does: a pydantic model.

    Raises:
        TypeError: it is none.
    """
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json", by_alias=True)
    raise TypeError(f"a value of type {type(value).__name__} is not a JSON type")


def _decode_other(kind: type, value: Any) -> Any:
    return kind.model_validate(value)  # type: ignore[attr-defined]


def _check_annotation(name: str, annotation: Any) -> None:
    """Refuse what could never be restored, when the job is declared and not when it runs."""
    try:
        msgspec.json.Decoder(annotation)
    except TypeError as error:
        raise TypeError(f"parameter {name!r} cannot travel as JSON: {error}") from None
    strange = [
        kind for kind in _custom(msgspec.inspect.type_info(annotation)) if not hasattr(kind, "model_validate")
    ]
    if strange:
        kind = strange[0].__name__
        raise TypeError(
            f"parameter {name!r} is a {kind}, which JSON cannot carry. Pass something that names it, such as "
            "its id, and look it up in the job; or leave the parameter without an annotation"
        )


def _custom(info: Any, seen: set[int] | None = None) -> list[type]:
    """Types inside an annotation that msgspec leaves to somebody else."""
    seen = set() if seen is None else seen
    if isinstance(info, msgspec.inspect.CustomType):
        return [info.cls]
    if id(info) in seen:
        return []
    seen.add(id(info))
    found: list[type] = []
    if isinstance(info, tuple):
        for item in info:
            found += _custom(item, seen)
    elif isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field):
        for name in info.__struct_fields__:
            found += _custom(getattr(info, name), seen)
    return found


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function; those whose names cannot be found are left out."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, TypeError):
        pass
    # Names imported for type checkers only do not exist at run time: resolve what can be resolved.
    hints: dict[str, Any] = {}
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    for name, annotation in getattr(function, "__annotations__", {}).items():
        try:
            holder = type("Holder", (), {"__annotations__": {name: annotation}})
            hints[name] = typing.get_type_hints(holder, globalns=scope, include_extras=True)[name]
        except (NameError, AttributeError, TypeError):
            continue
    return hints


def _said(error: Exception) -> str:
    """An error's message; one of a type's own code with the name of the error."""
    if isinstance(error, msgspec.DecodeError | UnicodeDecodeError | RecursionError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
