"""Times the fast mask decoder beside the ordinary module, in one run, with random weights.

That is segment_anything's, and for `sam2.1` transformers', which has to be installed for it.

Prints milliseconds a prompt, their ratio, and the largest difference of the logits from those of
the ordinary module in float32, as a share of their scale: ours, and in bfloat16 the ordinary one's
too. With one thread on a CPU processor time is the measure, so a busy machine does not blur the
ratio much; wall time is with more, and on a GPU. Sides take turns within a round. Many prompts cost
the ordinary module no less each, so it is timed on `STOCK_PROMPTS` of them at most.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import typer
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from torch import Tensor

from segsearch.models.device import Placement
from segsearch.models.segment.fast_decoder.decoder import ExactDecoder

STOCK_PROMPTS = 128
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
HEADS = ("shape", "dtype", "prompts", "stock ms", "all ms", "", "none pass ms", "", "ours off by")

# channels, perceptron, heads, side of the embedding grid
SHAPES = {"vit_b": (256, 2048, 8, 64), "sam2.1": (256, 2048, 8, 64), "embedded": (128, 512, 4, 40)}


def decoder_of(shape: str) -> Any:
    """A mask decoder with random weights, its biases and norms too."""
    dim, mlp_dim, heads, _ = SHAPES[shape]
    torch.manual_seed(0)
    module: Any
    if shape == "sam2.1":  # the library's default configuration is this shape
        sam2 = importlib.import_module("transformers.models.sam2.modeling_sam2")
        config = sam2.Sam2MaskDecoderConfig()
        config._attn_implementation = "sdpa"
        module = sam2.Sam2MaskDecoder(config)
    else:
        blocks = TwoWayTransformer(depth=2, embedding_dim=dim, mlp_dim=mlp_dim, num_heads=heads)
        module = MaskDecoder(transformer_dim=dim, transformer=blocks, iou_head_hidden_dim=dim)
    for parameter in module.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return module.eval()


def stock(module: Any, image: tuple[Tensor, ...], prompts: Tensor) -> Tensor:
    """Logits (B, 3, h, w) of the ordinary module; SAM 2's features follow the image's three."""
    embedding, place, no_mask, *details = image
    if details:
        return stock_sam2(module, image, prompts)
    logits: Tensor = module(
        image_embeddings=embedding,
        image_pe=place,
        sparse_prompt_embeddings=prompts,
        dense_prompt_embeddings=no_mask[..., None, None].expand_as(embedding),
        multimask_output=True,
    )[0]
    return logits


def stock_sam2(module: Any, image: tuple[Tensor, ...], prompts: Tensor) -> Tensor:
    """Logits (B, 3, h, w) of transformers' module, which wants pictures x prompts."""
    embedding, place, no_mask, *details = image
    logits: Tensor = module(
        image_embeddings=embedding,
        image_positional_embeddings=place,
        sparse_prompt_embeddings=prompts[None],
        dense_prompt_embeddings=no_mask[..., None, None].expand_as(embedding),
        multimask_output=True,
        high_resolution_features=details,
    )[0]
    return logits[0]


def milliseconds(work: Callable[[], object], device: str) -> float:
    """Processor time of this process where one thread works on a CPU, wall time elsewhere."""
    if device == "cuda":
        torch.cuda.synchronize()
    clock = time.process_time
    if device != "cpu" or torch.get_num_threads() > 1:
        clock = time.perf_counter
    start = clock()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return 1000 * (clock() - start)


