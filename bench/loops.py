"""Training loops over shapes of work, one process a shape (`loop_lane.py`)."""

from __future__ import annotations

import json
from contextlib import ExitStack

from bench.harness import LaneError, LaneProcess
from bench.loop_lane import Task
from bench.shapes import Shape
from bench.sheet import Run


class Loops:
    """The processes, each started when it is first needed; a context manager that ends them."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._lanes: dict[Shape, LaneProcess] = {}

    def __enter__(self) -> Loops:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def measure(self, shape: Shape, workers: int, ahead: int, seconds: float) -> Run:
        """Run a loop for some seconds; return what `loop_lane.loop` does, or an ``error``."""
        try:
            lane = self._lane(shape)
            lane.order(json.dumps({"workers": workers, "ahead": ahead, "seconds": seconds}))
            answer = lane.answer()
        except LaneError as error:
            self._lanes.pop(shape, None)
            return {"error": str(error)}
        lane.settle()
        return {"error": answer["failed"]} if "failed" in answer else answer

    def _lane(self, shape: Shape) -> LaneProcess:
        if shape not in self._lanes:
            lane = self._stack.enter_context(LaneProcess(Task(shape), {}, "bench.loop_lane"))
            lane.answer()  # its imports are done
            self._lanes[shape] = lane
        return self._lanes[shape]
