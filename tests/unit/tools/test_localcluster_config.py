import json
import tomllib
from pathlib import Path

import pytest
import yaml

from tools.localcluster import containerd, dns, kubeconfig, registry
from tools.localcluster.errors import ClusterError
from tools.localcluster.paths import NodePaths, Paths
from tools.localcluster.settings import CONTROL_PLANE, LOOPBACK, bridge, node_address, pod_network, release

NODE = NodePaths(Path("/state/nodes/n"), Path("/run/kaito-local/n"), Path("/images"))


def test_every_node_has_a_bridge_and_a_subnet_of_its_own() -> None:
    assert (bridge(3), str(pod_network(3)), str(node_address(3))) == (
        "kaito-br3",
        "10.244.3.0/24",
        "10.244.3.1",
    )


def test_more_nodes_than_subnets_are_refused() -> None:
    with pytest.raises(ClusterError, match="remove-node"):
        pod_network(250)


def test_a_bridge_name_fits_into_the_kernels_15_characters() -> None:
    assert len(bridge(249)) <= 15


def test_pods_have_no_way_out_of_the_cluster() -> None:
    (plugin,) = json.loads(containerd.cni_configuration("n", 2, Path("/leases")))["plugins"]
    assert plugin["ipMasq"] is False
    assert plugin["ipam"]["routes"] == [{"dst": "10.244.0.0/16"}, {"dst": "10.96.0.0/16"}]
    assert plugin["ipam"]["ranges"] == [[{"subnet": "10.244.2.0/24"}]]
    assert plugin["bridge"] == "kaito-br2"


def test_containerd_keeps_everything_in_the_nodes_folders() -> None:
    config = tomllib.loads(containerd.configuration(NODE))
    assert config["root"] == "/images"
    assert config["state"].startswith("/run/kaito-local/n/")
    assert config["grpc"]["address"] == "/run/kaito-local/n/containerd.sock"
    runtime = config["plugins"]["io.containerd.cri.v1.runtime"]
    options = runtime["containerd"]["runtimes"]["runc"]["options"]
    assert options["Root"].startswith("/run/kaito-local/n/")
    assert runtime["cni"]["conf_dir"] == "/state/nodes/n/config/cni"


def test_containerd_works_without_the_right_to_lower_oom_scores() -> None:
    config = tomllib.loads(containerd.configuration(NODE))
    assert config["plugins"]["io.containerd.cri.v1.runtime"]["restrict_oom_score_adj"] is True


def test_a_local_registry_is_spoken_to_without_tls() -> None:
    hosts = tomllib.loads(containerd.registry_hosts("localhost:5001"))
    assert hosts["server"] == "http://localhost:5001"
    assert list(hosts["host"]) == ["http://localhost:5001"]


def test_the_longest_node_name_still_gives_a_socket_path_that_the_kernel_takes() -> None:
    longest = Paths(Path("/cache")).node("n" * 63).socket
    assert len(f"{longest}.ttrpc") <= 107


def test_only_the_private_registry_asks_for_a_password() -> None:
    assert "auth" not in yaml.safe_load(registry.configuration(LOOPBACK, 5000, "/content", None))
    private = yaml.safe_load(registry.configuration(LOOPBACK, 5001, "/content", "/htpasswd"))
    assert private["auth"]["htpasswd"]["path"] == "/htpasswd"
    assert private["http"]["addr"] == "127.0.0.1:5001"


def test_pods_and_builders_get_the_same_content_by_addresses_that_nobody_outside_reaches(
    tmp_path: Path,
) -> None:
    paths = Paths(tmp_path)
    for name in ("registry-open", "registry-private"):
        for address in (LOOPBACK, CONTROL_PLANE):
            registry.Listening(paths, name, address, 5000, None).daemon()
        here = yaml.safe_load((paths.config / f"{name}.yaml").read_text())
        for_pods = yaml.safe_load((paths.config / f"{name}-for-pods.yaml").read_text())
        assert for_pods["storage"] == here["storage"]
        assert [c["http"]["addr"] for c in (here, for_pods)] == ["127.0.0.1:5000", "10.244.0.1:5000"]


def test_nodes_know_every_registry_by_the_names_that_images_have(tmp_path: Path) -> None:
    node = NodePaths(tmp_path / "state", tmp_path / "run", tmp_path / "images")
    containerd.Containerd("a", node, tmp_path).write_configuration(1)
    known = {path.name for path in (node.config / "registries").iterdir()}
    assert known == {"localhost:5000", "localhost:5001", "10.244.0.1:5000", "10.244.0.1:5001"}


def test_the_registrys_account_is_made_once_and_shows_no_password(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    first = registry.credentials(paths)
    assert registry.credentials(paths) == first
    assert len(first.password) >= 20
    assert first.password not in repr(first)
    assert (paths.config / "registry-private.json").stat().st_mode & 0o777 == 0o600


def test_names_outside_the_cluster_are_answered_at_once() -> None:
    corefile = dns.corefile(Path("/k"))
    assert corefile.index("kubernetes cluster.local") < corefile.index("template ANY ANY")
    assert "rcode NXDOMAIN" in corefile
    assert "forward" not in corefile


def test_the_dns_service_leads_to_the_process_on_the_first_nodes_bridge() -> None:
    manifests = dns.manifests()
    slices = [m for m in manifests.values() if m["kind"] == "EndpointSlice"]
    (service,) = [m for m in manifests.values() if m["kind"] == "Service"]
    assert service["spec"]["clusterIP"] == "10.96.0.10"
    assert [endpoint["addresses"] for endpoint in slices[0]["endpoints"]] == [["10.244.0.1"]]
    assert slices[0]["metadata"]["labels"]["kubernetes.io/service-name"] == service["metadata"]["name"]


def test_a_kubeconfig_needs_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig.render(b"ca", b"certificate", b"key"))
    content = yaml.safe_load(path.read_text())
    assert content["clusters"][0]["cluster"] == {
        "certificate-authority-data": "Y2E=",
        "server": "https://10.244.0.1:6443",
    }
    assert kubeconfig.current_context(path) == "kaito-local"


@pytest.mark.parametrize("content", ["", "[]", "a: [", "apiVersion: v1"])
def test_a_kubeconfig_without_a_context_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    with pytest.raises(ClusterError, match=str(path)):
        kubeconfig.current_context(path)


@pytest.mark.parametrize("name", ["1.36", "1.36.3"])
def test_a_release_is_found_by_its_minor_and_by_its_full_version(name: str) -> None:
    assert release(name).version == "1.36.3"


def test_an_unknown_release_is_refused_with_the_choices() -> None:
    with pytest.raises(ClusterError, match=r"1\.36, 1\.34"):
        release("1.35")
