"""The catalog: every model and every instance type that can be named, read once from tables and checked.

A wrong row stops the program at its start with a message that names the row and the field; after that the
catalog is frozen and trusted.
"""

import difflib
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

from pydantic import Field, PositiveInt, model_validator
from typing_extensions import override

from presets import instance_types
from presets.instance_types import InstanceType, InstanceTypes
from presets.rows import CatalogError, Row, parse_rows, read_table

__all__ = ["Catalog", "CatalogError", "InstanceTypes", "Preset", "load_catalog", "parse_catalog"]

Dtype = Literal["float32", "bfloat16", "float16"]
WeightsFormat = Literal["safetensors", "bin", "pth"]
"""Files of a checkpoint: safetensors; PyTorch's pickled *.bin shards; Meta's own *.pth with params.json."""

PROJECT_REGISTRY: Final = "project"
"""As the registry of a weights image: whichever registry this installation keeps our own images in."""

_RESOURCE: Final = "models.yaml"

# ASCII classes only: with Unicode's, as in \w, these few patterns would take 40 ms to compile at every start.
PresetName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=63)]
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
RepositoryId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$")]
AbsolutePath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9][A-Za-z0-9_.-]*)+$")]
Tag = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]


class Architecture(Row):
    """What the memory formulas need to know of a decoder-only transformer.

    Attributes:
        hidden_size: numbers in the state of one token between layers. The heads of a layer together may be
            wider or narrower: then their projection is no square.
        attention_heads: query heads of a layer.
        kv_heads: key and value heads of a layer; fewer than query heads when groups share them.
        head_dim: numbers in one head's key (or value) of one token.
        max_context_tokens: prompt and answer together, as the model was trained for.
        tied_embeddings: the output matrix is the input embedding.
    """

    layers: PositiveInt
    hidden_size: PositiveInt
    attention_heads: PositiveInt
    kv_heads: PositiveInt
    head_dim: PositiveInt
    vocab_size: PositiveInt
    max_context_tokens: PositiveInt
    tied_embeddings: bool

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.attention_heads % self.kv_heads:
            msg = f"kv_heads {self.kv_heads} does not divide attention_heads {self.attention_heads}"
            raise ValueError(msg)
        return self


class HubRepository(Row):
    """Where the weights are on a Hugging Face compatible hub.

    Attributes:
        revision: the commit, 40 hexadecimal digits, so that the same bytes come every time.
        gated: a token of somebody who accepted the terms is needed; None when that is not known.
    """

    id: RepositoryId
    revision: Revision
    gated: bool | None
    format: WeightsFormat


class WeightsImage(Row):
    """The image whose files are the weights.

    Attributes:
        registry: host and path prefix; PROJECT_REGISTRY for the installation's own; None where nobody
            publishes one: the hub has the weights, or the user brings an image. Then repository and tag are
            None too.
        path: folder of the weights inside the image. For a user's image: where our own images have it, or
            v0.3.0's build puts it.
    """

    registry: str | None = None
    repository: str | None = None
    tag: Tag | None = None
    path: AbsolutePath = "/weights"
    format: WeightsFormat = "safetensors"

    @model_validator(mode="after")
    def _names_an_image_or_none(self) -> Self:
        if len({self.registry is None, self.repository is None, self.tag is None}) > 1:
            msg = "registry, repository and tag belong together: give all, or none for a user's own image"
            raise ValueError(msg)
        return self


class Weights(Row):
    """The checkpoint. `bytes` is its size in files, which is what is pulled and read."""

    bytes: PositiveInt
    image: WeightsImage = WeightsImage()


class Preset(Row):
    """One model that can be named in a Workspace.

    Attributes:
        licence: SPDX identifier, or the licence's name where SPDX has none.
        parameters: distinct numbers of the model; a tied matrix counts once.
        dtype: type of the stored weights, in which a GPU runs them.
        chat: the tokenizer of the pinned revision has a chat template.
        gpus: that v0.3.0 asks for, over all nodes; 0 runs on the CPU.
        world_size: processes of v0.3.0's process group; 0 where it starts none.
        distributed: v0.3.0 can spread it over several nodes.
        tuning: it can be the base of a fine-tuning.
        private: the licence lets nobody publish the weights as an image, so every user brings them.
        readiness_minutes: how long v0.3.0 waits for it to become ready.
        disk_gib: that a node needs for it.
        sources: where each fact is from; models.yaml explains the words.
    """

    name: PresetName
    family: str
    licence: str
    parameters: PositiveInt
    dtype: Dtype
    chat: bool
    architecture: Architecture
    hub: HubRepository
    weights: Weights
    gpus: Annotated[int, Field(ge=0, le=1024)]
    world_size: Annotated[int, Field(ge=0, le=1024)]
    distributed: bool
    tuning: bool
    private: bool = False
    readiness_minutes: PositiveInt
    disk_gib: PositiveInt
    sources: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _nobody_publishes_a_private_one(self) -> Self:
        if self.private and self.weights.image.registry is not None:
            msg = f"private, yet {self.weights.image.registry} publishes its weights: one of both is wrong"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _world_fits_gpus(self) -> Self:
        if self.distributed and self.world_size != self.gpus:
            msg = f"a distributed model runs one process per GPU: {self.world_size} is not {self.gpus}"
            raise ValueError(msg)
        return self


class Catalog(Mapping[str, Preset]):
    """The presets by name; upper and lower case are the same, as in v0.3.0.

    Attributes:
        instance_types: the other table.
    """

    def __init__(self, presets: tuple[Preset, ...], types: InstanceTypes | None = None) -> None:
        """Index the rows.

        Raises:
            CatalogError: two rows have one name.
        """
        by_name = {preset.name: preset for preset in presets}
        if len(by_name) != len(presets):
            names = [preset.name for preset in presets]
            msg = f"{_RESOURCE}: more than one row is named {max(names, key=names.count)}; remove one"
            raise CatalogError(msg)
        self._by_name: Final = MappingProxyType(by_name)
        self.instance_types: Final = types or InstanceTypes(())

    @override
    def __getitem__(self, name: str) -> Preset:
        return self._by_name[name.lower()]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    @override
    def __len__(self) -> int:
        return len(self._by_name)

    def nearest(self, name: str, count: int = 3) -> tuple[str, ...]:
        """The names most like this one, best first; fewer only when the catalog has fewer.

        Of `owner/model` only the model is compared, since presets carry no owner.
        """
        wanted = name.lower().rpartition("/")[2]
        return tuple(difflib.get_close_matches(wanted, list(self), n=count, cutoff=0.0))


@cache
def load_catalog() -> Catalog:
    """The catalog that is part of this package; read and checked on the first call only.

    Raises:
        CatalogError: a row is wrong.
    """
    return parse_catalog(read_table(_RESOURCE), read_table(instance_types.RESOURCE))


def parse_catalog(models: str, types: str | None = None) -> Catalog:
    """The catalog from the texts of a models.yaml and an instance_types.yaml; without the latter it has none.

    Raises:
        CatalogError: a text is no YAML, has another shape, or a row is wrong.
    """
    presets = parse_rows(models, table=_RESOURCE, key="models", kind=Preset)
    rows = (
        parse_rows(types, table=instance_types.RESOURCE, key="instance_types", kind=InstanceType)
        if types is not None
        else ()
    )
    return Catalog(presets, InstanceTypes(rows))
