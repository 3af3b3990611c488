"""The files of ``deploy/``: what they name exists, they hold no secret, and they keep what Steward needs kept."""

import re
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from steward.settings import Settings
from tests.cli.conftest import Process, environment
from tests.deploy_files import DEPLOY, UNITS, compose, environment_example, unit
from tests.installation import SECRET
from tests.redis_server import RedisServer
from tests.test_docs import unknown_part

_FOR_CONTAINERS = {"POSTGRES_PASSWORD", "STEWARD_DB_PASSWORD", "REDIS_PASSWORD"}


def test_each_setting_exists_and_no_secret_is_shipped() -> None:
    """The example names variables that Steward reads, its URLs can be used, and its secrets are empty."""
    example = environment_example()
    assert set(example) - {row.variable for row in Settings.table()} == _FOR_CONTAINERS
    assert {name for name, value in example.items() if not value} == {"STEWARD_SECRET_KEY", *_FOR_CONTAINERS}
    settings = Settings.load({**example, "STEWARD_SECRET_KEY": "9f8KxQ2mVbT7wLs4HdYcRj6ZpNg3Ea5u"})
    assert settings.redis_url is not None


def test_the_compose_file_runs_commands_that_exist() -> None:
    """API and worker start with options that the command line has, wait for what they need, and every service is looked at."""
    services = compose()["services"]
    assert set(services) == {"api", "worker", "postgres", "redis", "prometheus"}
    for name in ("api", "worker"):
        assert unknown_part(list(map(str, services[name]["command"]))) is None
        assert set(services[name]["depends_on"]) == {"postgres", "redis"}
        assert services[name]["env_file"] == "steward.env"
        assert (services[name]["read_only"], services[name]["cap_drop"]) == (True, ["ALL"])
    assert all("healthcheck" in services[name] for name in services if name != "prometheus")
    mounted = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    here = {place for place in mounted if place.startswith("./")}
    assert {place for place in here if not (DEPLOY / place).exists()} == set()
    assert mounted - here == set(compose()["volumes"])
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_image_is_of_a_wheel_without_rights_or_secrets() -> None:
    """It runs as a user of its own, copies named paths that exist, and sets no secret."""
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.findall(r"^USER (\w+)$", text, re.MULTILINE) == ["steward"]
    assert text.index("USER steward") < text.index("ENTRYPOINT")
    copied = [path for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for path in line.split()[:-1]]
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert {path for path in copied if not (DEPLOY.parent / path).exists() or f"!{path}" not in allowed} == set()
    assert not re.search(r"^(ENV|ARG).*(SECRET|PASSWORD|TOKEN|_URL)", text, re.MULTILINE)


def test_the_image_is_given_all_that_the_wheel_is_built_of(tmp_path: Path) -> None:
    """The hook that pyproject.toml names, and the page's sources: as many as here, so that a page that was built here counts there."""
    text, ignored = (DEPLOY / "Dockerfile").read_text(), (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    left_out = shutil.ignore_patterns(*(one.rpartition("/")[2] for one in ignored if "/" in one))
    for paths in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for path in paths.split():
            here, there = DEPLOY.parent / path, tmp_path / path
            if here.is_dir():
                shutil.copytree(here, there, ignore=left_out)
            else:
                shutil.copy(here, there)
    build = tomllib.loads((tmp_path / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert {name: (tmp_path / "hatch_build.py").exists() for name in build["hooks"]} == {"custom": True}
    made_of = "from build import made_of; print(made_of())"
    told = {
        subprocess.run([sys.executable, "-c", made_of], cwd=root / "studio", check=True, capture_output=True).stdout
        for root in (DEPLOY.parent, tmp_path)
    }
    assert len(told) == 1


@pytest.mark.slow
def test_redis_takes_the_settings_that_are_shipped() -> None:
    """A real server starts with the file, and then keeps what it is given."""
    server = RedisServer(*_options(DEPLOY / "redis" / "redis.conf"))
    try:
        client = server.client()
        wanted = {"appendonly": "yes", "maxmemory-policy": "noeviction", "hash-max-listpack-value": "1024"}
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
        client.close()
    finally:
        server.stop()


def _options(file: Path) -> list[str]:
    """Return the settings of a file as options."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return [word for line in lines for word in (f"--{line.split()[0]}", *line.split()[1:])]


@pytest.mark.parametrize("path", UNITS, ids=[path.name for path in UNITS])
def test_a_unit_runs_a_command_that_exists_without_rights(path: Path, tmp_path: Path) -> None:
    """Its command line is known, it is confined, secrets come from a file; systemd, where there is one, finds no fault."""
    settings = unit(path)
    command = shlex.split(settings["ExecStart"])
    assert (Path(command[0]).name, unknown_part(command[1:])) == ("steward", None)
    assert (settings["User"], settings["EnvironmentFile"]) == ("steward", "/etc/steward/steward.env")
    for name in (
        "NoNewPrivileges",
        "ProtectHome",
        "PrivateTmp",
        "PrivateDevices",
        "RestrictSUIDSGID",
        "LockPersonality",
    ):
        assert settings[name] == "yes"
    assert (settings["ProtectSystem"], settings["CapabilityBoundingSet"]) == ("strict", "")
    if analyze := shutil.which("systemd-analyze"):
        here = tmp_path / path.name
        here.write_text(path.read_text().replace(command[0], "/bin/true"))
        verified = subprocess.run([analyze, "verify", str(here)], capture_output=True, text=True, check=False)
        assert path.name not in verified.stderr, verified.stderr


@pytest.mark.slow
def test_a_worker_serves_its_own_metrics(tmp_path: Path) -> None:
    """What a worker counts can be scraped at the port that it was given, and the port is free again after it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    process = Process.start(
        environment(tmp_path / "home", STEWARD_SECRET_KEY=SECRET), "worker", "--metrics-port", str(port)
    )
    try:
        process.log.wait_for("The worker started.")
        text = httpx2.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text
        assert "# TYPE action_exec_total counter" in text
    finally:
        process.close()
