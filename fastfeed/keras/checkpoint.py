"""`LoaderCheckpoint`: a callback that saves where training stands in its data, beside the model."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from fastfeed.errors import ArgumentError, StateMismatch
from fastfeed.keras.epochs import Epochs, Trail
from fastfeed.keras.late import LateCallback

KEPT = 100
"""States in a file: of the last saves, and the first one."""
VERSION = 1


class LoaderCheckpoint(LateCallback):
    """A Keras callback that lets a training that was killed go on in the middle of an epoch.

    It saves the loader's state after the batches that were *trained*, and restores it when the
    model was restored: each state is kept with the step of the optimizer, and the model's step says
    which one goes with it. So it does not matter which of the two files was written last. Put it
    before ``BackupAndRestore`` or ``ModelCheckpoint`` in the list, with the same `save_freq`;
    `fit_generator` puts it first itself. After a training that ended by itself, another one of the
    same model counts its epochs anew, and goes on with the data.

    Parameters
    ----------
    path : str or path
        A file, as JSON. It is replaced as a whole, never half written.
    data : what `adapter` has made, optional
        What the training reads. `fit_generator` knows it by itself.
    save_freq : "epoch" or int
        As in ``BackupAndRestore``: save at the end of each epoch, or after so many batches.

    Raises
    ------
    ArgumentError
        `data` or `save_freq` is something else.
    UnsupportedHost
        Neither Keras nor ``tf_keras`` is installed.

    Examples
    --------
    >>> fastfeed.fit_generator(model, sequence, epochs=9, callbacks=[
    ...     fastfeed.keras.LoaderCheckpoint("backup-data.json", save_freq=100),
    ...     keras.callbacks.BackupAndRestore("backup", save_freq=100)])
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        data: Any = None,
        save_freq: int | Literal["epoch"] = "epoch",
    ) -> None:
        super().__init__()
        is_number = isinstance(save_freq, int) and not isinstance(save_freq, bool)
        if save_freq != "epoch" and not (is_number and save_freq > 0):
            raise ArgumentError(
                'save_freq is "epoch" or a number of batches, 1 or more.',
                f"save_freq={save_freq!r}",
            )
        self._path = Path(path)
        self._save_freq = save_freq
        self._source = None if data is None else _source_of(data)
        self._states: dict[int, Any] = {}
        self._state: Any = None  # after the last batch that was trained
        self._epoch = self._behind = 0
        self._seen = 0  # batches of this epoch
        self._last = self._unsaved = 0
        self._is_first = True
        self._quiet: Any = None

    def watch(self, source: Epochs) -> None:
        """Watch this; `fit_generator` calls it."""
        self._source = source

    def on_train_begin(self, logs: Any = None) -> None:
        """Wait for the first epoch: the model may be restored by a callback behind this one."""
        self._is_first = True

    def on_model_restored(self) -> None:
        """Have Keras begin behind an epoch whose last batch was trained: ``BackupAndRestore`` has
        it begin that one again, also where it is the last of all. `fit_generator` calls this
        behind all callbacks; Keras looks then at what that one has set.
        """
        model = self.model  # type: ignore[attr-defined]
        if getattr(model, "_initial_epoch", None) is None:
            return
        saved = read(self._path).get(self._step())
        if saved is not None:
            model._initial_epoch = max(model._initial_epoch, saved["epoch"])

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before the first one, go on where the model was saved."""
        if self._is_first:
            self._is_first = False
            self._behind = self._restore(self._reading(), epoch)
            self._stop_at_the_end(epoch + self._behind)  # after one batch: Keras looks then
        self._epoch, self._seen = epoch + self._behind, 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count; with ``steps_per_execution`` Keras names the last batch of several."""
        trained, self._seen = batch + 1 - self._seen, batch + 1
        self._state = self._trail().trained(trained) or self._state
        if self._save_freq != "epoch" and self._is_due(batch, self._save_freq):
            self._save(self._epoch + (self._state["consumed"] == 0))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save, where that is asked for."""
        self._last = 0
        self._be_quiet(False)
        if self._save_freq == "epoch":
            self._save(self._epoch + 1)
        self._stop_at_the_end(self._epoch + 1)

    def on_train_end(self, logs: Any = None) -> None:
        """Save: another training of the model goes on here, and counts its epochs anew."""
        self._be_quiet(False)
        if not self._is_first:
            self._save(0)

    def _stop_at_the_end(self, epoch: int) -> None:
        """End the training before this epoch, if Keras counts too few of them to do so itself."""
        if self._behind and epoch >= self.params["epochs"]:  # type: ignore[attr-defined]
            self.model.stop_training = True  # type: ignore[attr-defined]

    def _is_due(self, batch: int, save_freq: int) -> bool:
        """Count as ``BackupAndRestore`` does, also where it counts one too few: of an epoch's first
        execution of several steps.
        """
        self._unsaved += batch + 1 if batch <= self._last else batch - self._last
        self._last = batch
        if self._unsaved < save_freq:
            return False
        self._unsaved = 0
        return True

    # -- inside ---------------------------------------------------------------------------------

    def _reading(self) -> Epochs:
        if self._source is None:
            raise ArgumentError(
                "The callback has to know what is read, and it is no Loader of fastfeed: with "
                "fit_generator give a source that it makes a Loader of; with model.fit() write "
                "data = fastfeed.keras.adapter(loader), LoaderCheckpoint(path, data) and "
                "model.fit(data).",
                "LoaderCheckpoint(path)",
            )
        return self._source

    def _trail(self) -> Trail:
        trail = self._reading().trail
        assert trail is not None
        return trail

    def _restore(self, source: Epochs, epoch: int) -> int:
        """Go on with the state of the model's step. Return how many epochs Keras is behind: one in
        ``model.fit``, if ``BackupAndRestore`` has saved at an epoch's last batch, because it begins
        that epoch again.
        """
        self._states = read(self._path)
        step = self._step()
        saved = self._states.get(step)
        if saved is None and self._states:
            raise StateMismatch(
                f"{self._path} holds states for the steps {shown(self._states)} of the optimizer, "
                f"and the model is at step {step}: it was not saved together with any of them, or "
                "not restored. Save both at the same batches (the same save_freq), restore the "
                "model with its optimizer, or remove the file to begin with the data anew."
            )
        if saved is not None:
            source.rewind(saved["data"])
            # Keras counts on as many batches as ever, and warns where the rest of an epoch is less.
            self._be_quiet(saved["data"]["consumed"] > 0)
        self._state = source.state()
        source.trail = Trail()
        going_on = epoch
        if saved is not None:  # what was left may be too little for a step of more ranks
            skipped = self._state["epoch"] - saved["data"]["epoch"]
            going_on = max(epoch, saved["epoch"] + skipped)
        self._save(going_on)
        return going_on - epoch

    def _step(self) -> int:
        optimizer = getattr(self.model, "optimizer", None)  # type: ignore[attr-defined]
        if optimizer is None:
            raise ArgumentError(
                "The state of the data is kept with the step of the model's optimizer, and this "
                "model has none: compile it with one.",
                "optimizer=None",
            )
        return int(optimizer.iterations)

    def _save(self, epoch: int) -> None:
        """Save the state, and with which of Keras's epochs it goes on."""
        step = self._step()
        self._states.pop(step, None)
        self._states[step] = {"epoch": epoch, "data": self._state}
        if len(self._states) > KEPT:
            del self._states[list(self._states)[1]]
        write(self._path, self._states)

    def _be_quiet(self, on: bool) -> None:
        if self._quiet is not None:
            self._quiet.__exit__(None, None, None)
            self._quiet = None
        if on:
            self._quiet = warnings.catch_warnings()
            self._quiet.__enter__()
            warnings.filterwarnings("ignore", "Your input ran out of data")


