"""One seed is one picture, one thread runs the models, and a device that is not there is refused."""

import threading
import time

import pytest
import torch

from playground.core import device
from playground.core.errors import PlaygroundError


@pytest.fixture
def fresh(monkeypatch):
    """`for_` as at the program's start, after `PLAYGROUND_DEVICE` was set."""
    monkeypatch.delenv("PLAYGROUND_DEVICE", raising=False)
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    device.for_.cache_clear()
    yield monkeypatch
    device.for_.cache_clear()


# ---- noise ----


def test_a_row_depends_on_seed_and_index_alone():
    whole = device.noise(7, range(20), (3, 4))
    assert whole.shape == (20, 3, 4) and whole.dtype == torch.float32 and whole.device.type == "cpu"
    assert torch.equal(whole, torch.cat([device.noise(7, range(n, n + 5), (3, 4)) for n in (0, 5, 10, 15)]))
    assert torch.equal(whole.flip(0), device.noise(7, range(19, -1, -1), (3, 4)))
    assert torch.equal(whole[[13]], device.noise(7, [13], (3, 4)))


def test_it_neither_reads_nor_moves_the_global_random_state():
    torch.manual_seed(0)
    before = device.noise(1, [0], (5,))
    state = torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(before, device.noise(1, [0], (5,)))
    torch.manual_seed(0)
    device.noise(1, range(10), (5,))
    assert torch.equal(state, torch.get_rng_state())


def test_other_seeds_and_indices_give_other_noise():
    rows = torch.cat([device.noise(seed, range(40), (8,)) for seed in range(40)])
    assert len(rows.unique(dim=0)) == 1_600                   # (seed, index) and (index, seed) do not meet either
    far = torch.cat([device.noise(seed, [index], (8,)) for seed in (0, 2**31 - 1) for index in (0, 1, 2**31, 2**40)])
    assert len(far.unique(dim=0)) == 8


@pytest.mark.parametrize("rows", [[(seed, 0) for seed in range(2_000)], [(0, index) for index in range(2_000)],
                                  [(n, n) for n in range(2_000)]], ids=["seeds", "indices", "both"])
def test_it_is_standard_normal_across_seeds_and_indices(rows):
    x = torch.cat([device.noise(seed, [index], (4,)) for seed, index in rows]).double()
    n = len(x)
    assert x.mean(0).abs().max() < 5 / n**0.5
    assert (x.var(0) - 1).abs().max() < 5 * (2 / n) ** 0.5
    assert (x.pow(4).mean(0) - 3).abs().max() < 5 * (96 / n) ** 0.5
    neighbours = (x[1:] * x[:-1]).mean(0)                     # correlation with the next row
    assert neighbours.abs().max() < 5 / n**0.5


def test_no_indices_give_no_noise():
    assert device.noise(0, [], (2, 3)).shape == (0, 2, 3)


def test_the_noise_of_a_seed_is_pinned():
    # A URL made today must show the same picture after every later release.
    assert device._mix(0, 0) == 0x4A978A78F46EE248
    assert device.noise(3, [5], (2,))[0].tolist() == pytest.approx([-0.9487468600, -1.4353498220], abs=1e-6)


# ---- devices ----


def test_the_override_wins_where_the_device_is_there(fresh):
    fresh.setenv("PLAYGROUND_DEVICE", " CPU ")
    assert device.for_("live") == device.for_("heavy") == torch.device("cpu")


