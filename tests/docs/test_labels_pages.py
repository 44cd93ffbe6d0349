"""What the pages on labels and retraining say of limits is what the code has."""

from documents import ROOT

from serve_app.monitoring.quality import unjudged
from serve_app.monitoring.quality.book import KEPT_DAYS
from serve_app.monitoring.quality.view import JUDGED_DAYS, WINDOWS_DAYS
from serve_app.settings.args import MOST_LABEL_DELAY_DAYS
from serve_app.statistics import early_labels


def words_of(page: str) -> str:
    """A page as one line of words."""
    return " ".join((ROOT / page).read_text().split())


def days(numbers: tuple[int, ...], last: str) -> str:
    """Numbers as people say them: 7, 30 and 120."""
    *first, end = map(str, numbers)
    return f"{', '.join(first)} {last} {end}"


def test_the_windows_that_the_pages_name_are_those_that_are_told_and_judged() -> None:
    """The longest is as long as labels are kept."""
    labels = words_of("docs/labels.md")
    assert f"windows of {days(WINDOWS_DAYS, 'and')} days **of predictions**" in labels
    assert f"windows of {days(JUDGED_DAYS, 'and')} days that end when" in labels
    assert f"of the last {days(JUDGED_DAYS, 'or')} days" in words_of("docs/retraining.md")
    assert JUDGED_DAYS[-1] == KEPT_DAYS


def test_what_looks_early_is_told_as_it_is_decided() -> None:
    """A quarter, nine tenths, three standard deviations; in a rollout a half."""
    assert early_labels.NEWEST_PART == 0.25
    assert early_labels.EARLY_PART == 0.9
    assert early_labels.SURE == 3
    assert unjudged.LEAST_PART == 0.5
    labels = words_of("docs/labels.md")
    assert "whose newest quarter of days, or more of its days, has less than nine tenths" in labels
    assert "less than half of the labels that stable's scores expect" in labels
    assert f"It is {MOST_LABEL_DELAY_DAYS} at most" in labels
    assert KEPT_DAYS - MOST_LABEL_DELAY_DAYS >= 30, "a month is left of those that take longest"
