"""Fetches the page's libraries from npm into api/static/vendor/, as browsers load them.

Version and digest of each package stand here; `npm pack` brings the archive, and one whose digest
differs is refused. Of the files only the specifiers of imports are changed, so that they lead to
each other without a build, and the comments that name source maps are left out.

`make vendor`
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

TARGET = Path(__file__).parents[1] / "api" / "static" / "vendor"
IMPORT = re.compile(r"""((?:\bfrom|\bimport)\s*)(["'])([^"'.][^"']*)\2""")
SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*\n?", re.MULTILINE)


@dataclass(frozen=True)
class VendoredPackage:
    """A package of npm, what is taken from it under which name, and where its imports lead."""

    name: str
    version: str
    sha256: str
    licence: str
    files: dict[str, str]  # path in the package to path below TARGET
    imports: dict[str, str]  # what the files import to what they shall import


PACKAGES = (
    VendoredPackage(
        "preact",
        "11.2.0",
        "3c4456766bd32b6b534d52bf4e9c2a29b33e7eedf6e96ed479300ba1a7888ebf",
        "MIT",
        {
            "dist/preact.mjs": "preact/core.js",
            "hooks/dist/hooks.mjs": "preact/hooks.js",
            "LICENSE": "preact/LICENSE",
        },
        {"preact": "./core.js"},
    ),
    VendoredPackage(
        "htm",
        "3.1.1",
        "2425b9bee11409177bcabc7f32e319926fc6690c1701c0b257c88bdff2d5ba90",
        "Apache-2.0",
        {"dist/htm.module.js": "htm/htm.js", "LICENSE": "htm/LICENSE"},
        {},
    ),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            unpack(fetch(package, Path(folder)), package)
            print(f"{package.name} {package.version}: {', '.join(package.files.values())}")


def fetch(package: VendoredPackage, folder: Path) -> Path:
    """The package's archive; ValueError where it is not the one that is named here."""
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder)]
    command.append(f"{package.name}@{package.version}")
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    archive = folder / done.stdout.split()[-1]
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != package.sha256:
        message = f"{package.name} {package.version} has SHA-256 {digest}, not {package.sha256}."
        raise ValueError(message)
    return archive


def unpack(archive: Path, package: VendoredPackage) -> None:
    """Write the files that are taken from a package."""
    with tarfile.open(archive) as members:
        for source, target in package.files.items():
            member = members.extractfile(f"package/{source}")
            if member is None:
                raise ValueError(f"{package.name} {package.version} has no file {source}.")
            text = member.read().decode("utf-8")
            path = TARGET / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(rewritten(text, package) if path.suffix == ".js" else text, "utf-8")


def rewritten(text: str, package: VendoredPackage) -> str:
    """A module with imports that a browser resolves; KeyError for one that leads nowhere."""
    text = SOURCE_MAP.sub("", text)
    return IMPORT.sub(
        lambda found: f"{found[1]}{found[2]}{package.imports[found[3]]}{found[2]}", text
    )


if __name__ == "__main__":
    main()
