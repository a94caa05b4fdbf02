"""Makes FINN's passes usable as a library: no Vivado, no global set-up, no torch.

FINN expects to be started by its own command line, which fills a settings object; here the
object is made from an argument. FINN's package of hardware ops imports torch for one op
(LayerNorm) that no MLP uses; building must work where torch is not installed, and importing
it costs seconds, so while the ops are imported an inert module stands in for it.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finn_builds.folded.require import require_finn

_TORCH_NAMES = ("torch", "torch.nn", "torch.nn.functional")


@contextmanager
def _torch_stand_in() -> Iterator[None]:
    """Let ``import torch`` succeed without torch; leave a real torch alone."""
    if "torch" in sys.modules:
        yield
        return
    modules = {name: types.ModuleType(name) for name in _TORCH_NAMES}
    modules["torch"].nn = modules["torch.nn"]  # type: ignore[attr-defined]
    modules["torch.nn"].functional = modules["torch.nn.functional"]  # type: ignore[attr-defined]
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def load_finn_ops() -> None:
    """Import FINN's hardware ops, without torch where torch is not loaded yet."""
    with _torch_stand_in(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("finn.custom_op.fpgadataflow.rtl")
        importlib.import_module("finn.custom_op.fpgadataflow.hls")


def prepare_finn(work_dir: Path) -> None:
    """Make FINN's transformations usable in this process; it writes into `work_dir` by default."""
    require_finn()
    import finn.util.settings as finn_settings
    from finn.interface.settings import FINNSettings

    work_dir.mkdir(parents=True, exist_ok=True)
    finn_settings._SETTINGS = FINNSettings.init(
        flow_config=work_dir / "flow.yaml",
        finn_build_dir=str(work_dir.resolve()),
        auto_set_environment_vars=False,
    )
    load_finn_ops()
    logging.getLogger("finn_logger").setLevel(logging.ERROR)


def rtllib() -> Path:
    """Return the folder of FINN's RTL sources."""
    found = importlib.util.find_spec("finn")
    assert found is not None and found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0]) / "finn-rtllib"
