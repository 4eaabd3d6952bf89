from __future__ import annotations

from lab import firewall
from lab.cloud import Endpoint, Instance, Permission, SecurityGroup, permissions

ONE = Instance("i-1", "running", "10.0.0.1", "subnet-1", "10.0.0.0/24", groups=("sg-web", "sg-gone"))
TWO = Instance("i-2", "running", "10.0.1.2", "subnet-2", "10.0.1.0/24", groups=("sg-db",))
WEB = SecurityGroup(
    (Permission("tcp", 443, 443, ("198.51.100.0/24",), ()),), (Permission("tcp", 5432, 5433, (), ("sg-db",)),)
)
DB = SecurityGroup(
    ingress=(Permission("-1", None, None, (), ("sg-web",)),),
    egress=(Permission("icmp", -1, -1, ("0.0.0.0/0",), ()),),
)


def chain(text: str, name: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    start = lines.index(f"chain {name} {{")
    return lines[start + 1 : lines.index("}", start)]


def test_each_host_has_what_its_groups_open_and_nothing_else() -> None:
    text = firewall.ruleset([TWO, ONE], {"sg-web": WEB, "sg-db": DB})
    assert chain(text, "to-i-1") == ["ip saddr 198.51.100.0/24 tcp dport 443-443 return", "drop"]
    assert chain(text, "from-i-1") == ["ip daddr 10.0.1.2 tcp dport 5432-5433 return", "drop"]
    assert chain(text, "to-i-2") == ["ip saddr 10.0.0.1 return", "drop"]
    assert chain(text, "from-i-2") == ["ip daddr 0.0.0.0/0 ip protocol icmp return", "drop"]


def test_who_comes_and_who_goes_is_judged_at_every_door() -> None:
    text = firewall.ruleset([ONE], {})
    assert chain(text, "judge")[2:] == ["ip saddr 10.0.0.1 jump from-i-1", "ip daddr 10.0.0.1 jump to-i-1"]
    for hook in ("input", "forward", "output"):
        assert "jump judge" in chain(text, hook)


def test_the_metadata_service_is_open_to_all_and_nothing_else_of_its_address() -> None:
    assert chain(firewall.ruleset([ONE], {}), "judge")[1] == "ip daddr 169.254.169.254 tcp dport 80 accept"


def test_an_endpoint_is_reached_by_whom_its_group_lets_in() -> None:
    logs = Endpoint("eni-1", "10.0.0.254", "vpc-1", ("logs.eu-west-1.amazonaws.com",), ("sg-endpoints",))
    https = Permission("tcp", 443, 443, (), ("sg-web",))
    to = Permission("tcp", 443, 443, (), ("sg-endpoints",))
    groups = {
        "sg-web": SecurityGroup((), (to,)),
        "sg-db": SecurityGroup((), ()),
        "sg-endpoints": SecurityGroup((https,), ()),
    }
    text = firewall.ruleset([ONE, TWO, logs], groups)
    assert chain(text, "from-i-1") == ["ip daddr 10.0.0.254 tcp dport 443-443 return", "drop"]
    assert chain(text, "from-i-2") == ["drop"]
    assert chain(text, "to-eni-1") == ["ip saddr 10.0.0.1 tcp dport 443-443 return", "drop"]
    assert chain(text, "from-eni-1") == ["drop"]


def test_the_order_of_ec2s_answers_changes_nothing() -> None:
    groups = {"sg-web": WEB, "sg-db": DB}
    assert firewall.ruleset([ONE, TWO], groups) == firewall.ruleset([TWO, ONE], dict(reversed(groups.items())))


def test_permissions_as_ec2_tells_them() -> None:
    told = [
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "all"}]},
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": "sg-1", "UserId": "1"}]},
    ]
    assert permissions(told) == (
        Permission("-1", None, None, ("0.0.0.0/0",), ()),
        Permission("tcp", 22, 22, (), ("sg-1",)),
    )
