"""A real Kubernetes cluster on one Linux machine, without Docker and without images from the internet."""

from tools.localcluster.cluster import Cluster
from tools.localcluster.errors import ClusterError
from tools.localcluster.nodespec import Taint

__all__ = ["Cluster", "ClusterError", "Taint"]
