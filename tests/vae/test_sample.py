"""What a trained VAE answers, against its own networks used by hand."""

import copy
import dataclasses
from types import MappingProxyType

import pytest
import torch
from torch import distributions as D

from playground.core import checkpoints, datasets, device
from playground.core.errors import PlaygroundError
from playground.vae import evaluate, maths, sample, train

CONFIGS = {
    "tiny-conv": train.TrainConfig(dataset="glyphs", steps=25, batch_size=16, lr=0.05, latent=6, width=4, hidden=16, warmup=0),
    "tiny-mlp": train.TrainConfig(dataset="glyphs", steps=25, batch_size=16, lr=0.05, latent=6, network="mlp", hidden=16, warmup=0),
    "tiny-colour": train.TrainConfig(dataset="shapes", steps=25, batch_size=16, lr=0.05, latent=3, network="mlp", hidden=16,
                                     likelihood="gaussian", sigma=0.2, warmup=0),
}


GAIN = {"tiny-conv": 1.5, "tiny-mlp": 3.0, "tiny-colour": 1.0}      # on the decoder's weights


@pytest.fixture(scope="module", autouse=True)
def runs(tmp_path_factory):
    """A folder of runs with three small checkpoints on the CPU with one thread; trained for a moment, then exaggerated,
    so that every code gives a picture of its own."""
    folder, threads = tmp_path_factory.mktemp("runs"), torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_RUNS", str(folder))
        patch.setattr(device, "for_", lambda purpose: torch.device("cpu"))
        for name, config in CONFIGS.items():
            state = train.init(config)
            for _ in train.train(config, state, train.batches(config, 0)):
                pass
            with torch.no_grad():
                for weight in state.ema.decoder.parameters():
                    weight.mul_(GAIN[name])
            made = train.result(config, state)
            checkpoints.save(folder / name / "checkpoint", family="vae", dataset=config.dataset, model=made.model,
                             train=dataclasses.asdict(config), weights=made.weights, derived=made.derived, metrics={},
                             command="made by a test", made={})
        yield folder
    torch.set_num_threads(threads)


@pytest.fixture(params=CONFIGS)
def checkpoint(request):
    return sample.load(request.param)


def pictures_for(checkpoint, n=3):
    return datasets.load(checkpoint.config["dataset"], "test").images[:n].float() / 255


def with_kl(checkpoint, *kl):
    return dataclasses.replace(checkpoint, derived=MappingProxyType({**checkpoint.derived, "kl": torch.tensor(kl)}))


# ---- the order of the sliders ----------------------------------------------------------------------------------


def test_sliders_are_in_the_order_of_the_kl(checkpoint):
    q = D.Normal(checkpoint.derived["mu"], (0.5 * checkpoint.derived["logvar"]).exp())
    kl = D.kl_divergence(q, D.Normal(0.0, 1.0)).mean(0)[sample.order(checkpoint)]
    assert (kl[:-1] - kl[1:] >= -1e-3 * kl[0]).all()          # fp16 on disk
    assert sorted(sample.order(checkpoint).tolist()) == list(range(checkpoint.model.config.latent))


def test_dimensions_of_equal_kl_keep_their_order():
    checkpoint = with_kl(sample.load("tiny-conv"), 0.0, 2.0, 0.0, 5.0, 0.0, 2.0)
    assert sample.order(checkpoint).tolist() == [3, 1, 5, 0, 2, 4]


@torch.no_grad()
def test_each_slider_moves_its_own_dimension():
    checkpoint = with_kl(sample.load("tiny-conv"), 0.1, 0.9, 0.0, 0.5, 0.7, 0.3)          # no symmetric permutation
    by_hand = [1, 4, 3, 5, 0, 2]
    for slider, dimension in enumerate(by_hand):
        z, code = torch.zeros(1, 6), torch.zeros(1, 6)
        z[0, slider], code[0, dimension] = 1.5, 1.5
        torch.testing.assert_close(sample.decode(checkpoint, z), checkpoint.model.mean(code))


@torch.no_grad()
def test_the_code_of_a_picture_on_the_sliders_gives_its_reconstruction(checkpoint):
    """encode puts codes into slider order and decode takes them out again."""
    checkpoint = with_kl(checkpoint, *torch.rand(checkpoint.model.config.latent, generator=torch.Generator().manual_seed(1)).tolist())
    assert sample.order(checkpoint).tolist() != sorted(sample.order(checkpoint).tolist())
    for x in pictures_for(checkpoint):
        encoded = sample.encode(checkpoint, x)
        torch.testing.assert_close(sample.decode(checkpoint, encoded.mu[None])[0], encoded.x_hat, rtol=0, atol=1e-5)
        mu, _ = checkpoint.model.encode(encoded.x[None])
        assert encoded.mu.tolist() == pytest.approx([mu[0, i].item() for i in sample.order(checkpoint)])