@pytest.mark.parametrize("found", ["tpu", "cuda:99", "../x", "cpu,cuda"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(fresh, found):
    fresh.setenv("PLAYGROUND_DEVICE", found)
    with pytest.raises(PlaygroundError, match=f"“{found}”.*: .*cpu"):
        device.for_("heavy")


def test_the_best_device_is_taken(fresh):
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert device.for_("heavy").type == expected


def test_a_slider_stays_on_the_cpu_where_a_gpu_is_rented_by_the_second(fresh):
    fresh.setattr(device, "_present", lambda name: True)
    assert device.for_("live").type == "cuda"
    device.for_.cache_clear()
    fresh.setenv("SPACES_ZERO_GPU", "true")
    assert device.for_("live").type == "cpu" and device.for_("heavy").type == "cuda"


@pytest.mark.gpu
def test_noise_is_the_same_on_its_way_to_a_gpu():
    x = device.noise(7, range(4), (3,))
    assert torch.equal(x.to("cuda").cpu(), x)


# ---- the executor ----


@pytest.fixture
def executor():
    executor = device.InferenceExecutor()
    threads = torch.get_num_threads()
    yield executor
    executor._pool.shutdown()
    torch.set_num_threads(threads)


def test_it_runs_one_call_at_a_time(executor):
    running, most = 0, 0

    def call():
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.002)
        running -= 1
        return threading.current_thread().name

    threads = {future.result() for future in [executor.submit(call) for _ in range(20)]}
    assert most == 1 and len(threads) == 1 and threads.pop().startswith("inference")


def test_a_call_from_inside_runs_at_once(executor):
    assert executor.run(lambda: executor.run(lambda: executor.run(lambda: 3) + 1)) == 4


def test_what_a_call_raises_reaches_its_caller_and_harms_no_other(executor):
    def fail():
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        executor.run(fail)
    with pytest.raises(KeyError, match="mine"):
        executor.submit(executor.run, fail).result()
    assert executor.run(lambda: 1) == 1


def test_gradients_are_off_inside_and_stay_on_outside(executor):
    assert executor.run(torch.is_grad_enabled) is False
    assert executor.submit(lambda: executor.run(torch.is_grad_enabled)).result() is False
    assert torch.is_grad_enabled()


def test_arguments_are_passed_on(executor):
    assert executor.run(lambda *args, **kwargs: (args, kwargs), 1, two=2) == ((1,), {"two": 2})


def test_bfloat16_is_used_only_where_it_is_asked_for_and_computed_in(monkeypatch):
    from playground.core import device

    for has in (True, False):
        monkeypatch.setattr(device, "_computes_bf16", lambda: has)
        for precision in ("bf16", "fp32"):
            with device.autocast("cpu", precision):
                made = torch.nn.functional.linear(torch.ones(2, 3), torch.ones(4, 3)).dtype
            assert made == (torch.bfloat16 if has and precision == "bf16" else torch.float32)


# ---- many cores ------------------------------------------------------------------------------------------------


def test_side_by_side_gives_what_one_after_the_other_gives_without_gradients_and_leaves_the_threads_alone(monkeypatch):
    monkeypatch.setattr(device, "cores", lambda: 3)
    device._crew.cache_clear()
    before, w = torch.get_num_threads(), torch.ones(4, requires_grad=True)
    seen = set()

    def square(x):
        seen.add((threading.current_thread().name, torch.get_num_threads(), torch.is_grad_enabled()))
        time.sleep(0.05)
        return (w * x).square()

    parts = [torch.full((4,), float(i)) for i in range(7)]
    found = device.side_by_side(square, parts)
    assert all(torch.equal(one, part.square()) and not one.requires_grad for one, part in zip(found, parts, strict=True))
    assert len(seen) == 3 and all(threads == 1 and not grad for _, threads, grad in seen), "three threads, each alone"
    assert torch.get_num_threads() == before
    later = []
    (thread := threading.Thread(target=lambda: later.append(torch.get_num_threads()))).start()
    thread.join()
    assert later == [before], "a thread that begins later is as it would have been"
    with pytest.raises(ZeroDivisionError):
        device.side_by_side(lambda x: 1 // x, [1, 0])
    device._crew.cache_clear()


def test_a_single_part_or_core_needs_no_thread(monkeypatch):
    monkeypatch.setattr(device, "_crew", lambda: pytest.fail("no thread is needed"))
    assert device.side_by_side(lambda x: x + 1, [1]) == [2] and device.side_by_side(len, []) == []
    monkeypatch.setattr(device, "cores", lambda: 1)
    assert device.side_by_side(lambda x: x + 1, [1, 2]) == [2, 3]
