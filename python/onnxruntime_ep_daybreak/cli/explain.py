"""`daybreak explain`: who runs which node, and why."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from ..placement import Node, explain
from .common import Device, ModelFile, Option, onnx_file, out, parse_pairs, short


def command(
    model: ModelFile,
    device: Device = 0,
    option: Option = None,
    nodes: Annotated[bool, typer.Option("--nodes", help="List every node instead of a summary.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each node.")] = False,
) -> None:
    """Show which provider runs each node of an ONNX model, and why Daybreak declined the others."""
    found = explain(onnx_file(model), device, parse_pairs(option, "provider options"))
    if as_json:
        for node in found:
            print(json.dumps(asdict(node)))
        return
    out.print(_without_empty(_list(found) if nodes else _summary(found)))
    totals = Counter(node.ep for node in found)
    out.print(", ".join(f"{short(ep)}: {n} nodes" for ep, n in totals.most_common()), highlight=False)


def _op(node: Node) -> str:
    return f"{node.domain}.{node.op}" if node.domain else node.op


def _list(nodes: list[Node]) -> Table:
    table = Table("node", "operator", "provider", "runs in", "reason")
    for node in nodes:
        place = f"{node.fused} {node.group}" if node.fused else ""
        table.add_row(node.name, _op(node), short(node.ep), place, node.reason)
    return table


def _summary(nodes: list[Node]) -> Table:
    """One row for each operator, provider, fusion and reason, with the first such node as the example."""
    groups: dict[tuple[str, str, str, str], list[Node]] = {}
    for node in nodes:
        groups.setdefault((node.ep, _op(node), node.fused, node.reason), []).append(node)
    table = Table("provider", "operator", "nodes", "example", "runs in", "reason")
    for (ep, op, fused, reason), members in sorted(groups.items()):
        place = f"{len({n.group for n in members})} {fused}" if fused else ""
        table.add_row(short(ep), op, str(len(members)), members[0].name, place, reason)
    return table


def _without_empty(table: Table) -> Table:
    """Without the column of fusions where there are none."""
    table.columns = [c for c in table.columns if c.header != "runs in" or any(c.cells)]
    return table
