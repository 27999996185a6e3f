"""How often is often enough: the arithmetic behind `install` and `doctor`."""

import pytest

from hourpass.cli.client.schedule import cron_words, longest_gap, longest_interval, timer_gap, timer_unit, unit_words

MINUTE = 60_000
HOUR = 60 * MINUTE


@pytest.mark.parametrize(
    ("lifetime", "longest"),
    [(3_600_000, 414_000), (86_400_000, 9_936_000), (900_000, 103_500), (12_000, 300)],
    ids=["an hour", "a day", "a quarter of an hour", "12 s"],
)
def test_two_runs_fit_between_soft_and_hard(lifetime, longest):
    """An hour: soft at 2700 s at the latest, hard at 3528 s."""
    assert longest_interval(lifetime) == longest


@pytest.mark.parametrize(
    ("line", "gap"),
    [
        ("*/5 * * * * x", 5 * MINUTE),
        ("* * * * * x", MINUTE),
        ("0 * * * * x", HOUR),
        ("@hourly x", HOUR),
        ("@daily x", 24 * HOUR),
        ("@reboot x", 7 * 24 * HOUR),
        ("0,5,30 * * * * x", 30 * MINUTE),
        ("*/7 * * * * x", 7 * MINUTE),
        ("10-20/5 * * * * x", 50 * MINUTE),
        ("5/20 * * * * x", 20 * MINUTE),
        ("0 9-17 * * * x", 16 * HOUR),
        ("*/5 * * * 1-5 x", 24 * HOUR),
        ("MAILTO=ada", None),
        ("a b c d e f", None),
        ("99 * * * * x", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_longest_gap_of_a_crontab_entry(line, gap):
    """crontab(5)."""
    assert longest_gap(line) == gap


@pytest.mark.parametrize(("minutes", "gap"), [(1, 90_000), (5, 330_000), (60, 3_630_000)], ids=str)
def test_a_timer_that_we_wrote_is_read_back(minutes, gap):
    assert timer_gap(timer_unit(minutes, 30)) == gap


def test_a_timer_of_others_says_nothing():
    assert timer_gap("[Timer]\nOnCalendar=Mon *-*-* 03:00\n") is None


def test_a_percent_sign_does_not_end_a_command_of_cron():
    assert cron_words(["a", "100%", "two words"]) == r"a 100\% 'two words'"


def test_words_of_a_unit_are_quoted_as_systemd_reads_them():
    """systemd.service(5): specifiers, variables and quotes are none of ours."""
    assert unit_words(["/bin/a", "100%", "$HOME", 'say "so"', "back\\slash"]) == (
        r'/bin/a 100%% $$HOME "say \"so\"" "back\\slash"'
    )
