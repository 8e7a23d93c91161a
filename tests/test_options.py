"""Impossible options of every model are refused when it is built, with what is allowed."""

import pytest

from bench.common.errors import ConfigurationError
from bench.models import create_model

CASES = [
    ("hpcm_base", {"M": 12}, "M must be a multiple of 8"),
    ("hpcm_base", {"M": "32"}, "M must be a whole number of at least 1"),
    ("hpcm_base", {"N": 0}, "N must be a whole number of at least 1"),
    ("hpcm_base", {"M": 32, "head_width": 7}, "divide 2M = 64 \\(1, 2, 4, 8, 16, 32, 64\\), not 7"),
    ("hpcm_base", {"head_width": 8.0}, "head_width must"),
    ("hpcm_base", {"stages": []}, "stages must be 1 or more"),
    ("hpcm_base", {"stages": [[8, -1]]}, "at least 0, not -1"),
    ("hpcm_base", {"stages": [[0, 1]]}, "at least 1, not 0"),
    ("hpcm_base", {"hyper_blocks": [1, 1]}, "hyper_blocks must be a list of 4"),
    ("hpcm_base", {"prior_s3": [1, -2]}, "each of prior_s3"),
    ("hpcm_base", {"expansion": 0}, "expansion must be a positive number"),
    ("hpcm_1b", {"adaptor_depths": [1, 2]}, "adaptor_depths must be a list of 3"),
    ("multiref_phase1", {"detach_memory": "no"}, "detach_memory must be true or false"),
    ("multiref_phase1", {"pair_values": "no"}, "pair_values must be true or false"),
    ("multiref_phase1", {"temperature": "a"}, "temperature must be a positive number"),
    ("multiref_phase1", {"temperature": True}, "temperature must be a positive number"),
    ("multiref_phase2", {"enable_hierarchical_transfer": 1}, "must be true or false"),
    ("multiref_phase3", {"attn_s3_window": 8.0}, "must be 1, 2, 4, 8 or 16"),
    ("multiref_phase3", {"kernel_type": ["elu"]}, "must be one of elu, relu"),
    ("rwkv_phase3", {"fusion_rate": float("inf")}, "hidden rate must be a positive number"),
    ("rwkv_phase3", {"fusion_blocks": True}, "fusion_blocks must be a whole number"),
    ("rwkv_phase2", {"runs": 64.0}, "runs must be a whole number"),
    ("rwkv_phase2", {"cell_rates": [2, "3", 4]}, "hidden rate must be a positive number"),
    ("rwkv_phase2", {"use_checkpoint": "no"}, "use_checkpoint must be true or false"),
    ("weconv_phase2", {"stages": [[8, 1]]}, "stages must be 2 or more"),
    ("weconv_phase5", {"num_checkerboard_groups": 4.0}, "must be 2 or 4"),
    ("lalic", {"N": -3}, "N must be a whole number of at least 1"),
    ("lalic", {"rate": "4"}, "rate must be a positive number"),
    ("lalic", {"groups": [16, 16]}, "groups must add up"),
]


@pytest.mark.parametrize("name, options, told", CASES, ids=lambda value: str(value)[:40])
def test_impossible_options_are_refused(name, options, told):
    small = {} if name == "lalic" else {"M": 16, "N": 8, "stages": [[8, 1], [8, 1]], "head_width": 8}
    with pytest.raises(ConfigurationError, match=told):
        create_model(name, **{**({} if name == "hpcm_1b" else small), **options})


def test_the_switch_takes_only_flags_at_run_time():
    model = create_model("multiref_phase1", M=16, N=8, stages=[[8, 1], [8, 1]], head_width=8, compress_ratio=1)
    model.enable_multiref = False
    with pytest.raises(ValueError, match="true or false, not 'no'"):
        model.enable_multiref = "no"
    assert model.enable_multiref is False
