"""Kubernetes sets variables that begin as our settings do. A misspelt setting stays an error all the same."""

import pytest

from hourpass.core.errors import ConfigurationError
from hourpass.server.settings.loading import load
from hourpass.service_links import note_on_service_links, service_links


def links_of(service: str, address: str = "10.0.0.11", shown: str = "10.0.0.11") -> dict[str, str]:
    """The kubelet's variables for a Service with a named port 80 and a UDP port (its `makeLinkVariables`)."""
    name = service.upper().replace("-", "_")
    variables = {
        f"{name}_SERVICE_HOST": address,
        f"{name}_SERVICE_PORT": "80",
        f"{name}_SERVICE_PORT_HTTP_PUBLIC": "80",
        f"{name}_SERVICE_PORT_DNS": "53",
        f"{name}_PORT": f"tcp://{shown}:80",
    }
    for port, protocol in ((80, "tcp"), (53, "udp"), (38412, "sctp")):
        prefix = f"{name}_PORT_{port}_{protocol.upper()}"
        variables |= {
            prefix: f"{protocol}://{shown}:{port}",
            f"{prefix}_PROTO": protocol,
            f"{prefix}_PORT": str(port),
            f"{prefix}_ADDR": address,
        }
    return variables


@pytest.mark.parametrize(
    "service",
    [
        "hourpass", "hourpass-auth", "hourpass-postgres", "hourpass-agent", "hourpass-port", "hourpass-service",
        "hourpass-service-port", "hourpass-2", "hourpass-url", "hourpass-port-80-tcp",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("address", "shown"), [("10.0.0.11", "10.0.0.11"), ("fd00::11", "[fd00::11]")])
def test_every_variable_of_a_service_is_passed_over(service, address, shown):
    environ = links_of(service, address, shown)

    settings, origins = load({}, environ, "/srv")

    assert service_links(environ) == sorted(environ)
    assert (settings.port, origins["port"].source) == (3600, "default")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOURPASS_PORT", "tcp://10.0.0.11"),
        ("HOURPASS_PORT", "tcp://hourpass:80"),
        ("HOURPASS_PORT", "http://10.0.0.11:80"),
        ("HOURPASS_PORT", "tcp://10.0.0.11:80/"),
        ("HOURPASS_ADMIN_PORT", "3601"),
        ("HOURPASS_SERVICE_HOST", "0.0.0.0:80"),
        ("HOURPASS_SERVICE_HOST", ""),
        ("HOURPASS_SERVICE_PORT", "http"),
        ("HOURPASS_SERVICE_NAME", "hourpass"),
        ("HOURPASS_PORT_80_TCP_PROTO", "http"),
        ("HOURPASS_PORT_TCP", "tcp://10.0.0.11:80"),
        ("HOURPASS_PORTS", "tcp://10.0.0.11:80"),
        ("HOURPASS_HOST_PORT", "127.0.0.1:3600"),
    ],
)
def test_a_variable_that_is_not_a_link_by_name_and_value_is_an_error(name, value):
    assert service_links({name: value}) == []
    with pytest.raises(ConfigurationError):
        load({}, {name: value}, "/srv")


def test_a_port_that_is_a_number_is_the_setting():
    environ = {"HOURPASS_PORT": "8080"}

    assert load({}, environ, "/srv")[0].port == 8080
    assert note_on_service_links(environ) == ""


def test_the_note_is_one_sentence_with_one_name_and_the_number_of_the_others():
    environ = links_of("hourpass")

    assert note_on_service_links(environ).startswith(f"HOURPASS_PORT (and {len(environ) - 1} more) is passed over")
    assert note_on_service_links({"HOURPASS_PORT": "tcp://10.0.0.11:80"}).startswith("HOURPASS_PORT is passed over")
