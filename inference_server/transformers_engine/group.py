"""A model over several processes: tensor parallelism of the library, led by the process of rank 0.

torchrun starts the processes and says in the environment who they are. Each loads its part of the weights and
keeps its part of the slab. Rank 0 serves: every call of its Forward goes to the others first, and all of them
make it. The others do nothing else. A call is sent every second also when there is nothing to do, so that a
process that is lost is missed at once, and not with the next question.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from typing_extensions import override

from inference_server.engine import BASE
from inference_server.errors import EngineFailed, OptionsInvalid
from inference_server.logs import place_of
from inference_server.transformers_engine.forward import Forward

_log = logging.getLogger(__name__)
_LOADING = datetime.timedelta(hours=1)  # the slowest member's weights may have to be copied yet
_SERVING = datetime.timedelta(seconds=30)  # a member that is silent for so long is lost
_CALLS = frozenset({"piece", "column", "resize", "move", "clear", "beat", "leave"})


class NoAdapters:
    """A group takes no adapters: the library cannot divide them among processes."""

    @contextlib.contextmanager
    def use(self, revisions: Sequence[str]) -> Iterator[None]:
        """Pass if no row wants one."""
        if any(revision != BASE for revision in revisions):
            raise EngineFailed("a row wants an adapter, and a model over several processes takes none")
        yield

    def exclusive(self, revision: str) -> bool:
        """Say no."""
        return False


class Group:
    """This process's place in the group, and the way to the others."""

    def __init__(self, *, gpus: bool) -> None:
        """Meet the others, for up to an hour.

        Raises:
            EngineFailed: they did not all come.
        """
        if gpus:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        try:
            dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=_LOADING)
            # Calls go their own way: they must be missed after seconds, results may take longer.
            self._calls = cast(dist.ProcessGroup, dist.new_group(backend="gloo", timeout=_SERVING))
        except (RuntimeError, ValueError) as error:
            raise EngineFailed(
                f"the processes of the group did not meet: {' '.join(str(error).split())[:400]}; "
                "look at the other pods of this Workspace"
            ) from error
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        _log.info("the group has met", extra={"rank": self.rank, "size": self.size})

    def least(self, number: int) -> int:
        """Return the least of what every process says."""
        box = torch.tensor([number], dtype=torch.int64)
        dist.all_reduce(box, op=dist.ReduceOp.MIN)
        return int(box[0])

    def tell(self, call: tuple[Any, ...]) -> None:
        """Send a call from rank 0 to all others.

        Raises:
            EngineFailed: one of them is lost.
        """
        # JSON, not the library's pickles: what comes over a network is data and never code.
        text = torch.frombuffer(bytearray(json.dumps(call).encode()), dtype=torch.uint8)
        try:
            dist.broadcast(torch.tensor([len(text)]), src=0, group=self._calls)
            dist.broadcast(text, src=0, group=self._calls)
        except RuntimeError as error:
            raise lost(error) from error

    def hear(self) -> tuple[Any, ...]:
        """Return the next call of rank 0.

        Raises:
            EngineFailed: it is lost, or silent for too long.
        """
        size = torch.zeros(1, dtype=torch.int64)
        try:
            dist.broadcast(size, src=0, group=self._calls)
            text = torch.empty(int(size[0]), dtype=torch.uint8)
            dist.broadcast(text, src=0, group=self._calls)
            return tuple(json.loads(bytes(text.tolist())))
        except (RuntimeError, ValueError) as error:  # a connection that breaks may leave rubbish behind
            raise lost(error) from error

    def meet(self) -> None:
        """Wait for all others, and find out whether they are there."""
        try:
            dist.barrier(group=self._calls)
        except RuntimeError as error:
            raise lost(error) from error


class LeadingForward(Forward):
    """A Forward whose calls every process of the group makes."""

    def __init__(self, forward: Forward, group: Group) -> None:
        self.__dict__.update(forward.__dict__)
        self._group = group

    @override
    def piece(
        self,
        first: int,
        start: int,
        tokens: Sequence[Sequence[int]],
        revisions: Sequence[str],
        last: Sequence[int],
    ) -> torch.Tensor:
        return self._together_logits("piece", super().piece, first, start, tokens, revisions, last)

    @override
    def column(
        self, first: int, tokens: Sequence[int], lengths: Sequence[int], revisions: Sequence[str]
    ) -> torch.Tensor:
        return self._together_logits("column", super().column, first, tokens, lengths, revisions)

    @override
    def resize(self, rows: int, columns: int, kept_rows: int, kept_columns: int) -> None:
        self._together("resize", super().resize, rows, columns, kept_rows, kept_columns)

    @override
    def move(self, source: int, target: int, length: int) -> None:
        self._together("move", super().move, source, target, length)

    @override
    def clear(self, row: int) -> None:
        self._together("clear", super().clear, row)

    def beat(self) -> None:
        """Find out whether all others are there.

        Raises:
            EngineFailed: one is lost.
        """
        self._group.tell(("beat",))
        self._group.meet()

    def leave(self) -> None:
        """Send the others home."""
        with contextlib.suppress(EngineFailed):
            self._group.tell(("leave",))

    def _together_logits(
        self, name: str, call: Callable[..., torch.Tensor], *arguments: object
    ) -> torch.Tensor:
        logits: torch.Tensor = self._together(name, call, *arguments)
        return logits

    def _together(self, name: str, call: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        self._group.tell((name, *arguments))
        try:
            return call(*arguments)
        except torch.cuda.OutOfMemoryError as error:
            # The others may have had enough: their slabs differ from this one now.
            raise EngineFailed("a GPU of the group ran out of memory; all of it restarts") from error
        except Exception as error:  # whatever it is: the others have made this call, and this process has not
            raise lost(error) from error


def follow(forward: Forward, group: Group) -> None:
    """Make every call that rank 0 makes, until it sends this process home.

    Raises:
        EngineFailed: rank 0 or another process is lost.
    """
    while True:
        name, *arguments = group.hear()
        if name not in _CALLS:
            raise EngineFailed(f"rank 0 asks for {name!r}: the images of the group's pods differ")
        if name == "leave":
            return
        if name == "beat":
            group.meet()
            continue
        try:
            getattr(forward, name)(*arguments)
        except Exception as error:  # whatever it is: rank 0 has made this call, and this process has not
            raise lost(error) from error


def lost(error: Exception) -> EngineFailed:
    """Return the error that ends this process, so that the whole group starts again."""
    said = " ".join(str(error).split()) or type(error).__name__
    _log.error("a call in the group failed", extra=place_of(error))
    text = re.sub(r"^\[\S+\] ", "", said).partition(". ")[
        0
    ]  # without the place in gloo's source, and its advice
    return EngineFailed(f"a process of the group is lost ({text[:200]}); all of them restart and meet again")


def require_divisible(folder: Path, size: int) -> None:
    """Pass if `size` processes can share the attention's heads of the model in `folder`.

    Raises:
        OptionsInvalid: they cannot.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()
    heads = int(config.num_attention_heads)
    kv_heads = int(getattr(config, "num_key_value_heads", None) or heads)
    if heads % size or kv_heads % size:
        raise OptionsInvalid(
            f"{size} processes cannot share {heads} attention heads and {kv_heads} heads of keys and values; "
            "use a resource.count that divides both"
        )