# ---- pictures from the prior -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_picture_i_of_a_seed_is_the_same_whatever_is_drawn_with_it(name):
    many = sample.images(name, 300, 5)                        # more than one pass
    assert many.shape[0] == 300 > sample.BATCH
    for n in (1, 3):
        assert (sample.images(name, n, 5) - many[:n]).abs().max() <= 1 / 255
    checkpoint = sample.load(name)
    late = sample.decode(checkpoint, sample.draw(checkpoint, 2, 5, start=260))
    assert (late - many[260:262]).abs().max() <= 1 / 255
    apart = (many[1:] - many[:-1]).abs().amax((1, 2, 3))
    assert apart.min() > 5 / 255 and apart.median() > 40 / 255               # and no picture is its neighbour
    assert (sample.images(name, 3, 6) - many[:3]).abs().amax((1, 2, 3)).min() > 5 / 255
    assert 0 <= many.min() and many.max() <= 1


def test_codes_are_drawn_from_the_prior():
    z = sample.draw(sample.load("tiny-conv"), 4_000, 1)
    n = z.numel()
    assert abs(z.mean()) < 4 / n**0.5 and abs(z.var() - 1) < 4 * (2 / n) ** 0.5
    assert (torch.corrcoef(z.T) - torch.eye(6)).abs().max() < 5 / 4_000**0.5


def test_no_pictures_are_an_empty_batch():
    assert sample.draw(sample.load("tiny-conv"), 0, 0).shape == (0, 6)


@torch.no_grad()
def test_reconstruct_decodes_each_pictures_mean_code(checkpoint):
    x = pictures_for(checkpoint, 4)
    together = sample.reconstruct(checkpoint.name, x)
    for one, x_hat in zip(x, together):
        torch.testing.assert_close(checkpoint.model.mean(checkpoint.model.encode(one[None])[0])[0], x_hat, rtol=0, atol=1e-5)


def test_a_name_that_is_no_vae_is_refused():
    for name in ("nowhere", "mnist-classifier", "../tiny-conv", 7):
        with pytest.raises(PlaygroundError):
            sample.images(name, 1, 0)


# ---- one picture and its numbers -------------------------------------------------------------------------------


@torch.no_grad()
def test_the_numbers_of_a_picture_agree_with_torch_distributions(checkpoint):
    model, x = checkpoint.model, pictures_for(checkpoint)[1]
    encoded = sample.encode(checkpoint, x, seed=3)
    x = x.round() if model.config.likelihood == "bernoulli" else x
    mu, logvar = model.encode(x[None])
    q, prior = D.Normal(mu[0], (0.5 * logvar[0]).exp()), D.Normal(0.0, 1.0)
    log_p, log_w = [], []
    for index in range(sample.ESTIMATE):
        z = q.loc + q.scale * device.noise(3, [index], (model.config.latent,))[0]
        out = model.decode(z[None])[0].double()
        pixels = D.Bernoulli(logits=out) if model.config.likelihood == "bernoulli" else D.Normal(out, model.config.sigma)
        log_p.append(pixels.log_prob(x.double()).sum())
        log_w.append(log_p[-1] + (prior.log_prob(z) - q.log_prob(z)).sum())
    log_p, log_w = torch.stack(log_p), torch.stack(log_w)

    assert encoded.samples == len(log_p) == 256
    assert encoded.log_likelihood == pytest.approx(log_p.mean().item(), rel=1e-4)
    assert encoded.log_likelihood_error == pytest.approx(log_p.std().item() / 16, rel=1e-2)
    assert encoded.kl == pytest.approx(D.kl_divergence(q, prior).sum().item(), rel=1e-4)
    assert encoded.bound == pytest.approx(((log_w - log_w.max()).exp().mean().log() + log_w.max()).item(), rel=1e-4)
    assert encoded.elbo == pytest.approx(encoded.log_likelihood - encoded.kl)
    assert encoded.sigma.tolist() == pytest.approx(q.scale[sample.order(checkpoint)].tolist(), rel=1e-4)


def test_the_bound_is_above_the_elbo_but_for_sampling_noise(checkpoint):
    for x in pictures_for(checkpoint, 6):
        encoded = sample.encode(checkpoint, x)
        assert encoded.bound >= encoded.elbo - 4 * encoded.log_likelihood_error - 0.5


