"""What each encoding keeps of a row, held to float64, to its bytes, and to what its YAML promises."""

import numpy as np
import pytest
import torch
import yaml

from distill_cli.errors import ConfigError
from distill_cli.hydra_app.composition import config_dir
from distill_cli.losses.kd import softened_kl
from distill_cli.losses.outputs import Outputs
from distill_cli.soft_labels.encodings import Dense, open_encoding, row_bytes
from distill_cli.soft_labels.encodings.levels import fit_levels, nearest
from distill_cli.soft_labels.encodings.quantised import KEPT, Int4, Int8
from distill_cli.soft_labels.encodings.top_k import TopK

NAMES = ("float16", "bfloat16", "float32", "int8", "int4", "top_k")
TEMPERATURES = (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 20)


def spec(name: str, **changes: object) -> dict[str, object]:
    return yaml.safe_load((config_dir() / f"soft_labels/{name}.yaml").read_text()) | changes


def opened(name: str, classes: int):
    return open_encoding(spec(name, **({"k": min(50, classes)} if name == "top_k" else {})), classes)


def teacher(rows: int, classes: int, spread: float = 2.0, top: float = 12.0, seed: int = 0) -> torch.Tensor:
    """As trained teachers do: one large logit, a few related classes, and a tail."""
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(rows, classes, generator=generator)
    order = torch.rand(rows, classes, generator=generator).argsort(dim=1)
    logits.scatter_add_(1, order[:, :1], torch.full((rows, 1), top))
    related = order[:, 1:6]
    return logits.scatter_add(1, related, torch.rand(related.shape, generator=generator) * top / 3)


def as_bytes(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rows.view(np.uint8).reshape(len(rows), -1).copy())


def restored(encoding, logits: torch.Tensor) -> Outputs:
    return encoding.decode(as_bytes(encoding.encode(logits)))


def mean_error(encoding, logits: torch.Tensor, temperature: float) -> float:
    """|L_encoded - L_dense| / L_dense of a student that is the teacher plus unit noise, by hand."""
    noise = torch.randn(logits.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    student = logits.double() + noise
    log_p, log_q = (logits.double() / temperature).log_softmax(1), (student / temperature).log_softmax(1)
    dense = (log_p.exp() * (log_p - log_q)).sum(1)
    encoded = softened_kl(Outputs(student), restored(encoding, logits).double(), temperature)
    return ((encoded - dense).abs() / dense).mean().item()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 3, 10, 33, 34, 101, 300])
def test_every_encoding_gives_back_probabilities_near_the_teachers(name, classes):
    encoding, logits = opened(name, classes), teacher(32, classes)
    outputs = restored(encoding, logits)
    if outputs.top is None:
        kept, exact = outputs.logits.softmax(1), logits.double().softmax(1)
        assert outputs.logits.dtype == torch.float32
    else:
        share = outputs.top.logits.exp().sum(1, keepdim=True)
        if outputs.top.tail is not None:
            share = share + outputs.top.rest_at(1)[:, None].exp()
        kept = outputs.top.logits.exp() / share
        exact = logits.double().softmax(1).gather(1, outputs.top.index)
    assert (kept - exact).abs().max() < 0.02
    assert torch.equal(outputs.top_class, logits.argmax(1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 10, 300])
def test_the_same_logits_give_the_same_bytes_alone_and_in_a_batch(name, classes):
    encoding, logits = opened(name, classes), teacher(8, classes)
    rows = encoding.encode(logits)
    assert rows.tobytes() == encoding.encode(logits.clone()).tobytes()
    assert rows[3:4].tobytes() == encoding.encode(logits[3:4]).tobytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 10, 300])
def test_rows_are_of_the_dtype_and_shape_that_the_encoding_says(name, classes):
    encoding = opened(name, classes)
    rows = encoding.encode(teacher(5, classes))
    assert rows.dtype == encoding.dtype and rows.shape == (5, *encoding.shape)
    assert rows.nbytes == 5 * row_bytes(encoding)
    assert rows.dtype.newbyteorder("<") == rows.dtype


@pytest.mark.parametrize("name", NAMES)
def test_single_rows_and_views_of_larger_buffers_are_decoded(name):
    encoding, logits = opened(name, 61), teacher(9, 61)
    content, whole = as_bytes(encoding.encode(logits)), restored(encoding, logits)
    buffer = torch.zeros(9, row_bytes(encoding) + 3, dtype=torch.uint8)
    buffer[:, 1:-2] = content
    for rows, expected in (
        (content[4:5], slice(4, 5)),
        (buffer[:, 1:-2], slice(None)),
        (content[::2], slice(0, 9, 2)),
    ):
        outputs = encoding.decode(rows)
        if outputs.top is None:
            assert torch.equal(outputs.logits, whole.logits[expected])
        else:
            assert torch.equal(outputs.top.index, whole.top.index[expected])
            torch.testing.assert_close(
                outputs.top.rest_at(4), whole.top.rest_at(4)[expected], rtol=1e-6, atol=0
            )


