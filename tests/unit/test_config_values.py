"""What settings may be, what is said of those that may not, and that no secret is ever shown."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kjobs import App, ConfigError
from kjobs.config import FIXED, UNSAFE, Settings, load, redacted


def gathered(environ: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
    return load(arguments, environ=environ or {}, directory=Path("/"))


def refusal(environ: Mapping[str, str] | None = None, **arguments: Any) -> str:
    """The sentence by which settings are refused."""
    with pytest.raises(ConfigError) as caught:
        gathered(environ, **arguments)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def test_the_defaults() -> None:
    found = gathered()
    assert (found.bootstrap_servers, found.prefix, found.group) == ("127.0.0.1:9092", "kjobs", "kjobs")
    assert (found.threads, found.create_topics, found.enqueue_timeout) == (8, False, 5.0)
    assert (found.max_size, found.session_timeout, found.group_protocol) == (256 * 1024, 10.0, None)
    assert (found.modules, dict(found.kafka)) == ((), {})


# --- spellings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("THREADS", " 12 ", 12),
        ("PARTITIONS", "1", 1),
        ("GRACE", "30", 30.0),
        ("GRACE", "1.5", 1.5),
        ("GRACE", "2m", 120.0),
        ("ENQUEUE_TIMEOUT", "500ms", 0.5),
        ("CREATE_TOPICS", "1", True),
        ("CREATE_TOPICS", "True", True),
        ("CREATE_TOPICS", "yes", True),
        ("CREATE_TOPICS", "ON", True),
        ("CREATE_TOPICS", "0", False),
        ("CREATE_TOPICS", "false", False),
        ("CREATE_TOPICS", "no", False),
        ("CREATE_TOPICS", "off", False),
        ("MODULES", "shop.mail, shop.pay,", ("shop.mail", "shop.pay")),
        ("GROUP", " shop ", "shop"),
        ("GROUP_PROTOCOL", "consumer", "consumer"),
        ("BOOTSTRAP_SERVERS", "a:9092,b:9092", "a:9092,b:9092"),
    ],
)
def test_text_is_read_as_people_write_it(name: str, text: str, value: object) -> None:
    assert getattr(gathered({f"KJOBS_{name}": text}), name.lower()) == value


def test_values_in_code_and_files_need_no_text() -> None:
    found = gathered(threads=2, grace=3, create_topics=True, modules=["a", "b"], kafka={"retries": 3})
    assert (found.threads, found.grace, found.create_topics, found.modules) == (2, 3.0, True, ("a", "b"))
    assert found.kafka == {"retries": 3}


# --- refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("threads", "0", "expected a whole number of at least 1"),
        ("threads", "-1", "expected a whole number of at least 1"),
        ("threads", "2.5", "expected a whole number of at least 1"),
        ("threads", "many", "expected a whole number of at least 1"),
        ("grace", "soon", "'soon' is not a duration"),
        ("grace", "-1", "is not a duration"),
        ("create_topics", "maybe", "expected true or false"),
        ("group", "  ", "expected a text that is not empty"),
        ("prefix", "a b", "expected letters, digits"),
        ("prefix", "p" * 101, "at most 100"),
        ("group_protocol", "new", "expected one of classic, consumer"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_value_source_and_what_is_expected(
    name: str, value: str, sentence: str
) -> None:
    said = refusal({f"KJOBS_{name.upper()}": value})
    assert said.startswith(f"setting {name}={value!r} (KJOBS_{name.upper()}): ")
    assert sentence in said
    given: dict[str, Any] = {name: value}
    assert refusal(**given).startswith(f"setting {name}={value!r} (argument): ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threads", True),
        ("threads", 2.0),
        ("threads", []),
        ("create_topics", 1),
        ("group", 7),
        ("group", b"shop"),
        ("modules", 3),
        ("modules", [1, 2]),
        ("grace", []),
        ("grace", True),
        ("prefix", None.__class__),
        ("group_protocol", []),
        ("kafka", "sasl.username=x"),
        ("kafka", ["x"]),
    ],
)
def test_a_value_of_a_wrong_type_is_refused(name: str, value: Any) -> None:
    assert f"setting {name}=" in refusal(**{name: value})


def test_an_unknown_setting_is_refused_and_the_one_that_was_meant_named() -> None:
    assert refusal(thread=3) == "unknown setting 'thread' (argument). Did you mean threads?"
    said = refusal({"KJOBS_BOOTSTRAP_SERVER": "x"})
    assert (
        said == "unknown setting 'bootstrap_server' (KJOBS_BOOTSTRAP_SERVER). Did you mean bootstrap_servers?"
    )
    assert "Settings: bootstrap_servers, prefix, group" in refusal(zzz=1)
    assert "unknown setting 'sources'" in refusal(sources={})


def test_an_app_refuses_as_soon_as_it_is_asked() -> None:
    with pytest.raises(ConfigError, match="Did you mean group"):
        _ = App(grup="shop").settings


# --- librdkafka options -------------------------------------------------------------------------------


@pytest.mark.parametrize("option", sorted(FIXED))
def test_an_option_that_promises_rest_on_cannot_be_set(option: str) -> None:
    assert f"{option} cannot be set: kjobs' promises rest on it" in refusal(kafka={option: "x"})
    variable = "KJOBS_KAFKA_" + option.upper().replace(".", "_")
    assert variable in refusal({variable: "x"})


@pytest.mark.parametrize("option", sorted(UNSAFE))
def test_an_option_that_loads_code_or_prints_secrets_cannot_be_set(option: str) -> None:
    assert f"{option} cannot be set: it would load code or print secrets" in refusal(kafka={option: "x"})


def test_what_the_design_calls_not_negotiable_is_fixed() -> None:
    assert {"acks", "enable.idempotence", "enable.auto.commit", "auto.offset.reset", "partitioner"} <= FIXED
    assert {"isolation.level", "check.crcs", "enable.auto.offset.store", "group.id"} <= FIXED
    assert {"debug", "plugin.library.paths"} <= UNSAFE


# --- secrets ------------------------------------------------------------------------------------------

CANARY = "canary-5ecret"
SECRETS = {
    "sasl.password": CANARY,
    "ssl.key.password": CANARY,
    "ssl.key.pem": CANARY,
    "ssl.keystore.password": CANARY,
    "sasl.oauthbearer.client.secret": CANARY,
    "sasl.oauthbearer.assertion.private.key.pem": CANARY,
    "sasl.oauthbearer.assertion.private.key.passphrase": CANARY,
}


def test_a_secret_is_never_in_a_repr() -> None:
    found = gathered(kafka={**SECRETS, "sasl.username": "shop"})
    assert found.kafka["sasl.password"] == CANARY, "the client gets it"
    for shown in (repr(found), str(found), f"{found}", repr([found])):
        assert CANARY not in shown
        assert "'sasl.username': 'shop'" in shown
        assert "[hidden]" in shown


@pytest.mark.parametrize("option", sorted(SECRETS))
def test_a_secret_is_hidden_wherever_it_is_shown(option: str) -> None:
    assert redacted(option, CANARY) == "[hidden]"
    assert redacted("kafka", {option: CANARY}) == {option: "[hidden]"}


@pytest.mark.parametrize(
    ("environ", "arguments"),
    [
        ({}, {"kafka": {**SECRETS, "acks": "0"}}),
        ({"KJOBS_KAFKA_SASL_PASSWORD": CANARY, "KJOBS_KAFKA_ACKS": "0"}, {}),
        ({"KJOBS_KAFKA": f'{{"sasl.password": "{CANARY}"}}'}, {}),
        ({}, {"kafka": f"sasl.password={CANARY}"}),
        ({}, {"kafka": [("sasl.password", CANARY)]}),
        ({"KJOBS_SASL_PASSWORD": CANARY}, {}),
        ({}, {"sasl_password": CANARY}),
    ],
)
def test_a_secret_is_never_in_an_error(environ: dict[str, str], arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        gathered(environ, **arguments)
    # What a traceback prints: the message, and no locals.
    assert CANARY not in "".join(traceback.format_exception_only(caught.value))
    assert CANARY not in repr(caught.value)


def test_a_broken_file_does_not_show_its_content(tmp_path: Path) -> None:
    (tmp_path / "kjobs.toml").write_text(f'[kafka]\n"sasl.password" = "{CANARY}"\n"x" = \n')
    with pytest.raises(ConfigError) as caught:
        load({}, environ={}, directory=tmp_path)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://redis.shop:6379/0", "redis://redis.shop:6379/0"),
        ("redis://worker@redis.shop/0", "redis://worker@redis.shop/0"),
        (f"rediss://worker:{CANARY}@redis.shop/0", "rediss://worker:[hidden]@redis.shop/0"),
        (f"redis://:{CANARY}@{CANARY}@redis.shop/0", "redis://:[hidden]@redis.shop/0"),
        (f"redis://:{CANARY}/?#@redis.shop/0", "redis://:[hidden]@redis.shop/0"),
        (f"redis://h/0?prefix=a&password={CANARY}", "redis://h/0?prefix=a&password=[hidden]"),
        (f"redis:/worker:{CANARY}@redis.shop/0", "[hidden]@redis.shop/0"),
    ],
)
def test_the_password_in_an_address_is_hidden(address: str, shown: str) -> None:
    assert redacted("delay_store", address) == shown


def test_a_malformed_address_is_told_without_its_password() -> None:
    with pytest.raises(ConfigError, match="delay_store") as caught:
        load({"delay_store": f"redis:/worker:{CANARY}@redis.shop/0"}, environ={})
    assert CANARY not in str(caught.value)


def test_settings_show_an_address_without_its_password() -> None:
    settings = load({"delay_store": f"redis://worker:{CANARY}@redis.shop/0"}, environ={})
    assert settings.delay_store is not None
    assert CANARY in settings.delay_store
    assert CANARY not in repr(settings)
