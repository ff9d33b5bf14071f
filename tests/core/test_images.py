"""A drawing survives the URL bit for bit, anything else is refused, and the encoder sees it as MNIST would have."""

import base64

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from playground.core import images, procedural
from playground.core.errors import PlaygroundError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
LENGTH = 523                 # characters of a drawing
DRAWINGS = arrays.arrays(bool, (images.PAD, images.PAD))


def key(function, *arguments):
    with pytest.raises(PlaygroundError) as refused:
        function(*arguments)
    assert len(str(refused.value)) < 300
    return refused.value.key


def centre(x):
    """Centre of mass in pixels from the middle of the picture, (rows, columns)."""
    x = x.double().squeeze()
    middle = torch.arange(len(x)).double() - (len(x) - 1) / 2
    return (x.sum(1) @ middle / x.sum()).item(), (x.sum(0) @ middle / x.sum()).item()


def extent(x, threshold=0.0):
    """Rows and columns from the first to the last with ink."""
    rows, columns = (x.squeeze() > threshold).nonzero(as_tuple=True)
    return (rows.max() - rows.min() + 1).item(), (columns.max() - columns.min() + 1).item()


def stroke(rows, columns):
    ink = np.zeros((images.PAD, images.PAD), bool)
    ink[rows, columns] = True
    return ink


@given(DRAWINGS)
def test_a_drawing_comes_back_bit_for_bit(ink):
    text = images.pack_drawing(ink)
    assert len(text) == LENGTH and set(text) <= set(LETTERS)
    assert np.array_equal(images.unpack_drawing(text), ink)


@given(st.text(LETTERS, min_size=LENGTH, max_size=LENGTH))
def test_every_text_of_its_alphabet_and_length_is_a_drawing(text):
    ink = images.unpack_drawing(text)
    assert ink.shape == (images.PAD, images.PAD) and ink.dtype == bool
    assert np.array_equal(images.unpack_drawing(images.pack_drawing(ink)), ink)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()), st.binary(),
                 st.dictionaries(st.text(), st.text()), st.text(min_size=LENGTH, max_size=LENGTH), st.just(30_000_000).map(lambda n: "A" * n),
                 st.just(LENGTH).map(lambda n: ["A"] * n), st.just(LENGTH).map(lambda n: b"A" * n)))
def test_anything_else_is_a_drawing_or_refused(value):
    try:
        ink = images.unpack_drawing(value)
    except PlaygroundError as error:
        assert len(str(error)) < 300
    else:
        assert ink.shape == (images.PAD, images.PAD) and len(value) == LENGTH


@pytest.mark.parametrize("text", ["A" * (LENGTH - 1), "A" * (LENGTH + 1), "A" * (LENGTH - 1) + "!", "é" * LENGTH,
                                  "A" * (LENGTH - 1) + "=", " " * LENGTH])
def test_a_text_of_another_length_or_alphabet_is_refused(text):
    assert key(images.unpack_drawing, text) == "image.drawing"


def test_an_empty_drawing_is_refused_as_such():
    assert key(images.unpack_drawing, "") == key(images.unpack_drawing, None) == "image.empty"
    assert key(images.centred, np.zeros((56, 56), bool), 28) == "image.empty"
    assert key(images.centred, images.unpack_drawing("A" * LENGTH), 28) == "image.empty"


@given(DRAWINGS.filter(np.any), st.sampled_from([8, 28, 32]))
def test_any_ink_becomes_a_centred_picture_of_the_asked_size(ink, size):
    x = images.centred(ink, size)
    assert x.shape == (1, size, size) and x.dtype == torch.float32
    assert x.min() >= 0 and x.max() <= 1 and x.sum() > 0
    assert max(extent(x)) <= round(images.BOX * size)


@pytest.mark.parametrize("digit", range(10))
@pytest.mark.parametrize("corner", [(0, 0), (20, 0), (6, 18)])
def test_a_digit_drawn_anywhere_lands_where_mnist_puts_it(digit, corner):
    glyph = procedural.render_glyph(digit, size=36)[0].numpy() > 127
    ink = np.zeros((images.PAD, images.PAD), bool)
    ink[corner[0]:corner[0] + 36, corner[1]:corner[1] + 36] = glyph
    x = images.centred(ink, 28)
    assert max(extent(x)) == 20
    assert max(map(abs, centre(x))) <= 1
    elsewhere = np.zeros_like(ink)
    elsewhere[10:46, 10:46] = glyph
    assert torch.equal(x, images.centred(elsewhere, 28))


@pytest.mark.parametrize("ink", [stroke(3, slice(None)), stroke(slice(None), 50), stroke(0, 0), np.eye(56, dtype=bool)],
                         ids=["a row", "a column", "a point", "a diagonal"])
def test_thin_and_tiny_drawings_are_fitted_too(ink):
    x = images.centred(ink, 28)
    assert max(extent(x)) == 20 and max(map(abs, centre(x))) <= 1


def test_two_far_points_of_a_huge_drawing_do_not_vanish():
    ink = np.zeros((2000, 2000), bool)
    ink[0, 0] = ink[-1, -1] = True
    x = images.centred(ink, 8)
    assert x.isfinite().all() and x.sum() > 0


@pytest.mark.data
def test_real_mnist_digits_stay_almost_where_they_are(mnist):
    digits = mnist("test").images[:300].float() / 255
    moved, differ = [], []
    for digit in digits:
        x = images.centred(digit[0].numpy() > 0.5, 28)
        assert max(extent(digit)) == max(extent(x)) == 20
        moved.append(torch.tensor(centre(x)) - torch.tensor(centre(digit)))
        differ.append((x - digit).abs().mean() / digit.mean())
    assert torch.stack(moved).mean(0).abs().max() < 0.1       # pixels; rounding to the nearest would give 0.5
    assert torch.stack(moved).abs().max() < 1.5
    assert torch.stack(differ).mean() < 0.3                   # what the threshold costs; two random digits differ by 1.5


def test_pictures_become_bytes_side_by_side():
    x = torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2) * 2])
    assert images.strip(x).tolist() == [[0, 0, 255, 255]] * 2
    assert images.to_uint8(torch.full((3, 4, 5), 0.5)).shape == (4, 5, 3)
    assert images.to_uint8(torch.tensor([[[-1.0, 0.499, 0.5, 7.0]]])).tolist() == [[0, 127, 128, 255]]
    assert images.strip(torch.rand(2, 3, 4, 5)).shape == (4, 10, 3)


def test_the_text_is_base64_as_the_script_of_the_pad_writes_it():
    ink = np.zeros((56, 56), bool)
    ink[0, 0] = ink[55, 55] = True                            # first bit of the first byte, last bit of the last
    data = bytes([128, *[0] * 390, 1])
    assert images.pack_drawing(ink) == base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize("shape", [(28, 28), (32, 32, 3)])
def test_a_packed_picture_comes_back_to_the_byte_and_fits_no_other_size(shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    text = images.pack_picture(picture)
    channels = 1 if len(shape) == 2 else 3
    assert text.startswith("p") and len(text) < 4_200 and not set(text) & set("+/=&?")
    np.testing.assert_array_equal(images.unpack_picture(text, channels, shape[0]), picture)
    for wrong in (text[:-4], text + "AAAA", "p", "p" + "!" * (len(text) - 1), "p" + "A" * 10**6):
        with pytest.raises(PlaygroundError, match="does not fit"):
            images.unpack_picture(wrong, channels, shape[0])
