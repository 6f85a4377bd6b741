import pytest

from kagglekit.forecast import Forecast, clock, rough_seconds


def test_a_plan_without_measures_is_its_guesses():
    assert Forecast({"a": 2, "b": 1}, {"a": 3.0, "b": 4.0}, {"a": "m", "b": "m"}).seconds_left() == pytest.approx(10)


def test_measured_fits_replace_guesses_and_scale_those_of_the_same_model():
    forecast = Forecast({"a": 3, "b": 2, "c": 1}, {"a": 3.0, "b": 4.0, "c": 5.0}, {"a": "m", "b": "m", "c": "other"})
    forecast.measured("a", 60.0)
    assert forecast.seconds_left() == pytest.approx(2 * 3.0 + 2 * 4.0 + 5.0)
    forecast.measured("a", 6.0)
    assert forecast.seconds_left() == pytest.approx(1 * 6.0 + 2 * 8.0 + 5.0)


def test_the_first_fit_also_warms_up_and_is_left_out_of_the_mean():
    forecast = Forecast({"a": 4}, {"a": 1.0}, {"a": "m"})
    for seconds in (20.0, 5.0, 7.0):
        forecast.measured("a", seconds)
    assert forecast.seconds_left() == pytest.approx(6.0)


def test_a_finished_plan_has_no_time_left():
    forecast = Forecast({"a": 1}, {"a": 1.0}, {"a": "m"})
    forecast.measured("a", 9.0)
    forecast.measured("a", 9.0)
    assert forecast.seconds_left() == 0


def test_more_pixels_epochs_and_rows_take_longer():
    small = rough_seconds("timm", {"size": 128, "epochs": 3, "freeze_epochs": 0}, 1000)
    assert rough_seconds("timm", {"size": 256, "epochs": 3, "freeze_epochs": 0}, 1000) == pytest.approx(4 * small)
    assert rough_seconds("timm", {"size": 128, "epochs": 6, "freeze_epochs": 0}, 2000) == pytest.approx(4 * small)
    assert rough_seconds("timm", {"size": 128, "epochs": 3}, 1000) > small
    growing = {"sizes": [128, 256], "size": 256, "epochs": 3, "freeze_epochs": 0}
    assert rough_seconds("timm", growing, 1000) == pytest.approx(5 * small)
    assert rough_seconds("timm", {"size": [128, 64], "epochs": 3, "freeze_epochs": 0}, 1000) == pytest.approx(small / 2)


def test_each_bag_is_a_fit():
    alone = rough_seconds("forest", {}, 1000)
    assert rough_seconds("forest", {}, 1000, bags=0) == alone
    assert rough_seconds("forest", {}, 1000, bags=10) == pytest.approx(10 * alone)
    assert rough_seconds("forest", {}, 1000, n_targets=3) == pytest.approx(3 * alone)
    assert rough_seconds("timm", {}, 1000, n_targets=3) == rough_seconds("timm", {}, 1000)


def test_clock():
    assert [clock(0), clock(59.6), clock(75), clock(3600)] == ["0:00", "1:00", "1:15", "60:00"]