@pytest.mark.parametrize(
    ("name", "classes", "most"),
    [
        *[("float16", n, 2 * n) for n in (10, 1000)],
        *[("bfloat16", n, 2 * n) for n in (10, 1000)],
        *[("float32", n, 4 * n) for n in (10, 1000)],
        *[("int8", 10, 24), ("int8", 100, 126), ("int8", 1000, 1032)],
        *[("int4", 10, 24), ("int4", 100, 104), ("int4", 1000, 560), ("int4", 1001, 561)],
        *[("top_k", 50, 150), ("top_k", 1000, 240), ("top_k", 30_000, 258)],
    ],
)
def test_a_row_takes_the_bytes_that_the_docs_say(name, classes, most):
    assert row_bytes(opened(name, classes)) == most


@pytest.mark.parametrize("classes", [10, 34, 100, 1000])
@pytest.mark.parametrize(("name", "bound"), [("int8", 0.01), ("int4", 0.05)])
def test_quantised_rows_keep_the_loss_of_trained_teachers_at_every_temperature(name, bound, classes):
    for spread, top in ((1.0, 8.0), (2.0, 12.0), (2.5, 20.0)):
        logits, encoding = teacher(64, classes, spread, top), opened(name, classes)
        for temperature in TEMPERATURES:
            assert mean_error(encoding, logits, temperature) < bound, (spread, top, temperature)


@pytest.mark.parametrize("scale", [0.3, 1, 3, 5])
def test_int8_keeps_the_loss_of_rows_without_any_structure_too(scale):
    for classes in (34, 100, 1000):
        logits = scale * torch.randn(64, classes, generator=torch.Generator().manual_seed(1))
        assert max(mean_error(Int8(classes), logits, t) for t in TEMPERATURES) < 0.01


@pytest.mark.parametrize("kind", [Int8, Int4])
def test_the_largest_logits_are_kept_to_float16_of_their_distance_from_the_largest(kind):
    logits = teacher(32, 300)
    values, index = logits.topk(KEPT, dim=1)
    distance = (restored(kind(300), logits).logits - logits).gather(1, index).abs()
    assert bool((distance <= (values[:, :1] - values) * 2**-11 + 1e-5).all())


@pytest.mark.parametrize("kind", [Int8, Int4])
@pytest.mark.parametrize("value", [0.0, -3.5, 1e4])
def test_constant_rows_survive_quantisation(kind, value):
    assert torch.equal(restored(kind(64), torch.full((3, 64), value)).logits, torch.full((3, 64), value))


def test_int8_errs_by_half_a_step_of_the_rest():
    logits = teacher(32, 300)
    rest = logits.sort(dim=1).values[:, :-KEPT]
    step = (rest.amax(1) - rest.amin(1)) / 255
    worst = (restored(Int8(300), logits).logits - logits).abs().amax(1)
    assert bool((worst <= 0.5 * step + 0.02).all())  # the ends are float16


def test_fitted_levels_beat_evenly_spaced_ones():
    logits = torch.randn(16, 500, generator=torch.Generator().manual_seed(0))
    top = logits.topk(KEPT, dim=1).indices
    levels = fit_levels(logits, top, 16)
    assert bool((levels.diff(dim=1) >= 0).all())
    rest = torch.ones_like(logits).scatter(1, top, 0)
    fitted = logits - levels.gather(1, nearest(levels, logits))
    share = torch.linspace(0, 1, 16)
    low, high = logits.amin(1, keepdim=True), logits.sort(dim=1).values[:, -KEPT - 1 : -KEPT]
    even = low + (high - low) * share
    evenly = logits - even.gather(1, nearest(even, logits))
    squares, even_squares = ((error**2 * rest).sum(1) for error in (fitted, evenly))
    assert bool((squares < even_squares).all()) and squares.sum() < 0.75 * even_squares.sum()


def test_nearest_is_the_nearest():
    levels = torch.tensor([[-2.0, 0.0, 0.0, 5.0]])
    logits = torch.tensor([[-9.0, -1.1, -0.9, 2.4, 2.6, 9.0]])
    assert levels.gather(1, nearest(levels, logits)).tolist() == [[-2, -2, 0, 0, 5, 5]]


