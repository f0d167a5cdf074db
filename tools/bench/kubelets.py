"""Kubelets of nodes that are API objects only: pods there run at once, and go when they are deleted."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from tools.bench.client import STRATEGIC, Client, Event
from tools.bench.paths import PODS
from tools.localcluster.settings import MAX_NODES, pod_network

Json = dict[str, Any]
SPARE_NETWORKS = range(MAX_NODES - 4, MAX_NODES)
"""Of nodes that the local cluster hardly ever has; their addresses never lead off the machine."""


class Kubelets:
    """Plays the kubelets of all nodes that are not real.

    One watch serves them all. A pod costs two writes, that it runs and that it is removed; a real kubelet
    makes a few more on the way. Their reports of images and probes have no time of their own here.

    Args:
        client: may change and delete pods.
        real_nodes: names of the nodes that have a kubelet.
    """

    def __init__(self, client: Client, real_nodes: frozenset[str]) -> None:
        self._client = client
        self._real_nodes = real_nodes
        self._started: set[str] = set()
        self._ending: set[str] = set()

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            BenchError: the API server refused something, or the watch ended.
        """
        async with asyncio.TaskGroup() as tasks:
            async for event in self._client.watch(PODS, fieldSelector="spec.nodeName!="):
                if event.what == "DELETED" or event.obj["spec"]["nodeName"] in self._real_nodes:
                    continue
                self._serve(event, tasks)

    def _serve(self, event: Event, tasks: asyncio.TaskGroup) -> None:
        pod = event.obj
        uid = pod["metadata"]["uid"]
        if "deletionTimestamp" in pod["metadata"]:
            if uid not in self._ending:
                self._ending.add(uid)
                tasks.create_task(self._remove(pod))
        elif uid not in self._started:
            self._started.add(uid)
            tasks.create_task(self._start(pod, len(self._started)))

    async def _start(self, pod: Json, number: int) -> None:
        status = running(pod, address(number), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        path = f"{PODS}/{pod['metadata']['name']}/status"
        await self._client.patch(path, {"status": status}, STRATEGIC)

    async def _remove(self, pod: Json) -> None:
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        await self._client.delete(f"{PODS}/{pod['metadata']['name']}", options)


def address(number: int) -> str:
    """Give the pod with this number an address; they repeat after about a thousand."""
    index, place = divmod(number % (len(SPARE_NETWORKS) * 250), 250)
    return str(pod_network(SPARE_NETWORKS[index])[2 + place])


def running(pod: Json, ip: str, now: str) -> Json:
    """Write the status of a pod whose containers all run and answer; for a strategic merge.

    Args:
        pod: as the scheduler left it.
        ip: the pod's address.
        now: RFC 3339.
    """
    spec = pod["spec"]
    met = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")
    return {
        "phase": "Running",
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "startTime": now,
        "conditions": [{"type": name, "status": "True", "lastTransitionTime": now} for name in met],
        "initContainerStatuses": [
            _container(container, {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": now}})
            for container in spec.get("initContainers", ())
        ],
        "containerStatuses": [
            _container(container, {"running": {"startedAt": now}}) for container in spec["containers"]
        ],
    }


def _container(container: Json, state: Json) -> Json:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": f"simulated://{container['image']}",
        "containerID": f"simulated://{container['name']}",
        "ready": True,
        "started": "running" in state,
        "restartCount": 0,
        "state": state,
    }
