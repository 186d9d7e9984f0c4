"""Settings: the only reader of SEGSEARCH_* environment variables."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _split(value: Any) -> Any:
    """Globs from one text with commas between them, as an environment variable holds them."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip()) or None
    return value


def _is_text(path: Path) -> Path:
    """FAISS and JSON take no other names."""
    try:
        str(path).encode()
    except UnicodeEncodeError as problem:
        raise ValueError("the folder's name is not valid UTF-8") from problem
    return path


def _is_place(place: str) -> str:
    """Nothing can be put at a web address."""
    if WEB.match(place) or "::" in place:
        raise ValueError("expected a folder, or a URL such as s3://bucket/prefix")
    return place


def _is_prefix(path: str) -> str:
    """Paths come with a proxy's prefix and without it: it must be none of our own."""
    if not PREFIX.fullmatch(path) or path.split("/")[1] in {"v1", "static"}:
        raise ValueError("expected a path such as /pictures, without a slash at its end")
    return path


def _is_index(kind: SecretStr) -> SecretStr:
    """A name of an index, or where a Milvus is; the words say nothing of what was given: there may
    be a password in it."""
    text = kind.get_secret_value()
    if text not in {"faiss", "pgvector"} and not MILVUS.fullmatch(text):
        raise ValueError(
            "expected faiss, pgvector, an address such as milvus+https://host:19530/database, or "
            "milvus:FILE.db for Milvus Lite"
        )
    return kind


SERVER = re.compile(r"postgres(ql)?://", re.IGNORECASE)
MILVUS = re.compile(r"milvus(\+https?://[^/\s]+(/[A-Za-z0-9_]*)?|:.+\.db)")
WEB = re.compile(r"https?://", re.IGNORECASE)
CREDENTIALS = re.compile(r"//[^@/]*@")
PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
USUAL_MIX = (0.5, 0.5, 0.0)  # of context, masked and picture vector, where none was learnt
A_DAY_SECONDS = 86_400.0  # a lease that ends later stems from a clock that was set back
Globs = Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_split)]


def folder_of(address: str) -> Path:
    """What a machine keeps for a library that is named by its address alone."""
    digest = hashlib.sha256(CREDENTIALS.sub("//", address).encode()).hexdigest()
    return Path("~/.cache/segsearch/libraries").expanduser() / digest[:16]


