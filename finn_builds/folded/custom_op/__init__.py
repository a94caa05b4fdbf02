"""Hardware ops of the project, found by qonnx under the domain ``finn_builds.folded.custom_op``."""

from finn_builds.folded.finn_env import load_finn_ops

load_finn_ops()  # the base classes are FINN's

from finn_builds.folded.custom_op.label_select import LabelSelect_rtl  # noqa: E402
from finn_builds.folded.custom_op.sparse_mvau import SparseMVAU_rtl  # noqa: E402

__all__ = ["LabelSelect_rtl", "SparseMVAU_rtl"]