@pytest.mark.parametrize("kind", [Int8, Int4])
def test_rows_of_few_classes_keep_every_logit_in_float16(kind):
    logits = teacher(32, 10)
    encoding = kind(10)
    assert encoding.dtype.names == ("largest", "kept")
    error = (restored(encoding, logits).logits - logits).abs()
    assert bool((error <= (logits.amax(1, keepdim=True) - logits) * 2**-11 + 1e-5).all())


@pytest.mark.parametrize(
    ("classes", "width"), [(256, 1), (257, 2), (65_536, 2), (65_537, 4), (4_000_000_000, 4), (2**32, 4)]
)
def test_the_width_of_an_index_follows_the_class_count(classes, width):
    encoding = TopK(1, classes)
    assert encoding.dtype["index"].base.itemsize == width


def test_the_last_class_of_each_width_is_found_again():
    for classes in (256, 257, 65_536, 65_537):
        logits = torch.zeros(1, classes)
        logits[0, -1] = 5
        assert restored(TopK(1, classes), logits).top.index.tolist() == [[classes - 1]]


@pytest.mark.parametrize("k", [1, 2, 50, 299])
def test_top_k_keeps_the_k_largest_and_the_mass_of_the_rest(k):
    logits = teacher(32, 300)
    top = restored(TopK(k, 300), logits).top
    ordered = (logits.double() - logits.amax(1, keepdim=True)).sort(dim=1, descending=True)
    torch.testing.assert_close(top.logits.double(), ordered.values[:, :k], rtol=2**-11, atol=1e-6)
    assert torch.equal(top.index, ordered.indices[:, :k])
    for temperature in TEMPERATURES:
        exact = (ordered.values[:, k:] / temperature).logsumexp(dim=1)
        assert ((top.rest_at(temperature) - exact).exp() - 1).abs().max() < 0.005


@pytest.mark.parametrize("classes", [2, 10, 300])
def test_top_k_of_all_classes_is_the_dense_kl_to_rounding(classes):
    encoding, logits = TopK(classes, classes), teacher(32, classes)
    assert encoding.dtype.names == ("index", "logits")
    assert max(mean_error(encoding, logits, t) for t in TEMPERATURES) < 0.01


@pytest.mark.parametrize("k", [1, 10, 50])
def test_the_stored_top_k_kl_is_a_lower_bound_of_the_dense_one(k):
    logits = teacher(64, 300)
    student = Outputs(logits.double() + torch.randn(64, 300, generator=torch.Generator().manual_seed(3)))
    for temperature in TEMPERATURES:
        encoded = softened_kl(student, restored(TopK(k, 300), logits).double(), temperature)
        dense = softened_kl(student, Outputs(logits.double()), temperature)
        assert bool((encoded <= 1.02 * dense).all())  # the rounding of the stored row
        assert encoded.sum() < dense.sum()


def test_ties_at_the_edge_are_split_and_the_mass_is_kept():
    logits = torch.zeros(4, 20)
    logits[:, :2] = 3
    top = restored(TopK(5, 20), logits).top
    assert all(len(set(row)) == 5 and {0, 1} < set(row) for row in top.index.tolist())
    assert top.rest_at(1).exp().tolist() == pytest.approx([15 * np.exp(-3)] * 4, rel=1e-4)


@pytest.mark.parametrize(
    ("k", "complaint"),
    [
        (11, "k=11 is more than the 10 classes; use soft_labels.k=5 or soft_labels=float16"),
        (0, "k=0 must be a whole number of at least 1"),
        (-1, "must be a whole number"),
        (2.5, "must be a whole number"),
        (True, "must be a whole number"),
        ("many", "must be a whole number"),
        (None, "must be a whole number"),
    ],
)
def test_a_k_that_cannot_be_is_one_line(k, complaint):
    with pytest.raises(ConfigError, match=complaint) as error:
        open_encoding(spec("top_k", k=k), 10)
    assert "\n" not in str(error.value)


def test_an_unknown_dtype_is_one_line():
    with pytest.raises(ConfigError, match="dtype=int3 must be one of float16, bfloat16, float32"):
        open_encoding(spec("float16", dtype="int3"), 10)


def test_float16_refuses_what_it_cannot_hold_and_names_the_row_and_the_way_out():
    logits = torch.zeros(5, 3)
    logits[2, 1], logits[4, 0] = -65_505, 1e6
    with pytest.raises(OverflowError) as error:
        Dense("float16", 3).encode(logits)
    assert error.value.args == (2, "use soft_labels=float32 or soft_labels=bfloat16")
    logits[2, 1], logits[4, 0] = -65_504, 65_504
    assert torch.equal(restored(Dense("float16", 3), logits).logits, logits)


