"""Wheels: kagglekit itself, and what Kaggle's image lacks, made here from what is installed.

All are pure Python, so that unpacking one installs it: a notebook without internet needs no installer. The same content
gives the same bytes: names are sorted and dates fixed.

Kaggle's image pins fastcore below 2, which fastai 2.8.12 no longer takes. The image's own fastai 2.8.7 is supported
(`constraints-kaggle.txt`, `make test-kaggle-image`), so neither travels.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

import kagglekit
from kagglekit.errors import MissingExtra, UsageError

__all__ = ["ON_IMAGE", "kagglekit_wheel", "lacking", "repacked"]

ON_IMAGE = frozenset(
    (
        "catboost",
        "fastai",
        "fastcore",
        "filelock",
        "huggingface-hub",
        "ipython",
        "jinja2",
        "joblib",
        "jupytext",
        "lightgbm",
        "matplotlib",
        "nbformat",
        "numba",
        "numpy",
        "optuna",
        "packaging",
        "pandas",
        "pillow",
        "psutil",
        "pyarrow",
        "pydantic",
        "requests",
        "rich",
        "safetensors",
        "scikit-learn",
        "scipy",
        "six",
        "tenacity",
        "threadpoolctl",
        "timm",
        "torch",
        "torchvision",
        "tqdm",
        "typer",
        "typing-extensions",
        "urllib3",
        "xgboost",
    )
)
"""Of the distributions that kagglekit uses, those of Kaggle's image (February 2026)."""

# Models whose packages the image lacks; what those need in turn is looked up.
_NEEDED: Mapping[str, tuple[str, ...]] = {"tabm": ("tabm",)}
_LEFT_OUT = ("arena",)  # practice at home only


def kagglekit_wheel() -> tuple[str, bytes]:
    """The file name and the bytes of this package's wheel, without the arena."""
    root = Path(kagglekit.__file__).parent
    files = (p for p in root.rglob("*") if p.is_file() and p.parent.name != "__pycache__" and p.name[0] != ".")
    content = {
        f"{root.name}/{p.relative_to(root).as_posix()}": p.read_bytes()
        for p in files
        if p.relative_to(root).parts[0] not in _LEFT_OUT
    }
    head = f"Metadata-Version: 2.1\nName: kagglekit\nVersion: {kagglekit.__version__}\nRequires-Python: >=3.11\n"
    return _wheel("kagglekit", kagglekit.__version__, content, head)


def lacking(models: Iterable[str]) -> list[str]:
    """The distributions that models need and Kaggle's image lacks, with all that these need in turn, sorted.

    Raises
    ------
    MissingExtra
        One is not installed here.
    """
    found: set[str] = set()
    todo = [name for model in models for name in _NEEDED.get(model, ())]
    while todo:
        name = todo.pop()
        if name in found or name in ON_IMAGE:
            continue
        found.add(name)
        required = [r for r in _installed(name).requires or () if "extra ==" not in r]
        todo += [_plain(re.split(r"[^A-Za-z0-9._-]", r, maxsplit=1)[0]) for r in required]
    return sorted(found)


def repacked(name: str) -> tuple[str, bytes]:
    """The file name and the bytes of a wheel made of an installed distribution.

    Raises
    ------
    MissingExtra
        It is not installed.
    UsageError
        It holds compiled code, which may not fit Kaggle's Python.
    """
    found = _installed(name)
    if "Root-Is-Purelib: true" not in (found.read_text("WHEEL") or ""):
        raise UsageError(
            f"{name} holds compiled code and cannot be sent as it is installed here.",
            hint="Upload its wheel for Kaggle's Python as a dataset of yours.",
        )
    content: dict[str, bytes] = {}
    for file in found.files or ():
        inside, path = file.as_posix(), Path(str(file.locate()))
        is_made_here = "__pycache__" in inside or inside.startswith("..") or ".dist-info/" in inside
        if not is_made_here and path.is_file():
            content[inside] = path.read_bytes()
    return _wheel(found.metadata["Name"], found.version, content, found.read_text("METADATA") or "")


def _installed(name: str) -> metadata.Distribution:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise MissingExtra(f"Sending {name} to Kaggle", name, "all") from error


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _wheel(name: str, version: str, files: Mapping[str, bytes], head: str) -> tuple[str, bytes]:
    """A wheel, as the packaging user guide's "binary distribution format" describes it."""
    plain = re.sub(r"[^A-Za-z0-9.]+", "_", name)
    info = f"{plain}-{version}.dist-info"
    tags = "Wheel-Version: 1.0\nGenerator: kagglekit\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    content = {**files, f"{info}/METADATA": head.encode(), f"{info}/WHEEL": tags.encode()}
    lines = [f"{inside},sha256={_digest(data)},{len(data)}" for inside, data in sorted(content.items())]
    record = "\n".join([*lines, f"{info}/RECORD,,", ""])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for inside, data in (*sorted(content.items()), (f"{info}/RECORD", record.encode())):
            member = zipfile.ZipInfo(inside, date_time=(1980, 1, 1, 0, 0, 0))
            member.external_attr, member.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(member, data)
    return f"{plain}-{version}-py3-none-any.whl", buffer.getvalue()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
