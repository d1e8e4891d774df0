//! How fast a run goes and when it ends: r = (s_now − s_then) / (t_now − t_then) over the last minute, left = (S − s_now) / r.
//!
//! The window forgets what a start, a checkpoint or an evaluation cost. Times are the caller's, so that nothing here reads a
//! clock.

use std::collections::VecDeque;
use std::time::Duration;

/// Parts of the window that are told apart, so that fast steps need no more room than slow ones.
const READINGS: u32 = 64;

/// Speed over a sliding window, and the time left.
#[derive(Debug, Clone)]
pub struct Eta {
    total: u64,
    window: Duration,
    readings: VecDeque<(Duration, u64)>,
}

impl Eta {
    /// For a run of `total` steps, `done` of which were done before; the speed is that of the last `window`.
    pub fn new(total: u64, done: u64, window: Duration) -> Self {
        Self { total, window, readings: VecDeque::from([(Duration::ZERO, done)]) }
    }

    /// `done` steps are done at the time `elapsed` since the start; a reading from the past is ignored.
    pub fn update(&mut self, elapsed: Duration, done: u64) {
        let Some(&(last, steps)) = self.readings.back() else { return };
        if elapsed < last || done < steps {
            return;
        }
        // A last reading that is too close to the one before it gives way, so that all others keep their distance:
        // fewer than READINGS + 3 are there at any time.
        let previous = self.readings.len().checked_sub(2).map(|index| self.readings[index].0);
        if previous.is_some_and(|previous| last - previous < self.window / READINGS) {
            self.readings.pop_back();
        }
        self.readings.push_back((elapsed, done));
        // The last one before the window stays: the window begins between it and the next.
        while self.readings.get(1).is_some_and(|(time, _)| elapsed.saturating_sub(*time) >= self.window) {
            self.readings.pop_front();
        }
    }

    /// Steps a second; `None` before the first step is done.
    pub fn steps_per_second(&self) -> Option<f64> {
        let ((then, from), (now, to)) = (self.readings.front()?, self.readings.back()?);
        let seconds = (*now - *then).as_secs_f64();
        (to > from && seconds > 0.0).then(|| (to - from) as f64 / seconds)
    }

    /// Time until all steps are done, at this speed; `None` before the first step is done.
    pub fn left(&self) -> Option<Duration> {
        let steps = self.total.saturating_sub(self.readings.back()?.1);
        Duration::try_from_secs_f64(steps as f64 / self.steps_per_second()?).ok()
    }
}

/// A time as people say it, rounded to what matters: `7 s`, `4 min 05 s`, `1 h 03 min`, `2 d 04 h`.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// assert_eq!(trainer::run::eta::text(Duration::from_secs(3780)), "1 h 03 min");
/// ```
pub fn text(time: Duration) -> String {
    // A unit and the number of its parts in the next larger one; the two largest that are not zero are shown.
    let seconds = time.as_secs_f64().round() as u64;
    let minutes = (seconds + 30) / 60;
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 60 => format!("{seconds} s"),
        () if seconds < 3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        () if minutes < 24 * 60 => format!("{} h {:02} min", minutes / 60, minutes % 60),
        () => format!("{} d {:02} h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_speed_is_that_of_the_window() {
        let mut eta = Eta::new(1000, 0, s(60));
        assert_eq!((eta.steps_per_second(), eta.left()), (None, None));
        // One step a second for 100 s, then two a second.
        for t in 1..=100 {
            eta.update(s(t), t);
        }
        assert_eq!((eta.steps_per_second(), eta.left()), (Some(1.0), Some(s(900))));
        for t in 101..=170 {
            eta.update(s(t), 100 + 2 * (t - 100));
        }
        assert_eq!(eta.steps_per_second(), Some(2.0), "what was before the window is forgotten");
        assert_eq!(eta.left(), Some(s(380)));
        eta.update(s(171), 1000);
        assert_eq!(eta.left(), Some(Duration::ZERO));
    }

    #[test]
    fn steps_that_were_done_before_do_not_count_as_speed() {
        let mut eta = Eta::new(1000, 900, s(60));
        eta.update(s(10), 910);
        assert_eq!((eta.steps_per_second(), eta.left()), (Some(1.0), Some(s(90))));
    }

    #[test]
    fn a_step_longer_than_the_window_is_still_a_speed() {
        let mut eta = Eta::new(10, 0, s(60));
        for step in 1..=5 {
            eta.update(s(600 * step), step);
            assert_eq!(eta.left(), Some(s(600 * (10 - step))), "{step}");
        }
    }

    #[test]
    fn fast_steps_keep_few_readings_and_the_right_speed() {
        let mut eta = Eta::new(10_000_000, 0, s(60));
        for step in 1..=1_000_000_u64 {
            eta.update(Duration::from_micros(200 * step), step);
            assert!(eta.readings.len() < READINGS as usize + 3, "{}", eta.readings.len());
        }
        assert!((eta.steps_per_second().unwrap() / 5000.0 - 1.0).abs() < 1e-9);
        assert!((eta.left().unwrap().as_secs_f64() / 1800.0 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn readings_from_the_past_and_standstill_do_no_harm() {
        let mut eta = Eta::new(10, 0, s(60));
        eta.update(s(5), 5);
        eta.update(s(4), 6);
        eta.update(s(6), 4);
        assert_eq!(eta.steps_per_second(), Some(1.0));
        eta.update(s(500), 5);
        assert!(eta.steps_per_second().is_none_or(|speed| speed < 0.1), "{eta:?}");
        assert!(Eta::new(u64::MAX, 0, s(0)).left().is_none());
    }

    #[test]
    fn times_are_rounded_to_what_matters() {
        for (seconds, expected) in [
            (0.4, "0 s"),
            (59.4, "59 s"),
            (59.6, "1 min 00 s"),
            (245.0, "4 min 05 s"),
            (3599.4, "59 min 59 s"),
            (3599.6, "1 h 00 min"),
            (3780.0, "1 h 03 min"),
            (7199.0, "2 h 00 min"),
            (86369.0, "23 h 59 min"),
            (86399.0, "1 d 00 h"),
            (187_000.0, "2 d 04 h"),
        ] {
            assert_eq!(text(Duration::from_secs_f64(seconds)), expected, "{seconds}");
        }
    }
}
