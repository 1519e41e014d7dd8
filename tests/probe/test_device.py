from tests.process import python


def test_facts_name_the_device_the_backend_and_the_versions() -> None:
    facts = python("import json; from mlxtop.probe import device; print(json.dumps(device.facts()))")
    assert facts["backend"] in ("CPU", "CUDA", "Metal")
    assert facts["device"]
    assert facts["memory"] > 2**28
    for package in ("mlx", "mlx_lm", "mlxtop"):
        assert facts[package][0].isdigit()


def test_a_ceiling_the_device_does_not_name_is_unknown_and_not_zero() -> None:
    facts = python("import json; from mlxtop.probe import device; print(json.dumps(device.facts()))")
    assert facts["working_set"] is None or facts["working_set"] > 0
    assert facts["max_buffer"] is None or facts["max_buffer"] > 0


def test_a_package_that_is_not_there_has_no_version() -> None:
    from mlxtop.probe.device import version

    assert version("no-such-package-at-all") is None
