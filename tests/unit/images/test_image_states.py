"""The life of an image, as data."""

from apps.images.states import MACHINE, ImageState


def test_only_what_was_saved_whole_becomes_active() -> None:
    sources = {source for source, targets in MACHINE.items() if ImageState.ACTIVE in targets}
    assert sources == {ImageState.SAVING, ImageState.IMPORTING, ImageState.DEACTIVATED}


def test_data_of_an_active_image_never_changes() -> None:
    assert MACHINE[ImageState.ACTIVE] == {ImageState.DEACTIVATED, ImageState.DELETED}
    assert MACHINE[ImageState.DEACTIVATED] == {ImageState.ACTIVE, ImageState.DELETED}
    assert MACHINE[ImageState.DELETED] == frozenset()


def test_a_broken_upload_can_be_sent_again() -> None:
    assert ImageState.QUEUED in MACHINE[ImageState.SAVING]
