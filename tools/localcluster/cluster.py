"""The local cluster: a real control plane and real nodes, as processes of this machine."""

import fcntl
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from tools.localcluster import binaries, cgroups, dns, network, preflight, registry
from tools.localcluster.api import Api
from tools.localcluster.certificates import Authority
from tools.localcluster.controlplane import ControlPlane
from tools.localcluster.errors import ClusterError
from tools.localcluster.kubeconfig import write as write_kubeconfig
from tools.localcluster.kubelet import SHARED_FOLDER
from tools.localcluster.node import Node
from tools.localcluster.nodespec import INSTANCE_TYPE_LABEL, NodeSpec, Taint, free_index
from tools.localcluster.paths import CHECKOUT_KUBECONFIG, Paths, cache_folder, private_folder, write_private
from tools.localcluster.processes import Daemon, Processes, boot_id
from tools.localcluster.removal import Removal, read_record
from tools.localcluster.settings import DEFAULT_KUBERNETES, FIRST_NODE, Release, release
from tools.localcluster.status import Status, observe

REGISTRY = registry.OPEN_REGISTRY
