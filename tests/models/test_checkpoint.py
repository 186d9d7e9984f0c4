"""Real checkpoint layouts: names there and back, safe reading, and what a wrong file is told."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam
from segment_anything.modeling import TwoWayTransformer as Transformer
from transformers import EdgeTamVideoConfig, EdgeTamVideoModel, SamConfig, SamModel

from segsearch.core.errors import ModelError, UnsafeWeightsError
from segsearch.models.checkpoint import fit, read_weights
from segsearch.models.segment.edgetam import BACKBONE, build_edgetam
from segsearch.models.segment.sam import load_sam
from segsearch.models.segment.sam2 import load_sam2
from segsearch.models.segment.state_dict import sam2_to_hub, sam_from_hub
from tests.support.every_model import HostilePickle
from tests.support.foreign_names import sam2_from_hub, sam_to_hub
from tests.support.small_sam import small_sam
from tests.support.small_sam2 import small_sam2


def small_vit_sam() -> Sam:
    """A SAM with upstream's own image encoder, of two layers."""
    torch.manual_seed(3)
    encoder = ImageEncoderViT(
        img_size=64, patch_size=8, embed_dim=32, depth=2, num_heads=4, out_chans=16,
        use_rel_pos=True, window_size=4, global_attn_indexes=(1,),
    )  # fmt: skip
    prompts = PromptEncoder(16, (8, 8), (64, 64), 16)
    transformer = Transformer(depth=2, embedding_dim=16, num_heads=4, mlp_dim=32)
    decoder = MaskDecoder(transformer_dim=16, transformer=transformer, iou_head_hidden_dim=16)
    model = Sam(encoder, prompts, decoder)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def hub_sam() -> Any:
    """The same shape in the classes of transformers."""
    config = SamConfig(
        vision_config={
            "hidden_size": 32, "mlp_dim": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
            "output_channels": 16, "image_size": 64, "patch_size": 8, "window_size": 4,
            "global_attn_indexes": [1], "num_pos_feats": 8,
        },
        prompt_encoder_config={
            "hidden_size": 16, "image_size": 64, "patch_size": 8, "mask_input_channels": 16,
        },
        mask_decoder_config={
            "hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 4, "iou_head_hidden_dim": 16,
        },
    )  # fmt: skip
    return SamModel(config).eval()


def test_a_sam_of_the_hub_is_the_same_model_under_other_names(tmp_path: Path) -> None:
    ours, hub = small_vit_sam(), hub_sam()
    fit(hub, sam_to_hub(ours.state_dict()), "the hub's classes")
    save_file(
        {name: tensor.contiguous().clone() for name, tensor in hub.state_dict().items()},
        tmp_path / "model.safetensors",
    )
    back = load_sam(small_vit_sam, tmp_path / "model.safetensors")
    for name, tensor in ours.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor), name
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = hub.get_image_embeddings(image)
        assert torch.allclose(back.image_encoder(image), expected, atol=1e-4)


def test_meta_s_pth_loads_as_it_is(tmp_path: Path) -> None:
    ours = small_vit_sam()
    torch.save(ours.state_dict(), tmp_path / "sam_vit_x.pth")
    back = load_sam(small_vit_sam, tmp_path / "sam_vit_x.pth")
    assert all(torch.equal(back.state_dict()[n], t) for n, t in ours.state_dict().items())
    assert sam_from_hub(ours.state_dict()).keys() == ours.state_dict().keys()


def test_sam2_names_go_there_and_back(tmp_path: Path) -> None:
    model = small_sam2()
    meta = sam2_from_hub(model.state_dict())
    # Spot checks against the names in Meta's files.
    for name in (
        "no_mem_embed",
        "image_encoder.trunk.patch_embed.proj.weight",
        "image_encoder.trunk.blocks.0.norm1.weight",
        "image_encoder.trunk.blocks.0.mlp.layers.1.weight",
        "image_encoder.neck.convs.3.conv.bias",
        "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "sam_prompt_encoder.point_embeddings.3.weight",
        "sam_prompt_encoder.mask_downscaling.6.weight",
        "sam_prompt_encoder.not_a_point_embed.weight",
        "sam_mask_decoder.transformer.layers.1.cross_attn_image_to_token.out_proj.weight",
        "sam_mask_decoder.transformer.layers.0.norm4.weight",
        "sam_mask_decoder.transformer.layers.0.mlp.layers.0.weight",
        "sam_mask_decoder.transformer.norm_final_attn.bias",
        "sam_mask_decoder.output_upscaling.3.weight",
        "sam_mask_decoder.output_hypernetworks_mlps.2.layers.1.weight",
        "sam_mask_decoder.iou_prediction_head.layers.2.bias",
        "sam_mask_decoder.pred_obj_score_head.layers.0.weight",
        "sam_mask_decoder.conv_s0.weight",
    ):
        assert name in meta, name
    meta["memory_attention.norm.weight"] = torch.zeros(3)  # of the video half, which goes
    meta["maskmem_tpos_enc"] = torch.zeros(3)
    torch.save({"model": meta}, tmp_path / "sam2.1.pt")
    back = sam2_to_hub(read_weights(tmp_path / "sam2.1.pt"))
    assert back.keys() == model.state_dict().keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in model.state_dict().items())
    assert sam2_to_hub(model.state_dict()).keys() == model.state_dict().keys()


