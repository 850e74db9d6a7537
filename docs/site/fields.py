"""The reference shows how a class is called: the constructor of a model is made of its fields, as at run time."""

import ast
from typing import Any

import griffe

# What a field may be declared by (`qsynapse_jax/_fields.py`, Equinox): its default is an argument of the call.
DECLARATIONS = {"real", "reals", "whole", "field"}


class Fields(griffe.Extension):
    """Gives a class without `__init__` one whose parameters are its annotated fields, those of its parents first."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Visits every class once all of them are known."""
        self._visit(pkg)

    def _visit(self, scope: Any) -> None:
        for member in list(scope.members.values()):
            if member.is_alias:
                continue
            if member.is_class and "__init__" not in member.members and (parameters := parameters_of(member)):
                self_parameter = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
                member["__init__"] = griffe.Function(
                    "__init__", parameters=griffe.Parameters(self_parameter, *parameters), lineno=member.lineno
                )
            if member.is_module or member.is_class:
                self._visit(member)


def parameters_of(model: Any) -> list[griffe.Parameter]:
    """Fields of a class and its parents as parameters; none where a parent has a constructor of its own."""
    try:
        parents = model.mro()
    except ValueError:
        parents = []
    if any("__init__" in parent.members and parent.members["__init__"].lineno for parent in parents):
        return []
    found: dict[str, griffe.Parameter] = {}
    for one in [*reversed(parents), model]:
        for name, attribute in one.members.items():
            if not attribute.is_attribute or attribute.is_alias or name.startswith("_") or not attribute.annotation:
                continue
            if "ClassVar" in str(attribute.annotation):
                continue
            found[name] = griffe.Parameter(
                name,
                annotation=attribute.annotation,
                default=default_of(attribute),
                kind=griffe.ParameterKind.positional_or_keyword,
            )
    return list(found.values())


def default_of(attribute: Any) -> str | None:
    """The default of a field, None where it has none."""
    if attribute.value is None:
        return None
    source = str(attribute.value)
    call = ast.parse(source, mode="eval").body
    if not (isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in DECLARATIONS):
        return source
    for keyword in call.keywords:
        if keyword.arg == "default":
            return ast.unparse(keyword.value)
        if keyword.arg == "default_factory":
            made = keyword.value
            return ast.unparse(made.body) if isinstance(made, ast.Lambda) else f"{ast.unparse(made)}()"
        if keyword.arg == "converter":
            continue
    return None
