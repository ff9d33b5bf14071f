import io
import os
import random
import stat
import struct
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from playground.core import bundles, datasets, images, pictures
from playground.core.errors import PlaygroundError
from playground.core.pictures import Limits, from_folder, from_zip

# Each test runs through a folder and through a zip


def _refusal(call) -> str:
    with pytest.raises(PlaygroundError) as refusal:
        call()
    return refusal.value.key


def _png(colour=(200, 30, 60), mode="RGB", size=(20, 20), **options) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, options.pop("format", "PNG"), **options)
    return file.getvalue()


@pytest.fixture(params=["folder", "zip"])
def take(request, tmp_path):
    """take(files, size=16, **limits): the pictures {path: bytes} brought in one way or the other, as the set "mine"."""

    def take(pictures, /, size=16, **limits):
        if request.param == "folder":
            for name, data in pictures.items():
                path = tmp_path / "mine" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            return from_folder(tmp_path / "mine", size, limits=Limits(**limits))
        return from_zip(_zip(tmp_path / "mine.zip", pictures), size, limits=Limits(**limits))

    return take


def _zip(path: Path, files: dict[str, bytes], compression=zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_pictures_come_in_the_order_of_their_names(take):
    found = take({f"{i}.png": _png((i, 0, 0)) for i in (5, 3, 9, 1)})
    assert found.name == "mine" and found.labels is None and found.classes == ()
    assert found.images.dtype == torch.uint8 and found.images.shape == (4, 3, 16, 16)
    assert found.images[:, 0, 8, 8].tolist() == [1, 3, 5, 9]


def test_every_stated_format_is_read(take):
    kinds = {"a.png": "PNG", "b.JPG": "JPEG", "c.webp": "WEBP", "d.gif": "GIF", "e.bmp": "BMP"}
    found = take({name: _png(format=kind) for name, kind in kinds.items()})
    assert (found.images.float() - torch.tensor([200.0, 30, 60]).view(3, 1, 1)).abs().max() < 8


def test_of_an_animation_the_first_frame_is_taken(take):
    file = io.BytesIO()
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert take({"a.gif": file.getvalue()}).images[0, :, 8, 8].tolist() == [255, 0, 0]


def test_other_files_hidden_files_and_macos_shadows_are_skipped(take):
    found = take({
        "a.png": _png(), "notes.txt": b"words", "b.svg": b"<svg/>", ".hidden.png": b"x",
        "__MACOSX/a.png": b"x", ".git/c.png": b"x",
    })
    assert len(found.images) == 1


def test_nothing_but_other_files_is_refused(take):
    assert _refusal(lambda: take({"notes.txt": b"words", ".a.png": _png()})) == "images.none"


def test_transparent_pictures_are_laid_on_white_with_straight_alpha(take):
    found = take({"half.png": _png((200, 0, 0, 128), "RGBA"), "none.png": _png((200, 0, 0, 0), "RGBA")})
    alpha = 128 / 255
    expected = [255 + alpha * (200 - 255), 255 - alpha * 255, 255 - alpha * 255]
    assert found.images[0, :, 8, 8].tolist() == pytest.approx(expected, abs=1)
    assert found.images[1].unique().tolist() == [255]


def test_a_transparent_palette_colour_becomes_white(take):
    picture = Image.new("P", (20, 20), 0)
    picture.putpalette([10, 20, 30] + [0] * 765)
    file = io.BytesIO()
    picture.save(file, "PNG", transparency=0)
    assert take({"a.png": file.getvalue()}).images.unique().tolist() == [255]


def test_pictures_are_turned_upright_by_their_exif_tag(take):
    picture = Image.new("RGB", (20, 20), "black")
    picture.paste("white", (0, 0, 20, 10))                    # the top is white
    exif = Image.Exif()
    exif[0x0112] = 6                                          # to be shown turned clockwise by 90 degrees
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    image = take({"a.png": file.getvalue()}).images[0, 0]
    assert image[:, :6].max() < 30 and image[:, 10:].min() > 225      # the right is white


@pytest.mark.parametrize("width, height", [(40, 20), (20, 40), (800, 400)])
def test_the_centre_square_is_kept_and_resized(take, width, height):
    side = min(width, height)
    picture = Image.new("RGB", (width, height), "red")
    left, top = (width - side) // 2, (height - side) // 2
    picture.paste("blue", (left, top, left + side, top + side))
    file = io.BytesIO()
    picture.save(file, "PNG")
    image = take({"a.png": file.getvalue()}).images[0].int()
    error = (image - torch.tensor([0, 0, 255]).view(3, 1, 1)).abs()
    assert error[:, 1:-1, 1:-1].max() == 0 and error.max() < 30       # the filter blurs only the outermost pixels


def test_shrinking_averages_a_fine_checkerboard_to_grey(take):
    board = (np.indices((320, 320)).sum(axis=0) % 2 * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(board).save(file, "PNG")
    image = take({"a.png": file.getvalue()}).images.int()
    assert (image - 127).abs().max() <= 3


def test_one_channel_is_kept_only_if_every_picture_is_grey(take):
    assert take({"a.png": _png(90, "L"), "b.png": _png((7, 7, 7))}).images[:, :, 0, 0].tolist() == [[90], [7]]
    assert take({"a.png": _png(90, "L"), "c.png": _png()}).images.shape[1] == 3


def test_sixteen_bit_grey_is_scaled_not_clipped(take):
    file = io.BytesIO()
    Image.fromarray(np.full((20, 20), 0x8040, dtype=np.uint16)).save(file, "PNG")
    assert take({"a.png": file.getvalue()}).images.unique().tolist() == [0x80]


@pytest.mark.parametrize("prefix", ["", "my set/", "my set/train/"])
def test_sub_folders_are_classes_below_whatever_folder_holds_them_all(take, prefix):
    found = take({f"{prefix}{name}": _png() for name in ("dog/1.png", "cat/2.png", "dog/3.png", "cat/1.png")})
    assert found.classes == ("cat", "dog") and found.labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("names", [
    ("cat/1.png", "cat/2.png"),                               # one class tells nothing
    ("cat/1.png", "dog/2.png", "3.png"),                      # one picture in none
    ("cat/young/1.png", "dog/2.png"),                         # one picture in two
])
def test_other_arrangements_give_no_labels(take, names):
    found = take({name: _png() for name in names})
    assert found.labels is None and found.classes == () and len(found.images) == len(names)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>'
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"    # PIL would start Ghostscript for it


@pytest.mark.parametrize("data", [SVG, EPS, b"", b"\x89PNG\r\n\x1a\n", _png(size=(90, 90), compress_level=0)[:9_000]],
                         ids=["svg", "eps", "empty", "signature", "truncated"])
def test_what_is_no_whole_picture_is_refused_by_its_base_name(take, data):
    with pytest.raises(PlaygroundError) as refusal:
        take({"deep/good.png": _png(), "deep/down/bad.png": data})
    assert refusal.value.key == "images.broken"
    assert "“bad.png”" in str(refusal.value) and "deep" not in str(refusal.value)


def test_a_sound_picture_of_another_format_is_refused(take):
    assert _refusal(lambda: take({"a.png": _png(format="TIFF")})) == "images.broken"


def test_random_damage_gives_a_picture_or_a_refusal_and_never_another_error(take):
    rng, refused = random.Random(0), 0
    originals = [_png(format=kind, size=(40, 40)) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP")]
    for trial in range(150):
        data = bytearray(originals[trial % 5])
        for _ in range(rng.choice([1, 3, 30])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            take({"a.png": bytes(data)})
        except PlaygroundError:
            refused += 1
    assert 10 < refused < 150


def _png_header(width: int, height: int) -> bytes:
    """A tiny PNG that claims a size and holds no pixels: whoever decodes it finds it broken, not too large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("side", [5_001, 12_000, 60_000])     # beyond ours, beyond PIL's warning, beyond PIL's error
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_many_pixels_are_refused_before_any_is_decoded(take, side):
    with pytest.raises(PlaygroundError, match="big.png.*25 million") as refusal:
        take({"big.png": _png_header(side, side)})
    assert refusal.value.key == "images.pixels"
    assert _refusal(lambda: take({"big.png": _png_header(500, 500)})) == "images.broken"


def test_too_many_pixels_in_all_are_refused(take):
    files = {f"{i}.png": _png() for i in range(5)}            # 400 pixels each
    assert len(take(files, pixels_total=2_000).images) == 5
    assert _refusal(lambda: take(files, pixels_total=1_999)) == "images.pixels_total"


def test_too_many_files_are_refused(take):
    files = {f"{i}.png": _png() for i in range(5)}
    assert len(take(files, files=5).images) == 5
    assert _refusal(lambda: take(files, files=4)) == "images.files"


def test_too_many_bytes_in_one_file_are_refused(take):
    data = _png()
    assert len(take({"a.png": data}, bytes_per_file=len(data)).images) == 1
    with pytest.raises(PlaygroundError, match="“a.png”"):
        take({"a.png": data}, bytes_per_file=len(data) - 1)


def test_too_many_bytes_in_all_are_refused_and_so_is_too_large_a_result(take):
    files = {f"{i}.bmp": _png(format="BMP") for i in range(5)}
    total = sum(map(len, files.values()))
    assert len(take(files, size=8, bytes_total=total).images) == 5
    assert _refusal(lambda: take(files, size=8, bytes_total=total - 1)) == "images.total"
    assert _refusal(lambda: take(files, size=256, bytes_total=total)) == "images.total"


@pytest.mark.parametrize("size", [0, 7, 257, 10**9, "32", None])
def test_a_size_out_of_range_is_refused(take, size):
    assert _refusal(lambda: take({"a.png": _png()}, size=size)) == "input.integer"


def test_every_refusal_names_no_path_of_the_server(take, tmp_path):
    with pytest.raises(PlaygroundError) as refusal:
        take({"a.png": b"x"})
    assert str(tmp_path) not in refusal.value.sentence("en") + refusal.value.sentence("zh")


# Zips only


def test_a_zip_bomb_is_refused_by_its_ratio_before_it_is_unpacked(tmp_path, monkeypatch):
    bomb = _zip(tmp_path / "bomb.zip", {"bomb.png": bytes(15_000_000)})
    assert bomb.stat().st_size < 20_000
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("was unpacked"))
    assert _refusal(lambda: from_zip(bomb, 16)) == "images.ratio"
    assert _refusal(lambda: from_zip(bomb, 16, limits=Limits(ratio=10_000, bytes_per_file=1_000_000))) == "images.bytes"


def test_a_bomb_whose_headers_lie_unpacks_no_more_than_they_say(tmp_path):
    bomb = _zip(tmp_path / "bomb.zip", {"bomb.png": bytes(15_000_000)})
    data = bomb.read_bytes().replace(struct.pack("<I", 15_000_000), struct.pack("<I", 60))     # in both headers
    bomb.write_bytes(data)
    with zipfile.ZipFile(bomb) as archive:
        assert archive.getinfo("bomb.png").file_size == 60    # the lie is told
    assert _refusal(lambda: from_zip(bomb, 16)) == "images.broken"


def test_what_was_really_read_counts_too(tmp_path, monkeypatch):
    # Should a reader ever give more than the headers say, the caps still hold.
    files = _zip(tmp_path / "grown.zip", {"a.png": _png(), "b.png": _png()})
    monkeypatch.setattr(bundles, "_read_entry", lambda archive, info, count: bytes(min(count, 10_000)))
    assert _refusal(lambda: from_zip(files, 16, limits=Limits(bytes_per_file=9_999))) == "images.bytes"
    assert _refusal(lambda: from_zip(files, 16, limits=Limits(bytes_total=9_999))) == "images.total"


@pytest.mark.parametrize("name", [
    "../a.png", "b/../../a.png", "/etc/a.png", "..\\a.png", "b\\a.png", "C:/a.png", "c:a.png", "../notes.txt",
])
def test_a_zip_with_a_path_that_climbs_out_is_refused(tmp_path, name):
    path = _zip(tmp_path / "mine.zip", {"good.png": _png(), name: _png()})
    assert _refusal(lambda: from_zip(path, 16)) == "images.path"
    assert len(from_zip(_zip(path, {"good.png": _png(), "..a.png": _png(), "b..c/a.png": _png()}), 16).images) == 2


def test_a_zip_with_a_symbolic_link_is_refused(tmp_path):
    path = tmp_path / "mine.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.png", _png())
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "good.png")
    assert _refusal(lambda: from_zip(path, 16)) == "images.path"


def test_a_locked_zip_and_a_rare_packing_are_refused(tmp_path):
    rare = _zip(tmp_path / "rare.zip", {"a.png": _png()}, zipfile.ZIP_LZMA)
    assert _refusal(lambda: from_zip(rare, 16)) == "images.packed"
    locked = _zip(tmp_path / "locked.zip", {"a.png": _png()})
    data = bytearray(locked.read_bytes())
    data[6] |= 1                                              # the flag in the file's own header
    data[data.index(b"PK\x01\x02") + 8] |= 1                  # and in the directory
    locked.write_bytes(data)
    assert _refusal(lambda: from_zip(locked, 16)) == "images.packed"


def test_a_damaged_entry_is_refused(tmp_path):
    path = _zip(tmp_path / "mine.zip", {"a.png": _png()}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[60] ^= 1                                             # inside the picture: the checksum no longer fits
    path.write_bytes(data)
    assert _refusal(lambda: from_zip(path, 16)) == "images.broken"


@pytest.mark.parametrize("data", [b"", b"no zip at all", b"PK\x03\x04 and then nothing"])
def test_what_is_no_zip_is_refused(tmp_path, data):
    (tmp_path / "mine.zip").write_bytes(data)
    assert _refusal(lambda: from_zip(tmp_path / "mine.zip", 16)) == "images.zip"
    assert _refusal(lambda: from_zip(tmp_path / "missing.zip", 16)) == "images.zip"


def test_nothing_is_written_to_disk(tmp_path):
    path = _zip(tmp_path / "mine.zip", {"a/b.png": _png()})
    from_zip(path, 16)
    assert list(tmp_path.iterdir()) == [path]


def test_the_emoji_load_within_seconds():
    path = datasets.data_root() / "noto_emoji_72px.zip"
    if not path.exists():
        pytest.skip("needs noto_emoji_72px.zip: set PLAYGROUND_DATA")
    start = time.process_time()
    found = from_zip(path, 32)
    assert time.process_time() - start < 8
    assert found.images.shape == (3_583, 3, 32, 32) and found.labels is None
    corners = found.images[:, :, 0, 0].float().mean()
    assert corners > 240                                      # transparent corners are white now


# Folders only


def test_a_folder_link_that_leads_out_is_refused_and_one_inside_is_read(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.png").write_bytes(_png())
    (mine / "b.png").symlink_to(mine / "a.png")
    assert len(from_folder(mine, 16).images) == 2
    (tmp_path / "secret.png").write_bytes(_png())
    (mine / "c.png").symlink_to(tmp_path / "secret.png")
    assert _refusal(lambda: from_folder(mine, 16)) == "images.path"
    (mine / "c.png").unlink()
    (tmp_path / "secrets").mkdir()
    (mine / "d").symlink_to(tmp_path / "secrets")
    assert _refusal(lambda: from_folder(mine, 16)) == "images.path"


def test_links_to_themselves_and_to_nothing_are_skipped(tmp_path):
    (tmp_path / "a.png").write_bytes(_png())
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "again").symlink_to(tmp_path)
    assert len(from_folder(tmp_path, 16).images) == 1


def test_a_pipe_with_a_pictures_name_is_not_opened(tmp_path):
    (tmp_path / "a.png").write_bytes(_png())
    os.mkfifo(tmp_path / "pipe.png")                          # opening it would wait for ever
    assert len(from_folder(tmp_path, 16).images) == 1


def test_a_missing_folder_is_refused(tmp_path):
    assert _refusal(lambda: from_folder(tmp_path / "missing", 16)) == "images.folder"


def test_one_picture_is_read_as_it_would_be_in_a_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").write_bytes(_png(size=(30, 20)))
    np.testing.assert_array_equal(pictures.one(tmp_path / "mine" / "a.png", 16), from_folder(tmp_path / "mine", 16).images[0].permute(1, 2, 0).numpy())


def test_an_uploaded_file_is_deleted_whatever_becomes_of_it(tmp_path):
    for trouble in (None, PlaygroundError("image.empty"), MemoryError()):
        (tmp_path / "a.png").write_bytes(_png())
        try:
            with pictures.taken(tmp_path / "a.png"):
                text = pictures.packed(tmp_path / "a.png", 3, 16)
                if trouble:
                    raise trouble
        except type(trouble) if trouble else ():
            pass
        assert not (tmp_path / "a.png").exists()
    assert images.unpack_picture(text, 3, 16).shape == (16, 16, 3)


def test_a_grey_model_sees_the_luma_of_a_picture(tmp_path):
    Image.new("RGB", (20, 20), (255, 0, 0)).save(tmp_path / "red.png")
    assert (images.unpack_picture(pictures.packed(tmp_path / "red.png", 1, 16), 1, 16) == 76).all(), "0.299 of 255"


@pytest.mark.parametrize("data", [b"", b"no picture", _png()[:60], b"GIF89a" + b"\0" * 40])
def test_one_broken_picture_is_refused_in_one_sentence(data, tmp_path):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(PlaygroundError):
        pictures.one(tmp_path / "a.png", 16)
    with pytest.raises(PlaygroundError):
        pictures.one(tmp_path / "nowhere.png", 16)
