"""Networks of an experiment's trigger, against the integers of its own C++ emulators."""

import numpy as np
import pytest

from finn_builds.ingest import Reference, load_model, split_host, tidy
from finn_builds.verify.golden import compare_golden, read_golden

#: Networks and the vectors that go with them.
NETWORKS = {
    "cicada_v1": "cicada_v1",
    "cicada_v1_sat8": "cicada_v1_sat8",
    "axol1tl_v3_mu": "axol1tl_v3_mu",
    "axol1tl_v3_core": "axol1tl_v3_core",
    "axol1tl_v3_score": "axol1tl_v3",
    "axol1tl_v3": "axol1tl_v3",
    "axol1tl_v5_core": "axol1tl_v5_core",
    "axol1tl_v5": "axol1tl_v5",
    "l1tsc4ng_jet": "l1tsc4ng_jet",
    "l1tsc4ng_jet_logits": "l1tsc4ng_jet",
    "l1tsc4ng_jet_pt": "l1tsc4ng_jet",
}


@pytest.mark.parametrize("name", NETWORKS)
def test_equal_to_the_emulator_on_every_frame(shared_data, name):
    folder = shared_data / "cms"
    if not folder.is_dir():
        pytest.skip("the networks of the trigger are not there")
    model = tidy(load_model(folder / f"{name}.onnx"))
    split = split_host(model)
    golden = read_golden(folder / f"{NETWORKS[name]}_vectors.npz", split.host)
    result = compare_golden(golden, split.host, split.network.execute(golden.x))
    assert result.mismatches == 0 and result.frames > 1500
    few = golden.x[:200]
    np.testing.assert_array_equal(split.network.execute(few), Reference(model, split).run(few))
