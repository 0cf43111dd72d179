"""deploy/kubernetes without a cluster: the job that Prefect's worker would create, against Kubernetes' own schema."""

import asyncio
import copy
import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"


def render(**values: Any) -> dict[str, Any]:
    """The job manifest of a flow run, as the worker submits it."""
    pytest.importorskip("prefect_kubernetes", reason="pip install -e .[deploy]")
    from prefect.client.schemas.objects import FlowRun
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    template = json.loads((FOLDER / "base-job-template.json").read_text(encoding="utf-8"))
    job = asyncio.run(
        KubernetesWorkerJobConfiguration.from_template_and_values(template, values, client=object())  # type: ignore[arg-type]
    )
    job.prepare_for_flow_run(FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), name="brave-quail"))
    return job.job_manifest


@pytest.mark.parametrize("version", ["1.30", "1.37"])
@pytest.mark.parametrize("values", [{}, {"gpus": 8, "env": {"NCCL_DEBUG": "INFO"}, "grace_seconds": 120}])
def test_the_job_is_valid_for_kubernetes(version: str, values: dict[str, Any]) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="pip install -e .[deploy]")
    manifest = copy.deepcopy(render(**values))
    pod = manifest["spec"]["template"]["spec"]
    # Prefect's worker demands these two in the pod, where Kubernetes does not know and ignores them
    assert (pod.pop("parallelism"), pod.pop("completions")) == (1, 1)
    validator.validate(manifest, version, strict=True)


def test_an_unknown_field_would_be_seen() -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="pip install -e .[deploy]")
    with pytest.raises(validator.ValidationError):
        validator.validate(render(), "1.37", strict=True)  # parallelism in the pod


def test_the_home_volume_is_valid_and_is_the_one_that_the_job_mounts() -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="pip install -e .[deploy]")
    claim = yaml.safe_load((FOLDER / "home.yaml").read_text(encoding="utf-8"))
    validator.validate(claim, "1.37", strict=True)
    mounted = {"name": "home", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
    assert mounted in render()["spec"]["template"]["spec"]["volumes"]


def test_the_pod_gets_gpus_shared_memory_time_to_stop_and_secrets_by_reference() -> None:
    pod = render(gpus=2)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}} in pod["volumes"]
    assert {"name": "shm", "mountPath": "/dev/shm"} in container["volumeMounts"]
    assert container["envFrom"] == [{"secretRef": {"name": "plumbline"}}]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False


def test_there_is_more_time_to_stop_than_a_checkpoint_needs() -> None:
    from configs.schema.launch import LaunchConfig

    assert render()["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 2 * LaunchConfig().grace_seconds


def test_an_evicted_run_is_rescheduled_and_not_failed() -> None:
    manifest = render()
    env = {item["name"]: item["value"] for item in manifest["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert manifest["spec"]["backoffLimit"] == 0
    assert env["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "reschedule"
    assert env["PLUMBLINE_HOME"] == "/var/lib/plumbline"


def test_helm_values_name_the_secrets_that_the_readme_makes() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    made = set(re.findall(r"kubectl create secret \w+ ([\w.-]+)", readme))
    server, worker = (
        yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
        for name in ("values-server.yaml", "values-worker.yaml")
    )
    used = {
        server["server"]["basicAuth"]["existingSecret"],
        server["secret"]["name"],
        worker["worker"]["basicAuth"]["existingSecret"],
        json.loads((FOLDER / "base-job-template.json").read_text())["variables"]["properties"]["secret_name"][
            "default"
        ],
    }
    assert used <= made
    assert server["server"]["basicAuth"]["enabled"]
    assert server["secret"]["create"] is False
    assert f"{server['ingress']['host']['hostname']}-tls" in made, "the name that the chart looks for"


def test_the_worker_hands_the_auth_string_over_as_a_reference() -> None:
    worker = yaml.safe_load((FOLDER / "values-worker.yaml").read_text(encoding="utf-8"))["worker"]
    env = {item["name"]: item["value"] for item in worker["extraEnvVars"]}
    prefix = "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET"
    assert env[f"{prefix}_NAME"] == worker["basicAuth"]["existingSecret"]
    assert env[f"{prefix}_KEY"] == "auth-string"
    assert worker["config"]["workPool"] == "plumbline-kubernetes"


def test_the_images_of_the_charts_have_the_locked_prefect() -> None:
    lock = (FOLDER.parents[1] / "requirements.lock").read_text(encoding="utf-8")
    locked = re.search(r"^prefect==(.+)$", lock, re.M)
    assert locked
    for name in ("values-server.yaml", "values-worker.yaml"):
        assert f"prefectTag: {locked[1]}-python3.11" in (FOLDER / name).read_text(encoding="utf-8")