@pytest.mark.parametrize("encoding", [Int8(64), Int4(64), Int8(3), TopK(3, 3)])
def test_rows_that_lie_too_far_apart_for_float16_are_refused(encoding):
    classes = 3 if encoding.dtype.itemsize < 60 else 64
    logits = torch.full((2, classes), 1e5)
    encoding.encode(logits)  # large, but near to each other
    logits[1, 0] = -1
    with pytest.raises(OverflowError) as error:
        encoding.encode(logits)
    assert error.value.args == (1, "use soft_labels=float32 or soft_labels=bfloat16")


def test_bfloat16_is_the_upper_half_of_float32_rounded_to_even():
    logits = torch.tensor([[1.0, -2.0, 1e30], [3.14159, 65_505.0, 2**-126]])
    stored = Dense("bfloat16", 3).encode(logits)
    bits = logits.numpy().view(np.uint32)
    expected = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    assert stored.dtype == np.dtype("<u2")
    np.testing.assert_array_equal(stored, expected)
    again = (stored.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(restored(Dense("bfloat16", 3), logits).logits.numpy(), again)


def test_bfloat16_refuses_what_would_round_to_infinity():
    with pytest.raises(OverflowError):
        Dense("bfloat16", 2).encode(torch.tensor([[0.0, torch.finfo(torch.float32).max]]))


def test_float32_is_bit_for_bit():
    logits = teacher(8, 10) * 1e30
    assert torch.equal(restored(Dense("float32", 10), logits).logits, logits)


@pytest.mark.parametrize("name", NAMES)
def test_keys_of_the_layout_never_reach_the_encoding(name):
    changed = spec(name, block=1, batch_size=2, resident=True, allow_error=0.5, embedding=True)
    if name == "top_k":
        changed["k"] = 5
    assert row_bytes(open_encoding(changed, 10)) > 0


@pytest.mark.parametrize("name", NAMES)
def test_every_yaml_says_where_its_rows_lie_and_what_it_refuses(name):
    said = spec(name)
    assert (said["resident"], said["allow_error"], said["embedding"]) == ("auto", 0.1, False)


def test_int8_and_int4_rows_are_read_by_numpy_alone_as_the_docs_say():
    logits, every = teacher(5, 101), np.arange(101)
    for kind in (Int8, Int4):
        rows = kind(101).encode(logits)
        expected = restored(kind(101), logits).logits.numpy()
        for row, wanted in zip(rows, expected, strict=True):
            levels, codes = row["levels"].astype(float), row["codes"].astype(int)
            if kind is Int8:
                read = levels[0] + codes * (levels[1] - levels[0]) / 255
            else:
                read = levels[np.where(every % 2, codes[every // 2] >> 4, codes[every // 2] & 15)]
            read[row["index"]] = row["kept"]
            np.testing.assert_allclose(row["largest"] + read, wanted, atol=1e-5)


@pytest.mark.parametrize("temperature", [1, 3, 20, 70])
def test_top_k_rows_are_read_by_numpy_alone_as_the_docs_say(temperature):
    logits = teacher(5, 300)
    rows, rest = TopK(50, 300).encode(logits), 250
    nodes = max(14, int(np.ceil(2.6 * np.log(rest))))
    points = (1 - np.cos(np.pi * np.arange(nodes) / (nodes - 1))) / 2
    for row, wanted in zip(rows, restored(TopK(50, 300), logits).top.rest_at(temperature), strict=True):
        polynomial = np.polynomial.Chebyshev.fit(points, row["excess"] * np.log(rest) / 65_535, nodes - 1)
        excess = polynomial(np.log(min(temperature, 20)) / np.log(20))
        if temperature > 20:
            known = np.array([20, 10, 20 / 3])
            values = [np.log(rest), *polynomial(np.log(known) / np.log(20))]
            excess = np.polyval(np.polyfit([0, *(1 / known)], values, 3), 1 / temperature)
        assert row["peak"] / temperature + excess == pytest.approx(wanted.item(), abs=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_decodes_to_what_the_cpu_does(name):
    encoding, logits = opened(name, 300), teacher(32, 300)
    rows = encoding.encode(logits)
    ours, theirs = encoding.decode(as_bytes(rows).cuda()), encoding.decode(as_bytes(rows))
    assert len(encoding.encode(logits.cuda())) == len(rows)
    if theirs.top is None:
        torch.testing.assert_close(ours.logits.cpu(), theirs.logits, rtol=1e-6, atol=1e-5)
    else:
        assert torch.equal(ours.top.index.cpu(), theirs.top.index)
        torch.testing.assert_close(ours.top.rest_at(3).cpu(), theirs.top.rest_at(3), rtol=1e-5, atol=1e-5)