def test_edgetam_s_video_file_holds_every_tensor_of_the_image_model(tmp_path: Path) -> None:
    """The published file is the video model's; under its names lies the whole image model."""
    config = {"backbone_config": {**BACKBONE}}
    with torch.device("meta"):
        video = EdgeTamVideoModel(EdgeTamVideoConfig(vision_config=config))
    model = build_edgetam()
    weights = {name: torch.zeros(2) for name in video.state_dict()}
    weights |= {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors")
    back = load_sam2(build_edgetam, tmp_path / "model.safetensors").state_dict()
    assert len(weights) > len(back) == len(model.state_dict())
    assert all(torch.equal(back[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["zip", "legacy", "raw"])
def test_a_pickle_that_wants_more_than_tensors_is_refused(
    kind: str, protocol: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, zipped = tmp_path / "evil.pt", kind == "zip"
    if kind == "raw":
        path.write_bytes(pickle.dumps({"weight": HostilePickle()}, protocol=protocol))
    else:
        torch.save(
            {"weight": torch.zeros(2), "extra": HostilePickle()}, path,
            pickle_protocol=protocol, _use_new_zipfile_serialization=zipped,
        )  # fmt: skip
    with pytest.raises(UnsafeWeightsError, match=r"would run [\w.]+print, and weights") as problem:
        read_weights(path)
    assert "weights_only" not in str(problem.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("seed", range(12))
def test_no_advice_to_load_without_protection_is_passed_on(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "noise.pt"
    path.write_bytes(random.Random(seed).randbytes(4000))
    with pytest.raises(ModelError, match=r"noise\.pt is no checkpoint or is damaged") as problem:
        read_weights(path)
    assert "weights_only" not in str(problem.value)


def test_a_newer_pickle_of_tensors_is_not_called_unsafe(tmp_path: Path) -> None:
    path = tmp_path / "new.pt"
    torch.save({"weight": torch.zeros(2)}, path, pickle_protocol=4)
    with pytest.raises(ModelError, match="writes them by default") as problem:
        read_weights(path)
    assert not isinstance(problem.value, UnsafeWeightsError)


@pytest.mark.parametrize("name", ["half.pt", "half.safetensors", "text.pth", "list.pt", "no.pt"])
def test_what_is_no_checkpoint_is_said_so(name: str, tmp_path: Path) -> None:
    weights = {"weight": torch.randn(64, 64)}
    torch.save(weights, tmp_path / "whole.pt")
    save_file(weights, tmp_path / "whole.safetensors")
    for kind in ("pt", "safetensors"):
        half = (tmp_path / f"whole.{kind}").read_bytes()[:9000]
        (tmp_path / f"half.{kind}").write_bytes(half)
    (tmp_path / "text.pth").write_text("<html>404</html>")
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        read_weights(tmp_path / name)


def test_another_architecture_is_told_by_its_first_differing_tensors(tmp_path: Path) -> None:
    torch.save(small_sam(dim=32).state_dict(), tmp_path / "other.pth")
    with pytest.raises(ModelError) as problem:
        load_sam(small_sam, tmp_path / "other.pth")
    assert "image_encoder.project.bias is 32, expected 64" in str(problem.value)
    assert "more differ" in str(problem.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_said(value: float, tmp_path: Path) -> None:
    weights = small_sam().state_dict()
    weights["image_encoder.project.bias"][3] = value
    torch.save(weights, tmp_path / "nan.pth")
    with pytest.raises(ModelError, match=r"nan\.pth is damaged: image_encoder\.project\.bias"):
        load_sam(small_sam, tmp_path / "nan.pth")
