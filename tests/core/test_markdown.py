from mlxtop.core.markdown import table


def test_a_table_has_a_rule_under_its_head_and_no_markup_of_others() -> None:
    assert table([("", "limit", "size"), ("★", "a|b", "<i>")], left=(0,)) == [
        "|  | limit | size |",
        "| --- | ---: | ---: |",
        "| ★ | a\\|b | &lt;i> |",
    ]
