"""The table of rules and the tests name each other."""

import pathlib

from conftest import HERE, table


def test_every_rule_is_tested_and_every_tested_rule_is_in_the_table(request):
    rules = table()
    named = {
        identifier: item.nodeid
        for item in request.session.items
        for marker in item.iter_markers("rule")
        for identifier in marker.args
    }
    unknown = {i: place for i, place in named.items() if i not in rules}
    assert not unknown, f"tests name rules that are in no table: {unknown}"
    # Only the whole suite names all of them.
    files = {item.path for item in request.session.items}
    option = request.config.option
    if files == set(pathlib.Path(HERE).glob("test_*.py")) and not option.keyword:
        untested = {i: place for i, place in rules.items() if i not in named}
        assert not untested, f"rules that no test names: {untested}"
