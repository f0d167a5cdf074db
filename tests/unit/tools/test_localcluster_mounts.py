from pathlib import Path

from tools.localcluster.mounts import below

MOUNTINFO = """\
22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /run rw shared:2 - tmpfs tmpfs rw
40 30 0:30 / /run/kaito-local/n/rootfs rw - overlay overlay rw
41 40 0:31 / /run/kaito-local/n/rootfs/mnt rw - tmpfs tmpfs rw
42 30 0:32 / /run/kaito-local-other rw - tmpfs tmpfs rw
43 22 0:33 / /state/with\\040space rw - tmpfs tmpfs rw
44 22 0:34 / /state rw - tmpfs tmpfs rw
"""


def test_mounts_in_a_folder_come_deepest_first() -> None:
    assert below([Path("/run/kaito-local")], MOUNTINFO) == [
        "/run/kaito-local/n/rootfs/mnt",
        "/run/kaito-local/n/rootfs",
    ]


def test_a_folder_that_only_begins_alike_is_left_alone() -> None:
    assert "/run/kaito-local-other" not in below([Path("/run/kaito-local")], MOUNTINFO)


def test_escaped_names_are_read_and_the_folder_itself_counts() -> None:
    assert below([Path("/state")], MOUNTINFO) == ["/state", "/state/with space"]