class Settings(BaseSettings):
    """Everything a user can set once for all commands; each field is SEGSEARCH_<NAME>."""

    # An empty variable is one that is not set, as scripts and compose files hand on what they lack.
    model_config = SettingsConfigDict(
        env_prefix="SEGSEARCH_", env_ignore_empty=True, extra="ignore", frozen=True,
        hide_input_in_errors=True,  # an address may hold a password
    )  # fmt: skip

    library: Annotated[Path, AfterValidator(_is_text)] = Field(
        default=Path("segsearch-library"),
        description="Folder that holds the catalog and the index; made when needed.",
    )
    catalog: SecretStr | None = Field(
        default=None,
        description="Address of a PostgreSQL database that holds the catalog instead of the "
        "folder, such as postgresql://user@host/photos; `library` may be one, too.",
    )
    index: Annotated[SecretStr, AfterValidator(_is_index)] | None = Field(
        default=None,
        description="What searches for vectors: `faiss`, files on each machine; `pgvector`, tables "
        "in the catalog's PostgreSQL database; or a Milvus that all share, such as "
        "milvus+http://host:19530/database, or milvus:FILE.db for Milvus Lite in one process "
        "(`MILVUS_TOKEN` may hold its token). Without it pgvector where the library keeps rows "
        "there, else faiss.",
    )
    consistency: Literal["bounded", "strong"] = Field(
        default="bounded",
        description="Whether a search of Milvus may miss what others have written in the last "
        "seconds, or waits for it.",
    )
    uploads: Annotated[str, AfterValidator(_is_place)] | None = Field(
        default=None,
        description="Folder, or URL of a store such as s3://bucket/prefix, that uploads and "
        "pictures of queries are kept in instead of the library's folder, for all of its nodes.",
    )
    preset: str | None = Field(
        default=None,
        description="Models and settings for a new library; without it the best present one.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="Where models run; auto takes a GPU when there is one."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="Numbers the models compute with; auto takes bfloat16 on a GPU that has it.",
    )
    models: Path = Field(
        default=Path("~/.cache/segsearch/models"),
        description="Folder of pulled and imported models, shared by all libraries.",
    )
    hub: str = Field(
        default="https://huggingface.co",
        pattern="^https?://",
        description="The model hub that `models pull` asks; a mirror works too.",
    )
    read: bool | None = Field(
        default=None,
        description="Whether text in new pictures is read; without it where the reader is "
        "installed.",
    )
    tracks: Literal["auto", "flow", "propagated"] = Field(
        default="auto",
        description="How things of a video are followed between keyframes: by optical flow, or by "
        "SAM 2's own propagation; auto takes the latter on a GPU where the model has "
        "weights for it.",
    )
    lanes: int = Field(
        default=0, ge=0, description="Pictures indexed side by side; 0 takes one a CPU core."
    )
    threads: int = Field(
        default=1, ge=1, description="CPU threads that the models use for one picture."
    )
    context_weight: float | None = Field(
        default=None,
        ge=0,
        description="Share of the crop with surroundings in a score; without any of the three the "
        "preset's own shares count.",
    )
    masked_weight: float | None = Field(
        default=None,
        ge=0,
        description="Share of the crop with everything else masked in a score.",
    )
    picture_weight: float | None = Field(
        default=None, ge=0, description="Share of the whole picture in a region's score."
    )
    max_bytes: int = Field(
        default=200_000_000, ge=1, description="Largest picture file that is read, in bytes."
    )
    animated: bool = Field(
        False, description="Whether GIF, WebP and AVIF pictures that move are videos."
    )
    max_pixels: int = Field(
        default=200_000_000, ge=1, description="Largest picture that is decoded, in pixels."
    )
    max_video_bytes: int = Field(
        default=20 << 30, ge=1, description="Largest video file that is read, in bytes."
    )
    max_video_seconds: float = Field(
        default=21_600, gt=0, description="Longest video that is read, in seconds."
    )
    max_query_pixels: int = Field(
        default=64_000_000,
        ge=1,
        description="Most pixels that are decoded of a picture that is searched by, or pointed at; "
        "of a JPEG that is searched by, an eighth of its sides will do.",
    )
    include: Globs = Field(
        default=None,
        description="Only files that one of these globs matches, as in .gitignore; by commas.",
    )
    exclude: Globs = Field(
        default=None,
        description="Files and folders that are left out; globs as in .gitignore, by commas.",
    )
    allow_urls: bool = Field(
        default=False, description="Whether http and https addresses may be fetched."
    )
    allow_private_urls: bool = Field(
        default=False, description="Whether they may lie in private networks and on this machine."
    )
    url_seconds: float = Field(
        default=30.0,
        gt=0,
        le=A_DAY_SECONDS,
        description="How long fetching one address may take, in all.",
    )
    store_seconds: float = Field(
        default=60.0,
        gt=0,
        le=A_DAY_SECONDS,
        description="How long a store such as S3 may take for one object, or a page of a listing, "
        "tries included.",
    )
    store_cache_bytes: int = Field(
        default=1_000_000_000,
        ge=0,
        description="Disk for pictures of stores that were looked at; the least recently used go "
        "first.",
    )
    lease_seconds: float = Field(
        default=60.0,
        gt=0,
        lt=A_DAY_SECONDS,
        description="How long a picture stays with a worker that no longer says it lives.",
    )
    picture_seconds: float = Field(
        default=900.0,
        gt=0,
        le=A_DAY_SECONDS,
        description="How long a worker may take for one picture.",
    )
    prompt_cache_bytes: int = Field(
        default=512_000_000,
        ge=0,
        description="Memory for pictures that are pointed at: encoded, a quarter of it as pixels.",
    )
    query_picture_bytes: int = Field(
        default=256_000_000,
        ge=0,
        description="Disk for pictures that queries name; the least recently used go first.",
    )
    retry_seconds: float = Field(
        default=5.0,
        ge=0,
        description="Pause before a picture that failed on the way is tried again; doubles.",
    )
    drain_seconds: float = Field(
        default=60.0,
        ge=0,
        le=A_DAY_SECONDS,
        description="How long a worker told to end may take for the pictures it holds.",
    )
    recycle_pictures: int = Field(
        default=1000, ge=1, description="Pictures after which a worker's model process is renewed."
    )
    recycle_bytes: int = Field(
        default=1_000_000_000,
        ge=1,
        description="Growth in bytes after which a worker's model process is renewed.",
    )
    idle_model_seconds: float = Field(
        default=300.0,
        ge=0,
        le=A_DAY_SECONDS,
        description="How long a worker's model processes stay loaded without a picture.",
    )
    require_key: bool = Field(default=False, description="Ask for an API key on loopback, too.")
    rate_per_minute: int = Field(
        default=1200, ge=0, description="Requests a minute with one API key; 0 for any number."
    )
    ready_behind: int = Field(
        default=100_000,
        ge=0,
        description="Changes of the catalog that a server's index may lack for `/readyz` to call "
        "it ready; 0 for any number.",
    )
    host_names: str | None = Field(
        default=None,
        description="Names the server answers to, separated by commas; without it loopback's own "
        "on loopback, any elsewhere.",
    )
    root_path: Annotated[str, AfterValidator(_is_prefix)] | None = Field(
        default=None,
        description="Path under which a proxy offers the server, such as /pictures.",
    )
    cors_origins: str | None = Field(
        default=None,
        description="Origins whose pages may call the API, separated by commas; none by default.",
    )
    caption_url: str | None = Field(
        default=None,
        pattern="^https?://",
        description="OpenAI-compatible vision endpoint for `caption`, `ask` and `--rerank`, such "
        "as http://localhost:8000/v1; without it a server answers no questions.",
    )
    caption_model: str | None = Field(
        default=None, description="The model's name at that endpoint."
    )
    caption_key: SecretStr | None = Field(
        default=None, description="Key that is shown to that endpoint."
    )
    caption_seconds: float = Field(
        default=100.0,
        gt=0,
        le=A_DAY_SECONDS,
        description="How long the endpoint may take for a question to a server, tries included.",
    )
    host: str = Field(default="127.0.0.1", description="Address that `serve` listens on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port that `serve` listens on.")

    @model_validator(mode="before")
    @classmethod
    def _part_address(cls, values: Any) -> Any:
        """An address as the library is one of the catalog; the folder is then what this machine
        keeps for itself, such as the index."""
        library = values.get("library") if isinstance(values, dict) else None
        if not isinstance(library, str) or "://" not in library:
            return values
        if not SERVER.match(library):  # a folder of that name would show the password in it
            raise ValueError(
                "The library is a folder, or an address such as "
                "postgresql://user@host:5432/database."
            )
        return {**values, "catalog": library, "library": folder_of(library)}

    @field_validator("catalog")
    @classmethod
    def _is_address(cls, address: SecretStr | None) -> SecretStr | None:
        if address is not None and not SERVER.match(address.get_secret_value()):
            raise ValueError("expected an address such as postgresql://user@host:5432/database")
        return address

    @model_validator(mode="after")
    def _weights_add_up(self) -> Settings:
        total = sum(self._weights)
        if not 0 < total < math.inf:
            raise ValueError(
                "SEGSEARCH_CONTEXT_WEIGHT, SEGSEARCH_MASKED_WEIGHT and SEGSEARCH_PICTURE_WEIGHT "
                f"add up to {total:g}, expected more than 0 and a finite number."
            )
        return self

    @property
    def mix(self) -> tuple[float, float, float] | None:
        """Shares of context, masked and picture vector, adding up to 1; None where none is set."""
        if {self.context_weight, self.masked_weight, self.picture_weight} == {None}:
            return None
        context, masked, picture = self._weights
        total = context + masked + picture
        return (context / total, masked / total, picture / total)

    @property
    def _weights(self) -> tuple[float, float, float]:
        """What is set, and the usual shares for what is not."""
        given = (self.context_weight, self.masked_weight, self.picture_weight)
        context, masked, picture = (
            usual if weight is None else weight
            for weight, usual in zip(given, USUAL_MIX, strict=True)
        )
        return (context, masked, picture)