def test_only_a_bernoulli_decoder_rounds_its_picture(checkpoint):
    x = pictures_for(checkpoint)[0]
    encoded = sample.encode(checkpoint, x)
    if checkpoint.model.config.likelihood == "bernoulli":
        assert set(encoded.x.unique().tolist()) == {0.0, 1.0}
        assert torch.equal(encoded.x, (x > 0.5).float())
        again = sample.encode(checkpoint, encoded.x)
        assert torch.equal(again.mu, encoded.mu) and again.elbo == encoded.elbo
    else:
        assert torch.equal(encoded.x, x) and len(x.unique()) > 2


def test_another_seed_draws_other_samples_of_the_same_q(checkpoint):
    x = pictures_for(checkpoint)[0]
    a, b, again = (sample.encode(checkpoint, x, seed) for seed in (0, 1, 0))
    assert torch.equal(a.mu, b.mu) and torch.equal(a.sigma, b.sigma) and a.kl == b.kl
    assert a.log_likelihood != b.log_likelihood
    assert a.log_likelihood == again.log_likelihood and a.bound == again.bound
    error = (a.log_likelihood_error**2 + b.log_likelihood_error**2) ** 0.5
    assert abs(a.log_likelihood - b.log_likelihood) < 5 * error


# ---- shared by all who ask -------------------------------------------------------------------------------------


def test_no_handler_changes_a_checkpoint(checkpoint):
    def held():
        tensors = {**checkpoint.model.state_dict(), **checkpoint.derived}
        return {name: tensor.cpu().numpy().tobytes() for name, tensor in tensors.items()}

    before, x = held(), pictures_for(checkpoint)
    sample.images(checkpoint.name, 4, 0)
    sample.reconstruct(checkpoint.name, x)
    sample.encode(checkpoint, x[0], seed=1)
    sample.decode(checkpoint, sample.draw(checkpoint, 3, 2))
    sample.order(checkpoint).zero_()
    evaluate.measure(checkpoint.model, x, 3)
    assert held() == before
    assert sample.load(checkpoint.name).model is checkpoint.model            # all this was one shared model
    assert not checkpoint.model.training and not any(p.requires_grad for p in checkpoint.model.parameters())
    given = torch.ones(2, checkpoint.model.config.latent)
    sample.decode(checkpoint, given)
    assert given.eq(1).all() and torch.equal(x, pictures_for(checkpoint))    # nor what it was given


@pytest.mark.gpu
@torch.no_grad()
def test_cuda_agrees_with_the_cpu():
    for name in CONFIGS:
        cpu = sample.load(name)
        cuda = dataclasses.replace(cpu, model=copy.deepcopy(cpu.model).cuda())
        z = sample.draw(cpu, 5, 9)
        assert torch.equal(z, sample.draw(cuda, 5, 9))        # noise is drawn on the CPU
        assert (sample.decode(cuda, z) - sample.decode(cpu, z)).abs().max() <= 1 / 255
        for x in pictures_for(cpu):
            a, b = sample.encode(cpu, x), sample.encode(cuda, x)
            assert (a.mu - b.mu).abs().max() <= 1 / 255 and (a.x_hat - b.x_hat).abs().max() <= 1 / 255
            assert b.kl == pytest.approx(a.kl, rel=1e-2) and b.log_likelihood == pytest.approx(a.log_likelihood, rel=1e-2)
            assert maths.elbo(a.log_likelihood, a.kl) == a.elbo


def test_foresight_is_the_decode_of_the_code_with_one_slider_moved(checkpoint):
    z = sample.draw(checkpoint, 1, 3)[0]
    values = (-2.0, 0.5, 3.0)
    found = sample.foresight(checkpoint, z, [0, 2, 40], values)
    assert found.shape[:2] == (3, 3)
    for row, slider in enumerate((0, 2)):
        for column, value in enumerate(values):
            moved = z.clone()
            moved[slider] = value
            torch.testing.assert_close(found[row, column], sample.decode(checkpoint, moved[None])[0], atol=1e-5, rtol=1e-4)
    for column in range(3):                                   # a slider that the model does not have
        torch.testing.assert_close(found[2, column], sample.decode(checkpoint, z[None])[0], atol=1e-5, rtol=1e-4)


def test_two_paths_share_their_ends(checkpoint):
    a, b = sample.draw(checkpoint, 2, 5)
    straight, round_ = sample.paths(a, b, 5)
    for path in (straight, round_):
        torch.testing.assert_close(path[0], a)
        torch.testing.assert_close(path[-1], b)
    torch.testing.assert_close(straight[2], (a + b) / 2)
    assert round_[2].norm() > straight[2].norm()
