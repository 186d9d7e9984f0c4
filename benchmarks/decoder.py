"""Times the fast mask decoder beside the ordinary module, in one run, with random weights.

That is segment_anything's, and for `sam2.1` transformers', which has to be installed for it.

Prints milliseconds a prompt, their ratio, and the largest difference of the logits as a share of
their scale. Processor time of one thread is the measure on a CPU, so a busy machine does not
blur the ratio much; wall time is on a GPU.
"""

from __future__ import annotations

import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Annotated, Any

import torch
import typer
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from torch import Tensor

from segsearch.segmenters.decoder import ExactDecoder

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
    """Processor time of this process on a CPU, wall time on a GPU."""
    if device == "cuda":
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        return 1000 * (time.perf_counter() - start)
    start = time.process_time()
    work()
    return 1000 * (time.process_time() - start)


@torch.inference_mode()
def compare(shape: str, prompts: int, repeats: int, device: str) -> str:
    """One row of the table."""
    module = decoder_of(shape).to(device)
    dim, _, _, side = SHAPES[shape]
    image = (
        torch.randn(1, dim, side, side, device=device),
        torch.randn(1, dim, side, side, device=device),
        torch.randn(1, dim, device=device),
    )
    details = (
        torch.randn(1, dim // 8, 4 * side, 4 * side, device=device),
        torch.randn(1, dim // 4, 2 * side, 2 * side, device=device),
    )
    extra = details if shape == "sam2.1" else None
    whole = image + (extra or ())
    points = torch.randn(prompts, 2, dim, device=device)
    few = points[:4]
    expected = stock(module, whole, few).flatten(0, 1)
    fast = ExactDecoder(module)
    found, _ = fast.decode(fast.prepare(*image, details=extra), few, -torch.inf)
    difference = float((found - expected).abs().max() / expected.abs().max())

    def slowly() -> None:
        for part in torch.split(points, 16 if device == "cpu" else 64):
            stock(module, whole, part)

    def fully() -> None:
        fast.decode(fast.prepare(*image, details=extra), points, -torch.inf)

    def briefly() -> None:
        fast.decode(fast.prepare(*image, details=extra), points, torch.inf)

    rounds = [
        [milliseconds(work, device) / prompts for work in (slowly, fully, briefly)]
        for _ in range(repeats + 1)
    ][1:]
    a, b, c = (statistics.median(column) for column in zip(*rounds, strict=True))
    return (
        f"{shape:10} {prompts:8} {a:10.2f} {b:10.2f} {a / b:7.2f}x {c:12.2f} {a / c:7.2f}x "
        f"{difference:12.1e}"
    )


def main(
    shape: Annotated[
        list[str] | None, typer.Option(help="vit_b, sam2.1 or embedded; all if left out")
    ] = None,
    prompts: Annotated[int, typer.Option(help="points a picture")] = 64,
    repeats: Annotated[int, typer.Option(help="rounds after the first; medians are shown")] = 3,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
) -> None:
    """Stock decoder against ours: all prompts enlarged, and none passing the predicted IoU."""
    torch.set_num_threads(1)
    print(
        f"{'shape':10} {'prompts':>8} {'stock ms':>10} {'all ms':>10} {'':>8} {'none pass ms':>12} "
        f"{'':>8} {'difference':>12}"
    )
    for one in shape or SHAPES:
        if one == "sam2.1" and importlib.util.find_spec("transformers") is None:
            print(f"{one:10} left out: transformers is not installed", flush=True)
            continue
        print(compare(one, prompts, repeats, device), flush=True)


if __name__ == "__main__":
    typer.run(main)
