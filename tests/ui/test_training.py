"""The training panel, as far as it needs no browser."""

import dataclasses

from playground import page, worker
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


def test_a_family_that_learns_from_scenes_takes_a_zip_in_blender_s_format_and_no_folder(tmp_path, monkeypatch):
    import gradio as gr

    import blender
    from playground.ui import parts
    from playground.vae import config

    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(jobs.place, "ask", lambda request: worker._look(**{key: value for key, value in request.items() if key != "do"}))

    def panel():
        with gr.Blocks() as blocks:
            made = training.Panel("vae", config, parts.Dropdown([]))
        return made, [block for block in blocks.blocks.values() if isinstance(block, gr.UploadButton)]

    assert len(panel()[1]) == 2
    monkeypatch.setattr(config, "OWN", "scene", raising=False)
    scene, [button] = panel()
    assert button.file_types == [".zip"] and button.elem_id == "vae-zip"
    choices, found, said = scene.take(str(blender.zipped(tmp_path / "desk.zip", blender.scene())))
    assert choices["value"] == found["name"] == "my-desk" and choices["choices"][-1] in ("my-desk", ("my-desk", "my-desk")) and "6 pictures" in said
    mine = training._pictures(found)
    assert mine == jobs.kept(found["token"]) and scene._suited("my-desk", "1m", found).dataset == "my-desk"
