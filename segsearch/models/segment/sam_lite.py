"""Builds the embedded SAM: the classes of `segment_anything` around a small convolutional encoder.

Weights come from `segsearch/models/embedded/sam-lite.safetensors`; nothing is downloaded here.
"""

from __future__ import annotations

from typing import Any

import timm
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional

IMAGE_SIZE = 256  # px, the side of the square that SAM pads a picture to
STRIDE = 8  # px of the picture a cell of the embedding
WIDTH = 128  # channels of the embedding
BACKBONE = "tf_efficientnet_lite0"
PIXEL_MEAN = (127.5, 127.5, 127.5)  # what the backbone was trained with
PIXEL_STD = (127.5, 127.5, 127.5)


class LiteEncoder(nn.Module):
    """(B, 3, S, S) normalised pixels -> (B, 128, S / 8, S / 8) embedding, S = `img_size`.

    Backbone features at strides 4 to 32 are summed at stride 8, as in "Feature Pyramid Networks"
    (Lin et al. 2017), then refined by 3x3 convolutions.
    """

    def __init__(self, image_size: int = IMAGE_SIZE) -> None:
        super().__init__()
        self.img_size = image_size  # the name that SamPredictor asks for
        backbone: Any = timm.create_model(
            BACKBONE, pretrained=False, features_only=True, out_indices=(1, 2, 3, 4)
        )
        fine, *coarse = backbone.feature_info.channels()
        self.backbone: nn.Module = backbone
        self.fine = nn.Conv2d(fine, WIDTH, 3, stride=2, padding=1, bias=False)
        self.coarse = nn.ModuleList(nn.Conv2d(width, WIDTH, 1, bias=False) for width in coarse)
        self.norm = LayerNorm2d(WIDTH)
        self.refine = nn.ModuleList(_Residual(WIDTH) for _ in range(2))
        self.out = LayerNorm2d(WIDTH)

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        fine, *coarse = self.backbone(pixels)
        total = self.fine(fine)
        size = total.shape[-2:]
        for project, level in zip(self.coarse, coarse, strict=True):
            total = total + functional.interpolate(
                project(level), size, mode="bilinear", align_corners=False
            )
        state = self.norm(total)
        for block in self.refine:
            state = block(state)
        embedding: Tensor = self.out(state)
        return embedding


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = LayerNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, state: Tensor) -> Tensor:
        moved: Tensor = self.second(functional.gelu(self.norm(self.first(state))))
        return state + moved


def build_sam_lite(image_size: int = IMAGE_SIZE) -> Sam:
    """An untrained embedded SAM for squares of `image_size` px (a multiple of 32), in eval mode."""
    cells = image_size // STRIDE
    transformer = TwoWayTransformer(depth=2, embedding_dim=WIDTH, mlp_dim=512, num_heads=4)
    sam = Sam(
        image_encoder=LiteEncoder(image_size),
        prompt_encoder=PromptEncoder(
            embed_dim=WIDTH,
            image_embedding_size=(cells, cells),
            input_image_size=(image_size, image_size),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=WIDTH,
            transformer=transformer,
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=128,
        ),
        pixel_mean=list(PIXEL_MEAN),
        pixel_std=list(PIXEL_STD),
    )
    return sam.eval()


def load_sam_lite(state: dict[str, Tensor], image_size: int = IMAGE_SIZE) -> Sam:
    """The embedded SAM with these weights; half-precision tensors are widened to float32."""
    sam = build_sam_lite(image_size)
    sam.load_state_dict({name: value.float() for name, value in state.items()})
    return sam.requires_grad_(False)
