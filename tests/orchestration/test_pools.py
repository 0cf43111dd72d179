"""The shipped base job templates of the Docker and Kubernetes pools, on a real server, with the documented commands."""

import json
import subprocess
import sys

import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import PrefectHTTPStatusError
from service import ROOT, Service

pytestmark = pytest.mark.orchestration


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_the_server_takes_the_template_as_it_is_shipped(service: Service, kind: str) -> None:
    template, name = ROOT / "deploy" / kind / "base-job-template.json", f"plumbline-{kind}"
    command = ["work-pool", "create", name, "--type", kind, "--base-job-template", str(template)]
    for arguments in (command, [*command[:1], "update", name, *command[5:]]):
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            env=service.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    stored = service.client.read_work_pool(name)
    assert stored.base_job_template == json.loads(template.read_text(encoding="utf-8"))


def test_the_server_refuses_a_template_with_an_unknown_variable(service: Service) -> None:
    text = (ROOT / "deploy" / "kubernetes" / "base-job-template.json").read_text(encoding="utf-8")
    broken = json.loads(text.replace("{{ gpus }}", "{{ gpuz }}"))
    with pytest.raises(PrefectHTTPStatusError, match="undeclared variable"):
        service.client.create_work_pool(WorkPoolCreate(name="broken", type="kubernetes", base_job_template=broken))
