"""What the build takes over from this machine's network settings."""

from pathlib import Path

from tools.images.debian import choose_mirror
from tools.images.host import certificate_file, pip_config, pip_settings
from tools.images.registry import is_local


def test_pips_environment_wins_over_its_files() -> None:
    listing = ":env:.index-url='https://env.example/simple'\nglobal.index-url='https://file.example/simple'\n"

    assert pip_settings(listing) == {"index-url": "https://env.example/simple"}


def test_pips_quoted_values_are_read() -> None:
    assert pip_settings("global.extra-index-url='a\\nb'\nglobal.cert=\"/it's/ca\"\n") == {
        "extra-index-url": "a\nb",
        "cert": "/it's/ca",
    }


def test_a_setting_of_one_pip_command_is_left_out() -> None:
    assert pip_settings("download.no-deps='true'\n") == {}


def test_pips_configuration_in_the_build_names_the_certificate_as_the_build_sees_it() -> None:
    text = pip_config({"cert": "/home/me/ca.pem"}, has_certificate=True)

    assert text == "[global]\ncert = /run/secrets/ca.crt\n"


def test_settings_that_mean_nothing_in_a_build_stay_outside() -> None:
    assert pip_config({"find-links": "/opt/wheels"}, has_certificate=False) == ""


def test_an_index_with_two_addresses_becomes_one_setting_with_two_lines() -> None:
    text = pip_config({"extra-index-url": "\na\nb", "default-timeout": "9"}, has_certificate=False)

    assert text == "[global]\nextra-index-url = \n    a\n    b\ntimeout = 9\n"


def test_the_first_certificate_file_that_exists_is_taken(tmp_path: Path) -> None:
    real = tmp_path / "ca.pem"
    real.touch()

    found = certificate_file({"cert": "/nowhere/ca.pem"}, {"SSL_CERT_FILE": str(real)})

    assert found == real


def test_a_machine_without_its_own_certificates_gives_none() -> None:
    assert certificate_file({}, {}) is None


def test_the_main_archive_is_chosen_among_security_and_updates() -> None:
    listing = (
        "Debian trixie-security http://a.example/debian-security/\n"
        "Other stable http://b.example/\n"
        "Debian trixie http://c.example/debian/\n"
    )

    assert choose_mirror(listing) == "http://c.example/debian/"


def test_a_machine_of_another_distribution_has_no_mirror() -> None:
    assert choose_mirror("Ubuntu noble http://a.example/ubuntu/\n\n") is None


def test_only_registries_on_this_machine_are_spoken_to_without_tls() -> None:
    assert is_local("localhost:5000/kaito-operator:1")
    assert is_local("127.0.0.1:5999/")
    assert not is_local("localhost.example.com/kaito-operator:1")
    assert not is_local("example.com/localhost:1")
