"""The training panel, as far as it needs no browser."""

import dataclasses

from playground import page
from playground.core import jobs
from playground.ui import training


def test_a_host_that_allows_less_than_the_shortest_preset_offers_that_one(monkeypatch):
    offered = {}
    monkeypatch.setenv("PLAYGROUND_PUBLIC", "1")
    monkeypatch.setattr(jobs, "PUBLIC", dataclasses.replace(jobs.PUBLIC, seconds=5))
    wire = training.Panel._wire
    monkeypatch.setattr(training.Panel, "_wire", lambda self: (offered.update({self.family: self.times()}), wire(self))[1])
    page.build()
    assert offered["diffusion"] == ["2m"] and offered["vae"] == ["10s"]
