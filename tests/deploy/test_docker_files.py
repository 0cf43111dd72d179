"""deploy/docker without a Docker engine: schema, linter, what is reachable, and the entry point run for real."""

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy" / "docker"
COMPOSE = ("compose.yaml", "compose.gpu.yaml")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files_follow_the_compose_specification(name: str) -> None:
    pytest.importorskip("check_jsonschema", reason="pip install -e .[deploy]")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(DOCKER / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_proxy_is_published_and_only_on_the_loopback(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert list(published) == ["proxy"]
    assert published["proxy"][0].startswith("${PLUMBLINE_BIND:-127.0.0.1}:")
    assert compose["networks"]["inside"] == {"internal": True}
    assert {name for name, service in compose["services"].items() if service["networks"] == ["inside"]} == {
        "database",
        "server",
    }


def test_secrets_are_files_and_all_of_them_are_declared(compose: dict[str, Any]) -> None:
    used = {name for service in compose["services"].values() for name in service.get("secrets", [])}
    assert used == set(compose["secrets"])
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|AUTH_STRING|SECRET|ACCESS_KEY|TLS_KEY|ENCRYPTION", name):
                assert str(value).startswith("/run/secrets/"), name


def test_every_variable_is_in_the_example(compose: dict[str, Any]) -> None:
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    example = (DOCKER / ".env.example").read_text(encoding="utf-8")
    offered = set(re.findall(r"^(\w+)=", example, re.M))
    assert set(re.findall(r"\$\{(\w+)", text)) == offered


def test_the_dockerfile_passes_the_linter_and_does_not_end_as_root() -> None:
    lines = (DOCKER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER 1000:1000"]
    linter = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if linter is None:
        pytest.skip("no hadolint: pip install -e .[deploy]")
    done = subprocess.run([linter, str(DOCKER / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_dockerfile_copies_exists_and_is_sent_to_the_builder() -> None:
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    copied = [
        path
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.M)
        for path in [part for part in line.split() if not part.startswith("--")][:-1]
    ]
    sent = re.findall(r"^!(.+)$", (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8"), re.M)
    assert set(copied) == set(sent)
    assert all((ROOT / path).exists() for path in copied)


def test_the_entry_point_reads_secret_files(tmp_path: Path) -> None:
    secret = tmp_path / "auth_string"
    secret.write_text("admin:it's $HOME `x`\n", encoding="ascii")
    show = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    env = {
        "PATH": os.environ["PATH"],
        "PREFECT_API_AUTH_STRING_FILE": str(secret),
        "PREFECT_API_SSL_CERT_FILE": "/certificate",
        "HF_TOKEN_FILE": "",
    }
    done = subprocess.run([DOCKER / "entrypoint.sh", *show], env=env, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    assert seen["PREFECT_API_AUTH_STRING"] == "admin:it's $HOME `x`"
    assert "PREFECT_API_AUTH_STRING_FILE" not in seen
    assert seen["PREFECT_API_SSL_CERT_FILE"] == "/certificate"
    assert "HF_TOKEN" not in seen


def test_the_entry_point_names_a_secret_it_cannot_read(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HF_TOKEN_FILE": str(tmp_path / "none")}
    done = subprocess.run([DOCKER / "entrypoint.sh", "true"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert "HF_TOKEN_FILE=" in done.stderr


def test_the_proxy_configuration_is_valid() -> None:
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("no caddy: apt-get install caddy")
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PLUMBLINE_TLS_CERT": "/c", "PLUMBLINE_TLS_KEY": "/k"}
    command = [caddy, "adapt", "--config", str(DOCKER / "Caddyfile"), "--adapter", "caddyfile"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["admin"] == {"disabled": True}


def test_the_docker_work_pool_renders_to_arguments_that_docker_takes() -> None:
    pytest.importorskip("prefect_docker", reason="pip install -e .[deploy]")
    import asyncio

    from docker.models.containers import _create_container_args
    from prefect.client.schemas.objects import FlowRun
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect_docker.worker import DockerWorkerJobConfiguration

    template = json.loads((DOCKER / "base-job-template.json").read_text(encoding="utf-8"))
    job = asyncio.run(
        DockerWorkerJobConfiguration.from_template_and_values(template, {"mem_limit": "32g"}, client=_no_client())
    )
    with temporary_settings({PREFECT_API_URL: "https://localhost:8443/api"}):
        job.prepare_for_flow_run(FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), name="brave-quail"))
    assert job.env["PREFECT_API_URL"] == "http://server:4200/api", "the worker's own address means nothing in there"
    assert job.image == "plumbline:0.1.0"
    assert job.stream_output is False
    assert job.privileged is False
    arguments = _create_container_args(
        {
            "image": job.image,
            "environment": job.env,
            "volumes": job.volumes,
            "network": job.networks[0],
            "auto_remove": job.auto_remove,
            "mem_limit": job.mem_limit,
            "version": "1.43",
            **(job.container_create_kwargs or {}),
        }
    )
    host = arguments["host_config"]
    assert host["DeviceRequests"][0]["Capabilities"] == [["gpu"]]
    assert host["ShmSize"] == 16 << 30
    assert host["Memory"] == 32 << 30
    assert host["CapDrop"] == ["ALL"]


def _no_client() -> Any:
    """Rendering asks the server only for blocks and variables, and the template names none."""
    return object()
