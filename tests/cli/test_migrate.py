"""`hourpass migrate`."""


def test_check_names_what_is_to_be_applied_and_fails(newcomer):
    result = newcomer("migrate", "--check", code=1)

    assert result.stdout.splitlines()[0] == "0001_first"
    assert result.stderr.endswith("to apply.\n")


def test_migrate_applies_once(newcomer):
    first, second = newcomer("migrate"), newcomer("migrate")

    assert first.stdout.splitlines()[0] == "0001_first"
    assert (second.stdout, second.stderr) == ("", "0 applied.\n")


def test_check_is_content_with_a_schema_that_is_up_to_date(hourpass):
    hourpass("migrate")

    result = hourpass("migrate", "--check")

    assert (result.stdout, result.stderr) == ("", "0 to apply.\n")


def test_any_other_command_migrates_too(hourpass):
    hourpass("keys", "list")

    hourpass("migrate", "--check")
