"""A shorter start: libraries are imported without the parts that no stage of ours needs.

Half of the time that `import diffusers` and `import torchvision` take goes into PyTorch's compiler
and `scipy.stats`, of which each uses one name, if at all, long after the import. While the modules
listed here are executed, these parts are stand-ins; afterwards nothing of them is left, and who
needs the real ones (`torch.compile`) imports them then. Seconds: `benchmarks/start_up.py`.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, TypeVar

Decorated = TypeVar("Decorated")


def _unchanged(decorated: Decorated) -> Decorated:
    return decorated


def _disable(function: Callable[..., Any] | None = None, recursive: bool = True, **_: Any) -> Any:
    from torch._compile import _disable_dynamo  # the same, with the import at the first call

    return _disable_dynamo(function, recursive)


def _is_compile_supported(device_type: str) -> bool:
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device_type)


# By stand-in the names that are taken from it during an import. diffusers marks classes with
# `allow_in_graph`, and itself marks none where the compiler is missing.
STAND_INS: dict[str, dict[str, Callable[..., Any]]] = {
    "torch._dynamo": {"allow_in_graph": _unchanged, "disable": _disable},
    "torch._dynamo.utils": {"is_compile_supported": _is_compile_supported},
    "torch.nn.attention.flex_attention": {},
    "scipy.integrate": {},
    "scipy.stats": {},
}
# packages that import all their modules at once, of which one or none is needed
POSTPONED = {
    "diffusers.hooks",
    "diffusers.models.transformers",
    "torchvision.datasets",
    "torchvision.io",
    "torchvision.models",
    "torchvision.ops",
}
LIBRARIES = {"diffusers", "segmentation_models_pytorch", "timm", "torchvision"}


def shorten() -> None:
    """Put the stand-ins in place for imports to come; those already made stay as they are."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the libraries' modules where Python would, and has them executed beside stand-ins."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.split(".", 1)[0] not in LIBRARIES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceLoader):
            spec.loader = (_Later if fullname in POSTPONED else _Beside)(spec.loader)
        return spec


class _Wrapped(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:  # what else a loader can: source, data files, …
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)


class _Beside(_Wrapped):
    """Executes a module beside the stand-ins."""

    def exec_module(self, module: ModuleType) -> None:
        placed = [name for name in STAND_INS if name not in sys.modules]
        sys.modules.update({name: _StandIn(name) for name in placed})
        try:
            self._loader.exec_module(module)
        finally:
            _lift(placed)


class _Later(_Wrapped):
    """Executes a package when it is asked for a name; its modules can be imported before."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Postponed(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["_execute"] = partial(_Beside(self._loader).exec_module, module)


class _Postponed(ModuleType):
    def __getattr__(self, name: str) -> Any:
        execute = None if name.startswith("__") else vars(self).pop("_execute", None)
        if execute is None:
            raise AttributeError(f"module {self.__name__} has no attribute {name}")
        execute()
        return getattr(self, name)


class _StandIn(ModuleType):
    """Has the names that are taken during an import; for any other it loads the real module."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        vars(self).update(STAND_INS[name])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"{self.__name__} has no {name}: something stands in for it")
        _lift(STAND_INS)
        return getattr(import_module(self.__name__), name)


def _lift(names: Iterable[str]) -> None:
    """Take away those of the stand-ins that are still there."""
    for name in names:
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]
