"""The list of runs."""

from dataclasses import fields, replace

import pytest

from rnnreport.names import PARTS, RESOLVED_PROFILES, PartName, ResolvedProfile
from rnnreport.report.parts import runs_of


@pytest.mark.parametrize("profile", RESOLVED_PROFILES)
@pytest.mark.parametrize("part", PARTS)
def test_a_profile_is_decided_before(part: PartName, profile: ResolvedProfile) -> None:
    runs = runs_of(part, profile)
    configs = [each.configs[0] for each in runs if each.configs]
    own = [config for config in configs if "profile" in {field.name for field in fields(config)}]
    assert own
    for config in own:
        assert config.profile in RESOLVED_PROFILES
        with pytest.raises(ValueError, match="profile must be one of full, sample, got 'auto'"):
            replace(config, profile="auto")
