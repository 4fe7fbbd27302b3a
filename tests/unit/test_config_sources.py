"""Where a setting comes from: argument, environment, kjobs.toml, pyproject.toml, default."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kjobs import App, ConfigError
from kjobs.config import Settings, about, load, names


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with no settings above it that would matter."""
    folder = tmp_path / "project" / "deep" / "down"
    folder.mkdir(parents=True)
    return folder


def gathered(here: Path, environ: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
    return load(arguments, environ=environ or {}, directory=here)


def write(folder: Path, own: str = "", project: str = "") -> None:
    if own:
        (folder / "kjobs.toml").write_text(own)
    if project:
        (folder / "pyproject.toml").write_text(project)


# --- precedence ---------------------------------------------------------------------------------------


def test_each_source_wins_over_those_below_it(here: Path) -> None:
    top = here.parent.parent
    assert gathered(here).group == "kjobs"
    write(top, project='[tool.kjobs]\ngroup = "from pyproject"\n')
    assert gathered(here).group == "from pyproject"
    write(top, own='group = "from kjobs.toml"\n')
    assert gathered(here).group == "from kjobs.toml"
    assert gathered(here, {"KJOBS_GROUP": "from environment"}).group == "from environment"
    assert gathered(here, {"KJOBS_GROUP": "from environment"}, group="argument").group == "argument"


def test_the_source_of_each_setting_is_known(here: Path) -> None:
    write(here, own="threads = 3\npartitions = 4\n")
    found = gathered(here, {"KJOBS_GROUP": "g", "KJOBS_PARTITIONS": "5"}, prefix="p")
    assert found.source("prefix") == "argument"
    assert found.source("group") == "KJOBS_GROUP"
    assert found.source("partitions") == "KJOBS_PARTITIONS"
    assert found.source("threads") == str(here / "kjobs.toml")
    assert found.source("grace") == "default"
    assert set(found.sources) == {"prefix", "group", "partitions", "threads"}


def test_the_source_in_pyproject_names_its_table(here: Path) -> None:
    write(here, project="[tool.kjobs]\nthreads = 3\n")
    assert gathered(here).source("threads") == f"{here / 'pyproject.toml'} [tool.kjobs]"


def test_set_to_its_default_is_not_unset(here: Path) -> None:
    unset, same = gathered(here), gathered(here, {"KJOBS_GROUP": "kjobs"})
    assert unset == same
    assert (unset.source("group"), same.source("group")) == ("default", "KJOBS_GROUP")


def test_an_argument_of_none_is_not_set(here: Path) -> None:
    found = gathered(here, {"KJOBS_GROUP": "g"}, group=None, threads=None)
    assert (found.group, found.threads) == ("g", 8)
    assert found.source("threads") == "default"


# --- files --------------------------------------------------------------------------------------------


def test_a_file_is_found_above_and_the_nearest_counts(here: Path) -> None:
    write(here.parent.parent, own='group = "far"\n')
    write(here.parent, own="threads = 2\n")
    found = gathered(here)
    assert (found.group, found.threads) == ("kjobs", 2)


def test_a_pyproject_without_our_table_is_passed_by(here: Path) -> None:
    write(here, project="[tool.other]\nx = 1\n")
    write(here.parent, own='group = "above"\n')
    assert gathered(here).group == "above"


def test_a_relative_directory_is_looked_above_of_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here.parent, own='group = "above"\n')
    monkeypatch.chdir(here)
    assert load({}, environ={}, directory=Path()).group == "above"
    assert load({}, environ={}).group == "above"


def test_a_file_that_cannot_be_read_is_named(here: Path) -> None:
    write(here, own="group = \n")
    with pytest.raises(ConfigError, match=r"kjobs\.toml cannot be read as TOML: "):
        gathered(here)
    (here / "kjobs.toml").write_bytes(b'group = "\xff"')
    with pytest.raises(ConfigError, match=r"kjobs\.toml cannot be read as TOML"):
        gathered(here)


def test_a_table_that_is_none_is_refused(here: Path) -> None:
    write(here, project="[tool]\nkjobs = 3\n")
    with pytest.raises(ConfigError, match=r"pyproject\.toml"):
        gathered(here)


