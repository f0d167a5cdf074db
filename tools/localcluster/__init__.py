"""A real Kubernetes cluster on one Linux machine, without Docker and without images from the internet."""

from tools.localcluster.cluster import Cluster
from tools.localcluster.errors import ClusterError
from tools.localcluster.find import find_cluster
from tools.localcluster.nodespec import Taint
from tools.localcluster.protocol import AnyCluster

__all__ = ["AnyCluster", "Cluster", "ClusterError", "Taint", "find_cluster"]