@dataclass(frozen=True)
class Sides:
    """Both decoders over one picture of random features, in the numbers of `place`."""

    module: Any
    fast: ExactDecoder
    image: tuple[Tensor, Tensor, Tensor]
    details: tuple[Tensor, Tensor] | None
    place: Placement

    @classmethod
    def of(cls, shape: str, place: Placement) -> Sides:
        module = decoder_of(shape).to(place.device)
        dim, _, _, side = SHAPES[shape]

        def noise(channels: int, times: int) -> Tensor:
            return torch.randn(1, channels, times * side, times * side, device=place.device)

        image = (noise(dim, 1), noise(dim, 1), torch.randn(1, dim, device=place.device))
        details = (noise(dim // 8, 4), noise(dim // 4, 2)) if shape == "sam2.1" else None
        return cls(module, ExactDecoder(module), image, details, place)

    def stock(self, points: Tensor, *, exactly: bool = False) -> Tensor:
        """The ordinary module's logits (B, 3, h, w); `exactly` in float32 whatever the place."""
        with nullcontext() if exactly else self.place.computing():
            return stock(self.module, self.image + (self.details or ()), points)

    def ours(self, points: Tensor, min_iou: float) -> Tensor:
        """Ours (k, h, w) of the masks above `min_iou`, the preparation of the picture included."""
        with self.place.computing():
            shared = self.fast.prepare(*self.image, details=self.details)
            return self.fast.decode(shared, points, min_iou)[0]


@torch.inference_mode()
def compare(shape: str, prompts: int, repeats: int, place: Placement) -> str:
    """The numbers of one row of the table."""
    sides = Sides.of(shape, place)
    points = torch.randn(prompts, 2, SHAPES[shape][0], device=place.device)
    timed, few = points[:STOCK_PROMPTS], points[:4]
    expected = sides.stock(few, exactly=True).flatten(0, 1)

    def off(logits: Tensor) -> float:
        return float((logits.float() - expected).abs().max() / expected.abs().max())

    def slowly() -> None:
        for part in torch.split(timed, 16 if place.device == "cpu" else 64):
            sides.stock(part)

    shares = f"{off(sides.ours(few, -torch.inf)):11.1e}"
    if place.dtype != torch.float32:
        shares += f" (stock {off(sides.stock(few).flatten(0, 1)):.1e})"
    rounds = [
        (
            milliseconds(slowly, place.device) / len(timed),
            milliseconds(lambda: sides.ours(points, -torch.inf), place.device) / prompts,
            milliseconds(lambda: sides.ours(points, torch.inf), place.device) / prompts,
        )
        for _ in range(repeats)
    ]
    a, b, c = (statistics.median(column) for column in zip(*rounds, strict=True))
    return f"{prompts:8} {a:10.2f} {b:8.2f} {a / b:6.2f}x {c:12.2f} {a / c:6.2f}x {shares}"


def main(  # noqa: PLR0913  options of a command
    shape: Annotated[
        list[str] | None, typer.Option(help="vit_b, sam2.1 or embedded; all if left out")
    ] = None,
    dtype: Annotated[list[str] | None, typer.Option(help="fp32, bf16; both if left out")] = None,
    prompts: Annotated[
        list[int] | None, typer.Option(help="points a picture; 64, 256 and 1024 if left out")
    ] = None,
    repeats: Annotated[int, typer.Option(help="rounds; medians are shown")] = 1,
    threads: Annotated[int, typer.Option(help="torch's threads on a CPU")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
) -> None:
    """Stock decoder against ours: all prompts enlarged, and none passing the predicted IoU."""
    torch.set_num_threads(threads)
    clock = "processor" if device == "cpu" and threads == 1 else "wall"
    print(f"{device}, {threads} threads, {clock} time, load {os.getloadavg()[0]:.1f}")
    widths = (9, 5, 8, 10, 8, 7, 12, 7, 11)
    print(" ".join(name.rjust(width) for name, width in zip(HEADS, widths, strict=True)))
    for one in shape or SHAPES:
        if one == "sam2.1" and importlib.util.find_spec("transformers") is None:
            print(f"{one:9} left out: transformers is not installed", flush=True)
            continue
        for kind in dtype or DTYPES:
            for count in prompts or (64, 256, 1024):
                row = compare(one, count, repeats, Placement(device, DTYPES[kind]))
                print(f"{one:>9} {kind:>5} {row}", flush=True)


if __name__ == "__main__":
    typer.run(main)