# --- the environment ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(names()) - {"kafka", "modules"}))
def test_every_setting_has_a_variable(here: Path, name: str) -> None:
    variable = f"KJOBS_{name.upper()}"
    with pytest.raises(ConfigError, match=rf"setting {name}=.*\({variable}\): "):
        gathered(here, {variable: "\t"})


def test_variables_of_others_are_no_settings(here: Path) -> None:
    found = gathered(
        here, {"GROUP": "x", "kjobs_group": "x", "KJOBS_TEST_KAFKA": "x", "KJOBS_FAILPOINT": "x"}
    )
    assert found.sources == {}


def test_librdkafka_options_come_from_the_environment(here: Path) -> None:
    found = gathered(
        here,
        {
            "KJOBS_KAFKA_SASL_USERNAME": "shop",
            "KJOBS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KJOBS_KAFKA_LOG_LEVEL": "3",
        },
    )
    assert found.kafka == {"sasl.username": "shop", "security.protocol": "SASL_SSL", "log_level": "3"}
    for variable in ("SASL_USERNAME", "SECURITY_PROTOCOL", "LOG_LEVEL"):
        assert f"KJOBS_KAFKA_{variable}" in found.source("kafka")


def test_the_kafka_table_is_merged_option_by_option(here: Path) -> None:
    write(here, own='[kafka]\n"sasl.username" = "file"\n"ssl.ca.location" = "ca.pem"\n"client.id" = "file"\n')
    environ = {"KJOBS_KAFKA_SASL_USERNAME": "env", "KJOBS_KAFKA_CLIENT_ID": "env"}
    found = gathered(here, environ, kafka={"client.id": "argument"})
    assert found.kafka == {"sasl.username": "env", "ssl.ca.location": "ca.pem", "client.id": "argument"}
    origins = found.source("kafka").split(", ")
    assert origins == [
        str(here / "kjobs.toml"),
        "KJOBS_KAFKA_CLIENT_ID",
        "KJOBS_KAFKA_SASL_USERNAME",
        "argument",
    ]


def test_a_kafka_setting_that_is_no_table_is_refused_wherever_it_is(here: Path) -> None:
    write(here, own='kafka = "localhost"\n')
    with pytest.raises(ConfigError, match=r"kafka.*kjobs\.toml.*expected a table of librdkafka options"):
        gathered(here)
    with pytest.raises(ConfigError, match=r"kafka.*expected a table of librdkafka options"):
        gathered(here, {"KJOBS_KAFKA_SASL_USERNAME": "shop"})
    (here / "kjobs.toml").unlink()
    with pytest.raises(ConfigError, match=r"kafka.*KJOBS_KAFKA"):
        gathered(here, {"KJOBS_KAFKA": "x"})


# --- an app -------------------------------------------------------------------------------------------


def test_an_app_gathers_its_settings_when_they_are_first_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(threads=3)
    monkeypatch.setenv("KJOBS_GROUP", "late")
    assert (app.settings.group, app.settings.threads) == ("late", 3)
    monkeypatch.setenv("KJOBS_GROUP", "later")
    assert app.settings.group == "late"


def test_configure_adds_to_what_was_set_before() -> None:
    app = App(threads=3)
    app.configure(group="g", prefix=None)
    app.configure(partitions=4)
    assert (app.settings.threads, app.settings.group, app.settings.partitions) == (3, "g", 4)
    with pytest.raises(ConfigError):
        app.configure(threads=0)
    assert app.settings.threads == 3, "a refused setting changes nothing"
    app.configure(group="h")
    assert (app.settings.threads, app.settings.group) == (3, "h")


def test_every_setting_is_explained() -> None:
    assert all(len(about(name)) > 5 for name in names())
    assert {"bootstrap_servers", "prefix", "group", "modules", "processes", "threads", "grace"} <= set(
        names()
    )
    assert {"state_dir", "delay_store", "enqueue_timeout", "create_topics", "partitions"} <= set(names())
    assert {"group_protocol", "session_timeout", "kafka"} <= set(names())
