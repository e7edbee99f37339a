"""What goes wrong ends in one clear sentence, and the form works again."""

import numpy as np
import pytest

WAIT = 240_000


@pytest.fixture
def check(qtbot, viewer, notes):
    def run(dock, *words):
        """Run, and expect one notification with these words."""
        before = len(viewer.layers)
        dock.panel.run_button.click()
        qtbot.waitUntil(lambda: len(notes) == 1, timeout=WAIT)
        qtbot.waitUntil(lambda: dock.panel.state == "ready", timeout=WAIT)
        _, sentence = notes.pop()
        for word in words:
            assert word in sentence
        assert dock.panel.status.text() == sentence
        assert dock.form.native.isEnabled()
        assert len(viewer.layers) == before
        qtbot.wait(50)
        assert not notes

    return run


def test_masks_that_cannot_be_used(qtbot, viewer, open_dock, run_to_end, picture, notes):
    viewer.add_image(picture, name="cell")
    mask = viewer.add_labels(np.ones(picture.shape, np.uint8), name="mask")
    dock = open_dock("Inpaint", iterations=2)

    def refused(words):
        """The form says so before any run, and offers none."""
        qtbot.waitUntil(lambda: words in dock.form.hint.text(), timeout=5_000)
        assert not dock.panel.run_button.isEnabled() and not notes

    refused("covers the whole image")
    mask.data = np.ones((2, *picture.shape), np.uint8)
    refused("The mask “mask” has 3 axes, and the image “cell” 2")
    mask.data = np.pad(np.full((4, 4), 2, np.uint8), ((3, 25), (3, 33)))
    mask.translate = (0, 100)
    refused("Nothing of the mask lies on the image")
    mask.translate = (0, 0)
    dock.form.label.value = 2
    run_to_end(dock)
    assert "cell inpainted" in viewer.layers


def test_images_that_cannot_be_used(viewer, open_dock, check, run_to_end, picture):
    for name, data in {
        "constant": np.full((32, 32), 3.0),
        "small": picture[:5],
        "nan": np.where(np.arange(40) == 7, np.nan, picture),
        "cell": picture,
    }.items():
        viewer.add_image(data, name=name)
    dock = open_dock("Denoise", iterations=2)
    for name, words in (("constant", ["constant"]), ("nan", ["y=0, x=7", "choose “fill them in” as", "under More"])):
        dock.form.image.value = viewer.layers[name]
        check(dock, *words)
    dock.form.image.value = viewer.layers["small"]
    assert "at least" in dock.form.missing() and not dock.panel.run_button.isEnabled()
    dock.form.image.value = viewer.layers["nan"]
    dock.form.more["nonfinite"].value = "inpaint"
    run_to_end(dock)
    assert np.isfinite(viewer.layers["nan denoised"].data).all()


def test_a_device_that_is_not_there(viewer, open_dock, check, run_to_end, picture):
    import torch

    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    viewer.add_image(picture, name="cell")
    dock = open_dock("Denoise", iterations=2)
    dock.form.more["device"].value = missing
    check(dock, "no device")
    dock.form.more["device"].value = "cpu"
    run_to_end(dock)
    assert "cell denoised" in viewer.layers


def test_lazy_data_that_cannot_be_read(viewer, open_dock, check, picture):
    dask_array = pytest.importorskip("dask.array")
    readable = True

    def read(block):
        if not readable:
            raise OSError("the disk was pulled out")
        return block

    lazy = dask_array.from_array(picture, chunks=-1).map_blocks(read, dtype=picture.dtype)
    viewer.add_image(lazy, name="lazy", contrast_limits=(0, 1000), cache=False)
    dock = open_dock("Denoise")
    readable = False
    try:
        check(dock, "the disk was pulled out")
    finally:
        readable = True


def test_out_of_memory(viewer, check, run_to_end, picture):
    """Memory cannot really be used up here without harm to other programs, so the engine is made to say so."""
    import torch

    from napari_dip.errors import OUT_OF_MEMORY
    from napari_dip.restore import restore_steps
    from napari_dip.viewer.docks import Denoise

    errors = [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ]

    def at_once(run, error):
        raise error

    class Later:
        def __init__(self, run, error):
            self.run, self.error, self.output = run, error, run.output

        def __iter__(self):
            yield next(self.run)
            raise self.error

    troubles = [(fail, error) for error in errors for fail in (at_once, Later)]

    def engine(*args, **kwargs):
        run = restore_steps(*args, **kwargs)
        if not troubles:
            return run
        fail, error = troubles.pop()
        return fail(run, error)

    viewer.add_image(picture, name="cell")
    dock = Denoise(viewer, restore_steps=engine)
    viewer.window.add_dock_widget(dock)
    dock.form.more["max_iterations"].value = 2
    dock.form.more["threads"].value = 1
    while troubles:
        check(dock, OUT_OF_MEMORY)
    run_to_end(dock)
    assert "cell denoised" in viewer.layers
