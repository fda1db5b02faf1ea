#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes memkv.json, the dashboard that Grafana imports, from the table of panels.py.

    deploy/grafana/make_dashboard.py            writes it beside this file
    deploy/grafana/make_dashboard.py --check    says whether it is as the table has it
"""

import json
import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, FOLDER)

from panels import ROWS  # noqa: E402  pylint: disable=wrong-import-position

PATH = os.path.join(FOLDER, "memkv.json")
# What a panel's selectors begin with: the nodes that are chosen at the top of the dashboard.
NODES = 'job=~"$job",instance=~"$instance"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GRID_COLUMNS = 24
STAT_HEIGHT, GRAPH_HEIGHT = 4, 8
SCHEMA_VERSION = 38  # of Grafana 10; later ones take it, too


def expand(expression):
    """`memkv_x{N}` and `memkv_x{N,op="get"}` are of the nodes that are chosen."""
    return expression.replace("{N", "{" + NODES)


def targets(panel):
    made = []
    for index, (expression, legend) in enumerate(panel["queries"]):
        made.append({
            "datasource": SOURCE, "expr": expand(expression), "legendFormat": legend,
            "refId": chr(ord("A") + index), "range": panel["kind"] != "stat",
            "instant": panel["kind"] == "stat",
            "format": "heatmap" if panel["kind"] == "heatmap" else "time_series",
        })
    return made


def look(panel):
    """What depends on the kind of the panel."""
    if panel["kind"] == "stat":
        steps = [{"color": color, "value": value} for value, color in panel["steps"]]
        return {
            "type": "stat",
            "options": {"colorMode": "background" if len(steps) > 1 else "none",
                        "graphMode": "none", "textMode": panel["text"],
                        "reduceOptions": {"calcs": ["lastNotNull"]}},
            "fieldConfig": {"defaults": {
                "unit": panel["unit"], "noValue": "-",
                "thresholds": {"mode": "absolute", "steps": steps}}, "overrides": []},
        }
    if panel["kind"] == "heatmap":
        return {
            "type": "heatmap",
            "options": {"calculate": False, "cellGap": 0, "yAxis": {"unit": panel["unit"]},
                        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
                        "tooltip": {"show": True, "yHistogram": False}},
            "fieldConfig": {"defaults": {}, "overrides": []},
        }
    stacked = panel["kind"] == "stack"
    return {
        "type": "timeseries",
        "options": {"legend": {"displayMode": "table", "placement": "bottom",
                               "calcs": ["mean", "max"]},
                    "tooltip": {"mode": "multi", "sort": "desc"}},
        "fieldConfig": {"defaults": {
            "unit": panel["unit"], "min": 0,
            "custom": {"drawStyle": "line", "lineWidth": 1, "showPoints": "never",
                       "fillOpacity": 40 if stacked else 5,
                       "stacking": {"mode": "normal" if stacked else "none", "group": "A"}}},
            "overrides": []},
    }


def place(panels, top):
    """Gives panels their places, from left to right and from the top down; tells the bottom."""
    left, bottom = 0, top
    for panel in panels:
        position = panel["gridPos"]
        if left + position["w"] > GRID_COLUMNS:
            left, top = 0, bottom
        position["x"], position["y"] = left, top
        left += position["w"]
        bottom = max(bottom, top + position["h"])
    return bottom


def variable(name, label, query, several=True):
    return {
        "name": name, "label": label, "type": "query", "datasource": SOURCE,
        "query": {"query": query, "refId": name}, "definition": query, "refresh": 2, "sort": 1,
        "multi": several, "includeAll": several, "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]} if several else {},
    }


def make():
    panels, top = [], 0
    for number, row in enumerate(ROWS):
        made = []
        for panel in row["panels"]:
            made.append({
                "id": 100 * (number + 1) + len(made) + 1, "title": panel["title"],
                "description": panel["help"], "datasource": SOURCE,
                "gridPos": {"w": panel["width"],
                            "h": STAT_HEIGHT if panel["kind"] == "stat" else GRAPH_HEIGHT},
                "targets": targets(panel), **look(panel),
            })
        heading = {"id": 100 * (number + 1), "type": "row", "title": row["title"],
                   "collapsed": row["folded"], "panels": [],
                   "gridPos": {"x": 0, "y": top, "w": GRID_COLUMNS, "h": 1}}
        bottom = place(made, top + 1)
        panels.append(heading)
        if row["folded"]:
            heading["panels"] = made
            top += 1
        else:
            panels += made
            top = bottom
    return {
        "uid": "memkv", "title": "memkv", "tags": ["memkv"], "editable": True,
        "description": "What memkv nodes do, and where to look when they do not.",
        "schemaVersion": SCHEMA_VERSION, "version": 1, "refresh": "30s", "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"}, "graphTooltip": 1, "annotations": {"list": [{
            "name": "alerts", "enable": True, "iconColor": "red", "datasource": SOURCE,
            "expr": 'ALERTS{alertname=~"Memkv.*",alertstate="firing",instance=~"$instance"}',
            "titleFormat": "{{alertname}}", "textFormat": "{{instance}} {{device}}"}]},
        "templating": {"list": [
            {"name": "datasource", "label": "Prometheus", "type": "datasource",
             "query": "prometheus", "current": {}},
            variable("job", "job", "label_values(memkv_build_info, job)"),
            variable("instance", "node",
                     'label_values(memkv_build_info{job=~"$job"}, instance)'),
            variable("engine", "engine", "label_values(vllm:time_to_first_token_seconds_count, "
                                         "instance)"),
        ]},
        "panels": panels,
    }


def main():
    text = json.dumps(make(), indent=1, sort_keys=True) + "\n"
    if sys.argv[1:] == ["--check"]:
        with open(PATH, encoding="utf-8") as file:
            if file.read() != text:
                sys.exit(f"{PATH} is not what panels.py says; run {sys.argv[0]}")
        return
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
