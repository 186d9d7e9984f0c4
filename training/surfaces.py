"""Turns patterns and textures into named surfaces: patches of grass, brick, stone and others.

From `gimp-data`, `gimp-data-extras`, `supertuxkart-data` and `extremetuxracer-data` of Debian; the
licences stand at `SOURCES`. A thing has an outline of its own; a surface is whatever a region of it
happens to be, so each texture is cut into several random shapes, which lie beside the other cutouts
as one more style.
Run `python -m training.surfaces`; it needs `apt-get`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training import shapes
from training.cutouts import SURFACES, Cutout, keep
from training.fetch import parser
from training.photographs import Source, unpacked
from training.render import RGBA, SIDE_PX, Drawings, load_drawings

SOURCES = (
    Source("apt-get", "gimp-data", "2.10.34-1+deb12u10", "GPL-3.0-or-later", ("*.pat",)),
    Source("apt-get", "gimp-data-extras", "1:2.0.2-1.1", "GPL-2.0-or-later", ("*.pat",)),
    Source(
        "apt-get", "supertuxkart-data", "1.4+dfsg-2",
        "CC-BY-SA-3.0, CC-BY-SA-4.0, CC-BY-3.0, CC0, GPL and public domain, by file",
        ("*.jpg", "*.png"),
    ),
    Source("apt-get", "extremetuxracer-data", "0.8.2-1", "GPL-2.0-or-later", ("*.png",)),
)  # fmt: skip
VARIANTS = 6
PATTERNS = {  # looked through by eye: what each pattern shows, and other words for it
    "leather": "leather", "leopard": "fur|leopard", "burlap": "cloth|burlap",
    "java": "coffee beans|coffee", "crinklepaper": "paper|crumpled paper",
    "leaves": "leaves|plants", "leaves3": "leaves|ivy", "leaves4": "dry leaves|autumn",
    "leaves6": "leaves|plants", "clovers": "clover|plants", "lightning": "lightning|storm",
    "sky": "clouds|sky", "starfield": "stars|night sky|galaxy|space", "Craters": "craters|moon",
    "Moonfoot": "craters|moon", "brick": "brick wall|bricks", "cracked": "cracks|wall",
    "ground1": "dry ground|desert|soil", "drymud": "dry mud|soil|ground", "dirt": "gravel|ground",
    "granite1": "granite|stone", "granite2": "granite|stone", "marble1": "marble|stone",
    "marble2": "marble|tiles", "marble3": "marble|tiles", "pink_marble": "marble|stone",
    "rock": "stone wall|stones|rocks", "stone33": "stone wall|stones|rocks",
    "slate": "slate|stone", "terra": "tiles|floor", "floor_tile": "tiles|floor",
    "startile": "tiles|paving", "blackwhitefloor": "checkerboard|floor",
    "pool": "water|swimming pool", "electric": "water|swimming pool", "water3": "water|lake",
    "waves": "water|waves|sea", "ice": "ice|frost", "ice2": "ice|glacier",
    "bark": "bark|tree trunk", "corkboard": "cork|corkboard", "pine": "wood|planks",
    "walnut": "wood|walnut", "wood1": "wood|board", "wood2": "wood|board", "wood3": "wood|board",
    "wood4": "wood|board", "wood5": "wood|board", "burlwood": "wood|board",
    "parque1": "parquet|wooden floor|wood", "parque2": "parquet|wooden floor|wood",
    "parque3": "parquet|wooden floor|wood", "chains": "chain|metal",
    "circuit": "circuit board|electronics", "coins": "coins|money",
    "money": "money|banknotes|dollars", "cashew": "nuts|food", "cow": "fur|cow",
    "rust": "rust|metal", "green_curtains": "curtain|cloth", "woodblind": "blinds|window",
    "worn_metal_chex": "metal", "orangebrown": "fire|flames", "crystals": "crystal",
}  # fmt: skip


TEXTURES = {  # the same for textures: words -> names of files
    "grass|lawn|meadow": "city_grass grass grass2 grass3 grass4 grass01 grass02 grass_dark "
    "racetrack_grass racetrack_grass-dark stk_generic_grassA stk_generic_grassB "
    "stk_generic_grassC stk_generic_dirtGrassA",
    "brick wall|bricks": "3td_BrickOldRound_01 beige_bricks brick brick1 city_bricks "
    "stk_generic_brickA pave02 stk_generic_brickRoad_a",
    "stone wall|stones|rocks": "HortonRockWall HortonRockWall2 HortonStone6 castelwall "
    "pyramidwall rockwall stk_generic_greyWall_a stk_generic_oldbricks_a stk_generic_wallRock_a "
    "stktex_generic_aztekWallA stktex_generic_stoneWallA stonewall wall0 wall1 wall2 "
    "brick_wall_06",
    "rock|stones|rocks|cliff": "3td_LoneBrick_01 city_rock rock rock01 rock02 rock03 rock06 rock07 "
    "rock1 rockMountain rock_brown rock_gray rock_mountain rockwaterfall snowrock stonetex "
    "stk_generic_bedRock_a stk_generic_rock_a stk_generic_rock_b stk_karstRock_a mine_rock2 "
    "stktex_generic_rockA stk_generic_rockSnow_b",
    "paving stones|pavement|stones|street": "Paving_stones_2 bow_tile pave01 road2 hacienda_ground",
    "gravel|stones|pebbles": "floor01 floor02 stktex_generic_gravelA stk_generic_gravalSnow_a",
    "sand|beach|desert": "hd_beach_01_d sand sand01 sand2 stk_generic_sand_a sandred",
    "soil|ground|dirt|earth": "dirt dirt01 city_ground red_dirt mud01 stk_generic_dirtA "
    "stktex_generic_earth_a cracked-earth-texture earth",
    "road|asphalt|street": "city_asphalt_1 city_asphalt_2 racetrack_asphalt road1",
    "concrete|wall": "city_concrete concrete2 concrete_plain basic-wall cottage_wall3 "
    "stktex_generic_concreteA stk_generic_plaster_a",
    "snow": "snow snow01 snow02 snow03 stk_generic_snow_a stktex_earthSnow_a",
    "ice|frost": "Ice03_col greenice ice ice01 ice02 ice03 stk_generic_ice_a",
    "clouds|sky": "clouds genericskybox_east genericskybox_north genericskybox_south "
    "racetrack_sky stk_generic_clouds_a sky_est sky_nord sky_ovest blue_sky_east summersky_t",
    "sunset|evening sky": "sky_north sky_west sky2",
    "stars|night sky|galaxy|space": "galaxy1 galaxy2 purplenebula stars",
    "planet earth|earth|globe": "planet_earth1 stktex_planetEarth_a",
    "snowy mountains|mountain|snow|landscape": "snowsky_e snowsky_n snowsky_s",
    "landscape|hills": "skybox_side summersky_e summersky_w",
    "water|sea|lake": "sea sea2 water_dark canyon_water waternight",
    "wood|planks|boards": "canyon_boards dark-wall-wood hacienda_roof japanRedWood wood "
    "woodBridge wood_planks1 wood_planks2 wood_planks3 stktex_generic_WoodA stktex_generic_WoodG "
    "stktex_generic_WoodH snowoodbridge",
    "bark|tree trunk": "TiZeta_barkM fir_bark palmBark hd_palmTreeBark_a_Albedo "
    "stktex_treeBark_a stktex_treeBark_b trees_bark_001_col trunk_bark wooden tree_zen",
    "tree stump|wood|log": "tree_cut",
    "leaves|dry leaves|autumn|forest floor": "forest_floor",
    "flowers|flower field": "forest_trees",
    "leaves|plants": "plants",
    "roof|roof tiles|tiles": "Tileroof roof roof_2 roof_3 stk_generic_asianRoof_a",
    "metal|rust": "metal metal_rusted oldmetal stkt_rustedMetal_a stk_generic_corrugatedIronA "
    "metal_plates ribbed_steel",
    "metal|metal plate": "metal_ground stk_metaloverlap_a racetrack_roof stk_corrugMetal_a",
    "lava|fire|flames": "lava magma stktex_generic_lavaA blackrock_lava",
    "marble|stone": "marble stktex_generic_marbleA",
    "carpet|rug": "carpet stktex_pupleCarpet_a",
    "wallpaper|wall": "stk_wallpaperOld_a wallpaper_mansion",
    "cloth|towel": "redTowel whiteTowel",
    "basket|wicker": "stk_generic_wickerA",
    "straw|thatch": "stk_generic_thatch_a",
    "rope": "rope",
    "paper|cardboard": "stk_generic_cardboard_a stk_generic_paper_a",
    "tiles|floor": "tiles stktex_generic_tilesA mathclassfloor tile3b",
    "wooden crate|box|crate": "crate_wood crate_wood_colored",
}


def fetch(cache: Path) -> None:
    """Unpack the packages and keep the named textures as a style of cutouts."""
    drawings = load_drawings(cache)
    named = {stem: text for text, stems in TEXTURES.items() for stem in stems.split()}
    found: list[Cutout] = []
    with tempfile.TemporaryDirectory() as name:
        for index, source in enumerate(SOURCES):
            part = Path(name, str(index))
            part.mkdir()
            texts = PATTERNS if "*.pat" in source.files else named
            files: dict[str, Path] = {}
            for path in sorted(unpacked(source, part)):
                if path.stem in texts and any(path.match(one) for one in source.files):
                    files.setdefault(path.stem, path)
            for stem, path in files.items():
                found += _cut(stem, texts[stem], _read(path), drawings)
    keep(cache, SURFACES, found, SOURCES)


def _read(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) of a pattern or of a picture, its longer side 256 px at most."""
    if path.suffix == ".pat":
        return pattern(path)
    with Image.open(path) as picture:
        texture = picture.convert("RGB")
    texture.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    return np.asarray(texture)


