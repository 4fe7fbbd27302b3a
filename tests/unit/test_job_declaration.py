"""``@job``: bare and with options, names, aliases, keys, and what cannot be declared."""

from __future__ import annotations

import inspect
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kjobs
from kjobs import App, Backoff, DeclarationError, Job, UnknownJob
from kjobs.core.policy import Policy


@pytest.fixture
def app() -> App:
    return App()


# --- the decorator ------------------------------------------------------------------------------------


def test_bare_and_called_are_the_same(app: App) -> None:
    @app.job
    def bare(a: int) -> int:
        return a + 1

    @app.job()
    def called(a: int) -> int:
        return a + 1

    for declared in (bare, called):
        assert isinstance(declared, Job)
        assert declared(1) == 2, "calling it runs it here and now"
        assert (declared.queue, declared.policy, declared.expires) == ("default", Policy(), None)


def test_every_option_arrives(app: App) -> None:
    @app.job(
        name="mail.send",
        aliases=("old.name", "older.name"),
        queue="mail",
        key="user_id",
        retries=3,
        backoff=Backoff(base=2.0, factor=2.0, cap="1h", jitter="full"),
        retry_on=(ConnectionError,),
        discard_on=KeyError,
        deadline="1d",
        timeout="30s",
        expires="1h",
        order="relaxed",
        isolate=False,
    )
    def send_email(user_id: int, template: str = "welcome") -> None: ...

    assert (send_email.name, send_email.aliases, send_email.queue) == (
        "mail.send",
        ("old.name", "older.name"),
        "mail",
    )
    assert send_email.policy == Policy(
        retries=3,
        backoff=Backoff(base=2.0, factor=2.0, cap=3600.0),
        retry_on=(ConnectionError,),
        discard_on=(KeyError,),
        deadline=86_400.0,
        timeout=30.0,
        order="relaxed",
    )
    assert send_email.expires == 3600.0


def test_one_exception_or_many(app: App) -> None:
    @app.job(retry_on=ValueError, discard_on=(KeyError, IndexError))
    def either() -> None: ...

    assert either.policy.retry_on == (ValueError,)
    assert either.policy.discard_on == (KeyError, IndexError)


def test_a_job_looks_like_its_function(app: App) -> None:
    def send(user_id: int, *, template: str = "welcome") -> str:
        """Send a mail."""
        return template

    declared = app.job(send)
    assert declared.__doc__ == "Send a mail."
    assert (declared.__name__, declared.__module__) == ("send", __name__)
    assert declared.__qualname__ == send.__qualname__
    assert declared.__wrapped__ is send
    assert inspect.signature(declared) == inspect.signature(send)
    assert inspect.unwrap(declared) is send
    assert repr(declared) == f"<Job {__name__}.{send.__qualname__} on queue default>"


def test_async_functions_are_known(app: App) -> None:
    @app.job
    async def later() -> None: ...

    @app.job
    def now() -> None: ...

    assert later.is_async
    assert not now.is_async


def test_the_default_app_takes_jobs_of_the_module_level_decorator() -> None:
    @kjobs.job(name="unit.default-app")
    def mine() -> None: ...

    assert kjobs.default_app.find("unit.default-app") is mine


# --- names --------------------------------------------------------------------------------------------


def outside() -> None: ...


def test_a_job_is_named_after_module_and_function(app: App) -> None:
    assert app.job(outside).name == "tests.unit.test_job_declaration.outside"


