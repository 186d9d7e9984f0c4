"""Installs icon sets and keyword lists from npm, versions pinned; permissive licences only."""

from __future__ import annotations

import argparse
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

DEFAULT_CACHE = Path("~/.cache/segsearch-training").expanduser()
HELD_OUT = "twemoji"  # validation, demo and benchmark only: no model is ever trained on it


@dataclass(frozen=True)
class Package:
    """One npm package, and the licence that its own files state."""

    name: str
    version: str
    licence: str


STYLES = {
    "fluent-emoji-flat": Package("@iconify-json/fluent-emoji-flat", "1.2.6", "MIT"),
    "fluent-emoji": Package("@iconify-json/fluent-emoji", "1.2.7", "MIT"),
    "fluent-emoji-high-contrast": Package(
        "@iconify-json/fluent-emoji-high-contrast", "1.2.6", "MIT"
    ),
    "noto": Package("@iconify-json/noto", "1.2.9", "Apache-2.0"),
    "noto-v1": Package("@iconify-json/noto-v1", "1.2.5", "Apache-2.0"),
    "emojione": Package("@iconify-json/emojione", "1.2.3", "CC-BY-4.0"),
    "fxemoji": Package("@iconify-json/fxemoji", "1.2.2", "Apache-2.0"),
    "streamline-emojis": Package("@iconify-json/streamline-emojis", "1.2.4", "CC-BY-4.0"),
    HELD_OUT: Package("@iconify-json/twemoji", "1.2.5", "CC-BY-4.0"),
}
TRAINED_STYLES = tuple(style for style in STYLES if style != HELD_OUT)
# That style is black lines with nothing between them: fine to recognise, poor as a mask.
FILLED_STYLES = tuple(style for style in TRAINED_STYLES if style != "fluent-emoji-high-contrast")
WORDS = (
    Package("emojilib", "4.0.3", "MIT"),
    Package("cldr-annotations-full", "48.2.0", "Unicode-3.0"),
)


def modules(cache: Path) -> Path:
    """The folder that npm installs into."""
    return cache / "npm" / "node_modules"


def fetch(cache: Path) -> Path:
    """Install what is missing; returns the JSON file that lists packages and licences."""
    wanted = [*STYLES.values(), *WORDS]
    missing = [package for package in wanted if installed_version(cache, package) is None]
    if missing:
        _install(cache, missing)
    report = cache / "licences.json"
    rows = [
        {
            "package": package.name,
            "version": installed_version(cache, package),
            "licence": package.licence,
            "held_out": package is STYLES[HELD_OUT],
        }
        for package in wanted
    ]
    report.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    return report


def installed_version(cache: Path, package: Package) -> str | None:
    """The version found in the cache; None when it is not there."""
    manifest = modules(cache) / package.name / "package.json"
    if not manifest.is_file():
        return None
    return str(json.loads(manifest.read_text("utf-8"))["version"])


def _install(cache: Path, packages: list[Package]) -> None:
    prefix = cache / "npm"
    prefix.mkdir(parents=True, exist_ok=True)
    names = [f"{package.name}@{package.version}" for package in packages]
    options = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(["npm", "install", "--prefix", str(prefix), *options, *names], check=True)


def parser(description: str | None) -> argparse.ArgumentParser:
    """A command line with the option that every training command has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="where downloads are kept")
    return made


def main() -> None:
    """Command line."""
    print(fetch(parser(__doc__).parse_args().cache))


if __name__ == "__main__":
    main()
