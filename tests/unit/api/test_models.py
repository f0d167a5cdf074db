"""Reading and writing Workspaces."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from kaito_operator.api.meta import LabelSelector, ObjectMeta, format_timestamp
from kaito_operator.api.workspace import (
    AdapterSpec,
    BlockedOn,
    DataSource,
    InferenceSpec,
    PresetSpec,
    ResourceSpec,
    Workspace,
    WorkspaceStatus,
)
from tests.cluster.admission.rows import create_rows, stored_rows

FULL: dict[str, Any] = {
    "apiVersion": "kaito.sh/v1alpha1",
    "kind": "Workspace",
    "metadata": {
        "name": "w",
        "namespace": "default",
        "uid": "u",
        "generation": 3,
        "resourceVersion": "17",
        "labels": {"a": "b"},
        "annotations": {"kaito.sh/enablelb": "True"},
        "finalizers": ["workspace.finalizer.kaito.sh"],
        "ownerReferences": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": "o",
                "uid": "v",
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
        "creationTimestamp": "2030-01-02T03:04:05Z",
        "deletionTimestamp": "2030-01-02T03:04:06Z",
    },
    "resource": {
        "count": 2,
        "instanceType": "Standard_NC24ads_A100_v4",
        "labelSelector": {
            "matchLabels": {"apps": "phi-3"},
            "matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}],
        },
        "preferredNodes": ["n1"],
    },
    "inference": {
        "preset": {
            "name": "phi-3-mini-4k-instruct",
            "accessMode": "private",
            "presetOptions": {
                "image": "r.example.com/a/b:1",
                "imagePullSecrets": ["s"],
                "trustRemoteCode": True,
                "modelAccessSecret": "t",
                "volumeClaim": "c",
                "weightsPath": "p",
                "weightsFrom": "volumeClaim",
            },
        },
        "template": {"spec": {"containers": [{"name": "x", "nullable": None}]}},
        "adapters": [
            {
                "source": {
                    "name": "poet",
                    "urls": ["https://example.com"],
                    "volumeSource": {"emptyDir": {}},
                    "image": "r.example.com/a:1",
                    "imagePullSecrets": ["s"],
                },
                "strength": "0.5",
            }
        ],
        "server": {
            "contextTokens": 4096,
            "maxConcurrentRequests": 8,
            "requestTimeoutSeconds": 60,
            "apiKeysSecret": "k",
        },
    },
    "tuning": {
        "preset": {
            "name": "phi-2",
            "accessMode": "public",
            "presetOptions": {"imagePullSecrets": [], "trustRemoteCode": False},
        },
        "method": "QLoRA",
        "config": "c",
        "input": {"name": "d", "urls": ["https://example.com"], "imagePullSecrets": []},
        "output": {"volumeSource": {"emptyDir": {}}, "image": "r.example.com/o:1", "imagePushSecret": "s"},
    },
    "status": {
        "workerNodes": ["n1"],
        "conditions": [
            {
                "type": "WorkspaceReady",
                "status": "True",
                "reason": "workspaceReady",
                "message": "workspace is ready",
                "lastTransitionTime": "2030-01-02T03:04:05Z",
                "observedGeneration": 3,
            }
        ],
        "phase": "Ready",
        "instanceType": "Standard_NC24ads_A100_v4",
        "blockedOn": {"reason": "A", "message": "B", "nextAction": "C", "since": "2030-01-02T03:04:05Z"},
        "timeline": [
            {
                "phase": "Loading",
                "startedAt": "2030-01-02T03:04:05Z",
                "endedAt": "2030-01-02T03:04:06Z",
                "expectedSeconds": 5,
            }
        ],
        "plan": {
            "nodes": 1,
            "gpus": 1,
            "tensorParallel": 1,
            "pipelineParallel": 1,
            "weightsBytes": 7,
            "kvCacheBytesPerToken": 8,
            "memoryBytes": 9,
            "diskBytes": 11,
            "weightsFrom": "image",
            "weightsSource": "r.example.com/a/b:1",
            "factsSource": "presets",
            "expectedSecondsToReady": 10,
            "pricePerHour": "3.673",
            "priceSource": "eastus, 2026-06-18",
            "alternatives": [
                {"name": "Standard_NC48ads_A100_v4", "nodes": 1, "pricePerHour": "7.346"},
            ],
            "warnings": ["no price is known"],
            "rejected": [{"name": "Standard_NC6", "reason": "too small"}],
        },
        "claims": [
            {
                "ordinal": 0,
                "attempt": 1,
                "name": "ws012345678",
                "instanceType": "Standard_NC24ads_A100_v4",
                "failures": 1,
                "reason": "AzureNoCapacity",
                "message": "none left",
                "retryAt": "2030-01-02T03:05:05Z",
            }
        ],
        "adapters": [
            {
                "name": "poet",
                "image": "r.example.com/a:1",
                "digest": "sha256:0",
                "strength": "0.5",
                "state": "Refused",
                "reason": "AdapterRefused",
                "message": "It does not fit.",
            }
        ],
        "observedGeneration": 3,
    },
}


def test_an_object_with_every_field_is_written_as_it_was_read() -> None:
    assert Workspace.model_validate(FULL).to_dict() == FULL


@pytest.mark.parametrize("row", create_rows() + stored_rows(), ids=lambda row: row.name)
def test_reading_what_was_written_gives_the_same_object(row: Any) -> None:
    try:
        workspace = Workspace.model_validate(row.manifest)
    except ValidationError:
        assert row.refused, "the API server admits this manifest"
        return
    assert Workspace.model_validate(workspace.to_dict()) == workspace


def test_ten_lines_give_an_object_with_defaults() -> None:
    workspace = Workspace.model_validate(
        {"metadata": {"name": "w"}, "inference": {"preset": {"name": "smollm2-135m-instruct"}}}
    )
    assert workspace.resource is None
    assert workspace.status is None
    assert workspace.inference is not None
    assert workspace.inference.preset == PresetSpec(name="smollm2-135m-instruct")
    assert workspace.inference.preset.access_mode == "public"
    assert workspace.inference.preset.preset_options.trust_remote_code is False


def test_a_null_is_read_as_absent() -> None:
    workspace = Workspace.model_validate(
        {
            "metadata": {"name": "w", "labels": None, "creationTimestamp": None},
            "resource": {"count": None, "labelSelector": None, "preferredNodes": None},
            "inference": None,
        }
    )
    assert workspace.metadata == ObjectMeta(name="w")
    assert workspace.resource == ResourceSpec()
    assert workspace.inference is None


def test_unknown_fields_are_ignored() -> None:
    workspace = Workspace.model_validate(
        {"metadata": {"name": "w", "selfLink": "x"}, "resource": {"partition": {"mode": "mig"}}, "spec": {}}
    )
    assert workspace == Workspace(metadata=ObjectMeta(name="w"), resource=ResourceSpec())


def test_a_pod_template_is_kept_to_the_letter() -> None:
    template = {
        "metadata": {"creationTimestamp": None},
        "spec": {"containers": [{"name": "a", "x": [1, None]}]},
    }
    workspace = Workspace.model_validate({"metadata": {"name": "w"}, "inference": {"template": template}})
    assert workspace.inference is not None
    assert workspace.inference.template == template
    assert workspace.to_dict()["inference"]["template"] == template


def test_an_adapter_of_v0_3_0_without_source_and_strength_can_be_read() -> None:
    inference = InferenceSpec.model_validate({"adapters": [{}, {"source": {"name": "Poet"}}]})
    assert inference.adapters == [AdapterSpec(), AdapterSpec(source=DataSource(name="Poet"))]


@pytest.mark.parametrize("value", [3, "x", [1], True])
def test_a_template_of_v0_3_0_that_is_no_object_is_read_as_an_empty_one(value: object) -> None:
    assert InferenceSpec.model_validate({"template": value}).template == {}


def test_a_model_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        ResourceSpec().count = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-02T03:04:05Z", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2030-01-02T03:04:05.678901Z", datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)),
        ("2030-01-02T05:04:05+02:00", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2030-01-02T03:04:05", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("0000-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59-12:00", datetime(1970, 1, 1, tzinfo=UTC)),
        ("yesterday", datetime(1970, 1, 1, tzinfo=UTC)),
        ([], datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_timestamp_is_always_read_as_an_aware_moment(text: object, moment: datetime) -> None:
    assert ObjectMeta.model_validate({"creationTimestamp": text}).creation_timestamp == moment


def test_a_timestamp_is_written_in_utc_with_whole_seconds() -> None:
    moment = datetime(2030, 1, 2, 5, 4, 5, 999999, tzinfo=timezone(timedelta(hours=2)))
    assert format_timestamp(moment) == "2030-01-02T03:04:05Z"
    assert format_timestamp(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"
    assert BlockedOn(reason="A", message="B", since=moment).to_dict()["since"] == "2030-01-02T03:04:05Z"


def test_a_selector_reads_as_labels_whatever_its_form() -> None:
    selector = LabelSelector.model_validate(
        {
            "matchLabels": {"a": "1"},
            "matchExpressions": [
                {"key": "b", "operator": "In", "values": ["2"]},
                {"key": "c", "operator": "In", "values": ["3", "4"]},
                {"key": "d", "operator": "Exists"},
            ],
        }
    )
    assert selector.as_labels() == {"a": "1", "b": "2"}


def test_an_empty_status_writes_no_words() -> None:
    assert WorkspaceStatus().to_dict() == {
        "workerNodes": [],
        "conditions": [],
        "timeline": [],
        "claims": [],
        "adapters": [],
    }