MAIN = """
from kjobs import App
app = App()

@app.job
def send() -> None: ...

print(send.name)
"""


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["shop.py"], "shop.send"),
        (["-m", "shop"], "shop.send"),
        (["-m", "pack"], "pack.send"),
        (["-m", "pack.mail"], "pack.mail.send"),
        (["pack/mail.py"], "mail.send"),
        (["-c", MAIN], "__main__.send"),
    ],
)
def test_a_script_names_its_jobs_as_others_would_import_them(
    tmp_path: Path, command: list[str], name: str
) -> None:
    (tmp_path / "shop.py").write_text(MAIN)
    (tmp_path / "pack").mkdir()
    for module in ("__init__", "__main__", "mail"):
        (tmp_path / "pack" / f"{module}.py").write_text(MAIN if module != "__init__" else "")
    root = str(Path(kjobs.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={"PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout.strip(), done.stderr) == (name, "")


def test_a_job_is_found_by_its_name_and_its_aliases_and_nothing_else(app: App) -> None:
    @app.job(name="mail.send", aliases=["old.send"])
    def send() -> None: ...

    assert app.find("mail.send") is send
    assert app.find("old.send") is send
    with pytest.raises(UnknownJob, match=r"^no job 'mail.sent' is registered. Did you mean mail.send\?$"):
        app.find("mail.sent")
    for name in ("os.system", "", "Mail.Send", "mail", "builtins.eval", "__main__.send"):
        with pytest.raises(UnknownJob):
            app.find(name)


def test_two_functions_cannot_have_one_name(app: App) -> None:
    @app.job(name="mail.send", aliases=("mail.old",))
    def one() -> None: ...

    for name in ("mail.send", "mail.old"):
        with pytest.raises(DeclarationError, match=f"job {name} is declared twice") as caught:

            @app.job(name=name)
            def two() -> None: ...

        assert "test_two_functions_cannot_have_one_name.<locals>.one" in str(caught.value)
        assert "give one of them another name=" in str(caught.value)
    with pytest.raises(DeclarationError, match=r"job mail\.send is declared twice"):

        @app.job(name="mail.new", aliases=("mail.send",))
        def three() -> None: ...

    assert app.find("mail.send") is one
    with pytest.raises(UnknownJob):
        app.find("mail.new")


def test_a_module_that_is_imported_again_may_declare_its_jobs_again(app: App) -> None:
    first = app.job(name="mail.send")(outside)
    second = app.job(name="mail.send")(outside)
    assert first is not second
    assert app.find("mail.send") is second


def test_apps_do_not_share_jobs(app: App) -> None:
    @app.job(name="mail.send")
    def one() -> None: ...

    other = App()

    @other.job(name="mail.send")
    def two() -> None: ...

    assert (app.find("mail.send"), other.find("mail.send")) == (one, two)


# --- what cannot be -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"isolate": "yes"}, "isolate='yes': expected True, False or an Isolation"),
        ({"queue": "a b"}, "queue 'a b': a queue's name may have letters"),
        ({"queue": "mail.dead"}, "belong to companion topics"),
        ({"retries": -1}, "retries=-1"),
        ({"deadline": "soon"}, "'soon' is not a duration"),
        ({"timeout": -1}, "zero or more"),
        ({"expires": "x"}, "'x' is not a duration"),
        ({"order": "loose"}, """expected "strict" or "relaxed\""""),
        ({"retry_on": ("ValueError",)}, "retry_on: 'ValueError' is not an exception class"),
        ({"key": "user"}, "key='user' is not a parameter of .*; its parameters are template, user_id"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_declared(
    app: App, options: dict[str, Any], sentence: str
) -> None:
    def send(user_id: int, template: str = "x") -> None: ...

    with pytest.raises(DeclarationError, match=rf"^job mail.send: .*{sentence}") as caught:
        app.job(name="mail.send", **options)(send)
    assert caught.value.__cause__ is None
    assert isinstance(caught.value, ValueError)
    assert app.jobs == {}


@pytest.mark.parametrize("cap", ["30s", "1h", "30d", "520w"])
def test_a_backoff_may_be_as_long_as_it_is_wanted(app: App, cap: str) -> None:
    @app.job(retries=30, backoff=Backoff(base="1s", factor=3, cap=cap))
    def send() -> None: ...

    assert send.policy.backoff.ceiling(30) == send.policy.backoff.cap


def test_a_parameter_that_cannot_travel_is_refused_when_it_is_declared(app: App) -> None:
    with pytest.raises(DeclarationError, match="parameter 'line' is a socket, which JSON cannot carry"):

        @app.job
        def send(line: socket.socket) -> None: ...


def test_rest_parameters_cannot_be_a_key_by_name(app: App) -> None:
    for name in ("more", "named"):
        with pytest.raises(DeclarationError, match=f"key='{name}' is not a parameter"):

            @app.job(key=name)
            def send(a: int, *more: int, **named: int) -> None: ...