def pattern(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) of a file in GIMP's pattern format: six big-endian numbers, a name, the pixels."""
    data = path.read_bytes()
    start, _, width, height, depth, _ = np.frombuffer(data[:24], ">u4").tolist()
    pixels = np.frombuffer(data, np.uint8, width * height * depth, start)
    pixels = pixels.reshape(height, width, depth)
    return pixels[..., :3] if depth >= 3 else np.repeat(pixels[..., :1], 3, axis=2)


def _cut(stem: str, text: str, pixels: NDArray[np.uint8], drawings: Drawings) -> Iterator[Cutout]:
    name, *words = text.split("|")
    rng = np.random.default_rng(list(stem.encode()))
    for _ in range(VARIANTS):
        yield Cutout(name, tuple(words), _shaped(rng, pixels, drawings))


def _shaped(rng: np.random.Generator, pixels: NDArray[np.uint8], drawings: Drawings) -> RGBA:
    """The pattern repeated, enlarged at random, inside a random shape or all over the square."""
    wanted = int(SIDE_PX / rng.uniform(1.0, 2.5))
    times = (-(-wanted // pixels.shape[0]), -(-wanted // pixels.shape[1]), 1)
    sheet = np.tile(pixels, times)[:wanted, :wanted]
    sheet = cv2.resize(sheet, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    alpha = np.ones((SIDE_PX, SIDE_PX), np.float32)
    if rng.random() < 0.7:
        outline = shapes.outline(rng, drawings, SIDE_PX)
        alpha = cv2.resize(outline, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)
    return np.dstack([sheet, (alpha * 255).astype(np.uint8)])


def main() -> None:
    """Command line."""
    fetch(parser(__doc__).parse_args().cache.expanduser())


if __name__ == "__main__":
    main()