def _source_of(data: Any) -> Epochs:
    source = getattr(data, "source", None)
    if not isinstance(source, Epochs):
        raise ArgumentError(
            "LoaderCheckpoint takes what fastfeed.keras.adapter(loader) has made and model.fit() "
            "is given.",
            type(data).__name__,
        )
    return source


def shown(states: Mapping[int, Any]) -> str:
    """Write the steps that there are, the last of many."""
    steps = [str(step) for step in states]
    return ", ".join(steps if len(steps) < 6 else [steps[0], "...", *steps[-4:]])


def write(path: Path, states: Mapping[int, Any]) -> None:
    """Replace a file of states; whoever reads it finds the old ones or the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with open(handle, "w") as file:
            json.dump({"version": VERSION, "states": list(states.items())}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def read(path: Path) -> dict[int, Any]:
    """Return the states in a file; none where there is no file.

    Raises
    ------
    StateMismatch
        It is no file of states.
    """
    try:
        found = json.loads(path.read_text())
        if found["version"] == VERSION:
            return {int(step): dict(state) for step, state in found["states"]}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise StateMismatch(
            f"{path} is no file of a LoaderCheckpoint, or damaged ({error!r}). Give another path, "
            "or remove it to begin with the data anew."
        ) from error
    raise StateMismatch(
        f"{path} was written by another fastfeed: its version is {found['version']!r}, and "
        f"{VERSION} is known here. Resume with that one, or remove the file to begin anew."
    )
