"""Compile librosa's functions in one process, before others share them."""

from importlib import import_module

MODULES = ("util.utils", "core.audio", "core.pitch", "beat")


def compile_librosa() -> None:
    """Compile what librosa compiles as it is imported, or read it from numba's cache.

    Two processes that fill this cache at the same time leave machine code of both, and whoever
    reads it then crashes (https://github.com/numba/numba/issues/10128). So a process calls this
    before it starts others; `make setup` does too. It takes half a minute once, then a second.
    """
    for name in MODULES:
        import_module(f"librosa.{name}")


if __name__ == "__main__":
    compile_librosa()
