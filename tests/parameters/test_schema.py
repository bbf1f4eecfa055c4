"""Any content of params.yaml is either valid or refused by a message that names the parameter."""

import copy
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from pipeline.io.errors import UserError
from pipeline.io.one_line import one_line
from pipeline.io.params import read_params
from pipeline.parameters.schema import Parameters, parse_parameters

DEMO = Path(__file__).resolve().parents[2] / "presets/demo.yaml"
STRICT = {"strict": True, "allow_inf_nan": False}
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@cache
def demo() -> dict[str, Any]:
    return read_params(DEMO)


def _leaves(model: type[BaseModel], content: dict, path: tuple[str, ...] = ()):
    """Path and field of every parameter of the demo that is no section."""
    for name, field in model.model_fields.items():
        if name not in content:
            continue
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _leaves(inner, content[name], (*path, name))
        elif not isinstance(content[name], dict):
            yield (*path, name), field


LEAVES = dict(_leaves(Parameters, demo()))


def _maps(content: Any, path: tuple[str, ...] = ()):
    """Paths of all maps of the demo, except those whose keys the user names."""
    free = path in {("subsets",), ("segmenters", "mixes")} or path[-1:] == ("classes",)
    if isinstance(content, dict):
        if not free:
            yield path
        for name, inner in content.items():
            yield from _maps(inner, (*path, name))


MAPS = list(_maps(demo()))


def _with(path: tuple[str, ...], new: Any) -> dict[str, Any]:
    content = copy.deepcopy(demo())
    above = content
    for name in path[:-1]:
        above = above[name]
    above[path[-1]] = new
    return content


def _values(field: FieldInfo) -> st.SearchStrategy:
    """Values of the field's type; hypothesis would ask None, too, whether it is in the range."""
    union = get_origin(field.annotation) in (Union, UnionType)
    options = get_args(field.annotation) if union else (field.annotation,)
    return st.one_of(
        [
            st.none() if one is NoneType else st.from_type(Annotated[one, "", *field.metadata])
            for one in options
        ]
    )


def _is_valid(field: FieldInfo, new: Any) -> bool:
    """Whether the field by itself takes the value, whatever stands beside it."""
    try:
        TypeAdapter(
            Annotated[field.annotation, "", *field.metadata], config=STRICT
        ).validate_python(new)
    except ValidationError:
        return False
    return True


numbers = st.integers(-(10**6), 10**6) | st.floats(width=64)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=12)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)


def test_the_demo_is_valid_and_comes_back_the_same():
    parameters = parse_parameters(demo())
    dumped = parameters.model_dump()
    assert parse_parameters(dumped).model_dump() == dumped
    assert len(LEAVES) > 350 and len(MAPS) > 60  # the tests below look at all of the file


@QUICK
@given(path=st.sampled_from(sorted(LEAVES)), new=anything)
def test_a_value_of_the_wrong_type_or_range_is_named(path, new):
    assume(not _is_valid(LEAVES[path], new))
    with pytest.raises(UserError) as caught:
        parse_parameters(_with(path, new))
    assert ".".join(path) in str(caught.value)


@QUICK
@given(data=st.data(), path=st.sampled_from(sorted(LEAVES)))
def test_a_value_within_the_schema_comes_back_or_clashes_with_another(data, path):
    new = data.draw(_values(LEAVES[path]))
    assume(_is_valid(LEAVES[path], new))
    dumped, told = None, path[0]
    try:
        dumped = parse_parameters(_with(path, new)).model_dump()
    except UserError as error:
        told = str(error)
    assert path[0] in told
    assert dumped is None or parse_parameters(dumped).model_dump() == dumped


@QUICK
@given(path=st.sampled_from(MAPS), name=st.text(min_size=1, max_size=8))
def test_an_unknown_parameter_is_named(path, name):
    above = demo()
    for step in path:
        above = above[step]
    assume(name not in above)
    with pytest.raises(UserError) as caught:
        parse_parameters(_with((*path, name), 1))
    assert f"{one_line('.'.join((*path, name)))}: unknown parameter" in str(caught.value)


@QUICK
@given(path=st.sampled_from([path for path in MAPS if path]), new=anything)
def test_anything_in_the_place_of_a_section_is_refused(path, new):
    assume(not isinstance(new, dict))
    content = _with(path, new)
    if path in {("dataset", "coco"), ("external", "dataset", "coco")} and new is None:
        new = 0  # null is the right value for a reader that is not chosen
    if new is None:
        return
    with pytest.raises(UserError) as caught:
        parse_parameters(content)
    assert ".".join(path) in str(caught.value)


@QUICK
@given(content=st.dictionaries(st.sampled_from(sorted(demo())) | st.text(max_size=8), anything))
def test_whatever_the_file_holds_ends_in_a_message(content):
    with pytest.raises(UserError):
        parse_parameters(content)


@pytest.mark.parametrize("beyond", [float("nan"), float("inf"), -float("inf"), -1e9])
def test_no_number_may_be_beyond_every_range(beyond):
    bounded = [path for path, field in LEAVES.items() if field.metadata]
    assert len(bounded) > 200
    for path in bounded:
        with pytest.raises(UserError, match=r"\.".join(path)):
            parse_parameters(_with(path, beyond))


SIZES = ("width", "blocks", "unshuffle", "multipliers", "spade_channels", "latent_channels")


def test_a_network_that_nobody_could_build_is_refused():
    """An overflow within a library would tell nothing, and a million blocks take for ever."""
    sizes = [path for path in LEAVES if "network" in path and path[-1] in SIZES]
    assert len(sizes) > 20
    for path in sizes:
        new = [1.0, 1e6] if path[-1] == "multipliers" else 10**6
        with pytest.raises(UserError, match=r"\.".join(path)):
            parse_parameters(_with(path, new))
